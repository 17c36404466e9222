"""Longer blackouts: what is named, from what to what, and what is not."""

from __future__ import annotations

import numpy as np
import pytest

from harness.report.trend.slower import ALL, LEAST_RUNS, WINDOW, longer, windowed
from tests.trend.build import noisy_stalls

NAMES = [f"s{number}" for number in range(16)]


@pytest.mark.parametrize("seed", range(6))
def test_ten_unchanged_runs_flag_nothing(seed: int) -> None:
    assert longer(NAMES, noisy_stalls(16, 10, seed)) == []


@pytest.mark.parametrize("slow", [3, 5])
def test_a_quarter_longer_is_named_with_its_moment(slow: int) -> None:
    seconds = noisy_stalls(16, 10, seed=1)
    seconds[9, -slow:] *= 1.25
    (found,) = longer(NAMES, seconds)
    assert found.name == "s9"
    assert (found.since, found.runs, found.earlier) == (10 - slow, slow, 10 - slow)
    assert found.before_s == pytest.approx(np.exp(np.log(seconds[9, :-slow]).mean()))
    assert found.ratio == pytest.approx(1.25, abs=0.12)
    assert 0 < found.p <= 0.05


def test_a_busy_host_is_said_once() -> None:
    seconds = noisy_stalls(16, 10, seed=1, spread=0.04)
    seconds[:, -4:] *= 1.3
    (found,) = longer(NAMES, seconds)
    assert found.name == ALL
    assert found.since == 6
    assert found.ratio == pytest.approx(1.3, abs=0.1)


def test_a_busy_host_does_not_hide_what_one_has_of_its_own() -> None:
    quiet = noisy_stalls(16, 10, seed=1, spread=0.04)
    busy = quiet * np.exp(0.15 * np.random.default_rng(2).standard_normal(10))
    busy[4, 6:] *= 1.4
    assert [one.name for one in longer(NAMES, busy)] == ["s4"]


def test_one_that_hardly_changes_while_all_others_become_quicker_is_not_longer() -> None:
    seconds = noisy_stalls(16, 10, seed=1, spread=0.03)
    seconds[4] *= 100 / seconds[4].mean()
    seconds[:, -4:] /= 1.3
    seconds[4, -4:] *= 1.3 * 1.03
    assert longer(NAMES, seconds) == []


def test_too_few_runs_claim_nothing() -> None:
    seconds = noisy_stalls(16, LEAST_RUNS - 1, seed=1, spread=0.01)
    seconds[9, -2:] *= 3
    assert longer(NAMES, seconds) == []


def test_less_than_a_tenth_is_not_told_however_sure() -> None:
    seconds = noisy_stalls(16, 10, seed=1, spread=0.001)
    seconds[9, -5:] *= 1.09
    assert longer(NAMES, seconds) == []
    seconds[9, -5:] *= 1.12 / 1.09
    assert [one.name for one in longer(NAMES, seconds)] == ["s9"]


def test_what_a_log_may_be_late_by_is_not_told() -> None:
    seconds = noisy_stalls(16, 10, seed=1, spread=0.01)
    seconds[9] *= 0.3 / seconds[9].mean()
    seconds[9, -5:] *= 1.5
    assert longer(NAMES, seconds) == []
    seconds[9, -5:] *= 2
    assert [one.name for one in longer(NAMES, seconds)] == ["s9"]


def test_nothing_of_a_scenario_that_was_not_run_lately() -> None:
    seconds = noisy_stalls(16, 12, seed=1)
    seconds[9, 5:] = np.nan
    assert longer(NAMES, seconds) == []
    assert longer([], np.empty((0, 0))) == []


def test_only_the_last_results_are_looked_at() -> None:
    seconds = np.arange(1.0, 2 * WINDOW + 1)[None, :].repeat(2, axis=0)
    seconds[1, ::2] = 0.0  # no stall is not a stall of no length: it has no logarithm
    own = windowed(seconds)
    assert np.isfinite(own).sum(axis=1).tolist() == [WINDOW, WINDOW]
    assert not np.isfinite(own[0, :-WINDOW]).any()
    assert np.nanmin(own[1]) == 2.0
