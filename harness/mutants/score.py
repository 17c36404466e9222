"""From verdicts to a score: which mutants were caught, and by what. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.checks import ScenarioVerdict, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from harness.mutants.model import Mutant


class Fate(StrEnum):
    """What became of one run of a mutant."""

    CAUGHT = "caught"
    MISSED = "missed"
    UNJUDGED = "unjudged"


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of a mutant.

    Attributes:
        mutant: its name.
        label: which try, and which run of it where a try has several.
        fate: caught only if the scenario is INVALID by one of the checks that must catch it.
        by: of these checks, the ones that were INVALID.
        others: other checks that were INVALID.
        said: what the first check in ``by`` saw; else what kept it from being caught.
    """

    mutant: str
    label: str
    fate: Fate
    by: tuple[str, ...]
    others: tuple[str, ...]
    said: str


def judge_trial(
    mutant: Mutant,
    label: str,
    run_folder: Path,
    load: Callable[[Path], ScenarioVerdict] = ScenarioVerdict.load,
) -> Trial:
    """Judge a run from the verdicts it left.

    ``load`` gives the verdict that stands in a file, or another one on the evidence beside it.

    A run without a verdict, or with an INCONCLUSIVE one, caught nothing: a mutant must be named,
    not merely make trouble. The same holds for a verdict that other checks alone turned.
    """
    verdicts = []
    for path in sorted((run_folder / "evidence").glob("*/verdict.json")):
        try:
            verdicts.append(load(path))
        except (OSError, ValueError) as error:
            return Trial(mutant.name, label, Fate.UNJUDGED, (), (), str(error))
    if len(verdicts) != 1:
        return Trial(
            mutant.name, label, Fate.UNJUDGED, (), (), f"{len(verdicts)} verdicts in the run"
        )
    (verdict,) = verdicts
    invalid = [result for result in verdict.checks if result.verdict is Verdict.INVALID]
    right = [
        result
        for result in invalid
        if result.check in mutant.caught_by and re.search(mutant.because, result.seen)
    ]
    by = tuple(result.check for result in right)
    others = tuple(result.check for result in invalid if result not in right)
    if verdict.error:
        # What was cut short may look like anything.
        return Trial(mutant.name, label, Fate.UNJUDGED, (), others, verdict.error)
    if verdict.verdict is Verdict.INVALID and by:
        return Trial(mutant.name, label, Fate.CAUGHT, by, others, right[0].seen)
    if verdict.verdict is Verdict.INCONCLUSIVE:
        doubts = [r for r in verdict.checks if r.verdict is Verdict.INCONCLUSIVE]
        said = "; ".join(f"{result.check}: {result.seen}" for result in doubts[:3])
        return Trial(mutant.name, label, Fate.UNJUDGED, (), others, f"INCONCLUSIVE: {said}")
    said = f"{', '.join(others)} instead" if others else "every check was VALID"
    return Trial(mutant.name, label, Fate.MISSED, (), others, said)


@dataclass(frozen=True, slots=True)
class Score:
    """All trials of one mutant.

    Attributes:
        mutant: the mutant.
        tries: the trials of each try; a try that caught it early has fewer.
    """

    mutant: Mutant
    tries: tuple[tuple[Trial, ...], ...]

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Every trial, in order."""
        return tuple(trial for trials in self.tries for trial in trials)

    @property
    def caught(self) -> int:
        """How many tries caught it."""
        return sum(any(t.fate is Fate.CAUGHT for t in trials) for trials in self.tries)

    @property
    def perfect(self) -> bool:
        """Caught in every try, and tried at all."""
        return 0 < len(self.tries) == self.caught


def lines(scores: Iterable[Score]) -> list[str]:
    """The score as text: one line for each mutant, then the total."""
    told = []
    everything = list(scores)
    for one in everything:
        mutant = one.mutant
        if not one.tries:
            told.append(f"UNTRIED {mutant.name} (expected: {' or '.join(mutant.caught_by)})")
            continue
        mark = "CAUGHT" if one.perfect else "MISSED"
        by = sorted({slug for trial in one.trials for slug in trial.by})
        coin = (
            f" ({mutant.runs} runs each, a run catches it with probability {mutant.probability:g})"
            if mutant.runs > 1
            else ""
        )
        told.append(
            f"{mark}  {mutant.name}: {one.caught} of {len(one.tries)}{coin}, by "
            f"{', '.join(by) or 'nothing'} (expected: {' or '.join(mutant.caught_by)})"
        )
        told += [
            f"        run {trial.label} {trial.fate!s}: {trial.said}"
            for trial in one.trials
            if trial.fate is not Fate.CAUGHT or trial is one.trials[0]
        ]
    perfect = sum(one.perfect for one in everything)
    told.append(f"Score: {perfect} of {len(everything)} mutants")
    return told
