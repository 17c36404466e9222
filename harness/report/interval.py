"""The median of few values and how far it can be trusted, without any assumption on their shape.

The interval is that of order statistics: how many of n values lie below the median of what they
were drawn from is binomial with p = 1/2, so that the k-th smallest and the k-th largest value
enclose that median with probability 1 - 2 P(B < k) (e.g. Hahn and Meeker, Statistical Intervals,
5.2). With five values or less no two of them do so with 95 %: then there is no interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95
LEAST = 6
"""As many values as it takes: 1 - 2 · 0.5⁶ = 96.9 %."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Values in a few numbers, in their own unit.

    Attributes:
        low, high: ends of the interval of the median; None with fewer than LEAST values.
        coverage: its probability, at least CONFIDENCE; 0 without one.
    """

    n: int
    median: float
    smallest: float
    largest: float
    low: float | None
    high: float | None
    coverage: float


def spread(values: Sequence[float]) -> Spread | None:
    """The spread of finite values; None of none."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n = len(ordered)
    if not n:
        return None
    low = high = None
    rank, coverage = _rank(n)
    if rank:
        low, high = float(ordered[rank - 1]), float(ordered[n - rank])
    return Spread(
        n, float(np.median(ordered)), float(ordered[0]), float(ordered[-1]), low, high, coverage
    )


def _rank(n: int) -> tuple[int, float]:
    """(k, coverage): the k-th smallest and largest of n enclose the median; k is 0 if none do."""
    best, coverage = 0, 0.0
    below = 0.0  # P(B < k)
    for k in range(1, n // 2 + 1):
        # In logarithms: 0.5**n of many values is 0.
        log = math.lgamma(n + 1) - math.lgamma(k) - math.lgamma(n - k + 2) - n * math.log(2)
        below += math.exp(log)
        if 1 - 2 * below < CONFIDENCE:
            break
        best, coverage = k, 1 - 2 * below
    return best, coverage
