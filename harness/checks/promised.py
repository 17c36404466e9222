"""What has to survive: every acknowledged write, or only what was flushed before power was cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.registry import CannotJudgeError
from harness.checks.roles import is_deadly
from harness.evidence.timeline import Channel
from harness.history.floor import forget_unflushed

if TYPE_CHECKING:
    from harness.evidence.model import Evidence
    from harness.history.model import History


def only_flushed(evidence: Evidence) -> bool:
    """Whether the scenario says that only what was flushed has to survive."""
    return evidence.scenario.expect.durable == "flushed"


def cut_ns(evidence: Evidence) -> int:
    """When the first node lost its power, ns on the run's clock.

    Raises:
        CannotJudgeError: none did.
    """
    cuts = [
        seen.t_ns
        for seen in evidence.select(Channel.FAULT, "inject")
        if is_deadly(seen.text("kind"))
    ]
    if not cuts:
        raise CannotJudgeError("power was never cut")
    return min(cuts)


def as_promised(evidence: Evidence, history: History) -> History:
    """The history, with those writes as unanswered that nobody promised to keep.

    Raises:
        CannotJudgeError: it depends on when power was cut, and it never was.
    """
    return forget_unflushed(history, cut_ns(evidence)) if only_flushed(evidence) else history
