"""Fencing: before every take-over from an unclean peer, and exactly as often as expected."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from harness.checks.fence_effect import successful_fencings
from harness.checks.fencelog import (
    FenceReport,
    called_unclean_since,
    history_fencings,
    ordered_demotion,
    power_actions,
)
from harness.checks.handover import Overlap, overlap
from harness.checks.registry import CannotJudgeError, Finding, check
from harness.checks.roles import (
    SKEW_NS,
    Interval,
    deaths,
    own_intervals,
    revived,
    signals_judged,
)
from harness.checks.verdict import Verdict

if TYPE_CHECKING:
    from harness.evidence.model import Evidence

_JOURNAL_JITTER_US = 50_000  # journald reads printk and its sockets in turn


@check("fence-before-promotion", "No promotion before the unclean peer was fenced")
def fence_before_promotion(evidence: Evidence) -> Finding:
    """A node becomes Primary only after its unclean peer was fenced successfully.

    The peer is unclean when it was last seen Primary and not demoted (still Primary, or its VM
    died), or when Pacemaker called it so. Then the promoted node's own journal must hold the
    fencer's ``Operation 'reboot' targeting PEER …: OK`` before the promotion: one clock, so
    order by its monotonic stamps; arrivals decide only where they differ by more than the skew.
    If every promotion follows a success, no moment existed in which both could write. A success
    No fencing is missing where the peer was called unclean, is clean again for the one that called
    it so (which orders it to demote), and by its own word has demoted since. A success
    counts only if the peer's machine went down with it, or was down (``fencings``); for a peer that
    died as Primary, only one that was reported after its death: whatever it survived was none.
    """
    # Where libvirt was not listened to, ``fencings`` doubts all of them.
    told = [one.report for one in successful_fencings(evidence) if one.killed is not False]
    bad: list[str] = []
    doubtful: list[str] = []
    when: list[int] = []
    refs: list[str] = []
    judged = 0
    for resource, intervals in own_intervals(evidence).items():
        for interval in intervals:
            if not interval.start.change:
                continue  # a role it already had
            judged += 1
            since = _unclean_since(evidence, interval, intervals)
            if since is None:
                continue
            peer, since_ns, why = since
            fences = [r for r in told if r.target == peer and r.t_ns >= since_ns]
            order = max((_order(interval, fence) for fence in fences), default=-2)
            if order > 0:
                continue
            what = {0: "cannot be ordered against", -1: "before", -2: "without"}[order]
            text = f"{resource}: {interval.node} promoted {what} the fencing of {peer} ({why})"
            (doubtful if order == 0 else bad).append(text)
            when.append(interval.start.t_ns)
            refs += [*interval.start.refs, *(ref for fence in fences for ref in fence.refs)]
    verdict = Verdict.INVALID if bad else Verdict.INCONCLUSIVE if doubtful else Verdict.VALID
    return Finding(
        verdict,
        expected="a successful fencing before each promotion over an unclean peer",
        seen="; ".join(bad + doubtful) or f"{judged} promotions, none before its fencing",
        operations=signals_judged(evidence),
        when_ns=tuple(when),
        evidence=tuple(refs),
        details={"promotions": judged, "fencings": len(told)},
    )


def _unclean_since(
    evidence: Evidence, promotion: Interval, intervals: list[Interval]
) -> tuple[str, int, str] | None:
    """(peer, fencings count from here, why) where the peer was unclean at a promotion."""
    peer = next(node for node in evidence.scenario.nodes if node != promotion.node)
    at_ns = promotion.start.t_ns
    before = [i for i in intervals if i.node == peer and i.start.t_ns <= at_ns]
    if before:
        last = before[-1]
        if overlap(evidence, last, promotion)[0] is Overlap.REAL:
            return peer, last.start.t_ns, f"{peer} was still Primary"
        if last.closed_by == "died" and not revived(evidence, peer, last.end_ns, at_ns):
            return peer, last.end_ns - SKEW_NS, f"{peer} died as Primary"
    declared = called_unclean_since(evidence, peer, at_ns)
    if declared is not None and not (before and _handed_over(evidence, before[-1], declared)):
        return peer, declared, f"{peer} was called unclean"
    return None


def _handed_over(evidence: Evidence, last: Interval, declared_ns: int) -> bool:
    """Whether the peer, called unclean while Primary, was told to demote after that, and did."""
    if last.closed_by != "demoted" or last.end_ns < declared_ns:
        return False
    return ordered_demotion(evidence, last.node, declared_ns, last.end_ns + SKEW_NS)


def _order(promotion: Interval, fence: FenceReport) -> int:
    """1: the fence came first; -1: the promotion did; 0: cannot tell."""
    own, other = promotion.start.journal, fence.stamp(promotion.node)
    if own is not None and other is not None and own[0] == other[0]:
        return 1 if other[1] <= own[1] + _JOURNAL_JITTER_US else -1
    if fence.t_ns <= promotion.start.t_ns:
        return 1
    return 0 if fence.t_ns <= promotion.start.t_ns + SKEW_NS else -1


@check("fencings", "Exactly the expected fencings", predicts=True)
def fencings(evidence: Evidence) -> Finding:
    """Exactly the expected number of fencings (and of the expected nodes) happened.

    Two witnesses: Pacemaker's fence history (after minus before) and the fencer's lines in the
    journals. Where they agree, their count decides. Where they differ, one of them lost
    something: INVALID only if neither can be what was expected, else INCONCLUSIVE. The history
    lives in the fencers' memory and is gone once both nodes went down; then the journals decide.
    Where a scenario says "at most" so many, fewer are right as well.

    Each success must have taken its target down: libvirt tells of a stop (or the console of a boot)
    between fence_virtd's ``ENTER`` and the report, or the machine was off then (fence_effect).
    Where it ran on, the device lied: INVALID. Where nobody listened to libvirt: INCONCLUSIVE.

    Third witness: fence_virtd's log of what it did to each node's power. Where it acted on a node
    more or less often than Pacemaker succeeded, the witnesses disagree: INCONCLUSIVE. Not INVALID:
    the agent may ask again where its first request was answered late, which is one fencing for
    Pacemaker; a machine that really went down once more has no cause left (``machines``).
    """
    expect = evidence.scenario.expect
    before, after = (
        evidence.latest("fence_history", "before"),
        evidence.latest("fence_history", "after"),
    )
    told = successful_fencings(evidence)
    reports = [one.report for one in told]
    if not before or not after:
        raise CannotJudgeError(
            f"no fence history {'before the fault' if not before else 'at the end'}; "
            f"the journals report {len(reports)} fencings"
        )
    history = history_fencings(before.values(), after.values())
    journal = Counter(report.target for report in reports)
    forgotten = all(deaths(evidence, node) for node in evidence.scenario.nodes)
    agree = history == journal or (forgotten and history <= journal)
    wrong = [counts for counts in (history, journal) if not _as_expected(counts, evidence)]
    if agree:
        verdict = Verdict.VALID if _as_expected(journal, evidence) else Verdict.INVALID
    else:
        verdict = Verdict.INVALID if len(wrong) == 2 else Verdict.INCONCLUSIVE
    acted = {node: len(actions) for node, actions in power_actions(evidence).items()}
    differing = Counter({n: c for n, c in acted.items() if c != journal[n]})
    if differing or any(node not in acted for node in journal):
        verdict = Verdict.INVALID if verdict is Verdict.INVALID else Verdict.INCONCLUSIVE
    survived = Counter(one.report.target for one in told if one.killed is False)
    unknown = Counter(one.report.target for one in told if one.killed is None)
    if survived:
        verdict = Verdict.INVALID
    elif unknown and verdict is Verdict.VALID:
        verdict = Verdict.INCONCLUSIVE
    seen = f"{journal.total()} in the journals{_named(journal)}"
    if differing:
        did = ", ".join(f"{node} × {n}" for node, n in sorted(differing.items()))
        seen += f", but fence_virtd acted on {did}"
    if survived:
        seen += f", but a machine ran on that was told to be fenced{_named(survived)}"
    if unknown:
        seen += f", but nobody would know whether the machine went down{_named(unknown)}"
    if history != journal:
        seen += f", {history.total()} in the fence history{_named(history)}"
    return Finding(
        verdict,
        expected=f"{expect.fencings} fencings{_named(Counter(expect.fenced))}"
        + (" or fewer" if expect.fewer_fencings else ""),
        seen=seen,
        operations=len(before) + len(after),
        when_ns=tuple(report.t_ns for report in reports),
        evidence=tuple(
            [ref for report in reports for ref in report.refs]
            + [seen.ref for actions in power_actions(evidence).values() for seen in actions]
            + [sample.seen.ref for sample in (*before.values(), *after.values())]
        ),
        details={
            "history": dict(history),
            "journal": dict(journal),
            "fence_virtd": acted,
            "survived": dict(survived),
        },
    )


def _as_expected(counts: Counter[str], evidence: Evidence) -> bool:
    expect = evidence.scenario.expect
    if expect.fewer_fencings:
        most = counts.total() <= expect.fencings
        return most and (not expect.fenced or counts <= Counter(expect.fenced))
    if counts.total() != expect.fencings:
        return False
    return not expect.fenced or counts == Counter(expect.fenced)


def _named(counts: Counter[str]) -> str:
    named = ", ".join(f"{node} × {n}" for node, n in sorted(counts.items()))
    return f" ({named})" if named else ""
