"""In the controller of pytest-xdist: what is run, on which slots, and one run in the end."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from harness.errors import BadInputError, HarnessError
from harness.evidence.clock import now_ns
from harness.evidence.files import read_json, write_json
from harness.fleet.budget import within
from harness.fleet.crew import Crew, remove_labs, say
from harness.fleet.gathering import gather, remove_workers
from harness.fleet.parts import hold_run, parts_of
from harness.fleet.pool import Pool, one_host, read_pool
from harness.fleet.scheduling import LongestFirst, Task, makespan_s
from harness.fleet.worker import GIVEN_BACK
from harness.lab.elsewhere import cores_of
from harness.leaving import Leftovers
from harness.nightly.budget import assumed_s
from harness.nightly.selection import forget_selection
from harness.plugin import LEFT_OUT, OPTIONS, length_of
from harness.report.fleet import WORKERS
from harness.report.text import duration, plural
from harness.reporting import report
from harness.resuming import RUN
from harness.session import durations_of, new_run_folder
from harness.steps.lint import scenario_name, scenario_template
from harness.timing import TCG, TCG_SHARED

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from xdist.workermanage import WorkerController

    from harness.lab.lease import Lease
    from harness.nightly.durations import Durations
    from harness.session import RunOptions

_END_S = 90.0  # a worker that is interrupted has so long to end its lab
_OTHER_S = 1.0  # to reckon with for a test that is no scenario


def check_options(options: RunOptions, *, pool: bool) -> None:
    """See to it that what was asked for makes sense with several clusters.

    Raises:
        BadInputError: it does not.
    """
    if options.lab is not None:
        raise BadInputError(
            f"--lab {options.lab} is one lab, and -n gives every worker one of its own",
            hint="leave out one of them",
        )
    if pool and options.connect:
        raise BadInputError(
            "--connect names one host, and --pool a file of hosts",
            hint=f'leave out one of them; in the file: uri = "{options.connect}"',
        )


class Controller:
    """The plugin of the controller.

    Args:
        pool_file: the file that names the hosts; None for the run's own.
    """

    def __init__(self, config: pytest.Config, pool_file: Path | None) -> None:
        self._config = config
        self._pool_file = pool_file
        self._began_ns = now_ns()
        self._tasks: list[Task] = []
        self._scheduler: LongestFirst | None = None
        self._lock: Lease | None = None
        self._leftovers: Leftovers | None = None

    # ------------------------------------------------------------------ before

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Everybody else begins; xdist's workers are the last."""
        self._session = session

    @pytest.hookimpl(wrapper=True, optionalhook=True)
    def pytest_xdist_setupnodes(self, specs: list[object]) -> Generator[None, None, None]:
        """Choose the scenarios, and start as many workers as there are slots for them.

        They are collected here, once and for all. A worker that comes later would choose by what
        has been judged and measured by then, and xdist wants all to have collected the same.
        """
        try:
            self._begin(len(specs))
            self._session.perform_collect()
            clusters = self._plan(len(specs))
        except HarnessError as error:
            raise pytest.UsageError(str(error)) from error
        # xdist's own reporter wants to be told of one at least.
        del specs[max(clusters, 1) :]
        yield
        del specs[clusters:]

    def _begin(self, wanted: int) -> None:
        options = self._config.stash[OPTIONS]
        check_options(options, pool=self._pool_file is not None)
        self._pool = Pool(
            read_pool(self._pool_file, options.cache)
            if self._pool_file is not None
            else one_host(options.connect, options.cache, wanted)
        )
        self._plain = options.folder is None
        self._run = options.folder or new_run_folder()
        self._options = dataclasses.replace(options, folder=self._run)
        self._lock = hold_run(self._run)
        gather(self._run)
        for stale in (self._run / WORKERS).iterdir():
            if stale != self._lock.path:
                stale.unlink()
        if options.resume and (self._run / RUN).exists():
            write_json(self._run / WORKERS / RUN, read_json(self._run / RUN))
        # What fits into a budget depends on how many clusters there are: see _plan.
        self._config.stash[OPTIONS] = dataclasses.replace(self._options, budget_s=None)

    def _plan(self, wanted: int) -> int:
        """What is to be run, and on how many clusters."""
        options = self._options
        durations = durations_of(options)
        if not self._broken():
            self._tasks = [_task(item, durations) for item in self._session.items]
        if len({task.nodeid for task in self._tasks}) < len(self._tasks):
            raise BadInputError(
                "two scenarios have the same id, and -n could not tell them apart",
                hint="run their files one after the other, or give one of them another name",
            )
        if options.budget_s is not None:
            self._tasks = self._in_time(durations, wanted, options.budget_s)
        wanted = min(wanted, len(self._tasks))
        clusters = self._pool.take(wanted) if wanted else 0
        options = dataclasses.replace(options, sharing=self._sharing())
        self._crew = Crew(options, self._pool, self._began_ns, durations.lab_s())
        if not wanted:
            return 0
        if clusters < wanted:
            say(f"• {wanted - clusters} of {plural(wanted, 'slot')} are in use by others")
        about = duration(makespan_s(self._tasks, clusters) + durations.lab_s())
        what = f"{plural(len(self._tasks), 'scenario')} on {plural(clusters, 'cluster')}"
        say(f"• {what} at once: about {about}")
        for cache in self._pool.caches:
            remove_labs(cache)
        self._leftovers = Leftovers(self._run)
        self._leftovers.before_the_lab()
        return clusters

    def _sharing(self) -> bool:
        """Whether clusters that were leased share cores: all of a run have the same timing.

        Raises:
            BadInputError: the run that goes on was begun with clusters that did not.
        """
        before = read_json(self._run / RUN).get("timing") if self._options.resume else None
        name = before.get("name") if isinstance(before, dict) else None
        if name == TCG_SHARED.name:
            return True
        crowded = self._pool.crowded(cores_of)
        if not crowded:
            return False
        if name == TCG.name:
            raise BadInputError(
                f"{self._run} was begun with timing for clusters that have their cores for "
                f"themselves, and {crowded} would share them",
                hint="go on with fewer clusters (-n), or begin a new run",
            )
        say(f"• {crowded} share cores: if they are emulated, by the timing profile tcg-shared")
        return True

    def _in_time(self, durations: Durations, clusters: int, budget_s: float) -> list[Task]:
        session = self._session
        last_ns = {task.name: durations.last_ns(task.name) for task in self._tasks}
        left_s = budget_s - durations.lab_s()
        chosen, left_out = within(self._tasks, last_ns, clusters, left_s)
        self._config.stash[LEFT_OUT] += [task.name for task in left_out]
        if left_out:
            say(f"• {len(left_out)} scenarios do not fit into the budget: left out")
        ids = {task.nodeid for task in chosen}
        session.items[:] = [item for item in session.items if item.nodeid in ids]
        session.testscollected = len(session.items)
        return chosen

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """As pytest begins, before xdist's loop, which never looks at what was collected."""
        if self._broken():
            errors = plural(session.testsfailed, "error")
            raise session.Interrupted(f"{errors} during collection")
        return None if self._tasks else True

    def _broken(self) -> bool:
        """Whether something could not be collected, so that nothing is to be run."""
        going_on = self._config.option.continue_on_collection_errors
        return bool(self._session.testsfailed and not going_on)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self) -> LongestFirst:
        """The longest scenario first, one at a time."""
        self._scheduler = LongestFirst(self._tasks, self._crew)
        return self._scheduler

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: WorkerController) -> None:
        """A worker is about to start."""
        self._crew.join(node)

    # ------------------------------------------------------------------ during

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: WorkerController, error: object | None) -> None:
        """A worker has ended, or was lost."""
        self._crew.leaves(node, error)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(
        self, crashitem: str, report: pytest.TestReport, sched: LongestFirst
    ) -> None:
        """What a worker was doing that was lost is run once more, and then it is no failure."""
        node: WorkerController = report.node
        task = next(task for task in self._tasks if task.nodeid == crashitem)
        if self._crew.give_back(node, task):
            report.outcome = GIVEN_BACK  # type: ignore[assignment]
            sched.mark_test_pending(crashitem)

    @pytest.hookimpl
    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, str] | None:
        """What was given back has neither passed nor failed."""
        if str(report.outcome) != GIVEN_BACK:
            return None
        return ("", "", "") if report.when == "call" else ("given back", "R", "GIVEN BACK")

    # ------------------------------------------------------------------ after

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(
        self, session: pytest.Session, exitstatus: int
    ) -> Generator[None, None, None]:
        """End the workers, gather what they have made, and report if nobody else does."""
        ended = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        with contextlib.suppress(KeyboardInterrupt):
            self._end_workers(now=exitstatus not in ended)
        try:
            return (yield)
        finally:
            self._end(session)

    def _end_workers(self, *, now: bool) -> None:
        """Wait for the workers' labs to be removed. ``now``: interrupt what they do.

        xdist gives them 10 s when it ends, and then kills them.
        """
        for member in self._crew.members:
            if not now or member.part is None:
                member.node.shutdown()
            elif pid := member.part.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + _END_S
        while any(member.busy() for member in self._crew.members):
            if time.monotonic() > deadline:
                say("✗ a worker does not end: it is killed, and its lab is removed")
                return
            time.sleep(0.1)

    def _end(self, session: pytest.Session) -> None:
        left_out = self._config.stash[LEFT_OUT]
        for task in self._scheduler.waiting if self._scheduler is not None else ():
            if not self._crew.has_time(task):
                left_out.append(task.name)
                say(f"• not begun, as the time is over: {task.name}")
        self._close()
        if not (self._run / "evidence").is_dir():
            # No lab came up: what its worker said is what the run says.
            if self._crew.codes:
                session.exitstatus = self._crew.codes[0]
        elif self._plain and report(self._run) and not session.exitstatus:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_unconfigure(self) -> None:
        """Where not even a session began: the run's folder is free again."""
        self._close()

    def _close(self) -> None:
        """Gather all parts, and let go of slots and of the run; twice is harmless."""
        if self._lock is None:
            return
        for cache in self._pool.caches if self._tasks else ():
            remove_labs(cache)
        if kept := self._kept():
            say(f"• Labs are kept: {', '.join(kept)} (harness status)")
        elif self._leftovers is not None:
            self._leftovers.of_the_host()
        try:
            gather(self._run)
        except HarnessError as error:
            say(f"✗ {error}")
        self._pool.close()
        self._lock.release()
        self._lock = None
        remove_workers(self._run)
        if not (self._run / "evidence").is_dir():
            forget_selection(self._run)
        with contextlib.suppress(OSError):
            self._run.rmdir()  # a run that ended before it began has nothing in it

    def _kept(self) -> list[str]:
        """Labs that are left on purpose: what they have on this host is no left-over."""
        told = [read_json(part.folder / RUN).get("kept") for part in parts_of(self._run)]
        return [str(name) for name in told if name]


def _task(item: pytest.Item, durations: Durations) -> Task:
    if scenario_template(item) is None:
        return Task(item.nodeid, item.nodeid, _OTHER_S)
    name = scenario_name(item)
    return Task(item.nodeid, name, assumed_s(name, length_of(item), durations))
