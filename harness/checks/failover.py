"""Failovers: exactly as many as expected, and the expected node active in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.dual import vip_claims, vip_moves
from harness.checks.endstate import last_of
from harness.checks.registry import Finding, check, found
from harness.checks.roles import holders, own_intervals, signals_judged
from harness.checks.verdict import Verdict

if TYPE_CHECKING:
    from harness.evidence.model import Evidence


@check("failovers", "Exactly the expected failovers", predicts=True)
def failovers(evidence: Evidence) -> Finding:
    """Each resource's Primary role changes nodes exactly as often as expected.

    A failover is a change of the node that holds the Primary role, counted per resource from the
    Primary intervals of both nodes; all resources serve one group, so each must show the same
    number. The VIP's owner is a second witness: where the roles are as expected but the VIP did
    not follow them (or moved alone), the evidence disagrees with itself: INCONCLUSIVE.
    """
    expected = evidence.scenario.expect.failovers
    few = expected if not evidence.scenario.expect.fewer_failovers else 0
    counts: dict[str, int] = {}
    when, refs = [], []
    for resource, intervals in own_intervals(evidence).items():
        changes = holders(intervals)
        counts[resource] = max(len(changes) - 1, 0)
        when += [interval.start.t_ns for interval in changes[1:]]
        refs += [ref for interval in changes[1:] for ref in interval.start.refs]
    wrong = {r: count for r, count in counts.items() if not few <= count <= expected}
    if not wrong and len(set(counts.values())) > 1:
        wrong = counts  # one group: whatever the number, it is the same for all
    moves = vip_moves(vip_claims(evidence))
    problems = [f"{resource} failed over {count} times" for resource, count in wrong.items()]
    verdict = Verdict.INVALID
    # More moves than that are dual-vip's business: they need two owners at once.
    told = max(counts.values(), default=expected)
    if not problems and (len(moves) < told or (told == 0 and len(moves) == 1)):
        problems = [f"the roles failed over {told} times, the VIP moved {len(moves)} times"]
        verdict = Verdict.INCONCLUSIVE
        refs += [seen.ref for move in moves for seen in move]
    return found(
        problems,
        expected=f"{expected} failovers" + (" or fewer" if few != expected else ""),
        fine=f"{told} failovers of each of {len(counts)} resources, and of the VIP",
        operations=signals_judged(evidence) if counts else 0,
        otherwise=verdict,
        when_ns=when,
        evidence=refs,
        details={"by_resource": counts, "vip_moves": len(moves)},
    )


def _names_active(evidence: Evidence) -> bool:
    return evidence.scenario.expect.active is not None


@check(
    "active-node", "The expected node is active in the end", applies=_names_active, predicts=True
)
def active_node(evidence: Evidence) -> Finding:
    """In the end the expected node has every resource promoted and runs the group."""
    active = evidence.scenario.expect.active
    problems = []
    samples, groups = last_of(evidence, "instances"), last_of(evidence, "group")
    for sample in samples:
        value = sample.value if isinstance(sample.value, dict) else {}
        for resource in evidence.scenario.resources:
            there = value.get(resource)
            promoted = there.get("promoted") if isinstance(there, dict) else None
            if promoted != [active]:
                problems.append(f"{resource} is promoted on {promoted}")
    for sample in groups:
        node = sample.value.get("node") if isinstance(sample.value, dict) else None
        if node != active:
            problems.append(f"the group is on {node}")
    return found(
        dict.fromkeys(problems),
        expected=f"everything active on {active}",
        fine=f"everything active on {active}",
        operations=len(samples) + len(groups),
        when_ns=[sample.seen.t_ns for sample in (*samples, *groups)] if problems else (),
        evidence=[sample.seen.ref for sample in (*samples, *groups)],
    )
