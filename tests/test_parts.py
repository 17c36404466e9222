"""A run in parts, in pytest: what is run, in which order, and what is left out, and said to be."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import plugin, resuming
from harness.checks.verdict import CheckResult, ScenarioVerdict, Verdict
from harness.nightly.durations import Durations
from tests.inner_pytest import run_inside

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., "Ended"]

pytest_plugins = ["pytester"]

FEATURE = """\
Feature: Parts
  @theme-links
  Scenario: First
    Given a lab

  @theme-power @nightly
  Scenario: Second
    Given a lab

  @theme-power @control
  Scenario: Third
    Given a lab
"""
# A lab in place of the real one; what a scenario would take passes in no time.
CONFTEST = """
from pathlib import Path
from types import SimpleNamespace

import pytest
from pytest_bdd import given

import harness.plugin as plugin
from harness.checks.verdict import CheckResult, ScenarioVerdict, Verdict
from harness.lab.paths import Cache
from harness.session import RunOptions

NOW = plugin.NOW  # of the test outside
TAKES_S = {takes}
CLOCK = 1_000_000_000


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    config.stash[plugin.OPTIONS] = RunOptions(
        cache=Cache(Path("c")), accelerator="tcg", **{options}
    )


class Run:
    folder = Path("evidence")
    writer = SimpleNamespace(add=lambda *_: None)

    def __init__(self, name):
        self.info, self.started_ns = SimpleNamespace(name=name), NOW[0]

    def finish(self):
        NOW[0] += TAKES_S.get(self.info.name, 10) * CLOCK

    def close(self, error):
        pass


def judge(_folder):
    return ScenarioVerdict("s", (CheckResult("c", "C", Verdict.VALID, "e", "s", operations=1),))


@pytest.fixture(scope="session")
def lab_session(request):
    NOW[0] += {lab_s} * CLOCK

    def judged(run, _from_ns, _to_ns, whole):
        assert whole
        with Path("ran.log").open("a") as log:
            print(run.info.name, file=log)

    session = SimpleNamespace(
        failed=False, scenario=lambda name, *_: Run(name), judged=judged
    )
    request.config.stash[plugin.SESSION] = session
    yield session


@pytest.fixture(autouse=True)
def my_judge(monkeypatch):
    monkeypatch.setattr(plugin, "judge", judge)
    monkeypatch.setattr(plugin, "judge_and_keep", judge)


@given("a lab")
def a_lab(run):
    pass
"""


class Ended:
    """What became of a part."""

    def __init__(self, code: int, said: str) -> None:
        self.code, self.said = code, said
        log = Path("ran.log")
        self.ran = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        self.not_begun = re.findall(r"not begun, as the time is over: (\w+)", said)


@pytest.fixture
def part(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the feature with these options."""

    def run(
        options: str = "everything=True", takes: dict[str, int] | None = None, lab_s: int = 0
    ) -> Ended:
        now = [0]
        monkeypatch.setattr(plugin, "NOW", now, raising=False)
        monkeypatch.setattr(plugin, "now_ns", lambda: now[0])
        monkeypatch.setenv("COLUMNS", "400")
        text = CONFTEST
        filled = (("**{options}", options), ("{takes}", repr(takes or {})), ("{lab_s}", str(lab_s)))
        for name, value in filled:
            text = text.replace(name, value)
        pytester.makeconftest(text)
        pytester.makefile(".feature", story=FEATURE)
        pytester.makepyfile(
            test_story="from pytest_bdd import scenarios\nscenarios('story.feature')\n"
        )
        result = run_inside(pytester)
        return Ended(int(result.ret), result.stdout.str() + result.stderr.str())

    return run


def measured(seconds: dict[str, float], last_ns: dict[str, int] | None = None) -> None:
    """What the cache knows of earlier runs."""
    Path("c").mkdir()
    own = {name: {"seconds": [one], "last_ns": (last_ns or {}).get(name, 0)}
           for name, one in seconds.items()}  # fmt: skip
    (Path("c") / "durations.json").write_text(json.dumps({Durations(Path(), "tcg").key: own}))


def judged(slug: str, verdict: Verdict, code: str) -> None:
    """A scenario that was judged in an earlier part."""
    evidence = Path("reports") / "evidence" / slug
    evidence.mkdir(parents=True)
    (Path("reports") / "run.json").write_text(json.dumps({"code": code}))
    name = slug.capitalize()
    (evidence / "scenario.json").write_text(json.dumps({"name": name, "outcome": "finished"}))
    result = CheckResult("c", "C", verdict, "e", "s", operations=1)
    ScenarioVerdict(slug, (result,)).save(evidence / "verdict.json")


def test_without_a_word_all_are_run(part: Run) -> None:
    assert part().ran == ["First", "Second", "Third"]


@pytest.mark.parametrize(
    ("options", "ran"),
    [
        ("", ["First", "Third"]),
        ("themes=('power',)", ["Second", "Third"]),
        ("themes=('power',), tags=('nightly',)", ["Second"]),
        ("themes=('power', 'links')", ["First", "Second", "Third"]),
        ("themes=('storage',)", []),
    ],
)
def test_a_theme_chooses_all_of_it(part: Run, options: str, ran: list[str]) -> None:
    assert part(options).ran == ran


def test_a_budget_runs_what_is_due_in_that_order(part: Run) -> None:
    measured(
        {"First": 100, "Second": 100, "Third": 100, "(the lab)": 10},
        {"First": 300, "Second": 100, "Third": 200},
    )
    ended = part("everything=True, budget_s=220")
    assert ended.ran == ["Second", "Third"]
    assert "• 1 scenarios do not fit into the budget: left out" in ended.said
    assert ended.not_begun == []
    assert ended.code == pytest.ExitCode.OK


def test_what_took_longer_than_expected_leaves_out_what_comes_after(part: Run) -> None:
    measured({"First": 100, "Second": 100, "Third": 20, "(the lab)": 10})
    ended = part("everything=True, budget_s=240", takes={"First": 150}, lab_s=10)
    assert ended.ran == ["First", "Third"], "a shorter one still fits"
    assert ended.not_begun == ["Second"]


def test_a_lab_that_took_too_long_leaves_out_all(part: Run) -> None:
    measured({"First": 100, "Second": 100, "Third": 100, "(the lab)": 10})
    ended = part("everything=True, budget_s=320", takes={"First": 100}, lab_s=200)
    # The lab is started by the first of them, which was expected to fit.
    assert ended.ran == ["First"]
    assert ended.not_begun == ["Second", "Third"]


def test_nothing_that_breaks_nothing_is_run_without_injecting(part: Run) -> None:
    ended = part("everything=True, injecting=False")
    assert ended.ran == ["First", "Second"]
    assert "• 1 scenarios inject nothing: left out" in ended.said


RESUME = "everything=True, resume=True, folder=Path('reports')"


def test_what_was_judged_is_not_run_again_whatever_the_verdict(
    part: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming, "code_hash", lambda: "c0de")
    judged("first", Verdict.VALID, "c0de")
    judged("second", Verdict.INVALID, "c0de")
    ended = part(RESUME)
    assert ended.ran == ["Third"]
    assert "• 2 scenarios were judged in this run already: not run again" in ended.said
    assert part(RESUME + ", again=True").ran == ["Second", "Third"]


def test_a_run_of_other_code_is_not_gone_on_with(
    part: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming, "code_hash", lambda: "another")
    judged("first", Verdict.VALID, "c0de")
    ended = part(RESUME)
    assert ended.ran == []
    assert ended.code == pytest.ExitCode.USAGE_ERROR
    assert "holds results of other code" in ended.said
