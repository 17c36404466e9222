"""Failover times of a run: the interval of their median, and their phases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.checks.phases import Phase
from harness.report.blackouts import blackouts
from harness.report.interval import CONFIDENCE, LEAST, spread
from harness.report.load import load_run
from tests.report import scenes
from tests.report.build import at
from tests.report.pages import page_of, scene_of

if TYPE_CHECKING:
    from pathlib import Path


# Ranks from tables of the sign test's interval (e.g. Conover, table A3 with p = 0.5).
@pytest.mark.parametrize(
    ("n", "rank", "coverage"),
    [(6, 1, 0.9688), (8, 1, 0.9922), (9, 2, 0.9609), (10, 2, 0.9785), (20, 6, 0.9586),
     (100, 40, 0.9648)],
)  # fmt: skip
def test_the_interval_of_a_median(n: int, rank: int, coverage: float) -> None:
    told = spread(range(1, n + 1))
    assert told is not None
    assert (told.low, told.high) == (rank, n + 1 - rank)
    assert told.coverage == pytest.approx(coverage, abs=5e-5)


def test_too_few_have_none() -> None:
    for n in range(1, LEAST):
        told = spread([1.0] * n)
        assert told is not None
        assert (told.n, told.low, told.high, told.coverage) == (n, None, None, 0)
    assert spread([]) is None


def test_it_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(2000):
        told = spread(rng.exponential(1.0, 12).tolist())
        assert told is not None
        assert told.low is not None
        assert told.high is not None
        hits += told.low <= np.log(2) <= told.high
    assert CONFIDENCE - 0.02 < hits / 2000 < 0.98


def test_many_do_not_overflow() -> None:
    assert spread(range(5000)) is not None


def failover(start: float, *seconds: float, **more: Any) -> dict[str, Any]:
    phases = {str(p): s for p, s in zip(Phase, seconds, strict=False)}
    told = {"old": "alpha", "new": "bravo", "start_ns": at(start),
            "end_ns": at(start + sum(seconds)), "uncertainty_s": 0.5, "phases": phases}  # fmt: skip
    return told | more


def with_failovers(run: Path, slug: str, *told: Any) -> None:
    folder = scenes.power_off(run, slug, writes=300)
    details = {"failovers": list(told)}
    folder.check("failover-phases", "Every phase of the failover is told", details=details)
    folder.save()


def test_phases_add_up_and_are_shown(run: Path) -> None:
    with_failovers(run, "one", failover(0, 0.2, 6.8, 12, 7, 25, 2, 0.6))
    (loaded,) = load_run(run).scenarios
    (blackout,) = blackouts(loaded)
    assert [one.phase for one in blackout.phases] == list(Phase)
    assert sum(one.seconds for one in blackout.phases) == pytest.approx(blackout.seconds)
    index, _ = page_of(run)
    assert "There is no interval: 1 failover, and it takes 6" in index
    assert "median 53.6 s" in index
    text, page = scene_of(run, "one")
    assert "Blackout of 53.6 s: alpha to bravo, +0.0 s to +53.6 s" in text
    assert [one["letter"] for one in page.json["blackouts"][0]] == list("BDFPTSA")


def test_six_make_an_interval(run: Path) -> None:
    for n in range(3):
        with_failovers(run, f"s{n}", failover(0, 0, 50 + n), failover(90, 0, 60 + n))
    index, _ = page_of(run)
    assert "median 56.0 s (95 %: 50.0 s to 62.0 s), longest 62.0 s, of 6 failovers" in index
    assert "96.9 %" in index


def test_a_failover_that_was_not_measured_is_said_to_be_missing(run: Path) -> None:
    scenes.power_off(run, writes=300).save()
    assert "No blackout was measured, though 1 scenario expected a failover" in page_of(run)[0]
    with_failovers(run, "one", failover(0, 0, 50))
    assert "1 scenario in which a failover was expected tells no blackout" in page_of(run)[0]


@pytest.mark.parametrize(
    "told",
    ["x", None, {}, failover(0, 1, start_ns="1"), failover(0, 1, end_ns=1 << 70),
     failover(5, 1, end_ns=at(0)), failover(0, 1, start_ns=True)],
)  # fmt: skip
def test_what_is_no_failover_is_none(run: Path, told: Any) -> None:
    with_failovers(run, "one", told)
    (loaded,) = load_run(run).scenarios
    assert blackouts(loaded) == []
    page_of(run)


def test_phases_that_cannot_be_are_left_out(run: Path) -> None:
    phases = {"detected": -1, "fenced": float("nan"), "promoted": "7", "session back": 1e12,
              "no phase": 3}  # fmt: skip
    with_failovers(run, "one", failover(0, 0, 50, phases=phases))
    (loaded,) = load_run(run).scenarios
    (blackout,) = blackouts(loaded)
    assert [str(one.phase) for one in blackout.phases] == ["session back"]
    assert blackout.phases[0].seconds == pytest.approx(50)
    page_of(run)
