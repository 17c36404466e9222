"""Alarms of the guests: crashes of kernels and daemons, I/O errors, starved processors."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from harness.checks.back_in_time import back_in_time
from harness.checks.crashed import crashed_daemon, told_of_a_crash
from harness.checks.kernel import (
    OF_DRBD,
    KernelMessage,
    journal_stamp,
    minor_names,
    pair,
    vm_kernel_lines,
)
from harness.checks.known_warnings import WARNING, KnownWarning, known_warnings
from harness.checks.provoked import CRASH, OUT_OF_MEMORY, provoked
from harness.checks.registry import Finding, check, found
from harness.checks.stall import stalls_of
from harness.checks.verdict import Verdict
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Seen

# Texts of Linux 6.1: block/blk-core.c (blk_errors: "I/O" is one name of many, "critical target",
# "critical medium" and "timeout" are others) and blk-mq.c, fs/ext4/, fs/jbd2/commit.c, fs/buffer.c,
# drivers/scsi/, kernel/watchdog.c and watchdog_hld.c, kernel/hung_task.c,
# kernel/rcu/tree_stall.h, kernel/time/hrtimer.c, net/sched/sch_generic.c,
# drivers/target/target_core_tmr.c; drbd 8.4: drbd_state.c, drbd_req.c (drbd_send_and_submit), and
# D_ASSERT and expect of drbd_int.h. Not of them: "ASSERTION FAILED: …->current_epoch->list not
# empty", which conn_disconnect() says of what a lost connection leaves.
_DISK = re.compile(
    r"\bI/O error\b| error, dev \w|\bDetected IO errors\b|\bpotential data loss\b"
    r"|\bData will be lost\b|\bIO ERROR: |\bASSERT\( |\bASSERTION .* FAILED in "
    r"|\bdisk\( \w+ -> Failed \)|\bLocal IO failed\b|\bEXT4-fs error\b"
    r"|\bRemounting filesystem read-only\b|\bAborting journal\b"
    r"|\bDevice offlined\b|\brejecting I/O to offline device\b|\bsession recovery timed out\b"
    r"|\bfence-peer helper broken\b|\bABORT_TASK: "
)
# Empty drives; and what is only asked for to save space, refused by a disk that cannot.
_NO_DISK = re.compile(
    r"\bdev (?:fd|sr)\d"
    r"|\boperation not supported error, dev .* op 0x[0-9a-f]+:\((?:DISCARD|WRITE_ZEROES)\)"
)
_STARVED = re.compile(
    r"\b(?:soft|workqueue) lockup\b|\bhard LOCKUP\b"
    r"|\brcu\w*:? .*(?:self-detected stall|detected stalls|starved)"
    r"|\brcu: INFO: |\bNETDEV WATCHDOG\b"
    # the WARNING that goes with the line before (dev_watchdog of net/sched/sch_generic.c)
    r"|\bWARNING: CPU: .* dev_watchdog\+"
)
_SLOW_TIMER = re.compile(r"\bhrtimer: interrupt took (\d+) ns")
_HUNG = re.compile(r"\bblocked for more than (\d+) seconds")
# Written to /dev/kmsg by a process; but what the kernel says of one that crashed looks so as well.
_PROCESS = re.compile(r"^[\w.-]+\[\d+\]: (?!segfault at [0-9a-f]+ ip )")
_DECORATED = re.compile(r"\[\s*\d+\.\d{6}\]")

# What a planned stop of a DRBD resource may say: that its disk goes, and that a read (of udev's,
# say) came too late. Writes that are lost ("lost async page write") never belong to it.
_DETACHED = re.compile(
    rf"^{OF_DRBD}: .*\bdisk\( \w+ -> Failed \)"
    r"|\berror(?:,| on) dev drbd(?P<read>\d+)\b.*(?:\basync page read\b|:\(READ\))"
)
_FAILED = re.compile(r"\bLocal IO failed\b")
# The cluster's DRBD resources are d0, d1, … there (cluster.crm.j2); a clone's instances d0:1. One
# of several volumes is d0.
_STOPPING = re.compile(
    r"(?:Initiating stop operation|Requesting local execution of stop operation for) "
    r"(?P<primitive>[\w.-]+?)(?::\d+)?(?:_stop_\d+)? (?:locally )?on (?P<node>[\w.-]+)"
)
_STOP_NS = 60_000_000_000  # a planned stop detaches the disk within this
_LATE_NS = 5_000_000_000
_SLOW_NS = 1_000_000_000
_HUNG_CHECK_NS = 120_000_000_000  # khungtaskd looks that often


class _Kind(Enum):
    FAILURE = auto()
    KNOWN = auto()
    STARVED = auto()
    HUNG = auto()
    REFUSED = auto()


@dataclass(frozen=True, slots=True)
class _Alarm:
    kind: _Kind
    message: KernelMessage
    known: KnownWarning | None = None


@check("kernel-alarms", "No alarm of a guest's kernel")
def kernel_alarms(evidence: Evidence) -> Finding:
    """No kernel of a node or of the initiator reports a crash or an I/O error.

    A BUG, an Oops, a WARNING, an I/O or file system error, an assertion of DRBD that fails, a disk
    that DRBD gave up, an iSCSI session or a disk that was given up, a process that was killed for
    want of memory, or a broken fence-peer handler is INVALID, wherever fio and DRBD saw nothing of
    it. So is a daemon of the cluster that crashes (by the kernel, pacemakerd or systemd), and a
    command that the target was asked to abort: the initiator's SCSI timer ran out on a write that
    the target still held, and a reset and an offline disk are next. Not so: a lost iSCSI connection
    (it is what the initiator bridges); the disk of a DRBD resource that goes ``-> Failed``, or a
    read of it that fails, because Pacemaker stops just that resource (that is how DRBD 8.4
    detaches), unless an I/O error came first; what the scenario itself provoked there
    (``provoked``): the crash of a machine that it makes panic, until its next boot, errors of a
    disk that it makes fail, and what a kernel says whose memory it uses up. A WARNING that is known
    by its function and its trace (``known_warnings``, with the reason) is told, no alarm; so is a
    handler that exits with 1 as its peer was back before it looked (``back_in_time``).

    A task blocked for minutes is what a long standstill looks like to its kernel: told, no alarm,
    where a stall that is within its bound covers it. Otherwise, like lockups, RCU stalls, timer
    interrupts of a second and a card whose transmit queue stands still, it may be a guest that got
    no processor, or none that is emulated well: INCONCLUSIVE under emulation, INVALID where the
    processor is real. (Timer interrupts of milliseconds are not.)
    """
    alarms = [alarm for vm in evidence.vms for alarm in _alarms(evidence, vm)]
    known = [a for a in alarms if a.kind is _Kind.KNOWN]
    hung = [a for a in alarms if a.kind is _Kind.HUNG]
    refused = [a for a in alarms if a.kind is _Kind.REFUSED]
    covered = [a for a in hung if _covered(evidence, a.message)]
    failures = [a for a in alarms if a.kind is _Kind.FAILURE]
    starved = [a for a in alarms if a.kind is _Kind.STARVED or (a in hung and a not in covered)]
    emulated = evidence.run is None or evidence.run.accelerator == "tcg"
    bad = failures + starved
    finding = found(
        [f"{a.message.node}: {a.message.text[:160]}" for a in bad],
        expected="no alarm but what a lost connection or a stall within its bound explains",
        fine="no alarm",
        operations=_judged(evidence),
        otherwise=Verdict.INVALID if failures or not emulated else Verdict.INCONCLUSIVE,
        when_ns=[a.message.t_ns for a in bad],
        evidence=[ref for a in bad or covered + known + refused for ref in a.message.refs],
        details={
            "failures": len(failures),
            "starved": len(starved),
            "blocked": len(covered),
            "known_warnings": len(known),
            "refusals": len(refused),
        },
    )
    return replace(finding, seen="; ".join([finding.seen, *_told(covered, known, refused)]))


def _told(covered: list[_Alarm], known: list[_Alarm], refused: list[_Alarm]) -> list[str]:
    """What is no alarm, and said whatever the verdict."""
    told = [f"{len(covered)} tasks blocked during the stall"] if covered else []
    if refused:
        told.append(f"{len(refused)} fence-peer handlers found that the peer was back already")
    for a in known:
        if a.known is not None:
            told.append(f"a known WARNING of {a.message.node}: {a.known.what}")
    return told


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
    lines = _lines(evidence, vm)
    for seen, text in lines + _of_daemons(evidence, vm):
        kind = _kind(text)
        if kind is not None:
            kinds[text] = kind
            copies[text][seen.event.channel].append(
                KernelMessage(seen.t_ns, vm, text, "", (seen.ref,), journal_stamp(seen))
            )
    known = known_warnings(lines)
    alarms = [
        _with_known(_Alarm(kinds[text], message), known)
        for text, told in copies.items()
        for message in pair(told[Channel.CONSOLE], told[Channel.JOURNAL])
    ]
    alarms = [_with_peer(evidence, vm, alarm) for alarm in alarms]
    own = [alarm for alarm in alarms if not _provoked(evidence, vm, alarm)]
    failed_ns = [a.message.t_ns for a in own if _FAILED.search(a.message.text)]
    return [alarm for alarm in own if not _planned(evidence, alarm.message, failed_ns)]


def _of_daemons(evidence: Evidence, vm: str) -> list[tuple[Seen, str]]:
    """What pacemakerd and systemd say of daemons that crashed."""
    entries = evidence.select(Channel.JOURNAL, "entry", source=vm)
    return [(seen, seen.text("message")) for seen in entries if told_of_a_crash(seen)]


def _with_known(alarm: _Alarm, known: dict[str, KnownWarning]) -> _Alarm:
    """A WARNING is known where one of its witnesses, console or journal, has the known trace."""
    one = next((known[ref] for ref in alarm.message.refs if ref in known), None)
    return alarm if one is None else replace(alarm, kind=_Kind.KNOWN, known=one)


def _with_peer(evidence: Evidence, vm: str, alarm: _Alarm) -> _Alarm:
    back = back_in_time(evidence, vm, alarm.message.text, alarm.message.t_ns)
    return replace(alarm, kind=_Kind.REFUSED) if back else alarm


def _provoked(evidence: Evidence, vm: str, alarm: _Alarm) -> bool:
    starved = alarm.kind is not _Kind.FAILURE
    return provoked(evidence, vm, alarm.message.text, alarm.message.t_ns, starved=starved)


def _kind(text: str) -> _Kind | None:
    if _HUNG.search(text):
        return _Kind.HUNG
    slow = _SLOW_TIMER.search(text)
    if _STARVED.search(text) or (slow and int(slow[1]) >= _SLOW_NS):
        return _Kind.STARVED
    if _DISK.search(text) and not _NO_DISK.search(text):
        return _Kind.FAILURE
    if any(pattern.search(text) for pattern in (CRASH, WARNING, OUT_OF_MEMORY)):
        return _Kind.FAILURE
    return None if crashed_daemon(text) is None else _Kind.FAILURE


def _planned(evidence: Evidence, message: KernelMessage, failed_ns: list[int]) -> bool:
    """Whether Pacemaker was stopping this DRBD resource there, and no I/O had failed before."""
    primitive = _primitive(evidence, message.text)
    if primitive is None or any(t_ns <= message.t_ns + _LATE_NS for t_ns in failed_ns):
        return False
    for seen in evidence.select(Channel.JOURNAL, "entry"):
        if -_LATE_NS <= message.t_ns - seen.t_ns <= _STOP_NS:
            stopping = _STOPPING.search(seen.text("message"))
            by = seen.text("identifier").startswith("pacemaker-")
            told = stopping and (stopping["primitive"], stopping["node"])
            if by and told == (primitive, message.node):
                return True
    return False


def _primitive(evidence: Evidence, text: str) -> str | None:
    """Pacemaker's name of the DRBD resource that a line says no more than a planned stop of."""
    match = _DETACHED.search(text)
    if match is None:
        return None
    devices, known = evidence.scenario.devices, list(evidence.scenario.resources)
    minor = match["minor"] or match["read"]
    device = minor_names(evidence).get(int(minor)) if minor else None
    # A resource of several volumes is called as its first one is.
    resource = match["resource"] or (devices.resource_of(device) if device in known else None)
    return f"d{known.index(resource)}" if resource in known else None


def _covered(evidence: Evidence, message: KernelMessage) -> bool:
    """Whether a stall of the writes within the bound explains a blocked task."""
    bound_s = evidence.scenario.expect.max_stall_s
    longest = max(stalls_of(evidence), key=lambda stall: stall.seconds, default=None)
    if longest is None or longest.seconds > bound_s:
        return False
    return longest.start_ns <= message.t_ns <= longest.end_ns + _HUNG_CHECK_NS
