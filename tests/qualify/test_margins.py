"""Margins: what is allowed against what was measured, and when that is too little."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from harness.evidence.model import Evidence
from harness.qualify.margins import (
    NO_TIMEOUT,
    REQUIRED,
    TIMEOUTS,
    Seen,
    margins,
    measured,
    objections,
)
from harness.qualify.measuring import Took
from harness.timing import KVM, TCG, Timing
from tests.qualify.build import saved, timed

if TYPE_CHECKING:
    from pathlib import Path

    from harness.report.qualified import Margin

START, TOKEN, PING = "start", "Corosync's token", "DRBD's keep-alive"
BOUND = "a scenario's bound on the stall"


def seen_with(name: str, *took: Took) -> Seen:
    """All that the scenarios have, within their limits, but for one class."""
    fine = {one.name: [Took(1.0, "s", allowed_s=None if one.of else 15.0)]
            for one in TIMEOUTS if one.wanted}  # fmt: skip
    return Seen(fine | {name: list(took)}, unbroken_s=600.0)


def of(name: str, seen: Seen, timing: Timing = TCG) -> Margin:
    (found,) = [one for one in margins(seen, timing) if one.name == name]
    return found


def test_every_field_of_the_profile_has_a_class_or_a_reason() -> None:
    classes = {one.of for one in TIMEOUTS if one.of}
    assert classes | set(NO_TIMEOUT) == set(Timing.model_fields)
    assert not classes & set(NO_TIMEOUT)
    assert len({one.name for one in TIMEOUTS}) == len(TIMEOUTS)
    assert all(one.why_not for one in TIMEOUTS if not one.wanted and not one.late_only)


def test_units_are_seconds() -> None:
    allowed = {one.name: one.allowed_s(TCG) for one in TIMEOUTS}
    assert allowed[TOKEN] == pytest.approx(3.0)
    assert allowed[PING] == pytest.approx(2.0)
    assert allowed[START] == 90.0
    assert allowed[BOUND] is None


def test_all_of_a_scenario_is_measured(tmp_path: Path) -> None:
    seen = measured([Evidence(saved(timed(), tmp_path))])
    found = {one.name: one for one in margins(seen, TCG)}
    # 35 s in which nothing was broken are too few to call silence good.
    assert [one.name for one in found.values() if one.bad] == [TOKEN, PING]
    seen.unbroken_s = 120.0
    found = {one.name: one for one in margins(seen, TCG)}
    assert objections(found.values()) == []
    assert found[START].margin == 30.0
    assert (found[START].measured_s, found[START].count) == (3.0, 1)
    assert found["the session comes back"].margin == pytest.approx(420 / 13, abs=0.01)
    assert found["a machine boots"].margin == 6.0
    assert found[BOUND].margin == 30 / 16
    assert found[TOKEN].outcome == "silent"
    assert found["forming the cluster"].outcome == "not measured"
    assert seen.failover == {"detected": 6.5, "promoted": 3.0}


def test_the_longest_counts() -> None:
    found = of(START, seen_with(START, Took(3, "a"), Took(30, "b:7"), Took(20, "c")))
    assert (found.margin, found.count, found.where, found.outcome) == (3.0, 3, "b:7", "enough")
    assert "3 times, at worst 30.0 s of 90.0 s" in found.said


@pytest.mark.parametrize(
    ("seconds", "outcome"),
    [(90 / REQUIRED, "enough"), (90 / REQUIRED + 0.1, "small"), (89, "small"), (200, "small")],
)
def test_a_margin_that_is_too_small_is_told(seconds: float, outcome: str) -> None:
    found = margins(seen_with(START, Took(seconds, "s:1")), TCG)
    (start,) = [one for one in found if one.name == START]
    assert start.outcome == outcome
    told = objections(found)
    assert bool(told) is (outcome == "small")
    if told:
        assert told[0].startswith("start: 1 time, at worst")
        assert "at least 1.70 is wanted (s:1)" in told[0]


def test_the_same_measure_may_be_enough_with_another_profile() -> None:
    seen = seen_with(START, Took(40, "s"))
    assert of(START, seen, TCG).outcome == "enough"
    assert of(START, seen, KVM).outcome == "small"


def test_what_ran_out_is_worse_than_what_took_longer() -> None:
    found = of(START, seen_with(START, Took(40, "long"), Took(20, "cut", over=True)))
    assert (found.outcome, found.margin, found.where) == ("ran out", None, "cut")
    assert found.bad


def test_each_scenario_has_its_own_bound() -> None:
    found = of(BOUND, seen_with(BOUND, Took(90, "a", allowed_s=180), Took(10, "b", allowed_s=15)))
    assert (found.where, found.margin, found.outcome) == ("b", 1.5, "small")


def test_a_token_that_was_late_is_too_late_and_silence_is_good() -> None:
    late = of(TOKEN, seen_with(TOKEN, Took(2.25, "s:9")))
    assert late.outcome == "small"
    assert late.margin == 1.333
    assert "more than 1.33 is wanted" in late.said
    silent = of(TOKEN, seen_with(TOKEN))
    assert (silent.outcome, silent.margin, silent.measured_s) == ("silent", 1.333, None)
    assert "in 600 s in which nothing was broken" in silent.said


def test_silence_of_what_the_scenarios_have_is_an_objection() -> None:
    found = of(START, seen_with(START))
    assert found.outcome == "missing"
    assert found.bad
    nothing = margins(Seen(), TCG)
    assert {one.name for one in nothing if not one.bad} == {
        one.name for one in TIMEOUTS if not one.wanted and not one.late_only
    }


def test_what_nobody_measures_is_no_objection_and_says_why() -> None:
    found = [one for one in margins(seen_with(START, Took(1, "s")), TCG) if not one.count]
    told = {one.name: one.said for one in found if one.outcome == "not measured"}
    assert "only the sum of them is told" in told["forming the cluster"]
    assert len(told) == 4
    reboots = "a node reboots cleanly"
    assert reboots in told
    assert of(reboots, seen_with(reboots, Took(100, "s"))).margin == 3.0


def test_a_class_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TIMEOUTS[0].name = "x"  # type: ignore[misc]
