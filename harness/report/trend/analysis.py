"""The runs of one series side by side: new failures, flaky scenarios, longer blackouts.

A series is all runs under the same conditions (``RunLine.series``); none is compared with a run of
another one. The last run of a series is the one that is judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from harness.checks.verdict import Verdict
from harness.report.trend.slower import ALL, LEAST_RUNS, WINDOW, Longer, longer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.report.trend.model import RunLine, ScenarioLine

_ALTERNATIONS = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """One attempt at a scenario: its run (index among the series') and what it came to."""

    run: int
    verdict: Verdict

    @property
    def valid(self) -> bool:
        """Whether it was VALID."""
        return self.verdict is Verdict.VALID


class News(StrEnum):
    """What the last run's verdict on a scenario is, beside those before."""

    SAME = "as before"
    NEW_FAILURE = "new failure"
    STILL_FAILING = "still failing"
    NEWLY_UNCLEAR = "newly inconclusive"
    STILL_UNCLEAR = "still inconclusive"
    MENDED = "valid again"


@dataclass(frozen=True, slots=True)
class Standing:
    """A scenario in the last run, beside the runs before.

    Attributes:
        line: as it came out.
        since: index of the first run of those without interruption in which it was not VALID; its
            own where it is.
        before: index of the run that it is compared with; None where there is none.
    """

    name: str
    line: ScenarioLine
    news: News
    since: int
    before: int | None


@dataclass(frozen=True, slots=True)
class Flaky:
    """A scenario of which the same thing was seen to come out differently.

    Attributes:
        code: the code hash at which it did; empty where it only alternates.
        outcomes: what was seen, the oldest first: at that code, or in the whole window.
    """

    name: str
    code: str
    outcomes: tuple[Outcome, ...]

    @property
    def valid(self) -> int:
        """How many of the outcomes were VALID."""
        return sum(one.valid for one in self.outcomes)


@dataclass(frozen=True, slots=True)
class Analysis:
    """A series, looked at.

    Attributes:
        runs: the oldest first; the last one is judged.
        names: of all scenarios, in order of their features.
        standings: of the scenarios of the last run, those with news first.
        longer: blackouts that have become longer, the surest first.
        flaky: the least VALID first.
        stalls_s: longest stalls, shape (names, runs); NaN where none was measured.
    """

    runs: tuple[RunLine, ...]
    names: tuple[str, ...]
    standings: tuple[Standing, ...]
    longer: tuple[Longer, ...]
    flaky: tuple[Flaky, ...]
    stalls_s: np.ndarray[tuple[int, ...], np.dtype[np.float64]]

    @property
    def last(self) -> RunLine:
        """The run that is judged."""
        return self.runs[-1]

    @property
    def comparable(self) -> int:
        """How many of the last run's scenarios have enough stalls to be compared."""
        counts = np.isfinite(self.stalls_s).sum(axis=1)
        there = np.isfinite(self.stalls_s[:, -1]) if len(self.names) else counts
        return int(((counts >= LEAST_RUNS) & there).sum())

    @property
    def measured(self) -> int:
        """Of how many of the last run's scenarios a stall was measured."""
        return sum(one.stall_s is not None for one in self.last.scenarios)

    def lines(self, name: str) -> Iterator[tuple[int, ScenarioLine]]:
        """(index of the run, line) of every run that has the scenario."""
        for index, run in enumerate(self.runs):
            line = run.scenario(name)
            if line is not None:
                yield index, line

    def of(self, news: News) -> list[Standing]:
        """Scenarios of the last run with such news."""
        return [one for one in self.standings if one.news is news]

    def longer_of(self, name: str) -> Longer | None:
        """What has become longer of a scenario."""
        return next((one for one in self.longer if one.name == name), None)

    @property
    def longer_now(self) -> list[Longer]:
        """Longer blackouts of what the last run has in it."""
        return [
            one
            for one in self.longer
            if one.name == ALL or np.isfinite(self.stalls_s[self.names.index(one.name), -1])
        ]


def by_series(runs: Iterable[RunLine]) -> list[tuple[RunLine, ...]]:
    """The runs that can be compared, by series; the series with the newest run first.

    Without runs in which nothing was injected, and those that have no scenario with a history.
    """
    series: dict[str, list[RunLine]] = {}
    for run in sorted(runs, key=lambda one: (one.started_ns, one.name)):
        if run.injecting and run.scenarios:
            series.setdefault(run.series, []).append(run)
    return sorted((tuple(own) for own in series.values()), key=lambda own: -own[-1].started_ns)


def analyse(runs: tuple[RunLine, ...]) -> Analysis:
    """Look at the runs of one series, at least one, the oldest first."""
    features: dict[str, str] = {}
    for run in runs:
        features |= {line.name: line.feature for line in run.scenarios if line.feature}
    every = {line.name for run in runs for line in run.scenarios}
    names = tuple(sorted(every, key=lambda name: (features.get(name, "\uffff"), name)))
    at = {name: row for row, name in enumerate(names)}
    stalls = np.full((len(names), len(runs)), np.nan)
    for column, run in enumerate(runs):
        for line in run.scenarios:
            # What could not be told apart from a broken scenario is no measurement of a failover.
            if line.stall_s is not None and line.verdict is not Verdict.INCONCLUSIVE:
                stalls[at[line.name], column] = line.stall_s
    standings = [_standing(runs, line) for line in runs[-1].scenarios]
    order = list(News)
    standings.sort(key=lambda one: (one.news is News.SAME, order.index(one.news), one.name))
    flaky = [found for name in names if (found := _flaky(runs, name)) is not None]
    flaky.sort(key=lambda one: (one.valid / len(one.outcomes), one.name))
    return Analysis(
        runs, names, tuple(standings), tuple(longer(list(names), stalls)), tuple(flaky), stalls
    )


def _standing(runs: tuple[RunLine, ...], line: ScenarioLine) -> Standing:
    last = len(runs) - 1
    before = [
        (index, one.verdict)
        for index, run in enumerate(runs[:-1])
        if (one := run.scenario(line.name)) is not None
    ]
    since = last
    if line.verdict is not Verdict.VALID:
        for index, verdict in reversed(before):
            if verdict is Verdict.VALID:
                break
            since = index
    compared = before
    if line.verdict is Verdict.INVALID:
        # Whether it failed before is for a run to say that could tell.
        compared = [one for one in before if one[1] is not Verdict.INCONCLUSIVE]
    compared_with = compared[-1] if compared else None
    match line.verdict, compared_with[1] if compared_with is not None else None:
        case Verdict.INVALID, Verdict.INVALID:
            news = News.STILL_FAILING
        case Verdict.INVALID, _:
            news = News.NEW_FAILURE
        case Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE:
            news = News.STILL_UNCLEAR
        case Verdict.INCONCLUSIVE, _:
            news = News.NEWLY_UNCLEAR
        case _, (Verdict.INVALID | Verdict.INCONCLUSIVE):
            news = News.MENDED
        case _:
            news = News.SAME
    at = compared_with[0] if compared_with is not None else None
    return Standing(line.name, line, news, since, at)


def outcomes_of(runs: tuple[RunLine, ...], name: str) -> list[Outcome]:
    """Every attempt at a scenario in its last ``WINDOW`` runs, the oldest first."""
    found: list[list[Outcome]] = []
    for index, run in enumerate(runs):
        line = run.scenario(name)
        if line is not None:
            found.append([Outcome(index, v) for v in line.attempts or (line.verdict,)])
    return [one for own in found[-WINDOW:] for one in own]


def _flaky(runs: tuple[RunLine, ...], name: str) -> Flaky | None:
    """Whether a scenario is flaky: both VALID and not at one code, or alternating over several.

    One that was VALID and from some attempt on never again has begun to fail: that is not flaky.
    """
    outcomes = outcomes_of(runs, name)
    changes = [(one.valid, other.valid) for one, other in pairwise(outcomes)]
    if (False, True) not in changes and changes.count((True, False)) <= 1:
        return None
    by_code: dict[tuple[str, str], list[Outcome]] = {}
    for one in outcomes:
        run = runs[one.run]
        key = run.code, repr(sorted(run.versions.items()))
        by_code.setdefault(key, []).append(one)
    for (code, _), own in reversed(by_code.items()):
        if len({one.valid for one in own}) == 2:
            return Flaky(name, code, tuple(own))
    if sum(one != other for one, other in changes) >= _ALTERNATIONS:
        return Flaky(name, "", tuple(outcomes))
    return None
