"""A worker by itself: what ends it, and what becomes of its lab then."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.evidence.files import read_json
from harness.fleet import worker
from harness.fleet.parts import PART, Part
from harness.fleet.worker import INPUT, Worker, told
from harness.lab.paths import Cache
from harness.plugin import OPTIONS, SESSION
from harness.session import RunOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Link:
    """In place of xdist's end of the line to the controller."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []
        self.item_index = -1
        self.channel = SimpleNamespace(setcallback=self._listen)

    def _listen(self, callback: Callable[[Any], None], endmarker: object) -> None:
        assert endmarker is None
        for order in self.orders:
            callback(order)

    def sendevent(self, name: str, *, item_index: int, duration: float) -> None:
        self.sent.append((name, item_index))

    orders: list[Any]


Link.__name__ = "WorkerInteractor"


class Scene:
    """A worker, what it is told, and what it did."""

    def __init__(self, part: Part, orders: list[Any]) -> None:
        self.link = Link()
        self.link.orders = orders
        self.ran: list[tuple[str, object]] = []
        self.closed: list[object] = []
        self.lab = SimpleNamespace(interrupted=False)
        self.runs: Callable[[], None] = lambda: None
        options = RunOptions(cache=Cache(Path("/nonexistent")), folder=part.folder)
        stash: dict[Any, Any] = {SESSION: self.lab}
        self.config: Any = SimpleNamespace(
            workerinput={INPUT: told(part, options), "mainargv": ["harness", "run", "-n", "2"]},
            stash=stash,
            getoption=lambda _name: "sys",
            pluginmanager=SimpleNamespace(get_plugins=lambda: [object(), self.link]),
            hook=SimpleNamespace(pytest_runtest_protocol=self._protocol),
        )
        self.session: Any = SimpleNamespace(
            config=self.config,
            items=["first", "second"],
            shouldfail=False,
            shouldstop=False,
            _setupstate=SimpleNamespace(teardown_exact=self.closed.append),
        )
        config: Any = self.config
        self.worker = Worker(config)

    def _protocol(self, item: str, nextitem: object) -> None:
        self.ran.append((item, nextitem))
        self.runs()

    def loop(self) -> bool:
        return self.worker.pytest_runtestloop(self.session)


def runtests(index: int) -> tuple[str, dict[str, Any]]:
    return "runtests", {"indices": [index]}


SHUTDOWN: tuple[str, dict[str, Any]] = ("shutdown", {})


@pytest.fixture
def scene(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[list[Any]], Scene]]:
    part = Part.make(tmp_path, "gw0", "private", 0, (1, 2))
    monkeypatch.setattr(sys, "argv", ["-c"])
    before = {number: signal.getsignal(number) for number in worker._ENDING}
    yield lambda orders: Scene(part, orders)
    for number, handler in before.items():
        signal.signal(number, handler)


def test_it_runs_what_it_is_told_and_keeps_its_lab_in_between(
    scene: Callable[[list[Any]], Scene],
) -> None:
    here = scene([runtests(1), runtests(0), SHUTDOWN])
    assert here.loop()
    assert here.ran == [("second", here.session), ("first", here.session)]
    assert here.link.sent == [
        ("runtest_protocol_complete", 1), ("runtest_protocol_complete", 0),
    ]  # fmt: skip
    assert here.closed == [None], "once, at the end"
    assert not here.lab.interrupted, "the lab is looked at before it goes"


def test_it_says_who_it_is_and_holds_its_part(scene: Callable[[list[Any]], Scene]) -> None:
    here = scene([])
    (part,) = here.config.workerinput[INPUT]["part"][:1]
    assert read_json(Path(part) / PART)["pid"] > 0
    assert sys.argv == ["harness", "run", "-n", "2"], "as run.json is to tell it"
    assert here.config.stash[OPTIONS] == pickle.loads(here.config.workerinput[INPUT]["options"])
    assert Part(Path(part), "gw0", "private", 0, 1).lock() is None


def test_without_its_controller_it_ends_at_once(scene: Callable[[list[Any]], Scene]) -> None:
    here = scene([runtests(0), None])
    here.loop()
    assert here.closed == [None]
    assert here.lab.interrupted, "in a few seconds it is killed: nobody looks at the lab"


def test_ctrl_c_ends_the_lab_at_once_whenever_it_comes(
    scene: Callable[[list[Any]], Scene],
) -> None:
    """Here not within a scenario, where harness.plugin would know of it."""
    here = scene([runtests(0), SHUTDOWN])
    here.runs = lambda: signal.raise_signal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        here.loop()
    assert here.lab.interrupted
    assert here.closed == [None]
    assert here.link.sent == []
    signal.raise_signal(signal.SIGINT)  # a second one disturbs nobody


class EndedError(BaseException):
    """In place of the process's end."""


@pytest.mark.parametrize("trouble", ["lab", "close"])
def test_a_lab_that_is_of_no_use_ends_the_worker_with_the_reason(
    scene: Callable[[list[Any]], Scene], monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    here = scene([runtests(0), SHUTDOWN])
    part = Path(here.config.workerinput[INPUT]["part"][0])

    def end(code: int) -> None:
        assert code == 1
        raise EndedError

    def no_lab() -> None:
        pytest.exit("no bridges", returncode=21)

    def stuck(_next: object) -> None:
        raise OSError("busy")

    monkeypatch.setattr(os, "_exit", end)
    if trouble == "lab":
        here.runs = no_lab
    else:
        here.session._setupstate.teardown_exact = stuck
    with pytest.raises(EndedError):
        here.loop()
    assert read_json(part / "lost.json") == (
        {"why": "its lab did not come up: no bridges", "host": False, "code": 21}
        if trouble == "lab"
        else {"why": "its lab could not be ended: OSError: busy", "host": False, "code": 20}
    )
