"""What a run's exit code stands for, from verdicts on disk and from how pytest ended."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness import reporting, running
from harness.checks import ScenarioVerdict, Verdict
from harness.errors import ExitCode
from harness.lab.paths import Cache
from harness.plugin import LEFT_OUT
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

    monkeypatch.setattr(reporting, "write_report", report)
    monkeypatch.setattr(reporting, "write_junit", lambda _folder: calls.append("junit"))
    monkeypatch.setattr(reporting, "write_run_verdicts", lambda *_: calls.append("verdicts"))
    monkeypatch.setattr(reporting, "summary_lines", lambda _folder: ["the summary"])
    return calls


def stored(folder: Path, verdicts: list[Verdict | None], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run's folder; None is a scenario that was never judged."""

    class Stored:
        def __init__(self, verdict: str) -> None:
            self.verdict = Verdict(verdict)

    for number, verdict in enumerate(verdicts):
        evidence = folder / "evidence" / f"s{number}"
        evidence.mkdir(parents=True)
        (evidence / "scenario.json").write_text(json.dumps({"name": f"Scenario {number}"}))
        if verdict is not None:
            (evidence / "verdict.json").write_text(verdict.value)
    monkeypatch.setattr(ScenarioVerdict, "load", staticmethod(lambda p: Stored(p.read_text())))
    return folder


def pytest_that_ends(
    monkeypatch: pytest.MonkeyPatch, code: int, *collected: str
) -> list[tuple[Any, ...]]:
    """In place of the real pytest: it collects scenarios of these names and ends with ``code``."""
    calls: list[tuple[Any, ...]] = []

    def fake(*arguments: Any, plugins: tuple[Any, ...] = ()) -> int:
        calls.append(arguments)
        (names,) = plugins
        names.names = list(collected)
        return int(code)

    monkeypatch.setattr(running, "_pytest", fake)
    return calls


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
    assert reporting.report(stored(tmp_path, verdicts, monkeypatch)) == code
    assert written == ["html", "junit", "verdicts"]
    said = capsys.readouterr().out
    assert "the summary\n" in said
    assert f"Report: {tmp_path}/index.html\n" in said


def test_a_run_without_any_scenario_is_not_valid(tmp_path: Path, written: list[str]) -> None:
    (tmp_path / "evidence").mkdir()
    assert reporting.report(tmp_path) == ExitCode.HARNESS_ERROR


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        # A bad feature or an unknown scenario is the user's input.
        (pytest.ExitCode.USAGE_ERROR, ExitCode.MISSING_ENVIRONMENT),
        (pytest.ExitCode.NO_TESTS_COLLECTED, ExitCode.MISSING_ENVIRONMENT),
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
    calls = pytest_that_ends(monkeypatch, ended, "Scenario 0")
    options = RunOptions(cache=CACHE, folder=tmp_path)
    assert running.run_scenarios(options, tmp_path) == code
    assert [call[:2] for call in calls] == [(options, tmp_path)]


NAMES = ("Scenario 0", "Scenario 1")


@pytest.mark.parametrize(
    ("ended", "verdicts", "code"),
    [
        (0, [VALID, VALID], ExitCode.VALID),
        # pytest fails for each verdict but VALID: the verdicts tell more.
        (1, [VALID, INCONCLUSIVE], ExitCode.INCONCLUSIVE),
        (1, [INVALID, VALID], ExitCode.INVALID),
        # A scenario without a verdict was not run to its end.
        (1, [VALID, None], ExitCode.HARNESS_ERROR),
        (1, [None, INCONCLUSIVE], ExitCode.HARNESS_ERROR),
        (1, [None, None], ExitCode.HARNESS_ERROR),
        # One that was never begun has no folder either, however pytest ended.
        (pytest.ExitCode.INTERRUPTED, [VALID], ExitCode.HARNESS_ERROR),
        (0, [VALID], ExitCode.HARNESS_ERROR),
        (1, [INCONCLUSIVE], ExitCode.HARNESS_ERROR),
        # All are VALID and pytest is not content: something broke after the last of them.
        (1, [VALID, VALID], ExitCode.HARNESS_ERROR),
        (pytest.ExitCode.INTERRUPTED, [VALID, VALID], ExitCode.HARNESS_ERROR),
        (ExitCode.HARNESS_ERROR, [VALID, VALID], ExitCode.HARNESS_ERROR),
        # A finding is a finding, also of a run that was cut short.
        (pytest.ExitCode.INTERRUPTED, [INVALID], ExitCode.INVALID),
        (1, [INVALID, None], ExitCode.INVALID),
        # Nor do verdicts of before count when nothing could be collected now.
        (pytest.ExitCode.USAGE_ERROR, [VALID, VALID], ExitCode.MISSING_ENVIRONMENT),
        (pytest.ExitCode.INTERNAL_ERROR, [VALID, VALID], ExitCode.HARNESS_ERROR),
        (pytest.ExitCode.NO_TESTS_COLLECTED, [VALID, VALID], ExitCode.MISSING_ENVIRONMENT),
    ],
)
@pytest.mark.usefixtures("written")
def test_a_run_that_was_cut_short_is_never_valid(
    ended: int,
    verdicts: list[Verdict | None],
    code: ExitCode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = stored(tmp_path, verdicts, monkeypatch)
    pytest_that_ends(monkeypatch, ended, *NAMES)
    options = RunOptions(cache=CACHE, folder=folder)
    assert running.run_scenarios(options, folder) == code
    said = capsys.readouterr().out
    judged = {name for name, verdict in zip(NAMES, verdicts, strict=False) if verdict}
    if ended not in (3, 4, 5):
        assert [line for line in said.splitlines() if line.startswith("not judged")] == [
            f"not judged: {name}" for name in NAMES if name not in judged
        ]


@pytest.mark.usefixtures("written")
def test_a_run_that_was_cut_short_tells_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = stored(tmp_path, [VALID], monkeypatch)
    pytest_that_ends(monkeypatch, pytest.ExitCode.INTERRUPTED, *NAMES)
    running.run_scenarios(RunOptions(cache=CACHE, folder=folder), folder)
    *_, name, error = capsys.readouterr().out.splitlines()
    assert name == "not judged: Scenario 1"
    assert error.startswith("error: the run was cut short (hint: harness run --resume")


@pytest.mark.parametrize("verdicts", [[VALID, VALID], [VALID, INVALID], [VALID, INCONCLUSIVE]])
def test_resuming_a_whole_run_reports_it_again(
    verdicts: list[Verdict | None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    written: list[str],
) -> None:
    folder = stored(tmp_path, verdicts, monkeypatch)
    pytest_that_ends(monkeypatch, pytest.ExitCode.NO_TESTS_COLLECTED)
    options = RunOptions(cache=CACHE, folder=folder, resume=True)
    assert running.run_scenarios(options, folder) == {
        VALID: ExitCode.VALID, INVALID: ExitCode.INVALID, INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    }[verdicts[1] or VALID]  # fmt: skip
    assert written == ["html", "junit", "verdicts"]


@pytest.mark.usefixtures("written")
def test_a_resumed_run_is_whole_with_what_was_judged_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the second was left to run."""
    folder = stored(tmp_path, [VALID, VALID], monkeypatch)
    pytest_that_ends(monkeypatch, 0, "Scenario 1")
    options = RunOptions(cache=CACHE, folder=folder, resume=True)
    assert running.run_scenarios(options, folder) == ExitCode.VALID


def test_judged_is_what_has_a_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = stored(tmp_path, [VALID, None, INVALID, INCONCLUSIVE], monkeypatch)
    # What was set aside when the run was resumed does not count.
    aside = folder / "superseded" / "s1-17"
    aside.mkdir(parents=True)
    (aside / "scenario.json").write_text(json.dumps({"name": "Scenario 1"}))
    (aside / "verdict.json").write_text("INCONCLUSIVE")
    assert running._judged(folder) == {"Scenario 0", "Scenario 2", "Scenario 3"}


@pytest.mark.usefixtures("written")
def test_the_names_are_those_of_the_real_collection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``_pytest`` hands the collector to pytest, which asks it after the selection."""
    seen: list[object] = []

    def main(arguments: list[str], plugins: list[Any]) -> int:
        assert "harness.plugin" in arguments
        seen.extend(plugins)
        return 0

    monkeypatch.setattr(pytest, "main", main)
    folder = stored(tmp_path, [VALID], monkeypatch)
    options = RunOptions(cache=CACHE, folder=folder)
    assert running.run_scenarios(options, folder) == ExitCode.VALID
    given, collected = seen
    assert isinstance(given, running._WithOptions)
    assert isinstance(collected, running._Collected)
    collected.pytest_collection_modifyitems([])
    assert collected.names == []


def test_judging_again_touches_only_scenarios(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[Path] = []
    monkeypatch.setattr(reporting, "judge_and_keep", judged.append)
    for name in ("b", "a", "no-scenario"):
        (tmp_path / "evidence" / name).mkdir(parents=True)
    for name in ("a", "b"):
        (tmp_path / "evidence" / name / "scenario.json").write_text("{}")
    (tmp_path / "evidence/a-file").write_text("")
    reporting.judge_again(tmp_path)
    # An old verdict must not stand for a scenario whose scenario.json is gone.
    names = ("a", "b", "no-scenario")
    assert judged == [tmp_path / "evidence" / name for name in names]


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([INCONCLUSIVE, INCONCLUSIVE], ExitCode.VALID),
        ([INCONCLUSIVE, VALID], ExitCode.INVALID),
        ([INCONCLUSIVE, INVALID], ExitCode.INVALID),
        ([VALID, VALID], ExitCode.INVALID),
        ([INCONCLUSIVE, None], ExitCode.HARNESS_ERROR),
    ],
)
@pytest.mark.usefixtures("written")
def test_without_injecting_only_inconclusive_will_do(
    verdicts: list[Verdict | None],
    code: ExitCode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = stored(tmp_path, verdicts, monkeypatch)
    pytest_that_ends(monkeypatch, 0 if set(verdicts) == {VALID} else 1, *NAMES)
    options = RunOptions(cache=CACHE, folder=folder, injecting=False)
    assert running.run_scenarios(options, folder) == code
    said = capsys.readouterr().out
    if code is not ExitCode.HARNESS_ERROR:
        unclear = verdicts.count(INCONCLUSIVE)
        assert f"Nothing was injected: {unclear} of 2 are INCONCLUSIVE, as all have to be" in said


@pytest.mark.usefixtures("written")
def test_what_the_time_was_over_for_is_not_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = stored(tmp_path, [VALID], monkeypatch)
    pytest_that_ends(monkeypatch, 0, *NAMES)
    monkeypatch.setattr(running._Collected, "left_out", ["Scenario 1"])
    options = RunOptions(cache=CACHE, folder=folder, budget_s=60)
    assert running.run_scenarios(options, folder) == ExitCode.VALID
    assert "left out, as the time was over: Scenario 1" in capsys.readouterr().out


def test_a_budget_in_which_nothing_fits_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """However pytest ends: nothing was run, and nothing failed."""
    pytest_that_ends(monkeypatch, 0, "Scenario 0")
    monkeypatch.setattr(running._Collected, "left_out", ["Scenario 0"])
    options = RunOptions(cache=CACHE, folder=tmp_path, budget_s=60)
    assert running.run_scenarios(options, tmp_path) == ExitCode.MISSING_ENVIRONMENT
    assert "left out, as the time was over: Scenario 0" in capsys.readouterr().out
    pytest_that_ends(monkeypatch, pytest.ExitCode.NO_TESTS_COLLECTED)
    assert running.run_scenarios(options, tmp_path) == ExitCode.MISSING_ENVIRONMENT
    assert running.NOTHING_LEFT in capsys.readouterr().out


class Item:
    """A collected scenario, as far as its name goes."""

    def __init__(self, name: str) -> None:
        self.name = name


def collected(monkeypatch: pytest.MonkeyPatch, folder: Path, *names: str) -> Any:
    monkeypatch.setattr(running, "scenario_template", bool)
    monkeypatch.setattr(running, "scenario_name", lambda item: item.name)
    monkeypatch.setattr(running, "length_of", lambda _item: "")
    told = running._Collected(folder)
    told.pytest_configure(cast("Any", SimpleNamespace(stash={LEFT_OUT: []})))
    told.pytest_collection_modifyitems(cast("Any", [Item(name) for name in names]))
    return told


def selection(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "selection.json").read_text())
    return told


def test_what_was_chosen_is_written_down_before_it_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is killed with -9 has nothing more to say."""
    told = collected(monkeypatch, tmp_path, "One", "Two")
    assert selection(tmp_path) == {
        "schema": 1, "chosen": ["One", "Two"], "left_out": [], "ended": "",
    }  # fmt: skip
    told.left_out.append("Two")
    with pytest.raises(pytest.exit.Exception) as ended:
        pytest.exit("the lab\ndid not come up")
    told.pytest_keyboard_interrupt(ended)
    told.note()
    assert selection(tmp_path)["left_out"] == ["Two"]
    assert selection(tmp_path)["ended"] == "the lab did not come up"
    collected(monkeypatch, tmp_path / "none").note()
    assert not (tmp_path / "none").exists(), "nothing was chosen"


@pytest.mark.usefixtures("written")
def test_of_a_run_that_never_began_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "selection.json").write_text("{}")
    pytest_that_ends(monkeypatch, ExitCode.HARNESS_ERROR, "One")
    assert running.run_scenarios(RunOptions(cache=CACHE, folder=tmp_path), tmp_path) == 20
    assert list(tmp_path.iterdir()) == [], "its folder is removed if it is empty"
