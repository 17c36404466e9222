"""What a scenario did itself, behind the cluster's back; the cluster is not to blame for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.registry import remember
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Seen

KIND = "forced-split-brain"
_LATE_NS = 3_000_000_000  # how much later than the fault's own events a guest's may arrive
_STAGES = ("inject", "bitten", "not-bitten", "healed", "not-healed")


def was_expected(evidence: Evidence, seen: Seen) -> bool:
    """Whether a fault event is of the split-brain that the scenario said it would force."""
    split = evidence.scenario.expect.split_brain
    return (
        split is not None
        and seen.text("kind") == KIND
        and (seen.text("machine"), seen.text("resource")) == (split.victim, split.resource)
    )


@remember
def _stages(evidence: Evidence) -> list[dict[str, int]]:
    """For each split-brain that was forced as announced: when each of its stages was told."""
    stages: dict[str, dict[str, int]] = {}
    for seen in evidence.select(Channel.FAULT, *_STAGES):
        if was_expected(evidence, seen):
            stages.setdefault(seen.text("id"), {}).setdefault(seen.event.kind, seen.t_ns)
    return [one for one in stages.values() if "inject" in one]


def _end_ns(evidence: Evidence, stages: dict[str, int], *kinds: str) -> int:
    """When the last of these stages was over; the scenario's end where none of them was told."""
    told = [stages[kind] for kind in kinds if kind in stages]
    return max(told) + _LATE_NS if told else evidence.end_ns


def was_forced(evidence: Evidence, node: str, resource: str, from_ns: int, to_ns: int) -> bool:
    """Whether what a node did with a resource in that time, the scenario made it do.

    Only where the scenario said beforehand (``expect.split_brain``) that it would, and only while
    it did: from the injection to the proof that it bit.
    """
    split = evidence.scenario.expect.split_brain
    if split is None or (split.victim, split.resource) != (node, resource):
        return False
    return any(
        one["inject"] <= from_ns and to_ns <= _end_ns(evidence, one, "bitten", "not-bitten")
        for one in _stages(evidence)
    )


def expected_split(evidence: Evidence, resource: str, t_ns: int) -> bool:
    """Whether a split-brain of this resource is the scenario's own doing at that time.

    From the injection until it was healed: one that is told of later is another one.
    """
    split = evidence.scenario.expect.split_brain
    if split is None or split.resource != resource:
        return False
    return any(
        one["inject"] <= t_ns <= _end_ns(evidence, one, "healed", "not-healed")
        for one in _stages(evidence)
    )
