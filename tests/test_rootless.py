"""``--rootless``: the command is begun anew in a user namespace, or one line says why it cannot be.

The programs that make and enter namespaces are scripts here; the user namespace of a lab is real.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import cli
from harness.commands import rootless
from harness.errors import ExitCode
from harness.lab.paths import default_cache
from harness.lab.processes import stat_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Harness = Callable[..., tuple[int, str, str]]

_PROGRAMS = ("newuidmap", "newgidmap", "unshare", "setpriv", "nsenter")


class BegunError(Exception):
    """The process became another one."""


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's, at a short path."""
    with tempfile.TemporaryDirectory(prefix="fh-", dir="/tmp") as path:
        monkeypatch.setenv("HOME", path)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.delenv("FAILOVER_HARNESS_CACHE", raising=False)
        yield Path(path)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """What the process became."""
    calls: list[tuple[list[str], dict[str, str]]] = []

    def become(_file: str, command: list[str], environment: dict[str, str]) -> None:
        calls.append((command, environment))
        raise BegunError

    monkeypatch.setattr(os, "execvpe", become)
    return calls


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path) -> Path:
    """An ordinary user with subordinate ids; the folder of the programs that there are."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in _PROGRAMS:
        (programs / name).write_text("#!/bin/sh\nexit 0\n")
        (programs / name).chmod(0o755)
    files = []
    for name in ("subuid", "subgid"):
        (tmp_path / name).write_text("other:100000:65536\nsomebody:165536:65536\n")
        files.append(tmp_path / name)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(rootless, "_SUBORDINATE", tuple(files))
    monkeypatch.setattr(rootless, "_user", lambda: "somebody")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return programs


@pytest.fixture
def harness(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Harness]:
    """Call the command; returns exit code, standard output and standard error."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["harness", *arguments])
        code = -1
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        except BegunError:
            code = 1000
        said = capsys.readouterr()
        return code, said.out, said.err

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


_ENTER = ["unshare", "--user", "--map-root-user", "--map-auto", "setpriv", "--clear-groups"]


@pytest.mark.usefixtures("user")
@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--rootless", "Some scenario"],
        ["up", "--rootless", "--fresh"],
        ["nightly", "--rootless"],
        ["explore", "--rootless", "--budget", "10m"],
        ["mutants", "--rootless", "--no-control"],
        ["variants", "--rootless", "--ledger", "/tmp/none-of-it"],
        ["image", "--rootless"],
        ["doctor", "--rootless"],
        ["gc", "--rootless"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_the_whole_command_is_begun_anew_inside(
    harness: Harness,
    begun: list[tuple[list[str], dict[str, str]]],
    home: Path,
    tmp_path: Path,
    arguments: list[str],
) -> None:
    arguments = [str(tmp_path / "ledger") if "none" in word else word for word in arguments]
    harness(*arguments)
    ((command, environment),) = begun
    assert command == [*_ENTER, sys.executable, "-m", "harness", *arguments]
    assert environment["FAILOVER_HARNESS_CACHE"] == str(home / ".cache/failover-harness")
    assert (home / ".cache/failover-harness").stat().st_mode & 0o777 == 0o700
    assert default_cache().root == home / ".cache/failover-harness", "later commands find it too"


@pytest.mark.usefixtures("user")
def test_a_cache_of_one_s_own_choice_stays(
    harness: Harness,
    begun: list[tuple[list[str], dict[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FAILOVER_HARNESS_CACHE", "/srv/mine")
    harness("up", "--rootless")
    assert begun[0][1]["FAILOVER_HARNESS_CACHE"] == "/srv/mine"


def refused(harness: Harness, *arguments: str) -> tuple[str, str]:
    code, out, err = harness(*arguments)
    assert code == ExitCode.MISSING_ENVIRONMENT
    assert out == ""
    first, second = err.splitlines()
    assert first.startswith("error: ")
    assert second.startswith("hint: ")
    return first, second


@pytest.mark.parametrize("program", ["newuidmap", "newgidmap"])
def test_without_uidmap_it_says_what_to_install(
    harness: Harness, user: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setenv("PATH", str(user))
    (user / program).unlink()
    error, hint = refused(harness, "up", "--rootless")
    assert f"needs {program}, which is not installed" in error
    assert "apt-get install uidmap" in hint


@pytest.mark.parametrize(
    ("text", "there"),
    [("", "none"), ("other:1:65536\n", "none"), ("somebody:165536:1000\n", "1000"),
     ("somebody\n", "none"), ("somebody:x:y\n", "none"), ("\xe4somebody:1:65536\n", "none")],
)  # fmt: skip
@pytest.mark.usefixtures("user")
def test_without_a_range_of_subordinate_ids_it_says_how_to_have_one(
    harness: Harness, tmp_path: Path, text: str, there: str
) -> None:
    (tmp_path / "subgid").write_text(text)
    error, hint = refused(harness, "up", "--rootless")
    assert f"{tmp_path}/subgid has {there} for somebody" in error
    assert "usermod --add-subuids" in hint
    (tmp_path / "subgid").unlink()
    assert "has none for somebody" in refused(harness, "up", "--rootless")[0]


@pytest.mark.usefixtures("user")
def test_a_range_may_be_given_by_number(tmp_path: Path) -> None:
    (tmp_path / "subuid").write_text("1000:100000:65536\n")
    rootless.check()


def test_a_kernel_that_does_not_let_users_is_named_with_its_switch(
    harness: Harness, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (user / "unshare").write_text(
        "#!/bin/sh\necho 'unshare: Operation not permitted' >&2\nexit 1\n"
    )
    monkeypatch.setattr(rootless, "_SWITCHES", (("kernel/ostype", "Linux", "kernel.ostype=1"),))
    error, hint = refused(harness, "up", "--rootless")
    assert "no user namespace is to be had here: unshare: Operation not permitted" in error
    assert "sysctl kernel.ostype=1" in hint
    monkeypatch.setattr(rootless, "_SWITCHES", ())
    assert "util-linux 2.38" in refused(harness, "up", "--rootless")[1]


@pytest.mark.usefixtures("user")
@pytest.mark.parametrize("command", ["run", "up", "explore", "mutants", "doctor"])
def test_another_libvirt_is_none_of_a_user_namespace(harness: Harness, command: str) -> None:
    error, hint = refused(harness, command, "--rootless", "--connect", "qemu:///system")
    assert "--connect qemu:///system is none" in error
    assert "leave out one" in hint


@pytest.mark.skipif(os.geteuid() != 0, reason="for root only")
def test_root_is_told_that_it_needs_none(harness: Harness, home: Path) -> None:
    if rootless.inside():
        pytest.skip("root of a user namespace")
    error, _hint = refused(harness, "up", "--rootless")
    assert "not root" in error
    assert not (home / ".cache").exists()


@pytest.fixture
def lab(home: Path) -> Iterator[Path]:
    """A lab whose warden is a process in a user namespace of its own, if that can be had."""
    folder = home / ".cache/failover-harness/labs/lab0"
    folder.mkdir(parents=True)
    process = subprocess.Popen(["unshare", "--user", "sleep", "600"], stdin=subprocess.DEVNULL)
    here = os.readlink("/proc/self/ns/user")
    while process.poll() is None and os.readlink(f"/proc/{process.pid}/ns/user") == here:
        continue
    if process.poll() is not None:
        pytest.skip("no user namespaces here")
    told = stat_of(process.pid)
    assert told is not None
    (folder / "warden.json").write_text(
        json.dumps({"pid": process.pid, "start_ticks": told.start_ticks})
    )
    yield folder
    process.kill()
    process.wait()


def warden_of(lab: Path) -> int:
    return int(json.loads((lab / "warden.json").read_text())["pid"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["ssh", "alpha", "crm_mon", "-1rf"],
        ["ssh", "--lab", "lab0", "alpha"],
        ["snapshot", "mine"],
        ["down"],
        ["lint", "--lab", "lab0"],
        ["run", "--lab", "lab0", "Some scenario"],
        ["explore", "--lab", "lab0"],
    ],
    ids=" ".join,
)
def test_a_command_that_goes_into_a_lab_enters_its_user_namespace_first(
    lab: Path,
    user: Path,
    harness: Harness,
    begun: list[tuple[list[str], dict[str, str]]],
    arguments: list[str],
) -> None:
    harness(*arguments)
    ((command, environment),) = begun
    # Inside one is root, whose usual cache is another.
    assert environment["FAILOVER_HARNESS_CACHE"] == str(lab.parent.parent)
    into = ["nsenter", "-t", str(warden_of(lab)), "-U", "--preserve-credentials"]
    assert command == [*into, sys.executable, "-m", "harness", *arguments]


def test_once_inside_nothing_is_entered_again(
    lab: Path, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nsenter(1) into one's own user namespace fails: "Invalid argument"."""
    real = os.readlink
    there = real(f"/proc/{warden_of(lab)}/ns/user")
    monkeypatch.setattr(
        os, "readlink", lambda path: there if path == "/proc/self/ns/user" else real(path)
    )
    assert rootless.elsewhere(lab) is None


def test_a_lab_whose_warden_is_gone_has_no_namespace(lab: Path, user: Path) -> None:
    assert rootless.elsewhere(lab) == warden_of(lab)
    told = json.loads((lab / "warden.json").read_text())
    (lab / "warden.json").write_text(json.dumps(told | {"start_ticks": 1}))
    assert rootless.elsewhere(lab) is None, "another process has its PID now"


@pytest.mark.skipif(os.geteuid() != 0, reason="for root only")
def test_root_of_the_host_may_enter_as_it_is(lab: Path) -> None:
    if rootless.inside():
        pytest.skip("root of a user namespace")
    assert rootless.elsewhere(lab) is None


def test_status_asks_each_lab_in_its_own_namespace(
    lab: Path, user: Path, harness: Harness, tmp_path: Path
) -> None:
    (user / "nsenter").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/asked\n')
    code, _out, _err = harness("status")
    assert code == 0
    asked = (tmp_path / "asked").read_text().split("\n")
    assert asked[:4] == ["-t", str(warden_of(lab)), "-U", "--preserve-credentials"]
    assert asked[5:10] == ["-m", "harness", "status", "--lab", "lab0"]
