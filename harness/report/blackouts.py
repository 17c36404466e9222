"""Failovers and the phases of their blackouts, as the check ``failover-phases`` measured them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.checks.phases import Phase
from harness.report.interval import spread
from harness.report.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.report.interval import Spread
    from harness.report.load import LoadedScenario

LETTERS = {
    Phase.BEFORE: "B",
    Phase.DETECTED: "D",
    Phase.FENCED: "F",
    Phase.PROMOTED: "P",
    Phase.SERVED: "T",
    Phase.SESSION: "S",
    Phase.ACKNOWLEDGED: "A",
}
MEANING = {
    Phase.BEFORE: "from the last acknowledgement to the fault",
    Phase.DETECTED: "until the cluster acts: the old node is lost, unclean, or being emptied",
    Phase.FENCED: "until the fencing of the old node is reported as done",
    Phase.PROMOTED: "until the last resource is Primary on the new node",
    Phase.SERVED: "until address, target and LUNs are up there",
    Phase.SESSION: "until the initiator's session is back",
    Phase.ACKNOWLEDGED: "until the first write is acknowledged",
}
_MOST = 100  # failovers of one scenario


@dataclass(frozen=True, slots=True)
class Stretch:
    """One phase of one blackout, ns on the run's clock."""

    phase: Phase
    start_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True)
class Blackout:
    """One failover's blackout.

    Attributes:
        old, new: nodes.
        phases: in order; they add up to it.
        uncertainty_s: of its ends against the moments between the phases.
    """

    old: str
    new: str
    start_ns: int
    end_ns: int
    phases: tuple[Stretch, ...]
    uncertainty_s: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end_ns - self.start_ns) / 1e9


def blackouts(loaded: LoadedScenario) -> list[Blackout]:
    """Every failover that was measured, by time; none where the check did not apply or is gone."""
    result = loaded.verdict.result("failover-phases")
    told = result.details.get("failovers") if result is not None else None
    if not isinstance(told, list):
        return []
    found = [_blackout(one) for one in told[:_MOST]]
    return sorted((one for one in found if one is not None), key=lambda one: one.start_ns)


def by_phase(found: Iterable[Blackout]) -> list[tuple[Phase, Spread]]:
    """How long each phase took, over those blackouts in which it is told of."""
    every = list(found)
    told = []
    for phase in Phase:
        took = [s.seconds for one in every for s in one.phases if s.phase is phase]
        measured = spread(took)
        if measured is not None:
            told.append((phase, measured))
    return told


def _blackout(told: Any) -> Blackout | None:
    """What verdict.json says of a failover; None where that cannot be."""
    if not isinstance(told, dict):
        return None
    start, end, phases = told.get("start_ns"), told.get("end_ns"), told.get("phases")
    if type(start) is not int or type(end) is not int or not 0 < start <= end < 1 << 63:
        return None
    stretches = []
    at = start
    for phase in Phase:
        took = phases.get(str(phase)) if isinstance(phases, dict) else None
        if isinstance(took, int | float) and math.isfinite(took) and took >= 0:
            until = min(at + round(took * 1e9), end)
            stretches.append(Stretch(phase, at, until))
            at = until
    unsure = told.get("uncertainty_s")
    return Blackout(
        one_line(str(told.get("old", "?")), 40),
        one_line(str(told.get("new", "?")), 40),
        start,
        end,
        tuple(stretches),
        float(unsure) if isinstance(unsure, int | float) and math.isfinite(unsure) else 0.0,
    )
