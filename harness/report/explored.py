"""What an exploration covered and how alike replays were, for the page of a run.

Both are told by files that the commands write (docs/exploring.md); what cannot be read is told of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.report.text import one_line

if TYPE_CHECKING:
    from pathlib import Path

COVERAGE, REPLAY = "coverage.json", "replay.json"
_MOST_LINES = 20
_MOST_MOMENTS = 60


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class _Coverage(_Stored):
    schedules: int
    drbd: list[str]
    phases: list[str]
    cells: list[tuple[str, str, str, int]]


class _Pace(_Stored):
    what: str
    runs: int
    least_s: float
    median_s: float
    most_s: float


class _Replays(_Stored):
    of: int
    same: int
    differences: dict[str, list[str]]
    timing: list[_Pace] = []


@dataclass(frozen=True, slots=True)
class Covered:
    """Faults in the states in which they found the cluster.

    Attributes:
        schedules: how many were run.
        columns: (DRBD's state, phase of the resources) of each column.
        rows: (fault, how often in each of these states).
        cells: how many different ones were met.
        trouble: why there is no table; empty where there is one.
    """

    schedules: int = 0
    columns: tuple[tuple[str, str], ...] = ()
    rows: tuple[tuple[str, tuple[int, ...]], ...] = ()
    cells: int = 0
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Replayed:
    """Replays of one scenario.

    Attributes:
        differences: (number of the replay, what differed), and ``more`` lines are left out.
        timing: (what, shortest, median, longest), seconds from the first fault.
        trouble: why there is nothing; empty where there is.
    """

    of: int = 0
    same: int = 0
    differences: tuple[tuple[str, tuple[str, ...]], ...] = ()
    more: int = 0
    timing: tuple[tuple[str, float, float, float], ...] = ()
    trouble: str = ""


def covered(run_folder: Path) -> Covered | None:
    """The coverage of a run's exploration; None where the run is none."""
    path = run_folder / COVERAGE
    if not path.exists():
        return None
    try:
        told = _Coverage.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        return Covered(trouble=_why(COVERAGE, error))
    counts = {(fault, drbd, phase): count for fault, drbd, phase, count in told.cells}
    columns = sorted(
        {(drbd, phase) for _fault, drbd, phase in counts},
        key=lambda one: (_place(told.drbd, one[0]), _place(told.phases, one[1]), one),
    )
    rows = [
        (one_line(fault, 80), tuple(counts.get((fault, *column), 0) for column in columns))
        for fault in sorted({fault for fault, _drbd, _phase in counts})
    ]
    shown = [(one_line(drbd, 40), one_line(phase, 40)) for drbd, phase in columns]
    return Covered(told.schedules, tuple(shown), tuple(rows), len(counts))


def replayed(run_folder: Path) -> Replayed | None:
    """How alike a run's replays were; None where it has none, or one only."""
    path = run_folder / REPLAY
    if not path.exists():
        return None
    try:
        told = _Replays.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        return Replayed(trouble=_why(REPLAY, error))
    if told.of < 2:
        return None
    left, shown, more = _MOST_LINES, [], 0
    for number, lines in told.differences.items():
        some = tuple(one_line(line, 300) for line in lines[: max(left, 0)])
        left -= len(some)
        more += len(lines) - len(some)
        shown.append((one_line(number, 8), some))
    timing = [
        (one_line(one.what, 120), one.least_s, one.median_s, one.most_s)
        for one in told.timing[:_MOST_MOMENTS]
    ]
    return Replayed(told.of, told.same, tuple(shown), more, tuple(timing))


def _place(order: list[str], name: str) -> int:
    return order.index(name) if name in order else len(order)


def _why(name: str, error: OSError | ValidationError) -> str:
    first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
    return one_line(f"{name} cannot be read: {first}")
