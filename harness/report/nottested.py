"""What a run did not test: scenarios of the features that it has no evidence of, and why.

A run's folder does not say what was chosen. So the features that lie beside the harness are read,
as they are now, and compared with what there is evidence of; tags and the commands of the run's
parts tell why. Where the run has nothing in common with these features (a suite of somebody's own,
a drawn schedule) nothing is said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.evidence.files import read_json
from harness.report.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.report.load import LoadedRun

FEATURES = Path(__file__).resolve().parents[2] / "features"
_HEAD = re.compile(r"(Feature|Rule|Scenario Outline|Scenario|Examples|Background):\s*(.*)")
_ALL = re.compile(r"(?:^|\s)(?:--all\b|nightly\b)")


@dataclass(frozen=True, slots=True)
class Known:
    """A scenario of a feature file."""

    name: str
    feature: str
    tags: frozenset[str]


@dataclass(frozen=True, slots=True)
class Untested:
    """What there is no evidence of.

    Attributes:
        groups: (reason, names), the reasons in the order in which they are told.
        where: what this rests on; empty where nothing can be said.
    """

    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    where: str = ""

    @property
    def count(self) -> int:
        """How many scenarios."""
        return sum(len(names) for _, names in self.groups)


def not_begun(run: LoadedRun, features: Path = FEATURES) -> Untested:
    """Every scenario of ``features`` that the run has no evidence of, with the reason."""
    known = list(known_scenarios(features))
    begun = {loaded.scenario.name for loaded in run.scenarios}
    if not begun & {one.name for one in known}:
        return Untested()
    begun |= {attempt.scenario for attempt in run.pending}
    missing = [one for one in known if one.name not in begun]
    commands = _commands(run)
    everything = any(_ALL.search(command) for command in commands)
    nightly = [one for one in missing if "nightly" in one.tags and not everything]
    others = [one for one in missing if one not in nightly]
    groups = []
    if others:
        why = "not selected by the run's command, or not begun before the run ended"
        groups.append((why, tuple(one_line(one.name) for one in others)))
    if nightly:
        why = "not selected: tagged @nightly, which runs with --all, in a nightly run, or by name"
        groups.append((why, tuple(one_line(one.name) for one in nightly)))
    return Untested(tuple(groups), f"by the {len(known)} scenarios of {features.name}/ as they are")


def known_scenarios(features: Path) -> Iterator[Known]:
    """Every scenario of the feature files in a folder, each example of an outline by itself."""
    for path in sorted(features.glob("*.feature")):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            continue
        yield from _scenarios(lines)


def _scenarios(lines: list[str]) -> Iterator[Known]:
    feature, name, outline = "", "", False
    of_feature: frozenset[str] = frozenset()
    of_scenario: frozenset[str] = frozenset()
    waiting: set[str] = set()
    rows = -1  # of the table of examples; -1 outside of one
    for line in (line.strip() for line in lines):
        if line.startswith("@"):
            waiting |= {word[1:] for word in line.split() if word.startswith("@")}
            continue
        match = _HEAD.fullmatch(line)
        if match is not None:
            kind, rest = match[1], match[2].strip()
            rows = 0 if kind == "Examples" else -1
            if kind == "Feature":
                feature, of_feature = rest, frozenset(waiting)
            elif kind.startswith("Scenario"):
                name, outline, of_scenario = rest, kind != "Scenario", frozenset(waiting)
                if not outline:
                    yield Known(name, feature, of_feature | of_scenario)
            waiting = set()
        elif line.startswith("|") and rows >= 0 and outline:
            rows += 1
            if rows > 1:
                values = ", ".join(cell.strip() for cell in line.strip("|").split("|"))
                yield Known(f"{name} [{values}]", feature, of_feature | of_scenario)


def _commands(run: LoadedRun) -> list[str]:
    raw = read_json(run.folder / "run.json")
    parts = raw.get("parts")
    told = [part.get("command") for part in parts if isinstance(part, dict)] if (
        isinstance(parts, list)
    ) else []  # fmt: skip
    return [text for text in (*told, raw.get("command")) if isinstance(text, str)]
