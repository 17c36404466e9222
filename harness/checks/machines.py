"""No machine went down but by what was done to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checks.fencelog import fence_reports
from harness.checks.registry import Finding, check, found
from harness.checks.roles import kills
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Seen

_NEAR_NS = 60_000_000_000  # a fencing is reported, a fault bites, within this of the VM's stop
_DOWN = ("stopped", "crashed")


@dataclass(frozen=True, slots=True)
class _Cause:
    """Something that may take a machine down, once."""

    t_ns: int
    what: str  # fault, fencing or reboot
    boot_id: str = ""  # the boot that a reboot ended in, where it is known


@check("machines", "No machine went down unexplained")
def machines(evidence: Evidence) -> Finding:
    """Whenever a VM stopped, crashed or booted anew, the scenario or a fencing had done it.

    libvirt tells each end of a VM, the journal each new boot (boot_id). Each must have a cause of
    its own: a power-off or reset that was injected there, a successful fencing of it (reported
    within 60 s), or, for a boot, a reboot that was asked for and sampled. A cause explains one
    stop and one boot: what was done before a boot is over with it. A second stop counts only
    after a start. What is left over went down by itself: a kernel crash, a QEMU that died, a
    watchdog.
    """
    problems: list[str] = []
    refs: list[str] = []
    when: list[int] = []
    judged = 0
    for vm in evidence.vms:
        stops, boots = _stops(evidence, vm), _new_boots(evidence, vm)
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
        _Cause(seen.t_ns, "fault")
        for seen in evidence.select(Channel.FAULT, "inject")
        if kills(seen, vm)
    ]
    causes += [
        _Cause(report.t_ns, "fencing")
        for report in fence_reports(evidence)
        if report.success and report.target == vm
    ]
    for sample in evidence.samples("reboot"):
        value = sample.value if isinstance(sample.value, dict) else {}
        if value.get("node") == vm:
            boot_id = str(value.get("boot_id_after") or "")
            causes.append(_Cause(sample.seen.t_ns, "reboot", _plain(boot_id)))
    return sorted(causes, key=lambda cause: cause.t_ns)


def _stops(evidence: Evidence, vm: str) -> list[Seen]:
    """The first sign of each end of a VM; a revert's own stop is none."""
    stops: list[Seen] = []
    down = False
    for seen in evidence.select(Channel.DOMAIN, "lifecycle", source=vm):
        event = seen.text("event")
        if event in _DOWN and seen.text("detail") != "from-snapshot":
            if not down:
                stops.append(seen)
            down = True
        elif event == "started":
            down = False
    return stops


def _unexplained_stops(stops: list[Seen], causes: list[_Cause]) -> list[Seen]:
    free = [cause for cause in causes if cause.what != "reboot"]
    left = []
    for seen in stops:
        near = [cause for cause in free if abs(cause.t_ns - seen.t_ns) <= _NEAR_NS]
        # A fault comes before its stop; what is nearest explains it.
        if near:
            free.remove(min(near, key=lambda cause: abs(cause.t_ns - seen.t_ns)))
        elif not _asked_for(seen, causes):
            left.append(seen)
    return left


def _asked_for(seen: Seen, causes: list[_Cause]) -> bool:
    """A shutdown that belongs to a reboot which was asked for."""
    return seen.text("detail") == "shutdown" and any(c.what == "reboot" for c in causes)


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
