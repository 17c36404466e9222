"""The permutation test: the same p values as counting all orders by hand, and no more alarms."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.report.trend import permutation
from harness.report.trend.permutation import Row, larger_at_end, least_columns

Table = list[list[float]]


def drawn_nearer(row: list[float]) -> list[float]:
    """Nothing farther from the median than six robust standard deviations."""
    there = [value for value in row if not math.isnan(value)]
    if len(there) < 3:
        return row
    middle = statistics.median(there)
    most = 6 * max(1.4826 * statistics.median(abs(value - middle) for value in there), 0.02)
    # min() and max() keep what is missing only where it is their first argument.
    return [max(min(value, middle + most), middle - most) for value in row]


def by_hand(table: Table, alpha: float) -> list[float]:
    """Adjusted p values of up to three rows, by counting: plain Python, one order at a time."""
    columns = len(table[0])
    table = [drawn_nearer(row) for row in table]
    rows = [[value for value in row if not math.isnan(value)] for row in table]
    variances = [
        max(statistics.variance(row), 0.02**2)
        for row in rows
        if len(row) >= 3 and len(set(row)) > 1
    ]
    prior = statistics.median(variances) if variances else 0.02**2

    def largest(row: list[float]) -> float:
        n, best = len(row), -math.inf
        for m in range(2, n // 2 + 1):
            if 1 / math.comb(n, m) > alpha:
                continue
            old, new = row[: n - m], row[n - m :]
            shift = statistics.fmean(new) - statistics.fmean(old)
            within = sum(
                (value - statistics.fmean(part)) ** 2 for part in (old, new) for value in part
            )
            variance = max((prior + within) / (1 + n - 2), 0.02**2)
            best = max(best, shift / math.sqrt(variance * (1 / m + 1 / (n - m))))
        return best

    def ordered(order: tuple[int, ...]) -> list[float]:
        return [largest([row[i] for i in order if not math.isnan(row[i])]) for row in table]

    seen = ordered(tuple(range(columns)))
    every = [ordered(order) for order in itertools.permutations(range(columns))]
    by_size = sorted(range(len(table)), key=lambda i: -seen[i])
    adjusted = [1.0] * len(table)
    so_far = 0.0
    for rank, row in enumerate(by_size):
        rest = by_size[rank:]
        share = sum(max(t[i] for i in rest) >= seen[row] - 1e-9 for t in every) / len(every)
        so_far = max(so_far, share)
        if seen[row] > -math.inf:
            adjusted[row] = so_far
    return adjusted


@pytest.mark.parametrize("seed", range(4))
def test_as_counted_by_hand(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = 3 + rng.standard_normal((3, 6))
    table[0, 4:] += 3.0
    found = larger_at_end(table, 0.2)
    assert [row.p for row in found] == pytest.approx(by_hand(table.tolist(), 0.2))
    assert found[0].p < 0.2


def test_as_counted_by_hand_with_gaps() -> None:
    table = np.array([[1.0, 2.0, np.nan, 1.5, 4.0, 4.2], [3.0, np.nan, np.nan, 3.1, 2.9, 3.3]])
    found = larger_at_end(table, 0.25)
    assert [row.p for row in found] == pytest.approx(by_hand(table.tolist(), 0.25))
    assert (found[0].last, found[0].before) == (2, 3)
    assert found[0].shift == pytest.approx(4.1 - 1.5)


def test_drawn_orders_come_close_to_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.random.default_rng(5).standard_normal((3, 7))
    table[1, 5:] += 1.5
    exact = larger_at_end(table, 0.2)
    monkeypatch.setattr(permutation, "_ALL_UP_TO", 3)
    drawn = larger_at_end(table, 0.2, orders=4000)
    assert [row.p for row in drawn] == pytest.approx([row.p for row in exact], abs=0.03)
    assert drawn == larger_at_end(table, 0.2, orders=4000), "the same orders each time"


def test_the_right_row_and_moment() -> None:
    table = 0.05 * np.random.default_rng(1).standard_normal((12, 12))
    table[7, 8:] += 0.3
    found = larger_at_end(table, 0.05)
    assert [n for n, row in enumerate(found) if row.p <= 0.05] == [7]
    assert (found[7].last, found[7].before) == (4, 8)


def test_smaller_is_not_larger() -> None:
    table = 0.05 * np.random.default_rng(1).standard_normal((6, 12))
    table[2, 8:] -= 0.5
    assert larger_at_end(table, 0.05)[2].p > 0.9


def test_one_outlier_at_the_end_is_no_change() -> None:
    table = 0.05 * np.random.default_rng(2).standard_normal((6, 10))
    table[3, -1] += 2.0
    assert min(row.p for row in larger_at_end(table, 0.05)) > 0.05


def test_what_is_too_short_or_always_the_same() -> None:
    table = np.full((3, 8), np.nan)
    table[0, 5:] = 1.0, 2.0, 9.0
    table[1] = 4.0
    short, same, empty = larger_at_end(table, 0.05)
    assert (short, empty) == (Row(0, 0, 0.0, -math.inf, 1.0),) * 2
    assert (same.shift, same.p) == (0.0, 1.0)
    assert larger_at_end(np.empty((0, 5)), 0.05) == []
    assert larger_at_end(np.empty((2, 0)), 0.05) == [empty, empty]


def test_the_least_number_of_columns() -> None:
    # C(5, 2) = 10 orders of a split at most, C(6, 3) = 20.
    assert least_columns(0.05) == 6
    assert least_columns(0.2) == 4
    rising = np.arange(5.0)[None, :]
    assert larger_at_end(rising, 0.05)[0].p == 1.0


def test_false_alarms_are_as_rare_as_was_asked() -> None:
    """Rows of very different spread, which share a good part of it."""
    rng = np.random.default_rng(11)
    spread = np.exp(rng.uniform(np.log(0.02), np.log(0.4), 15))[:, None]
    alarms = sum(
        min(
            row.p
            for row in larger_at_end(
                spread * (rng.standard_normal((15, 9)) + rng.standard_normal(9)), 0.1, orders=199
            )
        )
        <= 0.1
        for _ in range(200)
    )
    # Of 200 at 10 %, 33 or more come about once in a thousand times.
    assert alarms <= 33


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.one_of(st.just(math.nan), st.floats(-9, 9)), min_size=9, max_size=9),
        min_size=1,
        max_size=6,
    )
)
def test_any_table(table: Table) -> None:
    found = larger_at_end(np.array(table), 0.05, orders=99)
    for values, row in zip(table, found, strict=True):
        there = [value for value in values if not math.isnan(value)]
        assert 0 < row.p <= 1
        assert (row.last == 0) == (len(there) < 6)
        if row.last:
            assert row.last + row.before == len(there)
            told = statistics.fmean(there[-row.last :]) - statistics.fmean(there[: -row.last])
            assert row.shift == pytest.approx(told, abs=1e-9)


def test_the_gamma_functions() -> None:
    # Abramowitz and Stegun, 6.3.2 and 6.4.
    assert permutation._digamma(1) == pytest.approx(-0.57721566490)
    assert permutation._trigamma(1) == pytest.approx(math.pi**2 / 6)
    assert permutation._trigamma(0.5) == pytest.approx(math.pi**2 / 2)
    assert permutation._inverse_trigamma(permutation._trigamma(2.5)) == pytest.approx(2.5)
