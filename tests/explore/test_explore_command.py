"""``harness explore`` and ``harness replay``: mistakes are one line, runs begin with their seed."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness import cli, reporting
from harness.commands import explore as command
from harness.commands.explore import check_drawable, config_hash, duration_s, explore_hash
from harness.errors import ExitCode
from harness.explore import runner as runners
from harness.explore.records import load
from harness.lab.paths import PROJECT
from tests.explore.fakes import FakeRunner
from tests.explore.test_exploration import cut_fails

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.explore.runner import Ran

    Harness = Callable[..., tuple[int, str, str]]

MUTANT = PROJECT / "scenarios" / "mutants" / "no-unfence-handler.toml"
VOLUMES = str(PROJECT / "scenarios/variants/one-resource-three-volumes.toml")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[FakeRunner]:
    """The runners that were made; none of them runs anything."""
    runners_made: list[FakeRunner] = []

    def make(options: Any) -> FakeRunner:
        runner = FakeRunner(options.folder, cut_fails)
        runner.options = options  # type: ignore[attr-defined]
        runners_made.append(runner)
        return runner

    monkeypatch.setattr(runners, "LabRunner", make)
    monkeypatch.setattr(command, "SCHEDULES", tmp_path / "schedules")
    monkeypatch.setattr(cli, "_findings", lambda *_: [])
    monkeypatch.setattr(reporting, "report", lambda folder: print(f"Report: {folder}") or 1)
    return runners_made


@pytest.fixture
def harness(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Harness]:
    """Call the command; returns exit code, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "200")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    coverage = str(tmp_path / "coverage.json")
    with tempfile.TemporaryDirectory(prefix="fh-", dir="/tmp") as cache:
        monkeypatch.setenv("FAILOVER_HARNESS_CACHE", cache)

        def run(*arguments: str) -> tuple[int, str, str]:
            more = ("--coverage", coverage) if arguments[0] == "explore" else ()
            monkeypatch.setattr(sys, "argv", ["harness", *arguments, *more])
            with pytest.raises(SystemExit) as end:
                cli.main()
            said = capsys.readouterr()
            return int(end.value.code or 0), said.out, said.err

        yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800), ("1h30m", 5400), ("90s", 90), ("90", 90), ("2h", 7200), ("5min", 300),
     ("1h1m1s", 3661), ("0", 0)],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


def test_without_what_breaks_one_resource_it_can_be_drawn() -> None:
    check_drawable(Path(VOLUMES), ("replication-cut",))
    check_drawable(None, ())


@pytest.mark.parametrize(
    ("arguments", "says", "hint"),
    [
        (["explore", "--budget", "soon"], "'soon' is no duration", "30m, 1h30m or 90s"),
        (["explore", "--budget", ""], "'' is no duration", "30m"),
        (["explore", "--shrink-budget", "-1"], "'-1' is no duration", "30m"),
        (["explore", "--without", "rain"], "there is no kind rain", "--kinds"),
        (["explore", "--config", "/nonexistent.toml"], "/nonexistent.toml", ""),
        (["explore", "--config", VOLUMES], "drbd.volumes has one for all", "--without"),
        (["explore", "--accelerator", "xen"], "no accelerator 'xen'", "auto, kvm or tcg"),
        (["explore", "--cache", "/run/x"], "cannot lie at /run/x", "--cache"),
        (["replay", "/nonexistent.feature"], "no such file: /nonexistent.feature", "schedules"),
        (["replay", str(PROJECT / "features/links.feature")], "5 scenarios", "harness run"),
        (["replay", str(PROJECT / "features/reset.feature"), "--lab", "lab0", "--connect",
          "qemu:///system"], "--lab lab0 is on the libvirt that it was made on", "leave out one"),
        (["replay", str(PROJECT / "features/reset.feature"), "--accelerator", "xen"],
         "no accelerator 'xen'", "auto"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_a_hint(
    harness: Harness, made: list[FakeRunner], arguments: list[str], says: str, hint: str
) -> None:
    code, out, err = harness(*arguments)
    assert code == ExitCode.MISSING_ENVIRONMENT
    first, *more = err.splitlines()
    assert first.startswith("error: ")
    assert says in first
    assert not hint or (more[0].startswith("hint: ") and hint in more[0])
    assert out == ""
    assert made == [], "nothing was begun"


def test_the_seed_is_told_before_anything_begins(
    harness: Harness, made: list[FakeRunner], tmp_path: Path
) -> None:
    target = str(tmp_path / "run")
    code, out, err = harness(
        "explore", "--seed", "7", "--folder", target, "--config", str(MUTANT), "--budget", "20m"
    )
    assert code == ExitCode.INVALID, "what the report says"
    first, second = err.splitlines()[:2]
    assert first == f"Seed 7: harness explore --seed 7 --budget 20m --config {MUTANT}"
    assert second.startswith("◆ Schedule 1 of seed 7: ")
    (runner,) = made
    assert runner.closed
    options = runner.options  # type: ignore[attr-defined]
    assert (options.seed, options.config, options.folder) == (7, MUTANT, Path(target))
    assert options.everything
    assert not options.resume
    assert "fails fence-constraints: from " in out
    assert "harness replay scenarios/schedules/7-" in out
    assert f"Report: {target}" in out
    head = next((tmp_path / "schedules").iterdir()).read_text()
    assert f"--config {MUTANT}" in head
    stored = json.loads((tmp_path / "run" / "coverage.json").read_text())
    found = load(Path(target))
    assert found is not None
    assert stored["schedules"] == len(found.entries)


def test_the_guests_are_told_to_the_lab_and_to_whoever_does_it_again(
    harness: Harness, made: list[FakeRunner], tmp_path: Path
) -> None:
    said = harness("explore", "--seed", "7", "--guest", "debian13", "--folder", str(tmp_path / "a"))
    assert said[2].splitlines()[0].endswith("--budget 30m --guest debian13")
    file = str(sorted((tmp_path / "schedules").iterdir())[0])
    harness("replay", file, "--guest", "debian13", "--folder", str(tmp_path / "r"))
    assert [one.options.guest for one in made] == ["debian13"] * 2  # type: ignore[attr-defined]
    # Neither goes on with what was found on other guests.
    for name, more in (("explore", ("--seed", "7")), ("replay", (file,))):
        folder = str(tmp_path / ("a" if name == "explore" else "r"))
        assert harness(name, *more, "--folder", folder)[0] == ExitCode.MISSING_ENVIRONMENT
    assert config_hash(None, "debian12") == "reference"
    assert config_hash(None, "debian13") != "reference"


def test_without_a_seed_one_is_chosen_and_kept(
    harness: Harness, made: list[FakeRunner], tmp_path: Path
) -> None:
    target = tmp_path / "run"
    harness("explore", "--folder", str(target), "--budget", "1m")
    found = load(target)
    assert found is not None
    _code, _out, err = harness("explore", "--folder", str(target), "--budget", "1m")
    assert err.startswith(f"Seed {found.settings.seed}: ")
    assert made[1].ran == [], "it went on where it was"


def test_after_sigterm_it_goes_on_where_it_was_and_the_budget_counts_all_of_it(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A real signal in the middle of the third schedule, which is run again; five are paid for."""
    target = tmp_path / "run"
    made: list[FakeRunner] = []

    class Terminated(FakeRunner):
        def run(self, feature: Path) -> Ran:
            ran = super().run(feature)
            if self is made[0] and len(self.ran) == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            return ran

    def make(options: Any) -> FakeRunner:
        made.append(Terminated(options.folder))
        return made[-1]

    monkeypatch.setattr(runners, "LabRunner", make)
    monkeypatch.setattr(command, "SCHEDULES", tmp_path / "schedules")
    monkeypatch.setattr(cli, "_findings", lambda *_: [])
    monkeypatch.setattr(reporting, "report", lambda folder: 0)
    arguments = ("explore", "--seed", "7", "--folder", str(target), "--budget", "5m")
    code, _out, _err = harness(*arguments)
    assert code == 130, "as Ctrl-C ends it"
    assert made[0].closed, "its lab is removed"
    before = load(target)
    assert before is not None
    assert (len(before.entries), before.spent_s) == (2, 120)

    code, _out, _err = harness(*arguments)
    assert code == 0
    assert len(made[1].ran) == 3, "60 s each, of 5 min that 2 min were spent of"
    after = load(target)
    assert after is not None
    assert after.entries[:2] == before.entries
    assert after.spent_s == 300
    assert {p.name for p in (target / "evidence").iterdir()} == after.evidence()
    assert len(list((target / "superseded").iterdir())) == 1


def test_a_budget_that_is_too_small_says_so(
    harness: Harness, made: list[FakeRunner], tmp_path: Path
) -> None:
    code, _out, err = harness("explore", "--folder", str(tmp_path / "r"), "--budget", "0")
    assert code == ExitCode.HARNESS_ERROR
    assert "error: no schedule was run\nhint: a longer --budget" in err
    assert made[0].closed


def test_listing_runs_nothing(harness: Harness, made: list[FakeRunner], tmp_path: Path) -> None:
    code, out, _err = harness("explore", "--seed", "3", "--count", "2", "--list")
    assert code == 0
    assert out.count("  Scenario: Schedule ") == 2
    assert made == []
    assert not (tmp_path / "schedules").exists()
    code, out, _err = harness("explore", "--kinds")
    assert "drbd-cut" in out
    assert "outage" in out


def test_a_schedule_is_replayed(harness: Harness, made: list[FakeRunner], tmp_path: Path) -> None:
    harness("explore", "--seed", "7", "--folder", str(tmp_path / "run"), "--budget", "1m")
    file = sorted((tmp_path / "schedules").iterdir())[0]
    code, out, err = harness(
        "replay", str(file), "--times", "3", "--folder", str(tmp_path / "again")
    )
    assert code == ExitCode.INVALID
    assert made[1].files == [file] * 3
    assert made[1].closed
    assert "replay 3 of 3" in err
    assert f"Report: {tmp_path / 'again'}" in out
    # The fake leaves no timeline: nothing of it can be compared.
    assert "The same sequence in 1 of 3 replays" in out
    _code, out, _err = harness("replay", str(file), "--folder", str(tmp_path / "once"))
    assert "sequence" not in out


def test_a_run_that_fails_ends_its_lab(
    harness: Harness, made: list[FakeRunner], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_self: FakeRunner, _feature: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeRunner, "run", broken)
    code, _out, _err = harness("explore", "--seed", "1", "--folder", str(tmp_path / "r"))
    assert code != 0
    assert made[0].closed


def test_both_commands_are_taught_by_their_help(harness: Harness) -> None:
    for name, words in (
        ("explore", ("--seed", "--budget", "--beyond", "--shrink-budget", "--keep-going")),
        ("replay", ("--times", "feature file with one scenario")),
    ):
        code, out, _err = harness(name, "--help")
        assert code == 0
        for word in words:
            assert word in out


def test_hashes() -> None:
    assert config_hash(None) == "reference"
    assert config_hash(MUTANT) not in ("reference", config_hash(MUTANT.with_name("no-order.toml")))
    assert explore_hash() == explore_hash()
    assert len(explore_hash()) == 16
