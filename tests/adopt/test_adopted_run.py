"""A run on adopted machines: what it writes down, what it is told apart by, how it ends."""

from __future__ import annotations

import dataclasses
import json
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from harness import cli
from harness.adopt import session as module
from harness.adopt.session import AdoptedSession, adopting_hash, run_adopted
from harness.errors import BadInputError, ExitCode, MissingEnvironmentError
from harness.lab.paths import PROJECT, Cache
from harness.resuming import code_hash
from harness.session import RunOptions
from tests.adopt.conftest import planned

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PACKAGES = "linux-image-6.1.0-41-cloud-amd64 6.1.158-1\ncorosync 3.1.7-1+deb12u1\nfio 3.33-3\n"


class FakeLab:
    """As much of a lab as a session asks for; ``events`` tells what was done."""

    def __init__(self, folder: Path, events: list[str]) -> None:
        self.folder = folder
        self.events = events
        guest = SimpleNamespace(run=lambda _command: SimpleNamespace(stdout=PACKAGES))
        self.nodes = [SimpleNamespace(guest=guest)]

    def destroy(self) -> None:
        self.events.append("let go")


class FakeWitnesses:
    def __init__(self, lab: FakeLab) -> None:
        self._events = lab.events

    def close(self) -> None:
        self._events.append("witnesses end")


class FakeLeftovers:
    def __init__(self, events: list[str]) -> None:
        self._events = events

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_lab: self._events.append(name)


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: list[str]) -> AdoptedSession:
    monkeypatch.setattr("harness.lab.paths._MAX_ROOT", 200)
    monkeypatch.setattr(module, "LabWitnesses", FakeWitnesses)
    lab: Any = FakeLab(tmp_path, events)
    options = RunOptions(cache=Cache(tmp_path), folder=tmp_path / "run", connect="qemu:///system")

    def attach() -> Any:
        events.append("attach")
        return lab

    made = AdoptedSession(options, planned(), attach)
    made._leftovers = FakeLeftovers(events)  # type: ignore[assignment]
    return made


def test_what_it_was_run_on_is_asked_of_the_machines(
    session: AdoptedSession, events: list[str]
) -> None:
    session.start()
    told = json.loads((session.folder / "run.json").read_text())
    assert told["versions"]["corosync"] == "3.1.7-1+deb12u1"
    assert told["versions"]["kernel"] == "6.1.158-1"
    assert (told["accelerator"], told["timing"]["name"]) == ("tcg", "tcg")
    assert told["host"] == f"adopted {adopting_hash()}"
    assert told["code"] == code_hash()
    assert told["cluster"]["how"] == "adopted"
    assert "timing" not in told["config"]
    session.close()
    assert events == [
        "before_the_lab", "attach", "with_the_lab", "witnesses end", "of_the_lab", "let go",
        "of_the_host",
    ]  # fmt: skip


def test_other_code_that_adopts_is_another_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no part of code_hash, and yet no parts of a run are merged across it."""
    own = tmp_path / "adopt.py"
    own.write_text("1")
    monkeypatch.setattr(module, "PROJECT", tmp_path)
    monkeypatch.setattr(module, "_CODE", ())
    monkeypatch.setattr(module, "_FILES", (own,))
    before = adopting_hash()
    assert adopting_hash() == before
    own.write_text("2")
    assert adopting_hash() != before


def test_the_hash_has_what_makes_and_finds_the_machines() -> None:
    assert all(path.is_file() for path in module._FILES)
    assert all(any(path.rglob("*")) for path in module._CODE)


def test_the_command_that_runs_it_again_is_this_one(session: AdoptedSession) -> None:
    text = session._reproduce("A name", PROJECT / "features" / "power.feature")
    assert text == ".venv/bin/harness adopt --run 'A name'"
    session.options = dataclasses.replace(session.options, connect="qemu+unix:///system?socket=/s")
    text = session._reproduce("A name", None)
    assert text.endswith("adopt --run 'A name' --connect 'qemu+unix:///system?socket=/s'")


@pytest.mark.parametrize(
    ("pytest_code", "evidence", "meant", "code"),
    [
        (0, True, ExitCode.VALID, 0),
        (1, True, ExitCode.INVALID, 1),
        (1, True, ExitCode.INCONCLUSIVE, 10),
        (1, True, ExitCode.VALID, 20),
        (5, False, ExitCode.VALID, 21),
    ],
    ids=["valid", "invalid", "inconclusive", "cut short", "no such scenario"],
)
def test_its_exit_code(
    session: AdoptedSession,
    events: list[str],
    monkeypatch: pytest.MonkeyPatch,
    pytest_code: int,
    evidence: bool,
    meant: ExitCode,
    code: int,
) -> None:
    def run(own: Any, suite: Path) -> int:
        events.append("run")
        assert (own, suite) == (session, PROJECT / "scenarios")
        if evidence:
            (session.folder / "evidence").mkdir()
        return pytest_code

    monkeypatch.setattr(module, "run_feature", run)
    monkeypatch.setattr(module, "report", lambda _folder: int(meant))
    assert run_adopted(session, PROJECT / "scenarios") == code
    assert events.index("with_the_lab") < events.index("run") < events.index("let go")


def test_ctrl_c_lets_go_and_is_told(
    session: AdoptedSession, events: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "run_feature", lambda _session, _suite: 2)
    with pytest.raises(KeyboardInterrupt):
        run_adopted(session, PROJECT / "scenarios")
    assert events[-2:] == ["let go", "of_the_host"]


# ------------------------------------------------------------------ the command


def call(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, list(arguments))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # A short name for the same folder: sockets live below a cache.
    monkeypatch.setattr("harness.lab.paths._MAX_ROOT", 200)
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("arguments", "says", "hint"),
    [
        (["adopt"], "no machines were prepared", "vagrant up"),
        (["adopt", "--run"], "no machines were prepared", "vagrant up"),
        (["adopt", "A name"], "names of scenarios go with --run", "--run"),
        (["adopt", "--run", "--forget"], "one of --prepare, --run and --forget", ""),
        (["adopt", "--prepare", "--accelerator", "xen"], "no accelerator 'xen'", "kvm"),
        (["adopt", "--ssh-config", "/nonexistent"], "/nonexistent cannot be read", ""),
        (["image", "--box", "/nonexistent/it.box"], "no folder /nonexistent", "--box"),
    ],
)
def test_mistakes_are_one_line_with_a_hint(
    cache: Path, arguments: list[str], says: str, hint: str
) -> None:
    done = call(*arguments, "--cache", str(cache))
    assert isinstance(done.exception, BadInputError), done.output
    assert says in done.exception.message
    assert hint in done.exception.hint
    assert not cache.exists(), "a mistake leaves nothing behind"


def test_a_daemon_that_is_not_there_is_told_before_anything_is_made(cache: Path) -> None:
    uri = "qemu+unix:///system?socket=/nonexistent/sock"
    done = call("adopt", "--prepare", "--connect", uri, "--cache", str(cache))
    assert isinstance(done.exception, MissingEnvironmentError)
    assert not cache.exists()


def test_forgetting_is_refused_while_there_are_machines(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("adopt", "--forget", "--cache", str(cache)).output == "nothing was prepared\n"
    state = cache / "vagrant"
    state.mkdir(parents=True)
    (state / "lab.json").write_text(planned().model_dump_json())
    macs = {card.mac for one in planned().machines for card in one.cards}
    left = [
        SimpleNamespace(name="whatever", macs=frozenset(sorted(macs)[:1])),
        SimpleNamespace(name="a stranger's", macs=frozenset({"52:54:00:00:00:01"})),
    ]
    monkeypatch.setattr("harness.adopt.domains.read_domains", lambda _connection: left)
    arguments = ["adopt", "--forget", "--connect", "test:///default", "--cache", str(cache)]
    done = call(*arguments)
    assert isinstance(done.exception, BadInputError)
    assert done.exception.message == "there still are whatever"
    assert state.exists()
    left.pop(0)
    assert call(*arguments).output == f"removed {state}\n"
    assert not state.exists()


def test_a_run_is_given_what_was_asked_for(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state = cache / "vagrant"
    state.mkdir(parents=True)
    (state / "lab.json").write_text(planned().model_dump_json())
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    seen: list[Any] = []

    def run(session: Any, suite: Path) -> int:
        seen.append((session.options, suite))
        return 10

    monkeypatch.setattr("harness.adopt.session.run_adopted", run)
    target = tmp_path / "mine"
    done = call("adopt", "--run", "A name", "--folder", str(target), "--cache", str(cache))
    assert done.exit_code == 10, done.output
    ((options, suite),) = seen
    assert (options.only, options.everything) == (("A name",), False)
    assert (options.folder, options.accelerator) == (target, "tcg")
    assert suite == PROJECT / "scenarios"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    done = call("adopt", "--cache", str(cache))
    assert isinstance(done.exception, MissingEnvironmentError)
    assert len(seen) == 1
