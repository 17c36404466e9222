"""No machine went down but by what was done to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checks.fence_effect import Outage, outages, successful_fencings
from harness.checks.registry import Finding, check, found
from harness.checks.roles import kills
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Seen

_BITES_NS = 60_000_000_000  # a fault of which nobody proved that it bit may do so for this long
_PROVED_NS = 5_000_000_000  # and one that did has done it by its proof, as libvirt tells it
_NEAR_NS = 60_000_000_000  # a boot may be heard of this long before the fencing is reported
_REBOOTS_NS = 5_000_000_000  # a reboot's order and its sample are that close around it


@dataclass(frozen=True, slots=True)
class _Cause:
    """Something that may take a machine down, once: within one of ``spans`` (from, to)."""

    t_ns: int  # when it was told
    spans: tuple[tuple[int, int], ...]
    what: str  # fault, fencing or reboot
    boot_id: str = ""  # the boot that a reboot ended in, where it is known


@check("machines", "No machine went down unexplained")
def machines(evidence: Evidence) -> Finding:
    """Whenever a VM stopped, crashed or booted anew, the scenario or a fencing had done it.

    libvirt tells each end of a VM, the journal each new boot (boot_id). Each must have a cause of
    its own: a power-off or reset that was injected there, a successful fencing of it, or a reboot
    that was asked for and sampled. A cause explains one stop and one boot: what was done before a
    boot is over with it. A second stop counts only after a start. What is left over went down by
    itself: a kernel crash, a QEMU that died, a watchdog.

    A cause explains only what it can have caused. A fault: a stop after its injection, until it was
    proved to have bitten (the proof of a power cut is that libvirt knows it). A fencing: a stop
    between a request to fence_virtd and the report, so that one of a machine that is off already
    explains nothing that comes later. A reboot: a clean shutdown in its own time, and a machine
    that came back from it was started again in that time.
    """
    problems: list[str] = []
    refs: list[str] = []
    when: list[int] = []
    judged = 0
    for vm in evidence.vms:
        stops, boots = outages(evidence)[vm], _new_boots(evidence, vm)
        causes = _causes(evidence, vm)
        judged += len(stops) + len(boots) + len(_heard(evidence, vm))
        for seen in _unexplained_stops(stops, causes):
            detail = seen.text("detail")[:60]
            problems.append(f"{vm} {seen.text('event')}{f' ({detail})' if detail else ''}")
            refs.append(seen.ref)
            when.append(seen.t_ns)
        for seen in _unexplained_boots(boots, causes):
            problems.append(f"{vm} booted anew")
            refs.append(seen.ref)
            when.append(seen.t_ns)
    return found(
        problems,
        expected="a fault or a fencing behind every stop and every boot of a VM",
        fine="every stop and every boot was caused by a fault, a fencing or a reboot asked for",
        operations=judged,
        when_ns=when,
        evidence=refs,
    )


def _causes(evidence: Evidence, vm: str) -> list[_Cause]:
    causes = [
        _Cause(seen.t_ns, ((seen.t_ns, _bitten_by(evidence, seen)),), "fault")
        for seen in evidence.select(Channel.FAULT, "inject")
        if kills(seen, vm)
    ]
    causes += [
        _Cause(fencing.report.t_ns, fencing.spans, "fencing")
        for fencing in successful_fencings(evidence)
        if fencing.report.target == vm
    ]
    for sample in evidence.samples("reboot"):
        value = sample.value if isinstance(sample.value, dict) else {}
        if value.get("node") == vm:
            took_s = value.get("seconds") or value.get("deadline_s") or 0
            from_ns = sample.seen.t_ns - int(float(took_s) * 1e9) - _REBOOTS_NS
            to_ns = sample.seen.t_ns + _REBOOTS_NS
            boot_id = _plain(str(value.get("boot_id_after") or ""))
            causes.append(_Cause(sample.seen.t_ns, ((from_ns, to_ns),), "reboot", boot_id))
    return sorted(causes, key=lambda cause: cause.t_ns)


def _bitten_by(evidence: Evidence, inject: Seen) -> int:
    """Until when what a fault does to a machine's power may be heard of."""
    proofs = [
        seen.t_ns
        for seen in evidence.select(Channel.FAULT, "bitten")
        if seen.t_ns >= inject.t_ns and seen.text("id") == inject.text("id")
    ]
    return proofs[0] + _PROVED_NS if proofs else inject.t_ns + _BITES_NS


def _unexplained_stops(outages_of_vm: list[Outage], causes: list[_Cause]) -> list[Seen]:
    """In order of time, each stop takes the cause that is the first to be over: the best choice."""
    free = sorted(causes, key=lambda cause: cause.spans[-1][1])
    left = []
    for outage in outages_of_vm:
        cause = next((cause for cause in free if _explains(cause, outage)), None)
        if cause is None:
            left.append(outage.stop)
        else:
            free.remove(cause)
    return left


def _explains(cause: _Cause, outage: Outage) -> bool:
    if not any(from_ns <= outage.stop.t_ns <= to_ns for from_ns, to_ns in cause.spans):
        return False
    if cause.what != "reboot":
        return True
    again = outage.until_ns is not None and outage.until_ns <= cause.spans[-1][1]
    return outage.stop.text("detail") == "shutdown" and (again or not cause.boot_id)


def _heard(evidence: Evidence, vm: str) -> list[tuple[str, Seen]]:
    """(boot_id, where) of what the VM's journal and clock say, in order of arrival."""
    heard = [
        (seen, seen.text("boot_id"))
        for seen in evidence.select(Channel.JOURNAL, "entry", source=vm)
    ]
    heard += [
        (seen, seen.text("boot_id"))
        for seen in evidence.select(Channel.CLOCK, "offset")
        if seen.text("node") == vm
    ]
    heard.sort(key=lambda pair: pair[0].line)
    return [(_plain(boot_id), seen) for seen, boot_id in heard if boot_id]


def _new_boots(evidence: Evidence, vm: str) -> list[tuple[str, Seen]]:
    """Each boot but the one that the scenario began with, where it was first heard of."""
    first: dict[str, Seen] = {}
    for boot_id, seen in _heard(evidence, vm):
        first.setdefault(boot_id, seen)
    return list(first.items())[1:]


def _unexplained_boots(boots: list[tuple[str, Seen]], causes: list[_Cause]) -> list[Seen]:
    asked = {cause.boot_id for cause in causes if cause.what == "reboot" and cause.boot_id}
    free = [cause for cause in causes if cause.what != "reboot" or not cause.boot_id]
    left = []
    for boot_id, seen in boots:
        if boot_id in asked:
            continue
        earlier = [c for c in free if c.t_ns <= seen.t_ns] or [
            # A fencing may be reported when its victim already boots; a reboot is sampled after.
            c
            for c in free
            if c.what == "reboot" or (c.what == "fencing" and c.t_ns <= seen.t_ns + _NEAR_NS)
        ][:1]
        if not earlier:
            left.append(seen)
        # All that was done to it before is over with this boot.
        free = [cause for cause in free if cause not in earlier]
    return left


def _plain(boot_id: str) -> str:
    """The journal writes boot ids without dashes, the kernel with them."""
    return boot_id.replace("-", "")
