"""The command line: a user's mistake is one line, a hint and an exit code; no traceback."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import cli, running, session
from harness.commands import nightly
from harness.errors import (
    BadInputError,
    DeadlineError,
    ExitCode,
    HarnessError,
    InconclusiveError,
    MissingEnvironmentError,
)
from harness.lab import doctor
from harness.lab.lab import KEPT
from harness.lab.labhost import LabHost
from harness.lab.lease import try_lease
from harness.lab.paths import PROJECT
from harness.lab.topology import Topology

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.session import RunOptions

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


_LEDGER = ("--ledger", "/nonexistent/ledger")
_POOL = ("--pool", "/nonexistent/pool.toml")
_RESET = (str(PROJECT / "features" / "reset.feature"),)
_ROOTLESS = ("--rootless", "--connect", "qemu:///system")
_BOTH = ("--lab", "lab0", "--connect", "qemu:///system")


@pytest.mark.parametrize(
    ("arguments", "says", "hint"),
    [
        (["run", "--accelerator", "xen"], "no accelerator 'xen'", "auto, kvm or tcg"),
        (["nightly", "--accelerator", "xen"], "no accelerator 'xen'", "auto, kvm or tcg"),
        (
            ["run", "--guest", "debian99"],
            "no guest debian99; there are: debian12, ",
            "configuration",
        ),
        (["nightly", "--guest", "debian99"], "no guest debian99; there are: deb", "configuration"),
        (["nightly", "--guest", "rhel9"], "no image of the guest rhel9 can be built", "guests.md"),
        (["nightly", *_POOL, "--connect", "qemu:///system"], "--connect names one h", "leave out"),
        (["nightly", *_ROOTLESS], "--rootless is a lab in namespaces of its own", "leave out one"),
        (["qualify", "--guest", "rhel9"], "no image of the guest rhel9 can be built", "guests.md"),
        (["qualify", "--connect", "qemu+ssh://h/system"], "are elsewhere", "harness qualify there"),
        (["mutants", "--guest", "rhel9"], "no image of the guest rhel9 can be built", "guests.md"),
        (["mutants", "--guest", "debian13"], "cannot be planted in debian13: ", "name those that"),
        (["mutants", *_LEDGER, "--guest", "debian13"], "tries on debian12 alone", "leave out"),
        (["explore", "--guest", "rhel9"], "no image of the guest rhel9 can be built", "guests.md"),
        (["replay", *_RESET, "--guest", "rhel9"], "no image of the guest rhel9", "guests.md"),
        (["adopt", "--prepare", "--guest", "rhel9"], "no image of the guest rhel9", "guests.md"),
        (["adopt", "--guest", "debian13"], "--guest goes with --prepare", "--forget"),
        (["image", "--guest", "debian99"], "there is no guest debian99", "there are: debian12, "),
        (["image", "--guest", "rhel9"], "no image of the guest rhel9 can be built", "guests.md"),
        (["run", "--budget", "soon"], "--budget 'soon'?", "40m"),
        (["nightly", "--budget", "0m"], "--budget '0m'?", "40m"),
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
        (["seed", "/nonexistent"], "/nonexistent is not the folder of a run", ""),
        (["tally", __file__], "test_command_line.py is not the folder of a run", ""),
        (["tally", "--ledger", "/nonexistent/ledger"], "there is no ledger /nonexist", "first run"),
        (["mutants", "--score", "--ledger", "/nonexistent/ledger"], "there is no led", "first run"),
        (["mutants", "--ledger", __file__], "test_command_line.py, line 1", "one JSON object"),
        (["run", *_BOTH], "--lab lab0 is on the libvirt that it was made on", "leave out one"),
        (["run", "--list", *_BOTH], "and --connect qemu:///system names one", "leave out one"),
        (["explore", *_BOTH], "and --connect qemu:///system names one", "leave out one"),
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


@pytest.fixture
def began(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What ``run`` and ``up`` began; nothing of it is real."""
    calls: list[str] = []

    def folder() -> Path:
        calls.append("folder")
        return tmp_path / "run"

    def scenarios(options: RunOptions, _suite: Path) -> int:
        calls.append(f"scenarios in {options.folder} {'resumed' if options.resume else 'anew'}")
        return 0

    def listed(_options: RunOptions, _suite: Path) -> int:
        calls.append("list")
        return 0

    class Session:
        def __init__(self, _options: RunOptions) -> None:
            calls.append("session")

        def start(self) -> None:
            calls.append("start")

        def close(self) -> None:
            calls.append("close")

    monkeypatch.setattr(session, "new_run_folder", folder)
    monkeypatch.setattr(session, "LabSession", Session)
    monkeypatch.setattr(running, "run_scenarios", scenarios)
    monkeypatch.setattr(running, "list_scenarios", listed)
    return calls


def found(monkeypatch: pytest.MonkeyPatch, *findings: doctor.Finding) -> list[tuple[object, ...]]:
    """The doctor finds this; returns what it was asked with."""
    asked: list[tuple[object, ...]] = []

    def run_doctor(*arguments: object, connect: str | None) -> list[doctor.Finding]:
        assert connect is None
        asked.append(arguments)
        return list(findings)

    monkeypatch.setattr(doctor, "run_doctor", run_doctor)
    return asked


ROOT = doctor.Finding("root", "fail", "uid 1000", "run it with sudo")
KVM = doctor.Finding("kvm", "warn", "no usable KVM", "emulation is used")
PYTHON = doctor.Finding("python", "ok", "3.11", "")


@pytest.mark.parametrize("command", [["run"], ["run", "Some scenario", "--fresh"], ["up"]])
def test_a_host_that_cannot_run_a_lab_is_told_before_anything_begins(
    harness: Harness,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    began: list[str],
    command: list[str],
) -> None:
    found(monkeypatch, PYTHON, KVM, ROOT)
    code, out, err = harness(*command)
    assert code == ExitCode.MISSING_ENVIRONMENT
    said = out + err
    assert "uid 1000" in said
    assert "run it with sudo" in said
    assert "no usable KVM" not in said, "only what has to be mended"
    assert "Traceback" not in said
    assert began == []
    assert list(cache.iterdir()) == []


def test_the_run_folder_is_not_touched_on_a_host_that_cannot_run_a_lab(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, began: list[str]
) -> None:
    found(monkeypatch, ROOT)
    for option in ("--folder", "--resume"):
        assert harness("run", option, str(tmp_path / "mine"))[0] == ExitCode.MISSING_ENVIRONMENT
    assert not (tmp_path / "mine").exists()
    assert began == []


@pytest.mark.usefixtures("cache")
def test_warnings_do_not_stop_a_run(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, began: list[str]
) -> None:
    asked = found(monkeypatch, PYTHON, KVM)
    assert harness("run")[0] == ExitCode.VALID
    assert harness("run", "--folder", str(tmp_path / "a"))[0] == ExitCode.VALID
    assert harness("run", "--resume", str(tmp_path / "b"))[0] == ExitCode.VALID
    assert began == [
        "folder",
        f"scenarios in {tmp_path / 'run'} anew",
        f"scenarios in {tmp_path / 'a'} anew",
        f"scenarios in {tmp_path / 'b'} resumed",
    ]
    assert len(asked) == 3
    began.clear()
    assert harness("up")[0] == 0
    assert began == ["session", "start", "close"]


def test_the_host_is_checked_for_the_cache_that_is_meant(
    harness: Harness, cache: Path, monkeypatch: pytest.MonkeyPatch, began: list[str]
) -> None:
    kernel = cache / "images" / "0123456789abcdef" / "vmlinuz"
    asked = found(monkeypatch, PYTHON)
    harness("run")
    kernel.parent.mkdir(parents=True)
    kernel.write_bytes(b"")
    harness("run")
    assert asked == [(cache, None), (cache, kernel)]
    assert began


def test_listing_needs_no_lab_and_so_no_check(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, began: list[str]
) -> None:
    asked = found(monkeypatch, ROOT)
    assert harness("run", "--list")[0] == 0
    assert (asked, began) == ([], ["list"])


def test_a_tag_may_be_written_as_in_the_feature_file(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def listed(options: RunOptions, _suite: Path) -> int:
        asked.append(options.tags)
        return 0

    monkeypatch.setattr("harness.running.list_scenarios", listed)
    assert harness("run", "--list", "--tag", "@smoke", "--tag", "power")[0] == 0
    assert asked == [("smoke", "power")]


def test_a_nightly_run_goes_on_with_that_of_the_same_code(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, began: list[str], tmp_path: Path
) -> None:
    found(monkeypatch, PYTHON)
    monkeypatch.setattr(nightly, "REPORTS", tmp_path)
    monkeypatch.setattr("harness.resuming.code_hash", lambda: "c0de")
    assert harness("nightly")[0] == ExitCode.VALID
    assert began == [f"scenarios in {tmp_path / 'nightly-c0de'} resumed"]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--guest", "debian12"], "nightly-c0de"),
        (["--guest", "debian13"], "nightly-c0de-debian13"),
        (["--connect", "qemu:///system"], "nightly-c0de-at-qemu-system-"),
        (
            ["--guest", "debian13", "--connect", "qemu+ssh://user@host.example/system?socket=/a/b"],
            "nightly-c0de-debian13-at-qemu-ssh-user-host-example-sys-",
        ),
    ],
)
def test_nights_of_other_guests_or_another_libvirt_are_another_run(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, arguments: list[str], name: str
) -> None:
    asked: list[RunOptions] = []

    def listed(options: RunOptions, _suite: Path) -> int:
        asked.append(options)
        return 0

    monkeypatch.setattr("harness.running.list_scenarios", listed)
    monkeypatch.setattr("harness.resuming.code_hash", lambda: "c0de")
    assert harness("nightly", "--list", *arguments)[0] == 0
    (options,) = asked
    assert options.folder is not None
    assert options.folder.name.startswith(name)
    assert len(options.folder.name) == len(name) + (8 if options.connect else 0)
    assert "--guest" not in arguments or options.guest == arguments[1]
    # Before a run goes on, the packages of the guests' image are compared with that run's.
    assert options.image.guest == ("debian13" if "debian13" in arguments else "debian12")


def test_two_libvirts_that_read_alike_are_two_runs() -> None:
    one, other = (nightly.run_name("c", "debian12", uri) for uri in ("qemu:///s", "qemu+://s"))
    assert one != other


def test_the_guests_whose_packages_were_updated_are_those_that_are_meant(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, began: list[str], tmp_path: Path
) -> None:
    found(monkeypatch, PYTHON)
    monkeypatch.setattr(nightly, "REPORTS", tmp_path)
    monkeypatch.setattr("harness.resuming.code_hash", lambda: "c0de")
    built: list[str] = []
    monkeypatch.setattr(
        "harness.lab.image.ensure_image", lambda _cache, options: built.append(options.guest)
    )
    monkeypatch.setattr("harness.cluster.inventory.packages_of", lambda _image: {})
    monkeypatch.setattr("harness.cluster.inventory.versions_of", lambda _image, _qemu: {})
    folder = tmp_path / "nightly-c0de-debian13"
    folder.mkdir()
    (folder / "run.json").write_text("{}")
    assert harness("nightly", "--guest", "debian13")[0] == ExitCode.VALID
    assert built == ["debian13"]
    assert began == [f"scenarios in {folder} resumed"]


def test_an_update_does_not_end_all_further_nights(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, began: list[str], tmp_path: Path
) -> None:
    """At the same code they would go on with a run that nothing can be added to any more."""
    found(monkeypatch, PYTHON)
    monkeypatch.setattr(nightly, "REPORTS", tmp_path)
    monkeypatch.setattr("harness.resuming.code_hash", lambda: "c0de")
    monkeypatch.setattr("harness.lab.image.ensure_image", lambda *_: None)
    monkeypatch.setattr("harness.cluster.inventory.packages_of", lambda _image: {})
    versions = {"kernel": "6.1"}
    monkeypatch.setattr("harness.cluster.inventory.versions_of", lambda _image, _qemu: versions)
    folder = tmp_path / "nightly-c0de"
    folder.mkdir()
    (folder / "run.json").write_text('{"versions": {"kernel": "6.1"}}')
    assert harness("nightly")[0] == ExitCode.VALID
    assert (folder / "run.json").exists()
    versions["kernel"] = "6.2"
    code, said, error = harness("nightly")
    assert code == ExitCode.VALID
    assert "kernel: 6.1 there, 6.2 now" in " ".join((said + error).split())
    (aside,) = tmp_path.glob("nightly-c0de-until-*")
    assert (aside / "run.json").exists()
    assert not (folder / "run.json").exists()
    assert began == [f"scenarios in {folder} resumed"] * 2


def test_a_nightly_run_begins_anew_when_it_is_asked_to(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, began: list[str], tmp_path: Path
) -> None:
    found(monkeypatch, PYTHON)
    monkeypatch.setattr(nightly, "REPORTS", tmp_path)
    monkeypatch.setattr("harness.resuming.code_hash", lambda: "c0de")
    assert harness("nightly", "--anew")[0] == ExitCode.VALID, "there is none to put aside"
    folder = tmp_path / "nightly-c0de"
    folder.mkdir(exist_ok=True)
    (folder / "run.json").write_text("{}")
    assert harness("nightly", "--anew")[0] == ExitCode.VALID
    assert len(list(tmp_path.glob("nightly-c0de-until-*"))) == 1
    assert len(began) == 2


def test_what_is_wanted_of_a_nightly_run_is_handed_on(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[RunOptions] = []

    def listed(options: RunOptions, _suite: Path) -> int:
        asked.append(options)
        return 0

    monkeypatch.setattr("harness.running.list_scenarios", listed)
    assert harness("nightly", "--list")[0] == 0
    more = ["Some scenario", "--budget", "1h30m", "--theme", "links", "--theme", "theme-power"]
    assert harness("nightly", "--list", *more, "--tag", "@row-4", "--again")[0] == 0
    assert harness("run", "--list", "--without-injecting", "--all", "--budget", "40m")[0] == 0
    plain, narrowed, run = asked
    assert (plain.everything, plain.resume, plain.again, plain.budget_s) == (
        True,
        True,
        False,
        None,
    )
    assert narrowed.only == ("Some scenario",)
    assert (narrowed.themes, narrowed.tags) == (("links", "power"), ("row-4",))
    assert (narrowed.budget_s, narrowed.again) == (5400, True)
    assert (run.injecting, run.budget_s, run.resume) == (False, 2400, False)
    assert plain.injecting


def test_what_is_left_of_a_run_can_be_listed(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[RunOptions] = []

    def listed(options: RunOptions, _suite: Path) -> int:
        asked.append(options)
        return 0

    monkeypatch.setattr("harness.running.list_scenarios", listed)
    assert harness("run", "--list", "--resume", str(tmp_path))[0] == 0
    (options,) = asked
    assert (options.folder, options.resume) == (tmp_path, True)


def test_a_run_that_never_began_leaves_no_empty_folder(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, began: list[str], tmp_path: Path
) -> None:
    found(monkeypatch, PYTHON)
    empty, used = tmp_path / "empty", tmp_path / "used"
    for folder in (empty, used):
        folder.mkdir()
    (used / "run.json").write_text("{}")
    harness("run", "--folder", str(empty))
    harness("run", "--folder", str(used))
    assert len(began) == 2
    assert [path.name for path in tmp_path.iterdir() if path in (empty, used)] == ["used"]


def test_a_mistake_is_told_before_the_host_is_looked_at(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, began: list[str]
) -> None:
    """It is the quicker one to mend."""
    asked = found(monkeypatch, ROOT)
    assert "xen" in harness("run", "--accelerator", "xen")[2]
    assert (asked, began) == ([], [])


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
    ("arguments", "asked"),
    [
        (["alpha", "crm_mon", "-1rf"], ["crm_mon", "-1rf"]),
        (["alpha", "--lab", "lab0", "ls", "--all", "-l", "/"], ["ls", "--all", "-l", "/"]),
        (["alpha", "--", "crm_mon", "--help"], ["crm_mon", "--help"]),
        (["alpha"], []),
    ],
)
def test_a_guest_s_command_keeps_its_options(
    harness: Harness,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    asked: list[str],
) -> None:
    class Host:
        topology = Topology(0)
        lab_path = "/lab"

        def inside(self, *command: str) -> list[str]:
            return list(command)

        shell_in = LabHost.shell_in

    def execute(_name: str, command: list[str]) -> None:
        raise HarnessError(json.dumps(command), hint="")

    (cache / "labs" / "lab0").mkdir(parents=True)
    monkeypatch.setattr("harness.lab.lab.attach_host", lambda _cache, _folder: Host())
    monkeypatch.setattr(os, "execvp", execute)
    _code, _out, err = harness("ssh", *arguments)
    command = json.loads(err.removeprefix("error: "))
    assert command[command.index("-o") :][5:] == asked


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
    lines = err.splitlines()
    assert lines[:2] == ["lab0: abandoned (harness gc removes it)", "lab1: kept, but not running"]
    assert lines[2].startswith(f"lab2: in use by process {os.getpid()}: ")


def test_several_labs_have_to_be_named(harness: Harness, cache: Path) -> None:
    for name in ("lab0", "lab1"):
        (cache / "labs" / name).mkdir(parents=True)
    code, _out, err = harness("down")
    assert code == ExitCode.MISSING_ENVIRONMENT
    assert err.startswith("error: 2 labs on this host\n")


def test_help_the_doctor_and_old_runs_need_no_libvirt() -> None:
    """Whether it can be imported is for the doctor to say; and a stored run is judged anywhere."""
    code = (
        "import sys; sys.modules.update(libvirt=None, libvirt_qemu=None); import harness.cli; "
        "sys.argv = ['harness', 'recheck', '/nonexistent']; harness.cli.main()"
    )
    done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    assert "/nonexistent is not the folder of a run" in done.stderr
    assert done.returncode == ExitCode.MISSING_ENVIRONMENT


def test_help_names_every_command_and_exit_code(harness: Harness) -> None:
    code, out, _err = harness("--help")
    assert code == 0
    for command in (
        "doctor", "run", "nightly", "up", "status", "ssh", "console", "snapshot", "down", "gc",
        "steps", "recheck", "report",
    ):  # fmt: skip
        assert f" {command} " in out, command
    codes = " ".join(out.split())
    for value in ("0 valid", "1 invalid", "10 inconclusive", "20 error", "21 something"):
        assert value in codes


def test_help_is_not_broken_within_its_lines() -> None:
    for command in cli.app.registered_commands:
        _summary, *lines = (inspect.getdoc(command.callback) or "").splitlines()
        assert all(len(line) <= 78 for line in lines), f"{command.callback}: 80 columns, less two"
