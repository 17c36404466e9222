"""Alarms of the guests' kernels: crashes, I/O errors, hung tasks, starved processors."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from harness.checks.kernel import KernelMessage, journal_stamp, pair, vm_kernel_lines
from harness.checks.provoked import CRASH, provoked
from harness.checks.registry import Finding, check, found
from harness.checks.stall import stalls_of
from harness.checks.verdict import Verdict
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Seen

# Texts of Linux 6.1: block/blk-core.c, fs/ext4/super.c, fs/buffer.c, drivers/scsi/,
# kernel/watchdog.c, kernel/hung_task.c, kernel/rcu/tree_stall.h, kernel/time/hrtimer.c,
# net/sched/sch_generic.c, drivers/target/target_core_tmr.c; drbd 8.4: drbd_state.c.
_DISK = re.compile(
    r"\bI/O error\b|\bdisk\( \w+ -> Failed \)|\bLocal IO failed\b|\bEXT4-fs error\b"
    r"|\bRemounting filesystem read-only\b|\bAborting journal\b"
    r"|\brejecting I/O to offline device\b|\bsession recovery timed out\b"
    r"|\bfence-peer helper broken\b|\bABORT_TASK: "
)
_NO_DISK = re.compile(r"\bdev (?:fd|sr)\d")  # empty drives
_STARVED = re.compile(
    r"\b(?:soft|workqueue) lockup\b|\brcu\w*:? .*(?:self-detected stall|detected stalls|starved)"
    r"|\brcu: INFO: |\bNETDEV WATCHDOG\b"
)
_SLOW_TIMER = re.compile(r"\bhrtimer: interrupt took (\d+) ns")
_HUNG = re.compile(r"\bblocked for more than (\d+) seconds")
_PROCESS = re.compile(r"^[\w.-]+\[\d+\]: ")  # written to /dev/kmsg by a process
_DECORATED = re.compile(r"\[\s*\d+\.\d{6}\]")

_DETACHED = re.compile(r"\bdisk\( \w+ -> Failed \)|\bdev drbd\d+")
_FAILED = re.compile(r"\bLocal IO failed\b")
_STOPPING = re.compile(
    r"(?:Initiating stop operation \S+|Requesting local execution of stop operation for \S+) "
    r"(?:(?:locally )?on (?P<node>[\w.-]+))"
)
_STOP_NS = 60_000_000_000  # a planned stop detaches the disk within this
_LATE_NS = 5_000_000_000
_SLOW_NS = 1_000_000_000
_HUNG_CHECK_NS = 120_000_000_000  # khungtaskd looks that often


class _Kind(Enum):
    FAILURE = auto()
    STARVED = auto()
    HUNG = auto()


@dataclass(frozen=True, slots=True)
class _Alarm:
    kind: _Kind
    message: KernelMessage


@check("kernel-alarms", "No alarm of a guest's kernel")
def kernel_alarms(evidence: Evidence) -> Finding:
    """No kernel of a node or of the initiator reports a crash or an I/O error.

    A BUG, an Oops, an I/O or file system error, a disk that DRBD gave up, an iSCSI session that
    was given up, or a broken fence-peer handler is INVALID, wherever fio and DRBD saw nothing of
    it. So is a command that the target was asked to abort: the initiator's SCSI timer ran out on a
    write that the target still held, and a reset and an offline disk are next. Not so: a lost
    iSCSI connection (it is what the initiator bridges); a disk that goes ``-> Failed`` because
    Pacemaker stops the resource (that is how DRBD 8.4 detaches), unless an I/O error came first;
    what the scenario itself provoked there (``provoked``): the crash of a machine that it makes
    panic, errors of a disk that it makes fail, and what a kernel says whose memory it uses up.

    A task blocked for minutes is what a long standstill looks like to its kernel: told, no alarm,
    where a stall that is within its bound covers it. Otherwise, like lockups, RCU stalls, timer
    interrupts of a second and a card whose transmit queue stands still, it may be a guest that got
    no processor, or none that is emulated well: INCONCLUSIVE under emulation, INVALID where the
    processor is real. (Timer interrupts of milliseconds are not.)
    """
    alarms = [alarm for vm in evidence.vms for alarm in _alarms(evidence, vm)]
    hung = [a for a in alarms if a.kind is _Kind.HUNG]
    covered = [a for a in hung if _covered(evidence, a.message)]
    failures = [a for a in alarms if a.kind is _Kind.FAILURE]
    starved = [a for a in alarms if a.kind is _Kind.STARVED or (a in hung and a not in covered)]
    emulated = evidence.run is None or evidence.run.accelerator == "tcg"
    bad = failures + starved
    told = f"; {len(covered)} tasks blocked during the stall" if covered else ""
    return found(
        [f"{a.message.node}: {a.message.text[:160]}" for a in bad],
        expected="no alarm but what a lost connection or a stall within its bound explains",
        fine=f"no alarm{told}",
        operations=_judged(evidence),
        otherwise=Verdict.INVALID if failures or not emulated else Verdict.INCONCLUSIVE,
        when_ns=[a.message.t_ns for a in bad],
        evidence=[ref for a in bad or covered for ref in a.message.refs],
        details={"failures": len(failures), "starved": len(starved), "blocked": len(covered)},
    )


def _judged(evidence: Evidence) -> int:
    nonces = sum(channel is not Channel.EVENTS2 for _, channel in evidence.nonces)
    return nonces + sum(len(_lines(evidence, vm)) for vm in evidence.vms)


def _lines(evidence: Evidence, vm: str) -> list[tuple[Seen, str]]:
    """The kernel's own lines: no login prompts, nothing that processes wrote."""
    return [
        (seen, text)
        for seen, text in vm_kernel_lines(evidence, vm)
        if not _PROCESS.match(text)
        and (seen.event.channel is Channel.JOURNAL or _DECORATED.search(seen.text("text")))
    ]


def _alarms(evidence: Evidence, vm: str) -> list[_Alarm]:
    copies: dict[str, dict[Channel, list[KernelMessage]]] = defaultdict(lambda: defaultdict(list))
    kinds: dict[str, _Kind] = {}
    for seen, text in _lines(evidence, vm):
        kind = _kind(text)
        if kind is not None:
            kinds[text] = kind
            copies[text][seen.event.channel].append(
                KernelMessage(seen.t_ns, vm, text, "", (seen.ref,), journal_stamp(seen))
            )
    alarms = [
        _Alarm(kinds[text], message)
        for text, told in copies.items()
        for message in pair(told[Channel.CONSOLE], told[Channel.JOURNAL])
    ]
    own = [alarm for alarm in alarms if not _provoked(evidence, vm, alarm)]
    failed_ns = [a.message.t_ns for a in own if _FAILED.search(a.message.text)]
    return [alarm for alarm in own if not _planned(evidence, alarm.message, failed_ns)]


def _provoked(evidence: Evidence, vm: str, alarm: _Alarm) -> bool:
    starved = alarm.kind is not _Kind.FAILURE
    return provoked(evidence, vm, alarm.message.text, alarm.message.t_ns, starved=starved)


def _kind(text: str) -> _Kind | None:
    if _HUNG.search(text):
        return _Kind.HUNG
    slow = _SLOW_TIMER.search(text)
    if _STARVED.search(text) or (slow and int(slow[1]) >= _SLOW_NS):
        return _Kind.STARVED
    if CRASH.search(text) or (_DISK.search(text) and not _NO_DISK.search(text)):
        return _Kind.FAILURE
    return None


def _planned(evidence: Evidence, message: KernelMessage, failed_ns: list[int]) -> bool:
    """Whether Pacemaker was stopping resources on the node, and no I/O had failed before."""
    if not _DETACHED.search(message.text):
        return False
    if any(t_ns <= message.t_ns + _LATE_NS for t_ns in failed_ns):
        return False
    for seen in evidence.select(Channel.JOURNAL, "entry"):
        if -_LATE_NS <= message.t_ns - seen.t_ns <= _STOP_NS:
            stopping = _STOPPING.search(seen.text("message"))
            by = seen.text("identifier").startswith("pacemaker-")
            if by and stopping and stopping["node"] == message.node:
                return True
    return False


def _covered(evidence: Evidence, message: KernelMessage) -> bool:
    """Whether a stall of the writes within the bound explains a blocked task."""
    bound_s = evidence.scenario.expect.max_stall_s
    longest = max(stalls_of(evidence), key=lambda stall: stall.seconds, default=None)
    if longest is None or longest.seconds > bound_s:
        return False
    return longest.start_ns <= message.t_ns <= longest.end_ns + _HUNG_CHECK_NS
