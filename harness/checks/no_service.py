"""Times in which nobody may serve: a node alone that cannot know what its peer has done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.clocks import clock_map
from harness.checks.dual import vip_claims
from harness.checks.refusals import refusals
from harness.checks.registry import MAX_LISTED, CannotJudgeError, Finding, check, found
from harness.checks.requests import requests_of
from harness.checks.roles import primary_intervals, signals_judged
from harness.checks.verdict import Verdict
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Seen

BEGIN, END = "no-service-begin", "no-service-end"
"""Kinds of ``state`` events: from here on nobody may serve, until there."""


def _has_windows(evidence: Evidence) -> bool:
    return bool(evidence.select(Channel.STATE, BEGIN, END))


def _windows(evidence: Evidence) -> list[tuple[Seen, Seen]]:
    marks = evidence.select(Channel.STATE, BEGIN, END)
    pairs = list(zip(marks[::2], marks[1::2], strict=False))
    if len(marks) % 2 or any((a.event.kind, b.event.kind) != (BEGIN, END) for a, b in pairs):
        raise CannotJudgeError("a time in which nobody may serve has no begin or no end")
    return pairs


def _since(evidence: Evidence, begin: Seen) -> int:
    """When the last fault before a window bit: what a node says of it, it says after that."""
    bitten = [s.t_ns for s in evidence.select(Channel.FAULT, "bitten") if s.t_ns <= begin.t_ns]
    return max(bitten, default=begin.t_ns)


def _stood_still(evidence: Evidence, node: str, begin: Seen, end: Seen) -> bool:
    """Whether a node's CPUs were paused all through a window, as libvirt told of its domain."""
    changes = evidence.select(Channel.DOMAIN, "lifecycle", source=node)
    before = [seen.text("event") for seen in changes if seen.t_ns <= begin.t_ns]
    during = [seen for seen in changes if begin.t_ns < seen.t_ns < end.t_ns]
    return bool(before) and before[-1] == "suspended" and not during


@check("no-service", "Nobody serves while nobody may", applies=_has_windows, predicts=True)
def no_service(evidence: Evidence) -> Finding:
    """Within the times that the scenario names, no node is Primary, nobody claims the VIP, and
    no write is acknowledged.

    Three witnesses that do not know of each other: roles (kernel and events2 of the nodes), ARP on
    the data bridge, and the block layer of the initiator. A write that is acknowledged proves a
    service even where both others are silent. Source: wait_for_all of votequorum(5): a cluster of
    two that starts anew has quorum only once both nodes were seen.

    A node that was Primary before, and whose CPUs stand still from before the time until after it,
    has kept the role and serves nobody; whether it does so when it goes on is for ``dual-primary``.

    A node on which Pacemaker does not run serves nothing either, and that proves nothing: after
    the fault before it, and until the time is over, something has to say that a node would have
    served and refuses (``refusals``). Without that, INCONCLUSIVE.
    """
    windows = _windows(evidence)
    problems: list[str] = []
    silent: list[str] = []
    refs: list[str] = []
    when: list[int] = []
    clock = clock_map(evidence, evidence.scenario.initiator)
    done = []
    if evidence.scenario.expect.workload:
        if clock is None:
            raise CannotJudgeError(f"the clock of {evidence.scenario.initiator} was not measured")
        requests = [r for r in requests_of(evidence).all if r.op == "write" and r.succeeded]
        done = [clock.one(r.done_ns) for r in requests if r.done_ns is not None]
    for begin, end in windows:
        for resource, intervals in primary_intervals(evidence).items():
            for one in intervals:
                kept = one.start.t_ns < begin.t_ns and _stood_still(evidence, one.node, begin, end)
                if one.start.t_ns < end.t_ns and one.end_ns > begin.t_ns and not kept:
                    since = max(0, one.start.t_ns - begin.t_ns) / 1e9
                    problems.append(f"{one.node} was Primary of {resource} {since:.0f} s into it")
                    refs += one.refs
                    when.append(max(one.start.t_ns, begin.t_ns))
        claims = [seen for seen, _ in vip_claims(evidence) if begin.t_ns < seen.t_ns < end.t_ns]
        if claims:
            problems.append(f"the VIP was claimed {len(claims)} times")
            refs.append(claims[0].ref)
            when.append(claims[0].t_ns)
        said = refusals(evidence, _since(evidence, begin), end.t_ns)
        refs += [seen.ref for seen in said[:MAX_LISTED]]
        if not problems and not said:
            silent.append("no node said that it refuses to serve: perhaps none could have")
        if served := sum(begin.t_ns < t_ns < end.t_ns for t_ns in done):
            problems.append(f"{served} writes were acknowledged")
        refs += [begin.ref, end.ref]
    length_s = sum(end.t_ns - begin.t_ns for begin, end in windows) / 1e9
    return found(
        problems or silent,
        otherwise=Verdict.INVALID if problems else Verdict.INCONCLUSIVE,
        expected="no Primary, no claim of the VIP, no write acknowledged",
        fine=f"nobody served for {length_s:.0f} s",
        operations=signals_judged(evidence) + len(done),
        when_ns=when,
        evidence=refs,
        details={"seconds": round(length_s, 1)},
    )
