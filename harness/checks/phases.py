"""A failover's blackout, split into phases by what every witness saw.

The blackout is fio's: from when the job that stood still longest was last served until it was
served again. Its phases end at the moments that the witnesses tell of, in the order in which a
failover must go.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.checks.clocks import clock_map
from harness.checks.fencelog import UNCLEAN, fence_reports
from harness.checks.registry import CannotJudgeError, Finding, check, found
from harness.checks.roles import SKEW_NS, deaths, holders, own_intervals, signals_judged
from harness.checks.stall import stalls_of, standstills
from harness.checks.verdict import Verdict
from harness.evidence.livestate import TAKING_DOWN
from harness.evidence.pacemaker import OK
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence

# pacemaker-controld 2.1: node_update_cache.c, te_rsc_command() and log_executor_event().
_LOST = re.compile(r"\bNode (?P<node>[\w.-]+) state is now lost\b")
# The LUNs of vagrant/cluster/cluster.crm.j2; where there is a target there is one of them after it.
_LUN_STARTED = re.compile(rf"Result of start operation for lun\d+ on (?P<node>[\w.-]+): {OK}")
# iscsid of open-iscsi 2.1: session_conn_recovered(), initiator.c.
_OPERATIONAL = re.compile(r"connection\d+:\d+ is operational\b")
# A fencing, promotion or start may be told this much later than it happened, under load.
_TOLD_LATE_NS = 3 * SKEW_NS
_LEAST_S = 2.0


class Phase(StrEnum):
    """Phases of a failover, by the moment that ends each."""

    BEFORE = "before the fault"
    DETECTED = "detected"
    FENCED = "fenced"
    PROMOTED = "promoted"
    SERVED = "target and LUNs up"
    SESSION = "session back"
    ACKNOWLEDGED = "first acknowledgement"


@dataclass(frozen=True, slots=True)
class Moment:
    """The end of a phase: when (ns, run's clock) and where the evidence says so."""

    phase: Phase
    t_ns: int
    ref: str


@dataclass(frozen=True, slots=True)
class Failover:
    """One failover.

    Attributes:
        old, new: nodes.
        blackout_ns: (from, to) of the longest standstill around it, run's clock.
        fault_ns: when the fault that it is due to was injected.
        moments: what ended each phase, by time; those that could not be found are left out.
        missing: phases that no witness told of.
        uncertainty_ns: of the ends of the blackout against the moments.
    """

    old: str
    new: str
    blackout_ns: tuple[int, int]
    fault_ns: int
    moments: tuple[Moment, ...]
    missing: tuple[Phase, ...]
    uncertainty_ns: int

    def seconds(self) -> dict[Phase, float]:
        """Seconds that each phase took of the blackout; they add up to it.

        A phase that ended before the one before it (its witness was late) takes none.
        """
        start, end = self.blackout_ns
        spent: dict[Phase, float] = {}
        at = start
        steps = [(Phase.BEFORE, self.fault_ns), *((m.phase, m.t_ns) for m in self.moments)]
        for phase, t_ns in [*steps, (Phase.ACKNOWLEDGED, end)]:
            until = min(max(t_ns, at), end)
            spent[phase] = (until - at) / 1e9
            at = until
        return spent


def _fails_over(evidence: Evidence) -> bool:
    return evidence.scenario.expect.failovers > 0 and evidence.scenario.expect.workload


@check("failover-phases", "Every phase of the failover is accounted for", applies=_fails_over)
def failover_phases(evidence: Evidence) -> Finding:
    """The phases of each failover are known, in order, and add up to what fio saw.

    Fault, detection, fencing (where the old node was fenced), promotion, target and LUNs,
    session, first acknowledgement: each is told by a witness of its own, and each phase lasts from
    one to the next. They add up to the blackout by construction, so what is judged is whether they
    are there and in order: a moment that lies before its predecessor by more than the witnesses'
    delays, or outside of the blackout, means that the story told is not the one that happened.
    That is doubt about the evidence, not about the cluster: INCONCLUSIVE. Detection is no phase
    where the new node itself went down after the fault; and where a scenario says "at most" so many
    failovers, none at all is right.
    """
    told = failovers_of(evidence)
    if not told and not evidence.scenario.expect.fewer_failovers:
        raise CannotJudgeError("no failover was seen")
    doubts: list[str] = []
    details = []
    for failover in told:
        name = f"{failover.old} to {failover.new}"
        doubts += [f"{name}: nobody told of {phase!s}" for phase in failover.missing]
        doubts += [f"{name}: {text}" for text in _disorder(failover)]
        start, end = failover.blackout_ns
        details.append(
            {
                "old": failover.old,
                "new": failover.new,
                "start_ns": start,
                "end_ns": end,
                "uncertainty_s": failover.uncertainty_ns / 1e9,
                "phases": {str(phase): round(s, 3) for phase, s in failover.seconds().items()},
            }
        )
    return found(
        doubts,
        otherwise=Verdict.INCONCLUSIVE,
        expected="each phase, in order",
        fine="; ".join(_line(failover) for failover in told) or "no failover, as may be",
        operations=sum(len(failover.moments) for failover in told) or signals_judged(evidence),
        when_ns=[t for failover in told for t in failover.blackout_ns],
        evidence=[moment.ref for failover in told for moment in failover.moments],
        details={"failovers": details},
    )


def failovers_of(evidence: Evidence) -> list[Failover]:
    """Every failover of a scenario, by time.

    Raises:
        CannotJudgeError: no standstill of writes is known.
    """
    clock = clock_map(evidence, evidence.scenario.initiator)
    if clock is None:
        raise CannotJudgeError("the initiator's clock was never measured against the host's")
    # The longest of each job and kind, and every other one that is long enough to hide a move.
    spans = [(one.start_ns, one.end_ns) for one in stalls_of(evidence)]
    spans += standstills(evidence, _LEAST_S)
    found_ones = []
    before_ns = 0
    for old, new, promoted in _handovers(evidence):
        fault_ns = _due_to(evidence, old, before_ns, promoted.t_ns)
        around = [span for span in spans if span[0] <= promoted.t_ns <= span[1]]
        if not around:
            raise CannotJudgeError(f"no write stood still when {new} was promoted")
        start_ns, end_ns = max(around, key=lambda span: span[1] - span[0])
        moments, missing = _moments(evidence, old, new, fault_ns, promoted, end_ns)
        found_ones.append(
            Failover(
                old,
                new,
                (start_ns, end_ns),
                fault_ns or start_ns,
                tuple(moments),
                tuple(missing),
                clock.uncertainty_ns + SKEW_NS,
            )
        )
        before_ns = end_ns
    return found_ones


def _handovers(evidence: Evidence) -> list[tuple[str, str, Moment]]:
    """(old node, new node, when the last of the resources was promoted) of each failover."""
    by_resource = [holders(intervals) for intervals in own_intervals(evidence).values()]
    count = min((len(changes) for changes in by_resource), default=0)
    found_ones = []
    for i in range(1, count):
        last = max((changes[i] for changes in by_resource), key=lambda one: one.start.t_ns)
        moment = Moment(Phase.PROMOTED, last.start.t_ns, last.start.refs[0])
        found_ones.append((by_resource[0][i - 1].node, last.node, moment))
    return found_ones


def _due_to(evidence: Evidence, old: str, after_ns: int, promoted_ns: int) -> int:
    """When the fault was injected that a failover is due to; ``after_ns`` where there is none.

    The last one before the cluster began to act. Others may be injected while it acts: the old node
    was detected before them, and fenced after that.
    """
    injects = [
        seen.t_ns
        for seen in evidence.select(Channel.FAULT, "inject")
        if after_ns < seen.t_ns < promoted_ns
    ]
    if not injects:
        return after_ns
    fenced = _fenced(evidence, old, injects[0], promoted_ns)
    until_ns = promoted_ns if fenced is None else fenced.t_ns
    acted = [t_ns for t_ns in injects if _detected(evidence, old, t_ns, until_ns) is not None]
    return max(acted, default=injects[-1])


def _moments(
    evidence: Evidence, old: str, new: str, fault_ns: int, promoted: Moment, end_ns: int
) -> tuple[list[Moment], list[Phase]]:
    seen: list[Moment | None] = [
        promoted,
        _served(evidence, new, promoted.t_ns, end_ns),
        _session(evidence, promoted.t_ns, end_ns),
    ]
    wanted = [Phase.PROMOTED, Phase.SERVED, Phase.SESSION]
    fenced = _fenced(evidence, old, fault_ns, promoted.t_ns)
    if fenced is not None:
        seen.insert(0, fenced)
        wanted.insert(0, Phase.FENCED)
    detected = _detected(evidence, old, fault_ns, promoted.t_ns)
    # A node that went down itself after the fault saw nobody go: there was nothing to detect.
    down = any(fault_ns <= death.t_ns <= promoted.t_ns for death in deaths(evidence, new))
    if detected is not None or not down:
        seen.insert(0, detected)
        wanted.insert(0, Phase.DETECTED)
    there = [moment for moment in seen if moment is not None]
    return there, [p for p, moment in zip(wanted, seen, strict=True) if moment is None]


def _detected(evidence: Evidence, old: str, from_ns: int, to_ns: int) -> Moment | None:
    """The first sign that the cluster acts: the old node is lost, unclean, or being emptied.

    A node whose daemon died is unclean without having been lost: Corosync still has it.
    """
    for seen in evidence.select(Channel.JOURNAL, "entry"):
        if not from_ns <= seen.t_ns <= to_ns or seen.source not in evidence.scenario.nodes:
            continue
        message = seen.text("message")
        match = _LOST.search(message) or TAKING_DOWN.search(message) or UNCLEAN.search(message)
        if match and match["node"] == old:
            return Moment(Phase.DETECTED, seen.t_ns, seen.ref)
    return None


def _fenced(evidence: Evidence, old: str, from_ns: int, to_ns: int) -> Moment | None:
    reports = [
        report
        for report in fence_reports(evidence)
        if report.success and report.target == old and from_ns <= report.t_ns
    ]
    # Told after the promotion by the witnesses' delay at most; later ones are of something else.
    reports = [report for report in reports if report.t_ns <= to_ns + _TOLD_LATE_NS]
    if not reports:
        return None
    return Moment(Phase.FENCED, reports[0].t_ns, reports[0].refs[0])


def _served(evidence: Evidence, new: str, from_ns: int, to_ns: int) -> Moment | None:
    """The last LUN that was started on the new node before writes went on.

    Of what is started there besides, nothing serves: a fence device, say, or a monitor of links.
    """
    last = None
    for seen in evidence.select(Channel.JOURNAL, "entry"):
        if from_ns <= seen.t_ns <= to_ns and seen.source in evidence.scenario.nodes:
            match = _LUN_STARTED.search(seen.text("message"))
            if match and match["node"] == new:
                last = Moment(Phase.SERVED, seen.t_ns, seen.ref)
    return last


def _session(evidence: Evidence, from_ns: int, to_ns: int) -> Moment | None:
    for seen in evidence.select(Channel.JOURNAL, "entry", source=evidence.scenario.initiator):
        late = to_ns + _TOLD_LATE_NS
        if from_ns <= seen.t_ns <= late and _OPERATIONAL.search(seen.text("message")):
            return Moment(Phase.SESSION, seen.t_ns, seen.ref)
    return None


def _disorder(failover: Failover) -> list[str]:
    """What contradicts the order of phases by more than the witnesses' delays."""
    doubts = []
    steps = [(Phase.BEFORE, failover.fault_ns), *((m.phase, m.t_ns) for m in failover.moments)]
    steps.append((Phase.ACKNOWLEDGED, failover.blackout_ns[1]))
    for (one, first_ns), (other, then_ns) in itertools.pairwise(steps):
        ahead_ns = first_ns - then_ns
        if ahead_ns > _TOLD_LATE_NS:
            doubts.append(f"{other!s} was {ahead_ns / 1e9:.1f} s before {one!s}")
    return doubts


def _line(failover: Failover) -> str:
    spent = failover.seconds()
    start, end = failover.blackout_ns
    parts = " + ".join(f"{phase!s} {seconds:.1f} s" for phase, seconds in spent.items())
    return (
        f"{failover.old} to {failover.new}: {parts} = {(end - start) / 1e9:.1f} s"
        f" (± {failover.uncertainty_ns / 1e9:.1f} s)"
    )
