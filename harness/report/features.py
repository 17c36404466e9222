"""Scenarios of feature files, as far as a report asks: name, tags, and where each stands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_HEAD = re.compile(
    r"(Feature|Rule|Scenario Outline|Scenario Template|Scenario|Examples|Example|Background):"
    r"\s*(.*)"
)
_OUTLINES = ("Scenario Outline", "Scenario Template")


@dataclass(frozen=True, slots=True)
class Known:
    """A scenario of a feature file, or one example of an outline.

    Attributes:
        name: with its example's values in brackets, as pytest-bdd's tests are told of here.
        outline: the name without them; of any other scenario its name.
        line: of its head, from 1.
    """

    name: str
    outline: str
    feature: str
    tags: frozenset[str]
    path: Path
    line: int


def known_scenarios(paths: Iterable[Path]) -> Iterator[Known]:
    """Every scenario of these files, each example of an outline by itself; unreadable files have
    none."""
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        yield from _scenarios(path, lines)


def _scenarios(path: Path, lines: list[str]) -> Iterator[Known]:
    feature, name, outline, at = "", "", False, 0
    of_feature: frozenset[str] = frozenset()
    of_scenario: frozenset[str] = frozenset()
    waiting: set[str] = set()
    rows = -1  # of the table of examples; -1 outside of one
    for number, line in enumerate((line.strip() for line in lines), start=1):
        if line.startswith("@"):
            waiting |= {word[1:] for word in line.split() if word.startswith("@")}
            continue
        match = _HEAD.fullmatch(line)
        if match is not None:
            kind, rest = match[1], match[2].strip()
            rows = 0 if kind == "Examples" else -1
            if kind == "Feature":
                feature, of_feature = rest, frozenset(waiting)
            elif kind in (*_OUTLINES, "Scenario", "Example"):
                name, outline, at = rest, kind in _OUTLINES, number
                of_scenario = frozenset(waiting)
                if not outline:
                    yield Known(name, name, feature, of_feature | of_scenario, path, at)
            waiting = set()
        elif line.startswith("|") and rows >= 0 and outline:
            rows += 1
            if rows > 1:
                values = ", ".join(cell.strip() for cell in line.strip("|").split("|"))
                tags = of_feature | of_scenario
                yield Known(f"{name} [{values}]", name, feature, tags, path, at)
