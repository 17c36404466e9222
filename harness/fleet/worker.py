"""In a worker of pytest-xdist: one cluster, one part of the run's folder, one scenario at a time.

xdist's own loop asks for the next test before it begins one, to know which fixtures to keep. A
worker would hold two scenarios then, and one of them would wait while a cluster elsewhere has
nothing to do. Here a worker holds one, and keeps what belongs to the session (its lab) until it is
told that there is no other.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import pickle
import queue
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import libvirt
import pytest

from harness.checks.verdict import Verdict
from harness.errors import ExitCode, HarnessError
from harness.evidence.attempts import INTERRUPTED
from harness.evidence.files import read_json, write_json
from harness.fleet.parts import LOG, LOST, PART, Part
from harness.lab.host import PrivateHost
from harness.lab.lease import locked
from harness.plugin import OPTIONS, SESSION
from harness.resuming import RUN, by_name, check_mergeable, verdict_of
from harness.steps.lint import scenario_name, scenario_template

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from harness.lab.labhost import LabHost
    from harness.session import RunOptions

INPUT = "harness_fleet"
"""In xdist's ``workerinput``: what the controller tells a worker."""
GIVEN_BACK = "rerun"
"""Outcome of a scenario that says nothing, as its host was lost; xdist has the same word."""
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NO_MORE = -1


def told(part: Part, options: RunOptions) -> dict[str, Any]:
    """What the controller tells a worker, in values that execnet takes along."""
    return {
        "part": (str(part.folder), part.worker, part.host, part.slot, part.began_ns),
        "options": pickle.dumps(options),
    }


def host_is_lost(host: LabHost) -> str:
    """Why a lab's host is of no use any more; empty where it is there."""
    if isinstance(host, PrivateHost) and not host.warden.alive():
        return "all processes of its lab have ended"
    with contextlib.suppress(libvirt.libvirtError):
        if host.connection.isAlive() == 1:
            # Of a host that lost its power libvirt says so for a minute.
            return "" if host.answers() else "its host does not answer"
    return "the connection to its libvirt is lost"


def give_up(evidence: Path) -> bool:
    """Leave a scenario whose host was lost as one that was cut short; whether it is one now.

    What was run to its end stands, and so does a violation: only what the harness itself gave up
    says nothing of the cluster, as if it had been killed.
    """
    scenario = read_json(evidence / "scenario.json")
    if scenario.get("outcome") == "finished" or verdict_of(evidence) is Verdict.INVALID:
        return False
    if scenario.get("outcome") == "error":
        given_up = {"error": INTERRUPTED, "given_up": scenario.get("error")}
        write_json(evidence / "scenario.json", scenario | given_up)
    (evidence / "verdict.json").unlink(missing_ok=True)
    return True


def _end_once(_number: int, _frame: object) -> NoReturn:
    """Ctrl-C, once: whoever is in a hurry must not keep the lab from being removed."""
    _deaf()
    raise KeyboardInterrupt


def _deaf() -> None:
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


class Worker:
    """The plugin of a worker."""

    def __init__(self, config: pytest.Config) -> None:
        raw = cast("Any", config).workerinput
        folder, *rest = raw[INPUT]["part"]
        self._part = Part(Path(folder), *rest)
        self._options: RunOptions = pickle.loads(raw[INPUT]["options"])
        self._config = config
        self._lease = self._part.lock()
        note = self._part.folder / PART
        write_json(note, read_json(note) | {"pid": os.getpid()})
        self._orders: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._lost = ""
        self._given_up = False
        # run.json tells the command, and that is the controller's.
        sys.argv = list(raw["mainargv"])
        config.stash[OPTIONS] = self._options
        if config.getoption("capture") == "no":
            self._log()
        for number in _ENDING:
            signal.signal(number, _end_once)

    def _log(self) -> None:
        """What the worker prints goes to a file: several of them at once cannot be read."""
        fd = os.open(self._part.folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for stream in (1, 2):
            os.dup2(fd, stream)
        os.close(fd)

    # ------------------------------------------------------------------ its lab

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any]
    ) -> Generator[None, object, object]:
        """See to it that all labs of a run are alike before anything is run on this one."""
        if fixturedef.argname != "lab_session":
            return (yield)
        with self._formed_once():
            result = yield
        try:
            self._check_alike()
        except HarnessError as error:
            pytest.exit(str(error), returncode=int(error.exit_code))
        return result

    @contextlib.contextmanager
    def _formed_once(self) -> Iterator[None]:
        """``--fresh``: one worker forms the cluster anew, and the others start from that one.

        On an existing libvirt each lab has names of its own, and so a formed cluster of its own.
        """
        options = self._options
        if not options.fresh or options.connect:
            yield
            return
        cache = hashlib.sha256(os.fsencode(options.cache.root)).hexdigest()[:12]
        formed = self._part.folder.parent / f"formed-{cache}"
        with locked(formed.with_suffix(".lock")):
            if formed.exists():
                self._config.stash[OPTIONS] = dataclasses.replace(options, fresh=False)
            yield
            formed.touch()

    def _check_alike(self) -> None:
        """Compare with the run that is resumed, or else with the worker that came first.

        Raises:
            BadInputError: something differs that a result depends on.
        """
        common = self._part.folder.parent
        facts = read_json(self._part.folder / RUN)
        with locked(common / "facts.lock"):
            check_mergeable(common, facts, apart=("host",))
            if not (common / RUN).exists():
                write_json(common / RUN, facts)

    # ------------------------------------------------------------------ its scenarios

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run what the controller hands out, until it says that there is nothing more."""
        plugins = session.config.pluginmanager.get_plugins()
        link: Any = next(one for one in plugins if type(one).__name__ == "WorkerInteractor")
        link.channel.setcallback(self._ordered, endmarker=None)
        index: int | None = _NO_MORE
        try:
            while (index := self._orders.get()) is not None and index != _NO_MORE:
                self._run(session, link, index)
                if self._lost:
                    self._leave(session, host=True)
                if session.shouldfail or session.shouldstop:
                    break
        except KeyboardInterrupt:
            self._close(session, quick=True)
            raise
        except pytest.exit.Exception as error:
            # Trouble of the lab, before the first scenario (harness.plugin).
            self._lost = f"its lab did not come up: {error.msg}"
            code = error.returncode
            self._leave(session, code=int(ExitCode.HARNESS_ERROR) if code is None else code)
        try:
            # None: the controller is gone. In a few seconds execnet ends this process.
            self._close(session, quick=index is None)
        except Exception as error:
            self._lost = f"its lab could not be ended: {type(error).__name__}: {error}"
            self._leave(session)
        return True

    def _ordered(self, command: tuple[str, dict[str, Any]] | None) -> None:
        """In execnet's own thread."""
        if command is None:
            self._orders.put(None)
        elif command[0] == "runtests":
            for index in command[1]["indices"]:
                self._orders.put(index)
        elif command[0] == "shutdown":
            self._orders.put(_NO_MORE)

    def _run(self, session: pytest.Session, link: Any, index: int) -> None:
        item = session.items[index]
        link.item_index = index
        began = time.perf_counter()
        # In place of the next test the session: what belongs to it is kept, all else torn down.
        keep = cast("pytest.Item", session)
        session.config.hook.pytest_runtest_protocol(item=item, nextitem=keep)
        if not self._given_up:
            seconds = time.perf_counter() - began
            link.sendevent("runtest_protocol_complete", item_index=index, duration=seconds)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """A scenario that failed as its host was lost is given back, and is no failure."""
        report = yield
        session = self._config.stash.get(SESSION, None)
        if report.failed and scenario_template(item) and session is not None and session.lab:
            self._lost = self._lost or host_is_lost(session.lab.host)
            if self._lost and give_up(self._evidence(scenario_name(item))):
                self._given_up = True
                cast("Any", report).outcome = GIVEN_BACK
        return report

    def _evidence(self, name: str) -> Path:
        """The newest evidence of a scenario; a folder that is not there, where it has none."""
        found = [evidence for known, evidence in by_name(self._part.folder) if known == name]
        found.sort(key=lambda evidence: evidence.stat().st_ctime_ns)
        return found[-1] if found else self._part.folder / "evidence" / "-"

    # ------------------------------------------------------------------ its end

    def _leave(
        self,
        session: pytest.Session,
        *,
        host: bool = False,
        code: int = int(ExitCode.HARNESS_ERROR),
    ) -> NoReturn:
        """End as if killed, with the reason in the part: this cluster is lost, and its slot."""
        why = {"why": self._lost, "host": host, "code": code}
        write_json(self._part.folder / LOST, why)
        with contextlib.suppress(Exception):
            self._close(session, quick=True)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(1)

    def _close(self, session: pytest.Session, *, quick: bool) -> None:
        """End what belongs to the session. Quick: nobody looks at the lab before it goes."""
        if quick:
            _deaf()
            if (own := self._config.stash.get(SESSION, None)) is not None:
                own.interrupted = True
        session._setupstate.teardown_exact(None)
