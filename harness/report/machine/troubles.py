"""Why a scenario is not green, and what keeps a run from being so although every scenario is.

The latter becomes a case of its own for machines, which else would count scenarios only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checks.verdict import Verdict
from harness.report.earlier import earlier_attempts
from harness.report.leftovers import left_behind
from harness.report.text import one_line

if TYPE_CHECKING:
    from harness.report.load import LoadedRun, LoadedScenario

NOTHING_TESTED = "no scenario left evidence: nothing was tested"
_MOST = 100


def reasons(loaded: LoadedScenario) -> list[str]:
    """Why the verdict of a scenario is not VALID, one line each; empty where it is."""
    if loaded.overall is Verdict.VALID:
        return []
    lines = [loaded.verdict.error] if loaded.verdict.error else []
    lines += [
        f"{result.verdict} {result.title}: expected {result.expected}; seen {result.seen}"
        for result in loaded.failing
    ]
    lines += [f"earlier attempt: {attempt.said}" for attempt in loaded.earlier]
    return [one_line(line, 1000) for line in lines[:_MOST]] or ["no check ran"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """One reason.

    Attributes:
        name: of the case that it becomes.
        verdict: INVALID or INCONCLUSIVE.
        text: what is wrong, one line.
    """

    name: str
    verdict: Verdict
    text: str


def run_troubles(run: LoadedRun) -> list[Trouble]:
    """The reasons, at most a hundred of each sort."""
    found = []
    if not run.scenarios:
        found.append(Trouble("the run", Verdict.INCONCLUSIVE, NOTHING_TESTED))
    names = {loaded.scenario.name for loaded in run.scenarios}
    alone = [
        attempt
        for attempt in earlier_attempts(run.folder)
        if attempt.scenario not in names
        and (attempt.scenario or attempt.verdict is not None)
        and attempt.verdict is not Verdict.VALID
    ]
    found += [
        Trouble(
            attempt.scenario or f"a scenario whose name is lost ({attempt.place})",
            attempt.verdict or Verdict.INCONCLUSIVE,
            one_line(f"set aside and not begun again: {attempt.said}", 1000),
        )
        for attempt in alone[:_MOST]
    ]
    if left := left_behind(run.folder):
        told = "; ".join(left[:_MOST])
        found.append(Trouble("nothing is left behind", Verdict.INCONCLUSIVE, one_line(told, 4000)))
    return found
