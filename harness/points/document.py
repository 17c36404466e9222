"""docs/seed.md as data: a table of points, each with references and a state.

A reference is a piece of inline code in the column "stands for it": ``scenario: NAME``,
``lint: RULE``, ``check: SLUG``, ``measurement: HEADING`` or ``mutant: NAME``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS = ("point", "stands for it", "state")
_CODE = re.compile(r"`([^`]+)`")


class PointsError(ValueError):
    """The document is not the table that it should be."""


class Kind(StrEnum):
    """What a reference can name."""

    SCENARIO = "scenario"
    LINT = "lint"
    CHECK = "check"
    MEASUREMENT = "measurement"
    MUTANT = "mutant"


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference, e.g. ``scenario: The drbd link is cut during writes``."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


@dataclass(frozen=True, slots=True)
class Point:
    """One row: the point in our words, what stands for it, the state, and its line."""

    text: str
    references: tuple[Reference, ...]
    state: str
    line: int


def cells(line: str) -> list[str]:
    """The cells of a row of a Markdown table; a bar within one is written ``\\|``."""
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", inner)]


def read_points(text: str) -> list[Point]:
    """The points of the document.

    Raises:
        PointsError: a row with more or fewer cells, one without a reference, a reference of an
            unknown kind, or no table at all.
    """
    points = []
    inside = False
    for number, line in enumerate(text.split("\n"), 1):
        if not line.startswith("|"):
            inside = False
            continue
        row = cells(line)
        if tuple(row) == COLUMNS:
            inside = True
            continue
        if not inside or set(line) <= set("|-: "):
            continue
        if len(row) != len(COLUMNS):
            raise PointsError(f"line {number}: {len(row)} cells, not {len(COLUMNS)}")
        references = tuple(_reference(code, number) for code in _CODE.findall(row[1]))
        if not references:
            raise PointsError(f"line {number}: nothing stands for it: {row[0]}")
        points.append(Point(row[0], references, row[2], number))
    if not points:
        raise PointsError(f"no table with the columns {', '.join(COLUMNS)}")
    return points


def _reference(code: str, line: int) -> Reference:
    kind, colon, name = code.partition(": ")
    if not colon or kind not in list(Kind) or not name.strip():
        raise PointsError(
            f"line {line}: no reference: {code} (one is KIND: NAME, of {', '.join(Kind)})"
        )
    return Reference(Kind(kind), name.strip())


def with_states(text: str, points: Sequence[Point], states: Sequence[str]) -> str:
    """The document with other states in its last column."""
    lines = text.split("\n")
    for point, state in zip(points, states, strict=True):
        row = lines[point.line - 1].rstrip()
        kept = row.removesuffix("|").rstrip()
        lines[point.line - 1] = kept[: len(kept) - len(point.state)] + f"{state} |"
    return "\n".join(lines)
