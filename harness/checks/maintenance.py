"""What Pacemaker does while the cluster is in maintenance mode: nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.checks.registry import CannotJudgeError, Finding, check, found
from harness.checks.roles import SKEW_NS
from harness.evidence.pacemaker import FENCING
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Seen

KIND = "maintenance"
"""Kind of the fault that puts the cluster into maintenance mode."""

# te_rsc_command() of pacemaker-controld 2.1, and te_fence_node(); monitors and notifications are
# no actions in this sense.
_ACTION = re.compile(
    r"Initiating (?:start|stop|promote|demote|migrate_to|migrate_from|reload|reload-agent) "
    r"operation (?P<what>\S+)"
)
_FENCING = re.compile(FENCING)


def _has_maintenance(evidence: Evidence) -> bool:
    return bool(_events(evidence, "inject"))


def _events(evidence: Evidence, kind: str) -> list[Seen]:
    return [seen for seen in evidence.select(Channel.FAULT, kind) if seen.text("kind") == KIND]


@check(
    "maintenance",
    "Pacemaker did nothing in maintenance mode",
    applies=_has_maintenance,
    predicts=True,
)
def maintenance(evidence: Evidence) -> Finding:
    """Between the proof that the mode was on and its end, no node's Pacemaker starts, stops,
    promotes, demotes, moves or fences anything.

    The DC's controller says each action before it has it carried out (``Initiating … operation``,
    ``Requesting fencing``). In maintenance mode all resources are unmanaged, and a scheduler that
    has no resource to manage schedules no fencing either (pcmk_sched_allocate.c of pacemaker 2.1).
    Monitors go on, and are no actions. That the DC would have said it is proved by the nonces of
    the journals (``witnesses``).
    """
    begins, ends = _events(evidence, "bitten"), _events(evidence, "heal")
    if not begins or not ends:
        raise CannotJudgeError("there is no proof that the cluster was in maintenance mode")
    from_ns, to_ns = begins[0].t_ns + SKEW_NS, ends[-1].t_ns
    done, judged = [], 0
    for node in evidence.scenario.nodes:
        for seen in evidence.select(Channel.JOURNAL, "entry", source=node):
            if not from_ns <= seen.t_ns <= to_ns:
                continue
            judged += 1
            message = seen.text("message")
            match = _ACTION.search(message) or _FENCING.search(message)
            if match and seen.text("identifier").startswith("pacemaker-"):
                done.append((f"{match['what']}, by {node}", seen))
    return found(
        [what for what, _ in done],
        expected="no action of Pacemaker's",
        fine=f"no action for {(to_ns - from_ns) / 1e9:.0f} s, in {judged} entries of the journals",
        operations=judged,
        when_ns=[seen.t_ns for _, seen in done],
        evidence=[seen.ref for _, seen in done] or [begins[0].ref, ends[-1].ref],
    )
