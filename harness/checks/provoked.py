"""What a guest's kernel says because of what the scenario did to it; no alarm of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.checks.crashed import crashed_daemon, is_daemon
from harness.checks.kernel import OF_DRBD, boots, minor_names
from harness.checks.known_warnings import WARNING
from harness.checks.registry import remember
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Seen

# A kernel that ends; lockups have words of their own. Of Linux 6.1: report_bug() of lib/bug.c
# ("kernel BUG at", after which x86 says neither "BUG: " nor "Oops", but "invalid opcode"),
# __die_header() of arch/x86/kernel/dumpstack.c ("%s: %04lx [#%d]"), exc_general_protection() of
# arch/x86/kernel/traps.c (of a process, "ip:" follows), panic() of kernel/panic.c.
CRASH = re.compile(
    r"\bBUG: (?!soft lockup|workqueue lockup)|\bkernel BUG at |: [0-9a-f]{4} \[#\d+\]"
    r"|\bgeneral protection fault\b(?! ip:)|\bOops\b|\bKernel panic\b"
)
# __oom_kill_process() of mm/oom_kill.c; of a control group too.
OUT_OF_MEMORY = re.compile(r"\b[Oo]ut of memory: Killed process \d+ ")
_LATE_NS = 5_000_000_000  # how much later than the fault's own events a guest's may arrive
# "I/O error, dev vdc, sector …", or "critical medium error, …", and "Buffer I/O error on dev vdc,
# …": block/blk-mq.c, fs/buffer.c.
_OF_DISK = re.compile(r"\berror(?:,| on) dev (?P<disk>[a-z]+)\b")
_OF_DRBD = re.compile(rf"^{OF_DRBD}: ")
_GAVE_UP = re.compile(r"\bdisk\( \w+ -> Failed \)|\bLocal IO failed\b")
_NO_MEMORY = "System is deadlocked on memory"


def provoked(evidence: Evidence, vm: str, text: str, t_ns: int, *, starved: bool) -> bool:
    """Whether a line of a VM's kernel tells of a fault that was injected there.

    * A kernel that is made to panic says so, until it boots again: of the next one nothing is.
    * Disks that are made to return errors: the block layer names them, and DRBD gives up the
      resources that are on them; of other disks and resources neither is excused.
    * Memory that is used up: the panic for want of it, processes that are killed or crash for it,
      and a kernel that is starved meanwhile.
    * A daemon that is stopped by SIGSTOP: pacemakerd, when it has to stop, sends SIGSEGV to those
      that do not go. (Daemons that are killed get SIGKILL, which nobody takes for a crash.)

    Args:
        text: without printk's decoration.
        t_ns: its arrival, on the run's clock.
        starved: whether it is about a processor that was not given, or a task that waits.
    """
    for fault, from_ns, to_ns in _faults(evidence, vm):
        kind, during = fault.text("kind"), from_ns <= t_ns <= to_ns
        ends = CRASH.search(text) or WARNING.search(text)
        if "panic" in kind and ends and from_ns <= t_ns < _next_boot_ns(evidence, vm, from_ns):
            return True
        if kind == "disk-errors" and during and _of_these_disks(evidence, fault, text):
            return True
        if kind == "memory-exhausted" and during and (starved or _for_want_of_memory(text)):
            return True
        if kind == "daemon-frozen" and during and _of_this_daemon(fault, text):
            return True
    return False


@remember
def _all_faults(evidence: Evidence) -> list[tuple[Seen, int, int]]:
    """(injection, from, to) of every fault; to the end where nobody told that it healed."""
    ends: dict[str, int] = {}
    for seen in evidence.select(Channel.FAULT, "healed", "not-healed"):
        ends[seen.text("id")] = seen.t_ns + _LATE_NS
    return [
        (seen, seen.t_ns, ends.get(seen.text("id"), evidence.end_ns))
        for seen in evidence.select(Channel.FAULT, "inject")
    ]


def _faults(evidence: Evidence, vm: str) -> list[tuple[Seen, int, int]]:
    return [
        one
        for one in _all_faults(evidence)
        if vm in (one[0].text("machine"), one[0].text("target"))
    ]


def _next_boot_ns(evidence: Evidence, vm: str, from_ns: int) -> int:
    """When a VM's next kernel began to speak; without its first words, when the VM was started."""
    spoke = [seen.t_ns for seen in boots(evidence, vm) if seen.t_ns > from_ns]
    started = [
        seen.t_ns
        for seen in evidence.select(Channel.DOMAIN, "lifecycle", source=vm)
        if seen.t_ns > from_ns and seen.text("event") == "started"
    ]
    return min(spoke or started, default=evidence.end_ns + 1)


def _for_want_of_memory(text: str) -> bool:
    return (
        _NO_MEMORY in text
        or OUT_OF_MEMORY.search(text) is not None
        or crashed_daemon(text) is not None
    )


def _of_this_daemon(fault: Seen, text: str) -> bool:
    crashed = crashed_daemon(text)
    return crashed is not None and is_daemon(crashed, fault.text("target").partition(" of ")[0])


def _of_these_disks(evidence: Evidence, fault: Seen, text: str) -> bool:
    disk = _OF_DISK.search(text)
    if disk is not None and disk["disk"] in fault.text("disks").split():
        return True
    drbd = _OF_DRBD.match(text)
    if drbd is None or not _GAVE_UP.search(text):
        return False
    broken = fault.text("resources").split()
    if drbd["resource"]:
        meant = evidence.scenario.devices.of(drbd["resource"], drbd["volume"] or "")
        return any(one in broken for one in meant)
    return minor_names(evidence).get(int(drbd["minor"])) in broken
