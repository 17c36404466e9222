"""What a run's exit code stands for, from verdicts on disk and from how pytest ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import running
from harness.checks import ScenarioVerdict, Verdict
from harness.errors import ExitCode
from harness.lab.paths import Cache
from harness.session import RunOptions

# Never touched: nothing here starts a lab.
CACHE = Cache(Path("/nonexistent/cache"))
VALID, INVALID, INCONCLUSIVE = Verdict.VALID, Verdict.INVALID, Verdict.INCONCLUSIVE


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which reports were written; the real ones have tests of their own."""
    calls: list[str] = []

    def report(folder: Path) -> Path:
        calls.append("html")
        return folder / "index.html"

    monkeypatch.setattr(running, "write_report", report)
    monkeypatch.setattr(running, "write_junit", lambda _folder: calls.append("junit"))
    monkeypatch.setattr(running, "summary_lines", lambda _folder: ["the summary"])
    return calls


def stored(folder: Path, verdicts: list[Verdict | None], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run's folder; None is a scenario that was never judged."""

    class Stored:
        def __init__(self, verdict: str) -> None:
            self.verdict = Verdict(verdict)

    for number, verdict in enumerate(verdicts):
        evidence = folder / "evidence" / f"s{number}"
        evidence.mkdir(parents=True)
        if verdict is not None:
            (evidence / "verdict.json").write_text(verdict.value)
    monkeypatch.setattr(ScenarioVerdict, "load", staticmethod(lambda p: Stored(p.read_text())))
    return folder


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([VALID], ExitCode.VALID),
        ([VALID, VALID], ExitCode.VALID),
        ([VALID, INCONCLUSIVE], ExitCode.INCONCLUSIVE),
        ([VALID, INVALID, INCONCLUSIVE], ExitCode.INVALID),
        # A finding is a finding, whatever else went wrong.
        ([INVALID, None], ExitCode.INVALID),
        ([VALID, None], ExitCode.HARNESS_ERROR),
        ([INCONCLUSIVE, None], ExitCode.HARNESS_ERROR),
        ([None], ExitCode.HARNESS_ERROR),
    ],
)
def test_the_exit_code_of_a_run(
    verdicts: list[Verdict | None],
    code: ExitCode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    written: list[str],
) -> None:
    assert running.report(stored(tmp_path, verdicts, monkeypatch)) == code
    assert written == ["html", "junit"]
    said = capsys.readouterr().out
    assert "the summary\n" in said
    assert f"Report: {tmp_path}/index.html\n" in said


def test_a_run_without_any_scenario_is_not_valid(tmp_path: Path, written: list[str]) -> None:
    (tmp_path / "evidence").mkdir()
    assert running.report(tmp_path) == ExitCode.HARNESS_ERROR


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        # A bad feature or an unknown scenario is the user's input.
        (pytest.ExitCode.USAGE_ERROR, ExitCode.MISSING_ENVIRONMENT),
        (pytest.ExitCode.INTERNAL_ERROR, ExitCode.HARNESS_ERROR),
        (pytest.ExitCode.INTERRUPTED, ExitCode.HARNESS_ERROR),
        (pytest.ExitCode.TESTS_FAILED, ExitCode.HARNESS_ERROR),
        (0, ExitCode.HARNESS_ERROR),
        # What the lab's start ended with (pytest.exit in harness.plugin).
        (ExitCode.MISSING_ENVIRONMENT, ExitCode.MISSING_ENVIRONMENT),
        (ExitCode.HARNESS_ERROR, ExitCode.HARNESS_ERROR),
    ],
)
def test_a_run_that_never_began_is_never_valid(
    ended: int, code: ExitCode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_pytest", lambda *_arguments: int(ended))
    options = RunOptions(cache=CACHE, folder=tmp_path)
    assert running.run_scenarios(options, tmp_path) == code


def test_verdicts_count_and_not_how_pytest_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: list[str]
) -> None:
    folder = stored(tmp_path, [INCONCLUSIVE], monkeypatch)
    monkeypatch.setattr(running, "_pytest", lambda *_arguments: 1)
    options = RunOptions(cache=CACHE, folder=folder)
    assert running.run_scenarios(options, folder) == ExitCode.INCONCLUSIVE


def test_judging_again_touches_only_scenarios(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[Any] = []

    class Saved:
        def save(self, path: Path) -> None:
            judged.append(path)

    monkeypatch.setattr(running, "judge", lambda _folder: Saved())
    for name in ("b", "a", "no-scenario"):
        (tmp_path / "evidence" / name).mkdir(parents=True)
    for name in ("a", "b"):
        (tmp_path / "evidence" / name / "scenario.json").write_text("{}")
    running.judge_again(tmp_path)
    assert judged == [tmp_path / "evidence" / name / "verdict.json" for name in ("a", "b")]
