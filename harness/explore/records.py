"""What an exploration has done so far, in its folder; written after each step of it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from harness.checks.verdict import ScenarioVerdict, Verdict
from harness.errors import BadInputError
from harness.evidence.files import write_json
from harness.explore.coverage import pack, unpack
from harness.explore.schedule import from_json, to_json

if TYPE_CHECKING:
    from pathlib import Path

    from harness.explore.coverage import Cell
    from harness.explore.schedule import Step

STATE = "explore.json"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Settings:
    """What an exploration is: with the same settings and coverage it draws the same schedules.

    Attributes:
        seed: of all its draws.
        beyond: whether schedules may demand more than the cluster is designed to survive.
        without: kinds that are not drawn.
        config: hash of the configuration; ``reference`` for the reference configuration.
        code: hash of the code, what draws included.
    """

    seed: int
    beyond: bool = False
    without: tuple[str, ...] = ()
    config: str = "reference"
    code: str = ""


@dataclass(slots=True)
class Entry:
    """One schedule that was run.

    Attributes:
        number: of the draw.
        steps: what it is made of.
        file: its feature file, as it is shown.
        evidence: name of its evidence folder.
        verdict: VALID, INVALID or INCONCLUSIVE.
        seconds: how long it took.
        invalid: checks that were violated, in the order of their importance.
        doubts: why it is INCONCLUSIVE: what each check that could not be judged saw.
        cells: what it added to coverage.
        reactions: seconds from each trigger's event to the fault that followed.
        missed: triggers that were not pulled in time.
    """

    number: int
    steps: tuple[Step, ...]
    file: str
    evidence: str
    verdict: str
    seconds: float
    invalid: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    reactions: list[float] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Try:
    """One candidate of a shrinking; ``fails``: the same check was violated."""

    steps: tuple[Step, ...]
    file: str
    evidence: str
    verdict: str
    fails: bool
    seconds: float


@dataclass(slots=True)
class Shrinking:
    """The search for a minimal schedule.

    Attributes:
        number: of the schedule that failed.
        check: the check that has to be violated by every candidate that counts.
        tries: candidates, in the order in which they were run.
        best: the smallest one that fails.
        file: its feature file; empty until the search has ended.
        done: no smaller one was left to try; False where the budget was over before.
    """

    number: int
    check: str
    best: tuple[Step, ...]
    tries: list[Try] = field(default_factory=list)
    file: str = ""
    done: bool = False


@dataclass(slots=True)
class Records:
    """All of it."""

    settings: Settings
    before: Counter[Cell]
    entries: list[Entry] = field(default_factory=list)
    shrinkings: list[Shrinking] = field(default_factory=list)

    @property
    def spent_s(self) -> float:
        """Seconds that all schedules took, those of shrinking not among them."""
        return sum(entry.seconds for entry in self.entries)

    def seen(self, number: int) -> Counter[Cell]:
        """Coverage as the draw of this number has it: from before, and of all smaller numbers."""
        counts = Counter(self.before)
        for entry in self.entries:
            if entry.number < number:
                counts.update(entry.cells)
        return counts

    def entry(self, number: int) -> Entry | None:
        """The schedule of this number; None where it was not run."""
        return next((one for one in self.entries if one.number == number), None)

    def shrinking(self, number: int) -> Shrinking | None:
        """The shrinking of the schedule of this number; None where there is none."""
        return next((one for one in self.shrinkings if one.number == number), None)

    def evidence(self) -> set[str]:
        """Names of all evidence folders that belong to it."""
        return {entry.evidence for entry in self.entries} | {
            one.evidence for shrinking in self.shrinkings for one in shrinking.tries
        }

    def save(self, folder: Path) -> None:
        """Write it whole or not at all."""
        data = {
            "schema": SCHEMA,
            "settings": asdict(self.settings),
            "coverage_before": pack(self.before),
            "schedules": [_packed(entry) for entry in self.entries],
            "shrinkings": [
                {
                    **_packed(one),
                    "best": to_json(one.best),
                    "tries": [_packed(each) for each in one.tries],
                }
                for one in self.shrinkings
            ],
        }
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / STATE, data)


def _packed(one: Entry | Try | Shrinking) -> dict[str, Any]:
    data = asdict(one)
    if not isinstance(one, Shrinking):
        data["steps"] = to_json(one.steps)
    return data


def load(folder: Path) -> Records | None:
    """What a folder holds; None where no exploration was begun there.

    Raises:
        BadInputError: it cannot be read.
    """
    path = folder / STATE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["schema"] != SCHEMA:
            raise ValueError(f"schema {raw['schema']}")
        settings = raw["settings"]
        return Records(
            Settings(**{**settings, "without": tuple(settings["without"])}),
            unpack(raw["coverage_before"]),
            [_entry(one) for one in raw["schedules"]],
            [_shrinking(one) for one in raw["shrinkings"]],
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInputError(
            f"{path} cannot be read: {error!r}", hint="begin anew in another folder"
        ) from error


def _entry(raw: dict[str, Any]) -> Entry:
    cells = [(str(fault), str(drbd), str(phase)) for fault, drbd, phase in raw["cells"]]
    return Entry(**{**raw, "steps": from_json(raw["steps"]), "cells": cells})


def _shrinking(raw: dict[str, Any]) -> Shrinking:
    tries = [Try(**{**one, "steps": from_json(one["steps"])}) for one in raw["tries"]]
    return Shrinking(**{**raw, "best": from_json(raw["best"]), "tries": tries})


def violated(verdict: ScenarioVerdict) -> list[str]:
    """Checks that are INVALID, the one that says most first.

    In the order of the registry, but for those that only say that something is wrong in the end,
    whatever it is: they come last.
    """
    slugs = [one.check for one in verdict.checks if one.earned().verdict is Verdict.INVALID]
    return sorted(slugs, key=lambda slug: slug in _UNSPECIFIC)


TROUBLE = "trouble: "
"""What a doubt begins with that is the harness's own."""
_UNSPECIFIC = ("settled", "stall", "failovers", "fencings", "kernel-alarms")


def doubted(verdict: ScenarioVerdict) -> list[str]:
    """Why a verdict is INCONCLUSIVE: each check that could not be judged, and the trouble."""
    told = [
        f"{one.check}: {one.earned().seen}"
        for one in verdict.checks
        if one.earned().verdict is Verdict.INCONCLUSIVE
    ]
    return [*([f"{TROUBLE}{verdict.error}"] if verdict.error else []), *told]
