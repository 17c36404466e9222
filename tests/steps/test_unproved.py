"""How a scenario ends in pytest: what could not be proved is never a pass, whatever checks say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.checks.verdict import ScenarioVerdict, Verdict
from tests.inner_pytest import run_inside

if TYPE_CHECKING:
    from collections.abc import Callable

    End = Callable[[str, str], "Ended"]

pytest_plugins = ["pytester"]

FEATURE = """\
Feature: Ends
  Scenario: It ends
    Given a lab
    Then it ends as it does
"""

# A lab and a judge in place of the real ones: the judge finds what STORY's ``checks`` says, and
# trouble that was noted at the scenario's close makes it INCONCLUSIVE, as the real one does.
CONFTEST = """
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from pytest_bdd import given, then

import harness.plugin as plugin
from harness.checks.verdict import CheckResult, ScenarioVerdict, Verdict
from harness.errors import DeadlineError, HarnessError, InconclusiveError

LOG = Path("log.jsonl")
FOLDER = Path("evidence")


def note(what, value=None):
    with LOG.open("a") as file:
        file.write(json.dumps([what, value]) + "\\n")


class Run:
    folder = FOLDER
    info = SimpleNamespace(name="It ends")
    writer = SimpleNamespace(add=lambda *_: None)
    error = None

    def finish(self):
        note("finish")
        {finish}

    def close(self, error):
        note("close", error)
        Run.error = error


def judge(folder):
    assert folder == FOLDER
    note("judge", Run.error)
    result = CheckResult("stall", "Stall", Verdict("{checks}"), "short", "seen", operations=1)
    return ScenarioVerdict("ends", (result,), Run.error)


def judge_and_keep(folder):
    verdict = judge(folder)
    verdict.save(folder / "verdict.json")
    return verdict


@pytest.fixture(scope="session")
def lab_session(request):
    FOLDER.mkdir()
    session = SimpleNamespace(
        failed=False, scenario=lambda *_: Run(),
        judged=lambda _run, _from_ns, _to_ns, whole: note("whole", whole),
    )
    request.config.stash[plugin.SESSION] = session
    yield session
    note("failed", session.failed)


@pytest.fixture(autouse=True)
def my_judge(monkeypatch):
    monkeypatch.setattr(plugin, "judge", judge)
    monkeypatch.setattr(plugin, "judge_and_keep", judge_and_keep)


@given("a lab")
def a_lab(run):
    pass


@then("it ends as it does")
def it_ends(run):
    {step}
"""


class Ended:
    """What is seen of a scenario that ended."""

    def __init__(self, code: int, said: str) -> None:
        self.code, self.said = code, said
        lines = Path("log.jsonl").read_text().splitlines()
        self.log = [tuple(json.loads(line)) for line in lines]
        self.verdict = ScenarioVerdict.load(Path("evidence/verdict.json"))

    def value(self, what: str) -> object:
        """The one value that was noted of ``what``."""
        (value,) = [value for seen, value in self.log if seen == what]
        return value


@pytest.fixture
def end(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> End:
    """Run a scenario whose last step is ``step``, with checks that say ``checks``."""

    def run(step: str, checks: str, finish: str = "pass") -> Ended:
        monkeypatch.setenv("COLUMNS", "400")
        replaced = (("{step}", step), ("{checks}", checks), ("{finish}", finish))
        conftest = CONFTEST
        for name, value in replaced:
            conftest = conftest.replace(name, value)
        pytester.makeconftest(conftest)
        pytester.makefile(".feature", story=FEATURE)
        pytester.makepyfile(
            test_story="from pytest_bdd import scenarios\nscenarios('story.feature')\n"
        )
        result = run_inside(pytester)
        return Ended(int(result.ret), result.stdout.str() + result.stderr.str())

    return run


def test_a_scenario_whose_steps_and_checks_are_fine_passes(end: End) -> None:
    ended = end("pass", "VALID")
    assert ended.code == pytest.ExitCode.OK, ended.said
    assert (ended.verdict.verdict, ended.verdict.error) == (Verdict.VALID, None)
    assert ended.value("close") is None
    assert ended.value("failed") is False
    assert ended.value("whole") is True


@pytest.mark.parametrize(
    "step",
    [
        'raise InconclusiveError("dual-vip was not run")',
        'raise AssertionError("dual-vip was not run")',
        'assert "dual-vip was not run" == ""',
    ],
)
def test_a_then_that_was_not_proved_is_trouble_though_all_checks_hold(end: End, step: str) -> None:
    ended = end(step, "VALID")
    assert ended.code == pytest.ExitCode.TESTS_FAILED
    trouble = str(ended.value("close"))
    assert trouble.startswith("Then it ends as it does: ")
    assert "dual-vip was not run" in trouble
    assert ended.verdict.verdict is Verdict.INCONCLUSIVE
    assert ended.verdict.error == trouble
    assert f"trouble of the harness: {trouble}" in ended.said
    assert ended.value("failed") is True
    # The evidence is whole before it is judged, and it is closed before the verdict is stored.
    said = [what for what, _ in ended.log]
    assert said == ["finish", "judge", "close", "judge", "whole", "failed"]
    assert ended.value("whole") is False, "how long it took is not how long it takes"


@pytest.mark.parametrize("checks", ["INVALID", "INCONCLUSIVE"])
@pytest.mark.parametrize("error", ["AssertionError", "InconclusiveError"])
def test_a_finding_is_not_trouble_of_the_harness(end: End, checks: str, error: str) -> None:
    ended = end(f'raise {error}("expected this; seen that")', checks)
    assert ended.code == pytest.ExitCode.TESTS_FAILED
    assert ended.value("close") is None
    assert (ended.verdict.verdict, ended.verdict.error) == (Verdict(checks), None)
    assert "trouble of the harness" not in ended.said


@pytest.mark.parametrize("error", ["HarnessError", "DeadlineError", "LookupError", "OSError"])
def test_what_a_step_did_not_mean_to_raise_is_trouble_and_nothing_more_is_done(
    end: End, error: str
) -> None:
    ended = end(f'raise {error}("it broke")', "VALID")
    assert ended.code == pytest.ExitCode.TESTS_FAILED
    assert "it broke" in str(ended.value("close"))
    assert ended.verdict.verdict is Verdict.INCONCLUSIVE
    assert "finish" not in [what for what, _ in ended.log]


def test_trouble_at_the_end_of_it_goes_before_what_was_not_proved(
    pytester: pytest.Pytester, end: Callable[[str, str, str], Ended]
) -> None:
    ended = end('raise InconclusiveError("unclear")', "VALID", 'raise HarnessError("lab is gone")')
    assert ended.code == pytest.ExitCode.TESTS_FAILED
    assert ended.value("close") == "lab is gone"
    assert ended.verdict.verdict is Verdict.INCONCLUSIVE
