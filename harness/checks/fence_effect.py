"""What a fencing did to its target: whether the machine went down with it, and when that was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checks.fencelog import fence_reports, power_actions
from harness.checks.kernel import boots
from harness.checks.registry import remember
from harness.checks.roles import SKEW_NS
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.checks.fencelog import FenceReport
    from harness.evidence.model import Evidence, Seen

# From ENTER to the stop at most: virDomainDestroy() sends SIGTERM, waits, and sends SIGKILL.
_ACTS_NS = 30_000_000_000
# How long before its report a fencing may have begun where fence_virtd's log does not tell: it was
# at most 8.5 s from ENTER to the report, where pacemaker-fenced itself was the operation's client.
_BEGAN_NS = 10_000_000_000
_DOWN = ("stopped", "crashed")


@dataclass(frozen=True, slots=True)
class Outage:
    """A VM was off from ``stop`` until libvirt started it; ``until_ns`` is None if it never did."""

    stop: Seen
    until_ns: int | None


@dataclass(frozen=True, slots=True)
class Fencing:
    """A success that a fencer reported, and what became of its target meanwhile.

    Attributes:
        spans: (from, to), ns on the run's clock: when each request of it may have taken the target
            down, the streams' skew included. One that is answered late is asked for again.
        killed: whether the target was off, went off or booted in the last of them; None: nobody
            listened to libvirt.
    """

    report: FenceReport
    spans: tuple[tuple[int, int], ...]
    killed: bool | None


@remember
def outages(evidence: Evidence) -> dict[str, list[Outage]]:
    """By VM: each time that libvirt had it off. A revert's own stop is none."""
    off: dict[str, list[Outage]] = {vm: [] for vm in evidence.vms}
    for vm, of_vm in off.items():
        stop: Seen | None = None
        for seen in evidence.select(Channel.DOMAIN, "lifecycle", source=vm):
            event = seen.text("event")
            if event in _DOWN and seen.text("detail") != "from-snapshot":
                stop = stop or seen
            elif event == "started" and stop is not None:
                of_vm.append(Outage(stop, seen.t_ns))
                stop = None
        if stop is not None:
            of_vm.append(Outage(stop, None))
    return off


@remember
def successful_fencings(evidence: Evidence) -> list[Fencing]:
    """Each fencing that was reported as a success, by report.

    fence_virtd's libvirt backend says ``ENTER`` before it touches the domain, and answers when it
    has destroyed it and started it anew, or has found it off (libvirt_reboot() and libvirt_off() of
    server/libvirt.c). So a target that ran has a stop, or at least a boot, between the two:
    measured 15 times, 0.1 to 0.2 s after ENTER, and 1.7 to 8.4 s before the report.
    """
    told: list[Fencing] = []
    asked = power_actions(evidence)
    for node in evidence.scenario.nodes:
        before_ns = 0
        for report in fence_reports(evidence):
            if not report.success or report.target != node:
                continue
            # fence_virtd's log is followed, the journal streamed: either may be told first.
            requests = [s.t_ns for s in asked[node] if before_ns < s.t_ns <= report.t_ns] or [
                s.t_ns for s in asked[node] if report.t_ns < s.t_ns < report.t_ns + SKEW_NS
            ][:1]
            before_ns = max([report.t_ns, *requests])
            spans = tuple(
                (at, max(at, min(at + _ACTS_NS, report.t_ns)) + SKEW_NS)
                for at in requests or [report.t_ns - _BEGAN_NS]
            )
            spans = tuple((from_ns - SKEW_NS, to_ns) for from_ns, to_ns in spans)
            told.append(Fencing(report, spans, _went_down(evidence, node, *spans[-1])))
    return sorted(told, key=lambda fencing: fencing.report.t_ns)


def _went_down(evidence: Evidence, node: str, from_ns: int, to_ns: int) -> bool | None:
    """Whether a VM was off, went off or booted in that time; None: libvirt was not listened to."""
    for outage in outages(evidence).get(node, []):
        over = outage.until_ns is not None and outage.until_ns < from_ns
        if outage.stop.t_ns <= to_ns and not over:
            return True
    if any(from_ns <= seen.t_ns <= to_ns for seen in boots(evidence, node)):
        return True
    deaf = [s for s in evidence.select(Channel.DOMAIN, "witness-died") if s.t_ns <= to_ns]
    return False if evidence.select(Channel.DOMAIN, "lifecycle") and not deaf else None
