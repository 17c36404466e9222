"""Whose blackouts have become longer: the stated test of the trend, on seconds alone.

The longest stalls of a scenario are compared as logarithms: they are skewed, and what differs
between two scenarios a hundredfold in seconds spreads by about as much in per cent. ``permutation``
says which scenarios' last runs are longer than the ones before; what is called longer must besides
be longer by an amount that matters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.report.trend.permutation import larger_at_end, least_columns

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.report.trend.permutation import Floats

ALPHA = 0.04
"""The probability that unchanged runs flag anything at all, over all scenarios of a series."""
WINDOW = 20
"""How many results of a scenario are looked at, the newest ones."""
LEAST_RUNS = least_columns(ALPHA)
"""With fewer results of a scenario nothing can be claimed of it, and nothing is."""
LEAST_RATIO = 1.10
LEAST_SECONDS = 0.25
"""fio's log may be late by so much (docs/measurements.md): less is no stall of the cluster's."""
ALL = ""
"""In place of a scenario's name: the median scenario of each run."""

_FOR_ALL = 8  # scenarios: fewer say nothing of "all of them"
_LEAST_SD = 0.05
_LONG_S = 1.0  # shorter stalls are the noise of the host, and would be most of the median


@dataclass(frozen=True, slots=True)
class Longer:
    """A blackout that has become longer.

    Attributes:
        name: the scenario's; ``ALL`` for the median of all of them.
        before_s, now_s: geometric means, seconds; of ``ALL``, relative to the average run.
        since: index of the first run that is longer, among the columns.
        runs, earlier: how many runs are longer, and how many they are compared with.
        p: adjusted for all scenarios and all moments at which it could have begun.
    """

    name: str
    before_s: float
    now_s: float
    since: int
    runs: int
    earlier: int
    t: float
    p: float

    @property
    def ratio(self) -> float:
        """How many times as long."""
        return self.now_s / self.before_s


def windowed(seconds: Floats) -> Floats:
    """Only the last ``WINDOW`` values of each row, as a copy; the rest is NaN."""
    seconds = np.where(np.isfinite(seconds) & (seconds > 0), seconds, np.nan)
    rank = np.cumsum(np.isfinite(seconds)[:, ::-1], axis=1)[:, ::-1]
    return np.where(rank <= WINDOW, seconds, np.nan)


def longer(names: list[str], seconds: Floats) -> list[Longer]:
    """What has become longer, the surest first.

    Args:
        names: one for each row.
        seconds: longest stalls, shape (scenarios, runs), the oldest run first; NaN where there is
            none.
    """
    if not names or not seconds.shape[1]:
        return []
    seconds = windowed(seconds)
    logs = np.log(seconds)
    tested, told = logs, list(names)
    if (night := _night(logs)) is not None:
        common, rows = night
        # What all of them share is said once, and does not hide what one has of its own.
        tested = logs - np.where(rows[:, None], np.nan_to_num(common), 0.0)
        tested, told = np.vstack([tested, common]), [*told, ALL]
        logs = np.vstack([logs, common])
    found = []
    for name, own, row in zip(told, logs, larger_at_end(tested, ALPHA), strict=True):
        if not row.last or row.p > ALPHA or row.shift < math.log(LEAST_RATIO):
            continue
        there = np.flatnonzero(np.isfinite(own))
        now, before = own[there[-row.last :]].mean(), own[there[: -row.last]].mean()
        much = name == ALL or math.exp(now) - math.exp(before) >= LEAST_SECONDS
        if much and now - before >= math.log(LEAST_RATIO):
            since = int(there[-row.last])
            told_s = math.exp(before), math.exp(now)
            found.append(Longer(name, *told_s, since, row.last, row.before, row.t, row.p))
    return sorted(found, key=lambda one: (one.p, -one.t))


def _night(logs: Floats) -> tuple[Floats, npt.NDArray[np.bool_]] | None:
    """What the scenarios of a run have in common: a busy host, another kernel, a slower code.

    For each run the median over the scenarios of log(stall) less the scenario's mean, in which
    those count more that vary less; and which scenarios are meant. The median, so that one that
    became much longer is not taken for all. None with few scenarios.
    """
    there = np.isfinite(logs)
    counts = there.sum(axis=1)
    mean = np.where(there, logs, 0.0).sum(axis=1) / np.maximum(counts, 1)
    rows = (counts >= LEAST_RUNS) & (mean >= math.log(_LONG_S))
    if rows.sum() < _FOR_ALL:
        return None
    centred = np.where(there, logs - mean[:, None], 0.0)
    weight = 1 / ((centred**2).sum(axis=1) / np.maximum(counts - 1, 1) + _LEAST_SD**2)
    common = np.full(logs.shape[1], np.nan)
    for column in range(logs.shape[1]):
        own = rows & there[:, column]
        if own.sum() >= _FOR_ALL:
            common[column] = _weighted_median(centred[own, column], weight[own])
    return common, rows


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    below = np.cumsum(weights[order]) - weights[order] / 2
    return float(np.interp(weights.sum() / 2, below, values[order]))
