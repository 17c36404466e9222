"""What scenarios say, as they are here and as evidence has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.evidence.files import read_json, write_json
from harness.lab.paths import PROJECT, Cache
from harness.report.texts import Text, name_of_example, reads_otherwise, text_of, texts_in
from harness.running import scenario_names
from harness.session import RunOptions

FEATURE = """@theme-links
Feature: Links

  Background:
    Given the healthy cluster

  @short
  Scenario: Left alone
    When nothing happens

  Scenario Outline: Cut
    When the <link> link is cut <how>

    Examples:
      | link | how      |
      | data | silently |
      | drbd | by hand  |
"""
SHORT = Text(
    ("Given the healthy cluster", "When nothing happens"), frozenset({"theme-links", "short"})
)


@pytest.fixture
def here(tmp_path: Path) -> dict[str, Text]:
    """The scenarios of that feature."""
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "links.feature").write_text(FEATURE)
    return texts_in(tmp_path / "features")


def test_each_scenario_and_each_example_has_its_text(here: dict[str, Text]) -> None:
    tags = frozenset({"theme-links"})
    assert here == {
        "Left alone": SHORT,
        "Cut [data, silently]": Text(
            ("Given the healthy cluster", "When the data link is cut silently"), tags
        ),
        "Cut [drbd, by hand]": Text(
            ("Given the healthy cluster", "When the drbd link is cut by hand"), tags
        ),
    }


def test_the_names_are_those_by_which_scenarios_run() -> None:
    options = RunOptions(cache=Cache(Path("/nonexistent")), everything=True)
    assert set(texts_in(PROJECT / "features")) == set(
        scenario_names(options, PROJECT / "scenarios")
    )


@pytest.mark.parametrize(
    ("change", "otherwise"),
    [
        ({}, False),
        ({"feature": "Renamed", "started_ns": 7}, False),
        ({"gherkin": ["Given the healthy cluster", "When little happens"]}, True),
        ({"gherkin": ["Given the healthy cluster"]}, True),
        ({"tags": ["short"]}, True),
        ({"name": "Left together"}, True),
        ({"gherkin": None}, True),
        ({"tags": 7}, True),
    ],
)
def test_evidence_is_of_a_scenario_that_reads_alike(
    here: dict[str, Text], tmp_path: Path, change: dict[str, object], *, otherwise: bool
) -> None:
    told = {"name": "Left alone", "gherkin": list(SHORT.steps), "tags": ["short", "theme-links"]}
    write_json(tmp_path / "scenario.json", told | change)
    assert reads_otherwise(tmp_path, here) is otherwise


def test_evidence_without_a_scenario_is_of_none(here: dict[str, Text], tmp_path: Path) -> None:
    assert text_of(read_json(tmp_path / "scenario.json")) is None
    assert reads_otherwise(tmp_path, here)


@pytest.mark.parametrize(
    ("values", "name"),
    [((), "A cut"), (("by carrier",), "A cut [by carrier]"), (("5", 3), "A cut [5, 3]")],
)
def test_an_example_is_named_after_its_values(values: tuple[object, ...], name: str) -> None:
    assert name_of_example("A cut", values) == name
