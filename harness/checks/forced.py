"""What a scenario did itself, behind the cluster's back; the cluster is not to blame for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.registry import remember
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence

KIND = "forced-split-brain"
_LATE_NS = 3_000_000_000  # how much later than the fault's own events a guest's may arrive


@remember
def _windows(evidence: Evidence) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """By node and resource: from each injection to the proof that it bit, ns on the run's clock."""
    windows: dict[tuple[str, str], list[tuple[int, int]]] = {}
    begun: dict[str, int] = {}
    for seen in evidence.select(Channel.FAULT, "inject", "bitten", "not-bitten"):
        if seen.text("kind") != KIND:
            continue
        if seen.event.kind == "inject":
            begun[seen.text("id")] = seen.t_ns
            continue
        since = begun.get(seen.text("id"), seen.t_ns)
        key = (seen.text("machine"), seen.text("resource"))
        windows.setdefault(key, []).append((since, seen.t_ns + _LATE_NS))
    return windows


def was_forced(evidence: Evidence, node: str, resource: str, t_ns: int) -> bool:
    """Whether what a node did with a resource at that time, the scenario made it do.

    Only where the scenario said beforehand (``expect.split_brain``) that it would.
    """
    split = evidence.scenario.expect.split_brain
    if split is None or (split.victim, split.resource) != (node, resource):
        return False
    windows = _windows(evidence).get((node, resource), [])
    return any(since <= t_ns <= until for since, until in windows)


def expected_split(evidence: Evidence, resource: str, t_ns: int) -> bool:
    """Whether a split-brain of this resource is the scenario's own doing at that time."""
    split = evidence.scenario.expect.split_brain
    if split is None or split.resource != resource:
        return False
    windows = _windows(evidence).get((split.victim, resource), [])
    return any(since <= t_ns for since, _until in windows)
