"""What the table of a run needs of a scenario whose page is kept: noted beside the page, as JSON.

So that a report that is written after each scenario reads the evidence of that one only.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from harness.evidence.phases import Phase
from harness.report.facts import Facts, Stall
from harness.report.writes import Writes


def facts_to_json(known: Facts) -> dict[str, Any]:
    """The numbers of a scenario without its writes."""
    stall = known.stall
    return {
        "stall": [stall.start_ns, stall.end_ns, stall.source] if stall is not None else None,
        "bound_s": known.bound_s,
        "failovers": known.failovers,
        "fencings": known.fencings,
        "total": known.writes.total,
        "source": known.writes.source,
    }


def facts_from_json(raw: object) -> Facts | None:
    """The same numbers; None where ``raw`` is no such thing."""
    if not isinstance(raw, dict):
        return None
    try:
        stall, bound = raw["stall"], raw["bound_s"]
        if stall is not None:
            stall = Stall(int(stall[0]), int(stall[1]), str(stall[2]))
        numbers = [raw["failovers"], raw["fencings"], raw["total"]]
        if any(one is not None and type(one) is not int for one in numbers):
            return None
        if bound is not None and not (isinstance(bound, int | float) and math.isfinite(bound)):
            return None
        nothing = np.empty(0, np.int64)
        writes = Writes(nothing, nothing, (), numbers[2], str(raw["source"]))
        return Facts(stall, bound, numbers[0], numbers[1], writes)
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def seconds_to_json(spent: dict[Phase, float] | None) -> dict[str, float] | None:
    """What each phase took."""
    return None if spent is None else {str(phase): took for phase, took in spent.items()}


def seconds_from_json(raw: object) -> dict[Phase, float] | None:
    """The same; None where ``raw`` does not tell of every phase."""
    if not isinstance(raw, dict):
        return None
    told = {phase: raw.get(str(phase)) for phase in Phase}
    if not all(isinstance(took, int | float) and math.isfinite(took) for took in told.values()):
        return None
    return {phase: float(took) for phase, took in told.items() if took is not None}
