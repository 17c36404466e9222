"""The catalogue and the features say the same: every row is tried, every scenario has its place."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from pytest_bdd.feature import get_features

from harness.lab.paths import PROJECT

if TYPE_CHECKING:
    from pytest_bdd.parser import ScenarioTemplate

ROWS = range(1, 49)
THEMES = {
    "links", "power", "storage", "node", "daemons", "fencing", "recovery", "maintenance", "control",
}  # fmt: skip
LENGTHS = {"short": 180, "medium": 360, "long": 3600}
# Tags that the page shows beside the row.
SHOWN = re.compile(r"theme-.*|needs-.*|short|medium|long|seed|nightly|smoke")
_EXPECTED = re.compile(
    r"(at most )?(\d+) failovers?, (at most )?(\d+) fencings? and no stall above (\d+) s "
    r"\((\d+) s with KVM\) are expected"
)


@dataclass(frozen=True)
class Entry:
    """One line of the page."""

    row: str
    scenario: str
    failovers: str
    fencings: str
    stall: str
    tags: frozenset[str]


def page() -> list[Entry]:
    entries = []
    for line in (PROJECT / "docs/catalogue.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) in (7, 8) and (cells[0].isdecimal() or cells[0] == "extra"):
            scenario, failovers, fencings, stall, tags = cells[-5:]
            entries.append(
                Entry(cells[0], scenario, failovers, fencings, stall, frozenset(tags.split()))
            )
    return entries


def scenarios() -> dict[str, tuple[ScenarioTemplate, frozenset[str]]]:
    found = {}
    for feature in get_features([str(PROJECT / "features")]):
        for scenario in feature.scenarios.values():
            assert scenario.name not in found, "two scenarios of one name"
            found[scenario.name] = (scenario, frozenset(feature.tags | scenario.tags))
    return found


WRITTEN, PAGE = scenarios(), page()


def test_every_row_has_a_scenario_and_every_scenario_a_place() -> None:
    assert {int(one.row) for one in PAGE if one.row != "extra"} == set(ROWS)
    assert [one.scenario for one in PAGE if one.scenario not in WRITTEN] == []
    assert set(WRITTEN) - {one.scenario for one in PAGE} == set()


def test_rows_come_in_order_and_once() -> None:
    numbers = [int(one.row) for one in PAGE if one.row != "extra"]
    assert numbers == sorted(numbers)
    pairs = [(one.row, one.scenario) for one in PAGE]
    assert len(pairs) == len(set(pairs))
    extra = {one.scenario for one in PAGE if one.row == "extra"}
    assert not extra & {one.scenario for one in PAGE if one.row != "extra"}


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_a_scenario_is_on_the_page_as_it_is_written(name: str) -> None:
    scenario, tags = WRITTEN[name]
    entries = [one for one in PAGE if one.scenario == name]
    steps = "\n".join(step.name for step in scenario.steps)
    match = _EXPECTED.search(steps)
    assert match is not None
    most, failovers, few, fencings, tcg, kvm = match.groups()
    for one in entries:
        assert one.failovers == ("≤ " if most else "") + failovers
        assert one.fencings == ("≤ " if few else "") + fencings
        assert one.stall == f"{tcg} ({kvm})"
        assert one.tags == {tag for tag in tags if SHOWN.fullmatch(tag)}
    rows = {tag.removeprefix("row-") for tag in tags if tag.startswith("row-")}
    assert rows == {one.row for one in entries} - {"extra"}


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_a_scenario_has_one_theme_and_one_length(name: str) -> None:
    _scenario, tags = WRITTEN[name]
    themes = {tag.removeprefix("theme-") for tag in tags if tag.startswith("theme-")}
    assert len(themes) == 1
    assert themes <= THEMES
    assert len(tags & LENGTHS.keys()) == 1
    assert not tags >= {"acceptance", "nightly"}


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_what_needs_nbdkit_says_so(name: str) -> None:
    scenario, tags = WRITTEN[name]
    steps = "\n".join(step.name for step in scenario.steps)
    needs = re.search(r"volatile write cache|returns? errors", steps) is not None
    assert ("needs-nbdkit" in tags) == needs


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_only_what_breaks_nothing_is_a_control(name: str) -> None:
    """A control is left out of a run without injecting: there would be nothing to leave out."""
    scenario, tags = WRITTEN[name]
    breaks = [
        step.name
        for step in scenario.steps
        if step.type == "when" and not re.match(r"the cluster is left alone", step.name)
    ]
    assert ("control" in tags) == (not breaks)


def test_what_was_measured_agrees_with_the_tag() -> None:
    measured = json.loads((PROJECT / "scenarios/durations.json").read_text())["tcg"]
    assert measured
    for name, seconds in measured.items():
        _scenario, tags = WRITTEN[name.split(" [")[0]]
        (length,) = tags & LENGTHS.keys()
        shorter = {"short": 0, "medium": 180, "long": 360}[length]
        assert shorter <= seconds <= LENGTHS[length], name
