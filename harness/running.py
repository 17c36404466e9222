"""Runs scenarios through pytest, judges, reports; what ``harness run`` does."""

from __future__ import annotations

import contextlib
import io
import json
from typing import TYPE_CHECKING

import pytest

from harness.checks.verdict import Verdict, VerdictError, read_run_verdicts
from harness.crashpoints import die_here_if_asked
from harness.errors import ExitCode
from harness.evidence.clock import now_ns
from harness.lab.paths import PROJECT
from harness.nightly.budget import listed
from harness.nightly.selection import forget_selection, note_selection
from harness.plugin import LEFT_OUT, MATCHED, OPTIONS, SHARED, length_of
from harness.reporting import report
from harness.session import durations_of
from harness.steps.lint import scenario_name, scenario_template

if TYPE_CHECKING:
    from pathlib import Path

    from harness.session import LabSession, RunOptions

NO_MATCH = "error: no scenario matches (hint: harness run --list --all)"
NOTHING_LEFT = "nothing is left to run, or nothing fits (hint: --again, a larger --budget)"


class _WithOptions:
    """Hands the command line's options to the plugin."""

    def __init__(self, options: RunOptions) -> None:
        self._options = options

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Before harness.plugin sets its defaults."""
        config.stash[OPTIONS] = self._options


class _WithSession:
    """Hands a run that was begun already to the plugin."""

    def __init__(self, session: LabSession) -> None:
        self._session = session

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Before any scenario asks for a lab."""
        config.stash[SHARED] = self._session


class _Collected:
    """Remembers the collected scenarios, and which of them were not begun.

    Args:
        run_folder: where to note that; None where nothing is run.
    """

    def __init__(self, run_folder: Path | None = None) -> None:
        self.names: list[str] = []
        self.lengths: dict[str, str] = {}
        self._ended = ""
        self._run_folder = run_folder
        self._config: pytest.Config | None = None

    def pytest_configure(self, config: pytest.Config) -> None:
        """Where the plugin keeps what it left out."""
        self._config = config

    @property
    def left_out(self) -> list[str]:
        """Scenarios that were chosen and not begun, as the time was over."""
        return self._config.stash.get(LEFT_OUT, []) if self._config is not None else []

    @property
    def matched(self) -> bool:
        """Whether anything was asked for that there is, done already or not."""
        return self._config is None or self._config.stash.get(MATCHED, 1) > 0

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """After the selection."""
        own = [item for item in items if scenario_template(item)]
        self.names = [scenario_name(item) for item in own]
        self.lengths = {scenario_name(item): length_of(item) for item in own}
        # Now: whoever is killed has nothing more to say.
        self.note()

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Somebody, or something, ended the run."""
        told = " ".join(str(excinfo.value).split())
        self._ended = told[:300] or "interrupted"

    def note(self) -> None:
        """Write down what was to be run."""
        if self._run_folder is not None and self.names:
            note_selection(self._run_folder, self.names, self.left_out, self._ended)


def _pytest(options: RunOptions, suite: Path, *more: str, plugins: tuple[object, ...] = ()) -> int:
    arguments = [str(suite), f"--rootdir={PROJECT}", f"-c{PROJECT}/pyproject.toml", *more]
    arguments += ["-p", "harness.plugin", "-p", "no:cacheprovider", "-p", "no:warnings"]
    return int(pytest.main(arguments, plugins=[_WithOptions(options), *plugins]))


def run_feature(session: LabSession, feature: Path) -> int:
    """Run the scenarios of one feature file on a lab that is there; pytest's exit code."""
    arguments = ("-q", "--no-header", "--no-summary", "--tb=short", "-rN", "-s")
    return _pytest(session.options, feature, *arguments, plugins=(_WithSession(session),))


def list_scenarios(options: RunOptions, suite: Path) -> int:
    """Print the scenarios that would run, in that order, with the minutes that they take."""
    collected = _Collected()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        # What pytest has to say is of interest when it fails.
        code = _pytest(options, suite, "--collect-only", "-qq", plugins=(collected,))
    if code == int(pytest.ExitCode.NO_TESTS_COLLECTED):
        print(NOTHING_LEFT if collected.matched else NO_MATCH)
        return int(ExitCode.VALID if collected.matched else ExitCode.MISSING_ENVIRONMENT)
    elif code == 0:
        print(*listed(collected.lengths, durations_of(options), now_ns()), sep="\n")
    elif code != int(pytest.ExitCode.USAGE_ERROR):
        print(said.getvalue().strip())
    return 0 if code == 0 else int(ExitCode.MISSING_ENVIRONMENT)


def scenario_names(options: RunOptions, suite: Path) -> list[str]:
    """Names of the scenarios that would run; empty where they cannot be collected."""
    collected = _Collected()
    with contextlib.redirect_stdout(io.StringIO()):
        _pytest(options, suite, "--collect-only", "-qq", plugins=(collected,))
    return collected.names


def run_scenarios(options: RunOptions, suite: Path) -> int:
    """Run, report, print verdicts and the report's path; returns the exit code."""
    assert options.folder is not None
    collected = _Collected(options.folder)
    arguments = ("-q", "--no-header", "--tb=short", "-rN", "-s")
    code = _pytest(options, suite, *arguments, plugins=(collected,))
    if (options.folder / "evidence").is_dir():
        collected.note()
    else:
        forget_selection(options.folder)
    resumable = options.resume and (options.folder / "evidence").is_dir()
    if code == int(pytest.ExitCode.NO_TESTS_COLLECTED) and collected.matched and resumable:
        print(NOTHING_LEFT)
        return report(options.folder)
    if code in (int(pytest.ExitCode.USAGE_ERROR), int(pytest.ExitCode.INTERNAL_ERROR)):
        return int(ExitCode.MISSING_ENVIRONMENT if code == 4 else ExitCode.HARNESS_ERROR)
    if code == int(pytest.ExitCode.NO_TESTS_COLLECTED):
        print(NOTHING_LEFT if collected.matched else NO_MATCH)
        return int(ExitCode.MISSING_ENVIRONMENT)
    left_out = collected.left_out
    for name in left_out:
        print(f"left out, as the time was over: {name}")
    waiting = set(collected.names) - set(left_out)
    if left_out and not waiting and not (options.folder / "evidence").is_dir():
        return int(ExitCode.MISSING_ENVIRONMENT)
    if not (options.folder / "evidence").is_dir():
        # Nothing was run: a bad feature (usage error) or a lab that did not come up.
        return code if code in {int(c) for c in ExitCode if c >= 10} else 21 if code == 4 else 20
    die_here_if_asked("report")
    meant = report(options.folder)
    missing = set(collected.names) - _judged(options.folder) - set(left_out)
    for name in sorted(missing):
        print(f"not judged: {name}")
    if meant in (ExitCode.VALID, ExitCode.INCONCLUSIVE) and (missing or (code and not meant)):
        print("error: the run was cut short (hint: harness run --resume FOLDER goes on)")
        return int(ExitCode.HARNESS_ERROR)
    return meant if options.injecting else _nothing_proved(options.folder, meant)


def _nothing_proved(folder: Path, meant: int) -> int:
    """The exit code of a run without injecting: a test of the harness, passed if nothing is."""
    verdicts = read_run_verdicts(folder)
    unclear = sum(
        not isinstance(one, VerdictError) and one.verdict is Verdict.INCONCLUSIVE
        for one in verdicts.values()
    )
    print(f"Nothing was injected: {unclear} of {len(verdicts)} are INCONCLUSIVE, as all have to be")
    if meant not in (ExitCode.VALID, ExitCode.INVALID, ExitCode.INCONCLUSIVE):
        return meant
    return int(ExitCode.VALID if unclear == len(verdicts) else ExitCode.INVALID)


def _judged(folder: Path) -> set[str]:
    """Names of the scenarios of a run that have a verdict."""
    names = set()
    for path in (folder / "evidence").glob("*/verdict.json"):
        try:
            text = path.with_name("scenario.json").read_text(encoding="utf-8")
            names.add(str(json.loads(text)["name"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return names
