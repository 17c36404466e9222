"""Which rows of a table became larger at its end: a permutation test for all rows at once.

Rows are things measured, columns the occasions, the oldest first; a value may be missing. For every
row and every split of its values into the last ``m`` and those before, a moderated t says how
much larger the last ones are. The largest t of a row over its splits is the row's. Its p value
is the share of all orders of the columns in which the largest t of *any* row is at least as large,
so that neither the number of rows nor the search for the split makes an alarm more likely than
``alpha`` (the step-down maxT procedure: P. H. Westfall and S. S. Young, Resampling-Based
Multiple Testing, 1993, algorithm 2.8). The one assumption is that without a change every order of
the columns is as likely as any other; values within a column may depend on each other.

The t is moderated, as few values tell little of their spread: a row's variance counts together with
what the rows have in common, and the more so the more alike they are (G. K. Smyth, Linear models
and empirical Bayes methods, 2004, section 6.2). The p value is right whatever the statistic: how
soon a change is found depends on it. For the same reason values that are far from all others of
their row are drawn nearer: one that something stood in the way of would hide a change elsewhere.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

ORDERS = 1999
"""How many orders of the columns are drawn where there are too many to try them all."""
_ALL_UP_TO = 7  # columns: 5040 orders
_LEAST_SD = 0.02
_FAR = 6.0  # robust standard deviations from the median
_FEW_ROWS = 4  # too few to tell how alike their variances are
_FEW_DF, _MOST_DF = 1.0, 30.0
_CHUNK = 64


@dataclass(frozen=True, slots=True)
class Row:
    """What the test says of one row.

    Attributes:
        last: how many values at its end differ most from those before; 0 where it is too short.
        before: how many those are.
        shift: mean of the last ones less the mean of those before.
        t: the moderated statistic.
        p: adjusted for all rows and splits; 1 where the row is too short.
    """

    last: int
    before: int
    shift: float
    t: float
    p: float


def least_columns(alpha: float) -> int:
    """The least number of values with which a row can be significant at ``alpha`` at all.

    With ``n`` values, a split off of ``m`` has at least the probability 1/C(n, m).
    """
    return next(n for n in itertools.count(2) if any(_splits(n, alpha)))


def _splits(values: int, alpha: float) -> list[bool]:
    """For m = 1, 2, …: whether a split of the last ``m`` of ``values`` is tried.

    Not one alone, as that may be an accident; not more than half, as a change that is older is no
    news; and none that could never be significant, as it would only make the others less so.
    """
    return [
        2 <= m <= values // 2 and 1 / math.comb(values, m) <= alpha
        for m in range(1, max(values, 1))
    ]


def larger_at_end(
    values: Floats, alpha: float, *, seed: int = 1, orders: int = ORDERS
) -> list[Row]:
    """Test every row of ``values``, shape (rows, columns); NaN where there is no value.

    Args:
        alpha: the probability of any false alarm, over all rows.
        seed: of the orders that are drawn; all of them are tried where there are few.
    """
    rows, columns = values.shape
    if not rows or not columns:
        return [_NOTHING] * rows
    table = _Table(np.array([_nearer(row) for row in values]), alpha)
    own_t, own_last = table.best(np.arange(columns)[None, :])
    t, last = own_t[0], own_last[0]
    order = np.argsort(-t, kind="stable")
    # For the k-th largest row: how often the largest of it and all smaller ones is as large.
    reached, tried = np.zeros(rows), 0
    for chunk in _orders(columns, orders, seed):
        others, _ = table.best(chunk)
        sorted_ = others[:, order]
        largest = np.maximum.accumulate(sorted_[:, ::-1], axis=1)[:, ::-1]
        reached += (largest >= t[order] - 1e-9).sum(axis=0)
        tried += len(chunk)
    if columns > _ALL_UP_TO:
        reached, tried = reached + 1, tried + 1  # the order that was seen is one of them
    adjusted = np.empty(rows)
    adjusted[order] = np.minimum(np.maximum.accumulate(reached / tried), 1.0)
    return [
        Row(int(m), table.counts[row] - int(m), _shift(values[row], int(m)), float(t[row]),
            float(adjusted[row]))
        if m
        else _NOTHING
        for row, m in enumerate(last)
    ]  # fmt: skip


_NOTHING = Row(0, 0, 0.0, -math.inf, 1.0)


def _orders(columns: int, orders: int, seed: int) -> Iterator[npt.NDArray[np.intp]]:
    """Orders of the columns in chunks: all of them where there are few, else random ones."""
    if columns <= _ALL_UP_TO:
        every = itertools.permutations(range(columns))
        while chunk := list(itertools.islice(every, _CHUNK)):
            yield np.array(chunk, dtype=np.intp)
        return
    rng = np.random.default_rng(seed)
    for start in range(0, orders, _CHUNK):
        size = min(_CHUNK, orders - start)
        yield rng.permuted(np.tile(np.arange(columns), (size, 1)), axis=1)


class _Table:
    """What of a table does not depend on the order of its columns, and its statistic for one."""

    def __init__(self, values: Floats, alpha: float) -> None:
        self._there = np.isfinite(values)
        self.counts: list[int] = [int(n) for n in self._there.sum(axis=1)]
        n = self._there.sum(axis=1).astype(float)
        filled = np.where(self._there, values, 0.0)
        mean = filled.sum(axis=1) / np.maximum(n, 1)
        # Centred: sums of squares of what is far from zero would lose digits.
        self._values = np.where(self._there, values - mean[:, None], 0.0)
        self._n = n
        self._squares = (self._values**2).sum(axis=1)
        columns = values.shape[1]
        self._allowed = np.zeros((len(n), columns), dtype=bool)
        for row, count in enumerate(self.counts):
            own = _splits(count, alpha)
            self._allowed[row, : len(own)] = own
        self._prior, self._prior_df = _prior(self._squares, n)

    def best(self, orders: npt.NDArray[np.intp]) -> tuple[Floats, npt.NDArray[np.intp]]:
        """(largest t, its split) of every row with the columns in each of ``orders``.

        Both of shape (orders, rows); -inf and 0 for a row without an allowed split.
        """
        columns = orders.shape[1]
        values = np.swapaxes(self._values[:, orders], 0, 1)
        there = np.swapaxes(self._there[:, orders], 0, 1)
        from_end = np.cumsum(values[:, :, ::-1], axis=2)
        rank = np.cumsum(there[:, :, ::-1], axis=2)
        # sums[..., m-1]: of the last m values that are there.
        sums = np.zeros((*values.shape[:2], columns + 1))
        at = np.where(there[:, :, ::-1], rank - 1, columns)
        np.put_along_axis(sums, at, from_end, axis=2)
        t = self._t(sums[:, :, :columns])
        best = t.argmax(axis=2)
        largest = np.take_along_axis(t, best[:, :, None], axis=2)[:, :, 0]
        return largest, np.where(np.isfinite(largest), best + 1, 0)

    def _t(self, sums: Floats) -> Floats:
        m = np.arange(1, sums.shape[2] + 1, dtype=float)
        n = self._n[:, None]
        allowed = self._allowed
        rest = np.where(allowed, n - m, 1.0)
        # The values are centred: what lies before sums up to the opposite.
        shift = sums / m + sums / rest
        between = shift**2 * m * rest / np.where(allowed, n, 1.0)
        within = np.maximum(self._squares[:, None] - between, 0.0)
        df = np.maximum(n - 2, 0.0)
        variance = (self._prior_df * self._prior + within) / (self._prior_df + df)
        t = shift / np.sqrt(np.maximum(variance, _LEAST_SD**2) * (1 / m + 1 / rest))
        return np.where(allowed, t, -np.inf)


def _shift(values: Floats, last: int) -> float:
    """Mean of the last values that are there less the mean of those before."""
    own = values[np.isfinite(values)]
    return float(own[-last:].mean() - own[:-last].mean())


def _nearer(values: Floats) -> Floats:
    """A row whose values are at most so many robust standard deviations from its median.

    By the median absolute deviation, which no order changes.
    """
    there = values[np.isfinite(values)]
    if len(there) < 3:
        return values
    middle = np.median(there)
    most = _FAR * max(1.4826 * float(np.median(np.abs(there - middle))), _LEAST_SD)
    return np.clip(values, middle - most, middle + most)


def _prior(squares: Floats, counts: Floats) -> tuple[float, float]:
    """(variance that all rows have in common, how many values it counts as much as).

    From each row's variance over all its values, whatever their order: so the p value stays right.

    Args:
        squares: sums of squared deviations from each row's mean, shape (rows,).
        counts: of values, same shape.
    """
    some = (counts >= 3) & (squares > 0)
    df = counts[some] - 1
    variances = np.maximum(squares[some] / df, _LEAST_SD**2)
    if len(variances) < _FEW_ROWS:
        return (float(np.median(variances)) if len(variances) else _LEAST_SD**2), _FEW_DF
    logs = np.log(variances) - _each(_digamma, df / 2) + np.log(df / 2)
    more = float(logs.var(ddof=1) - _each(_trigamma, df / 2).mean())
    prior_df = min(2 * _inverse_trigamma(more), _MOST_DF) if more > 0 else _MOST_DF
    common = logs.mean() + _digamma(prior_df / 2) - math.log(prior_df / 2)
    return float(np.exp(common)), prior_df


def _each(function: Callable[[float], float], values: Floats) -> Floats:
    return np.array([function(float(value)) for value in values])


def _digamma(x: float) -> float:
    """The derivative of log Γ, for x > 0: recurrence, then its asymptotic series."""
    below = 0.0
    while x < 8:
        below += 1 / x
        x += 1
    return math.log(x) - 1 / (2 * x) - 1 / (12 * x**2) + 1 / (120 * x**4) - 1 / (252 * x**6) - below


def _trigamma(x: float) -> float:
    """The second derivative of log Γ, for x > 0."""
    below = 0.0
    while x < 8:
        below += 1 / x**2
        x += 1
    return below + 1 / x + 1 / (2 * x**2) + 1 / (6 * x**3) - 1 / (30 * x**5) + 1 / (42 * x**7)


def _inverse_trigamma(y: float) -> float:
    """x with trigamma(x) = y, for y > 0, by bisection: it falls from infinity to 0."""
    low, high = 1e-3, 1e3
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _trigamma(middle) > y else (low, middle)
    return math.sqrt(low * high)
