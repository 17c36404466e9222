"""The command line: a user's mistake is one line, a hint and an exit code; no traceback."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import cli
from harness.errors import (
    BadInputError,
    DeadlineError,
    ExitCode,
    HarnessError,
    InconclusiveError,
    MissingEnvironmentError,
)
from harness.lab.lab import KEPT
from harness.lab.lease import try_lease

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Harness = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cache() -> Iterator[Path]:
    # Not tmp_path: it is too long for the sockets below a cache.
    with tempfile.TemporaryDirectory(prefix="fh-", dir="/tmp") as root:
        yield Path(root)


@pytest.fixture
def harness(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cache: Path
) -> Iterator[Harness]:
    """Call the command; returns exit code, standard output and standard error."""
    monkeypatch.setenv("FAILOVER_HARNESS_CACHE", str(cache))
    monkeypatch.setenv("COLUMNS", "80")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["harness", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("arguments", "says", "hint"),
    [
        (["run", "--accelerator", "xen"], "no accelerator 'xen'", "auto, kvm or tcg"),
        (["run", "--keep", "sometimes"], "--keep 'sometimes'?", "never, on-failure or always"),
        (["run", "--suite", "/nonexistent"], "no such file or folder: /nonexistent", "--suite"),
        (["run", "--cache", "/x" + "x" * 80], "longer than 60 bytes", "--cache"),
        (["gc", "--cache", "/run/harness"], "cannot lie at /run/harness", "--cache"),
        (["status", "--cache", "/proc/harness"], "cannot lie at", "--cache"),
        (["ssh", "alpha"], "0 labs on this host", "--lab"),
        (["console", "alpha"], "0 labs on this host", "--lab"),
        (["console", "charlie", "--lab", "lab0"], "no machine called 'charlie'", "alpha, bravo"),
        (["snapshot", "mine"], "0 labs on this host", "--lab"),
        (["down"], "0 labs on this host", "--lab"),
        (["report", "/nonexistent"], "/nonexistent is not the folder of a run", ""),
        (["recheck", "/nonexistent"], "/nonexistent is not the folder of a run", ""),
    ],
)
def test_bad_input_is_one_line_a_hint_and_21(
    harness: Harness, cache: Path, arguments: list[str], says: str, hint: str
) -> None:
    code, out, err = harness(*arguments)
    assert code == ExitCode.MISSING_ENVIRONMENT
    first, second = err.splitlines()
    assert first.startswith("error: ")
    assert says in first
    assert second.startswith("hint: ")
    assert hint in second
    assert out == ""
    assert list(cache.iterdir()) == [], "a mistake leaves nothing behind"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["down", "--lab", "lab7"], "no lab called lab7"),
        (["snapshot", "mine", "--lab", "lab7"], "no lab called lab7"),
        (["ssh", "alpha", "--lab", "lab7"], "no lab runs in"),
    ],
)
def test_a_lab_that_is_not_there(harness: Harness, arguments: list[str], says: str) -> None:
    code, _out, err = harness(*arguments)
    assert code == ExitCode.HARNESS_ERROR
    first, second = err.splitlines()
    assert first.startswith("error: ")
    assert says in first
    assert second.startswith(("hint: harness status", "hint: start one"))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (HarnessError("it broke", hint="do this"), 20),
        (DeadlineError("it broke", hint="do this"), 20),
        (MissingEnvironmentError("it broke", hint="do this"), 21),
        (BadInputError("it broke", hint="do this"), 21),
        (InconclusiveError("it broke", hint="do this"), 10),
    ],
)
def test_every_error_ends_with_its_own_code(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, error: HarnessError, code: int
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    assert harness() == (code, "", "error: it broke\nhint: do this\n")


def test_markup_in_a_message_is_shown_as_it_is(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "no [bold]device[/bold] [/dev/kvm] " + "x" * 200

    def fail() -> None:
        raise HarnessError(long)

    monkeypatch.setattr(cli, "app", fail)
    assert harness() == (20, "", f"error: {long}\n")


def test_a_bug_of_the_harness_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise LookupError("a bug")

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(LookupError, match="a bug"):
        cli.main()


def test_ctrl_c_is_an_error_and_a_closed_pipe_is_not(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    def broken() -> None:
        raise BrokenPipeError

    monkeypatch.setattr(cli, "app", interrupt)
    code, _out, err = harness()
    assert code == ExitCode.HARNESS_ERROR
    assert "interrupted" in err
    monkeypatch.setattr(cli, "app", broken)
    assert harness() == (0, "", "")


def test_garbage_is_collected_by_name(harness: Harness, cache: Path) -> None:
    assert harness("gc")[::2] == (0, "nothing to remove\n")
    for name in ("lab0", "lab1"):
        (cache / "labs" / name / "disks").mkdir(parents=True)
    (cache / "labs" / "lab1" / KEPT).write_text(json.dumps({"why": "w", "uri": "u"}))
    assert harness("gc")[::2] == (0, "removed lab lab0\n")
    assert harness("gc", "--all")[::2] == (0, "removed lab lab1\n")
    assert list((cache / "labs").iterdir()) == []


def test_status_tells_what_a_lab_s_folder_is(harness: Harness, cache: Path) -> None:
    assert harness("status")[2] == "No labs. Start one with: harness up\n"
    for name in ("lab0", "lab1", "lab2"):
        (cache / "labs" / name).mkdir(parents=True)
    (cache / "labs" / "lab1" / KEPT).write_text(json.dumps({"why": "w", "uri": "u"}))
    lease = try_lease(cache / "leases" / "lab2.lock")
    assert lease is not None
    code, _out, err = harness("status")
    lease.release()
    assert code == 0
    assert err.splitlines() == [
        "lab0: abandoned (harness gc removes it)",
        "lab1: kept, but not running",
        "lab2: in use",
    ]


def test_several_labs_have_to_be_named(harness: Harness, cache: Path) -> None:
    for name in ("lab0", "lab1"):
        (cache / "labs" / name).mkdir(parents=True)
    code, _out, err = harness("down")
    assert code == ExitCode.MISSING_ENVIRONMENT
    assert err.startswith("error: 2 labs on this host\n")


def test_help_names_every_command_and_exit_code(harness: Harness) -> None:
    code, out, _err = harness("--help")
    assert code == 0
    for command in (
        "doctor", "run", "up", "status", "ssh", "console", "snapshot", "down", "gc", "steps",
        "recheck", "report",
    ):  # fmt: skip
        assert f" {command} " in out, command
    codes = " ".join(out.split())
    for value in ("0 valid", "1 invalid", "10 inconclusive", "20 error", "21 something"):
        assert value in codes
