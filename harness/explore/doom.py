"""When a node was about to end: what it tells then is of no account for what happened.

A node whose links are cut and that is to be fenced may notice that its peer is gone, or be gone
itself before its timers are over. Neither means anything, and which of both it is differs from run
to run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checks.roles import SKEW_NS, deaths, kills
from harness.evidence.livestate import FENCE_ORDERED
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence

# What was in a stream's buffer when its VM ended arrives this much later at most (checks.roles).
_AFTERLIFE_NS = 2_000_000_000
# A fencing that was ordered longer ago was of an earlier end: the node has been back since.
_LONGEST_NS = 120_000_000_000
# One end is told by libvirt, by the fault's proof and by the next boot, within this.
_SAME_END_NS = 30_000_000_000


@dataclass(frozen=True, slots=True)
class End:
    """A node's end, ns on the run's clock.

    Attributes:
        from_ns: when its fencing was ordered, or its power cut.
        at_ns: when it was gone.
        to_ns: until then it may be heard of all the same.
    """

    from_ns: int
    at_ns: int
    to_ns: int

    def holds(self, t_ns: int) -> bool:
        """Whether what arrived then is of a node that was about to end."""
        return self.from_ns <= t_ns <= self.to_ns

    def around(self, t_ns: int) -> bool:
        """Whether somebody who heard then that a node is gone heard of this end."""
        return self.from_ns - SKEW_NS <= t_ns <= self.to_ns + SKEW_NS


def doomed(evidence: Evidence, node: str) -> list[End]:
    """Every end of a node, in order.

    It begins with the last order to fence the node before it was gone (one that failed was given
    again), or with the fault that took its power; without either, with the end itself.
    """
    causes = [
        seen.t_ns
        for source in evidence.scenario.nodes
        for seen in evidence.select(Channel.JOURNAL, "entry", source=source)
        if (match := FENCE_ORDERED.search(seen.text("message"))) and match["node"] == node
    ]
    causes += [seen.t_ns for seen in evidence.select(Channel.FAULT, "inject") if kills(seen, node)]
    ends: list[End] = []
    for death in deaths(evidence, node):
        if ends and death.t_ns - ends[-1].at_ns <= _SAME_END_NS:
            continue
        before = max(ends[-1].at_ns if ends else 0, death.t_ns - _LONGEST_NS)
        begun = [t_ns for t_ns in causes if before < t_ns <= death.t_ns + SKEW_NS]
        from_ns = min(max(begun, default=death.t_ns), death.t_ns)
        ends.append(End(from_ns, death.t_ns, death.t_ns + _AFTERLIFE_NS))
    return ends
