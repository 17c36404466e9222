"""What a guest's kernel says because of what the scenario did to it; no alarm of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.checks.kernel import minor_names
from harness.checks.registry import remember
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Seen

# A kernel that ends (lib/bug.c, kernel/panic.c of Linux 6.1); lockups have words of their own.
CRASH = re.compile(r"\bBUG: (?!soft lockup|workqueue lockup)|\bOops\b|\bKernel panic\b")
_LATE_NS = 5_000_000_000  # how much later than the fault's own events a guest's may arrive
# "I/O error, dev vdc, sector …" and "Buffer I/O error on dev vdc, …": block/blk-mq.c, fs/buffer.c.
_OF_DISK = re.compile(r"\bI/O error\b.*\bdev (?P<disk>[a-z]+)\b")
_OF_DRBD = re.compile(r"^(?:block drbd(?P<minor>\d{1,3})|drbd (?P<resource>[\w.-]+)): ")
_GAVE_UP = re.compile(r"\bdisk\( \w+ -> Failed \)|\bLocal IO failed\b")
_NO_MEMORY = "System is deadlocked on memory"


def provoked(evidence: Evidence, vm: str, text: str, t_ns: int, *, starved: bool) -> bool:
    """Whether a line of a VM's kernel tells of a fault that was injected there.

    * A kernel that is made to panic says so.
    * Disks that are made to return errors: the block layer names them, and DRBD gives up the
      resources that are on them; of other disks and resources neither is excused.
    * Memory that is used up: the panic for want of it, and a kernel that is starved meanwhile.

    Args:
        text: without printk's decoration.
        t_ns: its arrival, on the run's clock.
        starved: whether it is about a processor that was not given, or a task that waits.
    """
    for fault, from_ns, to_ns in _faults(evidence, vm):
        kind, during = fault.text("kind"), from_ns <= t_ns <= to_ns
        if "panic" in kind and CRASH.search(text):
            return True
        if kind == "disk-errors" and during and _of_these_disks(evidence, fault, text):
            return True
        if kind == "memory-exhausted" and during and (starved or _NO_MEMORY in text):
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


def _of_these_disks(evidence: Evidence, fault: Seen, text: str) -> bool:
    disk = _OF_DISK.search(text)
    if disk is not None and disk["disk"] in fault.text("disks").split():
        return True
    drbd = _OF_DRBD.match(text)
    if drbd is None or not _GAVE_UP.search(text):
        return False
    resource = drbd["resource"] or minor_names(evidence).get(int(drbd["minor"]))
    return resource in fault.text("resources").split()
