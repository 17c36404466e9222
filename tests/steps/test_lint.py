"""Features are checked before any lab starts: unknown and ambiguous steps, with file and line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.lab.paths import PROJECT
from harness.steps.examples import lines_of_features
from harness.steps.lint import unused_steps
from tests.inner_pytest import run_inside

if TYPE_CHECKING:
    from collections.abc import Callable

    Lint = Callable[..., tuple[int, str]]

pytest_plugins = ["pytester"]

FEATURES = sorted((PROJECT / "features").glob("*.feature"))

# Whatever is asked for a lab ends here: no test of the lint may start one.
CONFTEST = """
from pathlib import Path

import pytest
from pytest_bdd import given

@pytest.fixture(scope="session")
def lab_session():
    Path("lab-started").write_text("")
    raise AssertionError("a lab was started")
"""


@pytest.fixture
def lint(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Lint:
    """Run a feature file with the plugin; returns pytest's exit code and what it said."""

    def run(feature: str, *arguments: str, conftest: str = "", more: str = "") -> tuple[int, str]:
        monkeypatch.setenv("COLUMNS", "400")
        pytester.makeini("[pytest]\nmarkers =\n    smoke: as in pyproject.toml\n")
        pytester.makeconftest(CONFTEST + conftest)
        pytester.makefile(".feature", story=feature)
        module = f"from pytest_bdd import scenarios\nscenarios('story.feature')\n{more}"
        pytester.makepyfile(test_story=module)
        result = run_inside(pytester, *arguments)
        return int(result.ret), result.stdout.str() + result.stderr.str()

    return run


BAD = """\
Feature: Mistakes
  Background:
    Given the healthy klaster

  Scenario Outline: Some lines are wrong
    Given the healthy cluster
    And 0 failovers, 0 fencings and no stall above 15 s (3 s with KVM) are expected
    When the <who> node loses power
    And charlie loses power
    And the drbd link of both nodes is cut by force for 3 s
    And the drbd link of both nodes is cut silently for a while
    Then there was no split-brain

    Examples:
      | who     |
      | active  |
      | actve   |

  Scenario: Given is not When
    When the healthy cluster
"""


def test_unknown_steps_end_the_run_before_a_lab_starts(lint: Lint) -> None:
    code, said = lint(BAD)
    assert code == pytest.ExitCode.USAGE_ERROR
    found = re.findall(r"story\.feature:(\d+): unknown step: (.*) \(hint: harness steps", said)
    assert sorted(set(found), key=lambda pair: int(pair[0])) == [
        ("3", "Given the healthy klaster"),
        ("8", "When the actve node loses power"),
        ("9", "And charlie loses power"),
        ("10", "And the drbd link of both nodes is cut by force for 3 s"),
        ("11", "And the drbd link of both nodes is cut silently for a while"),
        ("20", "When the healthy cluster"),
    ]
    assert len(found) == len(set(found)), "each is said once, however many examples have it"
    assert not Path("lab-started").exists()


GOOD = """\
@smoke
Feature: All is well
  Scenario: Every word is known
    Given the healthy cluster
    And 1 failover, 1 fencing and no stall above 180 s (45 s with KVM) are expected
    And bravo is the one to be fenced
    When 17 more writes of each raw LUN were acknowledged
    And the drbd and mgmt links of alpha are cut silently, outbound only, for 3 s
    And all links of the passive node are cut by carrier until healed
    And the data link of the initiator is cut silently, inbound only, until healed
    And the drbd link of both nodes flaps 3 times, 1 s down and 2 s up
    And the drbd link of bravo loses 1 % of its frames until healed
    And alpha is reset
    And everything is healed
    Then there was no split-brain

  Scenario: Another one
    Given the healthy cluster
"""


def test_an_ambiguous_step_names_its_line(lint: Lint) -> None:
    conftest = """
@given("the healthy cluster")
def my_own_cluster():
    pass
"""
    code, said = lint(GOOD, conftest=conftest)
    assert code == pytest.ExitCode.USAGE_ERROR
    found = re.findall(r"story\.feature:(\d+): ambiguous step: (.*?):", said)
    assert found == [("4", "Given the healthy cluster"), ("18", "Given the healthy cluster")]
    assert "unknown step" not in said


def test_a_good_feature_passes_and_ordinary_tests_are_left_alone(lint: Lint) -> None:
    code, said = lint(GOOD, "-k", "ordinary", more="def test_ordinary():\n    assert 1\n")
    assert code == pytest.ExitCode.OK, said
    assert "1 passed, 2 deselected" in said
    # The same file's scenarios do ask for a lab: the guard of these tests works.
    code, said = lint(GOOD, "-k", "another")
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "a lab was started" in said
    assert Path("lab-started").exists()


def test_a_step_that_no_feature_uses_is_an_error_before_a_lab_starts(
    lint: Lint, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert unused_steps() == [], "every word of the vocabulary is tried by somebody"
    spoken = [line for line in lines_of_features() if "is reset" not in line[1]]
    (said,) = unused_steps(spoken)
    assert said.startswith("harness/steps/faults.py: unused step: ")
    assert "is reset (hint: use it in a feature, or remove it)" in said
    monkeypatch.setattr("harness.steps.examples.lines_of_features", lambda: tuple(spoken))
    # Whatever is run: this feature uses it, and yet it is none of the project's.
    code, told = lint(GOOD)
    assert code == pytest.ExitCode.USAGE_ERROR
    assert said in told
    assert not Path("lab-started").exists()


SELECT = """
from harness.plugin import with_options

@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    with_options(config, {changes})
"""


@pytest.mark.parametrize(
    ("changes", "chosen"),
    [
        ("only=('Another one',)", ["another_one"]),
        ("tags=('smoke',)", ["every_word_is_known", "another_one"]),
        ("tags=('nightly', 'smoke'), only=('Every word is known',)", ["every_word_is_known"]),
        ("tags=('nightly',)", []),
    ],
)
def test_scenarios_are_chosen_by_name_and_tag(lint: Lint, changes: str, chosen: list[str]) -> None:
    code, said = lint(
        GOOD,
        "--collect-only",
        "-q",
        conftest=SELECT.format(changes=changes),
        more="def test_ordinary():\n    assert 1\n",
    )
    assert re.findall(r"::test_(\w+)", said) == chosen
    assert code == (pytest.ExitCode.OK if chosen else pytest.ExitCode.NO_TESTS_COLLECTED)


def test_a_misspelt_scenario_is_told_the_nearest(lint: Lint) -> None:
    code, said = lint(GOOD, conftest=SELECT.format(changes="only=('Every word is knwon',)"))
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "no scenario called 'Every word is knwon' (hint: Every word is known)" in said
    assert not Path("lab-started").exists()


def test_every_shipped_feature_passes(pytester: pytest.Pytester) -> None:
    assert FEATURES
    pytester.makepyfile(
        "from pytest_bdd import scenarios\n"
        + "".join(f"scenarios({str(path)!r})\n" for path in FEATURES)
    )
    result = run_inside(pytester, "--collect-only", "-q")
    said = result.stdout.str()
    assert result.ret == pytest.ExitCode.OK, said
    headings = [
        line.split(":", 1)[0].strip()
        for path in FEATURES
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    least = headings.count("Scenario") + headings.count("Scenario Outline")
    assert len(re.findall(r"::test_", said)) >= least > 5


def test_every_outline_s_columns_are_used() -> None:
    """A misspelt ``<how>`` would be looked for as it is, and a column nobody uses is a mistake."""
    from pytest_bdd.feature import get_feature

    for path in FEATURES:
        feature = get_feature(str(path.parent), path.name)
        for scenario in feature.scenarios.values():
            columns = {name for table in scenario.examples for name in table.example_params}
            lines = "\n".join(step.name for step in scenario.steps)
            assert set(re.findall(r"<(\w+)>", lines)) == columns, f"{path.name}: {scenario.name}"
