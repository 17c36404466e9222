"""Which scenarios fit into a given time: what is due comes first, and nothing is promised twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import BadInputError
from harness.nightly.budget import assumed_s, listed, parse_budget, plan
from harness.nightly.durations import LAB, Durations

if TYPE_CHECKING:
    from pathlib import Path

HOUR_NS = 3_600_000_000_000


def of(*names: str) -> dict[str, str]:
    """Scenarios without a tag of their length."""
    return dict.fromkeys(names, "")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("40m", 2400), ("2h", 7200), ("1h30m", 5400), ("90s", 90), ("45 min", 2700), ("0.5h", 1800)],
)
def test_a_budget_is_a_time(text: str, seconds: float) -> None:
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "40", "soon", "-5m", "0m", "5 years", "1h nothing", "m"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="--budget") as caught:
        parse_budget(text)
    assert "40m" in caught.value.hint


@pytest.fixture
def known(tmp_path: Path) -> Durations:
    """Three scenarios, of which "Never" has not been run, and a lab that is there in 30 s."""
    known = Durations(tmp_path, "tcg")
    known.note(LAB, 30.0, 1)
    known.note("Old", 100.0, 10 * HOUR_NS)
    known.note("New", 200.0, 50 * HOUR_NS)
    known.note("Never", 60.0, 0)
    return known


def test_what_was_not_run_for_longest_comes_first(known: Durations) -> None:
    planned = plan(of("New", "Old", "Never"), known, 1000)
    assert planned.chosen == ("Never", "Old", "New")
    assert planned.left_out == ()


def test_what_does_not_fit_is_left_out_and_a_shorter_one_is_taken(known: Durations) -> None:
    # 30 s for the lab, 60 s and 100 s for the two that are due: 200 s do not fit into the rest.
    assert plan(of("New", "Old", "Never"), known, 240).chosen == ("Never", "Old")
    assert plan(of("New", "Old", "Never"), known, 240).left_out == ("New",)
    known.note("Huge", 900.0, 5 * HOUR_NS)
    planned = plan(of("Huge", "New", "Old", "Never"), known, 400)
    assert planned.chosen == ("Never", "Old", "New")
    assert planned.left_out == ("Huge",)
    assert plan(of("Old"), known, 129).chosen == (), "the lab takes its time as well"


@pytest.mark.parametrize(
    ("length", "emulated", "with_kvm"),
    [("short", 150, 75), ("medium", 270, 135), ("long", 480, 240), ("", 270, 135)],
)
def test_what_nobody_has_measured_is_reckoned_with_by_its_tag(
    known: Durations, tmp_path: Path, length: str, emulated: float, with_kvm: float
) -> None:
    assert assumed_s("Unknown", length, known) == emulated
    assert assumed_s("Unknown", length, Durations(tmp_path, "kvm")) == with_kvm
    assert plan({"Unknown": length}, known, 29 + emulated).chosen == ()
    assert plan({"Unknown": length}, known, 30 + emulated).chosen == ("Unknown",)


@given(
    names=st.lists(st.sampled_from("abcdefgh"), unique=True),
    budget_s=st.integers(1, 4000),
)
def test_a_plan_keeps_to_its_budget_and_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], budget_s: int
) -> None:
    durations = Durations(tmp_path_factory.mktemp("cache"), "tcg")
    planned = plan(of(*names), durations, budget_s)
    assert sorted(planned.chosen + planned.left_out) == sorted(names)
    spent_s = sum(assumed_s(name, "", durations) for name in planned.chosen)
    assert not planned.chosen or spent_s + durations.lab_s() <= budget_s
    for name in planned.left_out:
        assert spent_s + durations.lab_s() + assumed_s(name, "", durations) > budget_s


def test_the_list_says_how_long_each_takes_and_how_it_is_known(known: Durations) -> None:
    known.note("Flaps [1]", 120.0, 90 * HOUR_NS)
    lines = listed(of("Old", "Never", "Unknown", "Flaps [5]"), known, 100 * HOUR_NS)
    assert lines == [
        "   1.7 min    4 d ago  Old",
        "   1.0 min      never  Never",
        "     ? min      never  Unknown",
        "  ~2.0 min      never  Flaps [5]",
        "4 scenarios, about 9 min with emulation (2 measured here; 1 as other examples of it; "
        "1 not known, reckoned by their tags)",
    ]


def test_an_empty_list_is_a_list(known: Durations) -> None:
    assert listed({}, known, 0) == ["0 scenarios, about 0 min with emulation"]
