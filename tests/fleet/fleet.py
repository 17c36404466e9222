"""Runs of pytest-xdist with labs in place of the real ones; each is a process of its own.

A lab here is a folder of the cache with its lease, as garbage collection knows them. What a
scenario does is told by ``behave.json``; what was done, when and by whom, is in ``did.jsonl``.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.evidence.files import read_json
from harness.lab.paths import PROJECT
from harness.lab.traces import HOST_SECTIONS
from harness.nightly.durations import Durations

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFTEST = '''
import json, os, signal, time
from pathlib import Path
from types import SimpleNamespace

import pytest
from pytest_bdd import given

from harness import leaving, plugin, session
from harness.fleet import controller
from harness.checks.verdict import CheckResult, ScenarioVerdict, Verdict
from harness.errors import HarnessError, MissingEnvironmentError
from harness.evidence.clock import now_ns
from harness.evidence.files import read_json, write_json
from harness.lab.lease import try_lease
from harness.lab.paths import Cache
from harness.session import RunOptions
from harness.timing import profile_of

HERE = Path(__file__).parent
# Where a run lands that pytest was called for.
controller.new_run_folder = lambda: HERE / "reports" / "run"
leaving.host_traces = lambda: json.loads((HERE / "host.json").read_text())


def did(**what):
    line = json.dumps(what | {"pid": os.getpid(), "t_ns": now_ns()})
    with (HERE / "did.jsonl").open("a") as log:
        print(line, file=log, flush=True)


def behaviour(name):
    return json.loads((HERE / "behave.json").read_text()).get(name, {})


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    told = json.loads((HERE / "options.json").read_text())
    folder = Path(told.pop("folder")) if "folder" in told else None
    cache = Cache(Path(told.pop("cache")))
    if plugin.OPTIONS not in config.stash:
        config.stash[plugin.OPTIONS] = RunOptions(
            cache=cache, folder=folder, **({"everything": True, "accelerator": "tcg"} | told)
        )


class Lab:
    """A folder with a lease, on a host that may die."""

    def __init__(self, options):
        for number in range(32):
            folder = options.cache.labs / f"lab{number}"
            self.lease = try_lease(options.cache.leases / f"lab{number}.lock")
            if self.lease is not None and not folder.exists():
                break
        folder.mkdir(parents=True)
        self.folder, self.name = folder, folder.name
        self.connect = options.connect
        dead = HERE / f"dead-{options.connect.replace('/', '_')}-{folder.name}"
        self.dead = dead
        alive = lambda: int(not dead.exists())
        self.host = SimpleNamespace(
            connection=SimpleNamespace(isAlive=alive), answers=lambda: True
        )
        self.machines = {}

    def destroy(self):
        self.folder.rmdir()
        self.lease.release()

    def keep(self, why):
        (self.folder / "kept.json").write_text("{}")
        self.lease.release()


class Session(session.LabSession):
    def start(self):
        options = self.options
        shared = options.sharing or self._shared_before()
        self.accelerator, self.timing = "tcg", profile_of("tcg", sharing=shared)
        self._leftovers = SimpleNamespace(of_the_lab=lambda *_: None, of_the_host=lambda: None)
        how = behaviour("lab " + (options.connect or "private"))
        if options.fresh:
            time.sleep(0.5)
        if "trouble" in how:
            did(what="trouble")
            raise MissingEnvironmentError(how["trouble"], hint="none")
        self.lab, self.witnesses = Lab(options), SimpleNamespace(close=lambda: None)
        did(what="lab", folder=str(self.folder), lab=self.lab.name, connect=options.connect,
            fresh=options.fresh, cache=str(options.cache.root))
        facts = {
            "run": self.folder.name, "started_ns": now_ns(), "accelerator": "tcg",
            "host": options.connect or "private", "timing": {"name": self.timing.name},
            "versions": {"kernel": how.get("kernel", "6.1")},
            "harness": "0", "seed": None, "command": "harness run", "kept": None,
            "code": session.code_hash(), "config": {}, "max_stall_s": None,
            "injecting": options.injecting, "cluster": {"how": "restored"},
        }
        write_json(self.folder / "run.json", self._in_parts(facts))
        before = {"rules": ["mine"]}
        part = {"started_ns": now_ns(), "boot_id": "b",
                "host": {"before": before, "after": {"rules": ["mine", "another lab's"]}},
                "lab": {"before": {}, "after": {}},
                "differences": ["host: rules: another lab's is left over", *how.get("left", [])]}
        write_json(self.folder / "residue.json", {"schema": 1, "parts": [part]})

    def close(self):
        told = read_json(self.folder / "run.json")
        super().close()
        did(what="closed", folder=str(self.folder), interrupted=self.interrupted)


class Scenario:
    def __init__(self, lab, witnesses, timing, folder, info, *, max_stall_s, injecting):
        self.lab, self.folder, self.info, self.started_ns = lab, folder, info, now_ns()
        self.writer = SimpleNamespace(add=lambda *_: None)
        self.outcome = "running"
        self.touched = False
        self.save(None)

    def save(self, error):
        expect = {"failovers": 0, "fencings": 0, "max_stall_s": 1}
        expect |= {"workload": False, "fault": False}
        told = {
            "slug": self.info.slug, "name": self.info.name, "feature": "Fleet", "tags": [],
            "started_ns": self.started_ns, "ended_ns": now_ns(), "outcome": self.outcome,
            "error": error, "touched": self.touched, "reproduce": "", "gherkin": [],
            "expect": expect, "jobs": [], "luns": {}, "nodes": [], "initiator": "c",
            "resources": [], "vip": "10.0.0.1", "events": 0,
        }
        write_json(self.folder / "scenario.json", told)

    def act(self):
        name = self.info.name
        how = behaviour(name)
        begun = sum(f'"begin", "name": "{name}"' in line
                    for line in (HERE / "did.jsonl").read_text().splitlines())
        did(what="begin", name=name, folder=str(self.folder), lab=self.lab.name,
            cache=str(self.lab.folder.parent.parent))
        self.touched = True
        meet("begin", how.get("meet", 1))
        meet("lab", how.get("labs", 1))
        meet("trouble", how.get("troubles", 0))
        times = how.get("times", 1)
        if "kill" in how and begun < times:
            time.sleep(how["kill"])
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(how.get("seconds", 0.1))
        dying = HERE / "dying"
        if dying.exists() and dying.read_text() == self.lab.connect:
            self.lab.dead.touch()
            raise HarnessError("libvirt went away")

    def finish(self):
        self.outcome = "finished"
        self.save(None)

    def close(self, error):
        if error is not None:
            self.outcome = "error"
            self.save(error)
        if behaviour(self.info.name).get("kill_judged"):
            judged(self.folder).save(self.folder / "verdict.json")
            os.kill(os.getpid(), signal.SIGKILL)
        did(what="end", name=self.info.name, error=error)


def judged(folder):
    told = read_json(folder / "scenario.json")
    said = Verdict(behaviour(told["name"]).get("verdict", "VALID"))
    error = told["error"] if told["outcome"] == "error" else None
    check = CheckResult("stall", "Stall", said, "short", "seen", operations=1)
    return ScenarioVerdict(told["slug"], (check,), error)


def keep(folder):
    judged(folder).save(folder / "verdict.json")
    return judged(folder)


def meet(what, workers):
    """Wait until so many workers have done that: how soon each is there is nobody's doing."""
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        lines = (HERE / "did.jsonl").read_text().splitlines()
        begun = [one for one in map(json.loads, lines) if one["what"] == what]
        if len({one["pid"] for one in begun}) >= workers:
            return
        time.sleep(0.05)
    raise AssertionError("nobody came")


plugin.LabSession = Session
session.Scenario = Scenario
plugin.judge = judged
plugin.judge_and_keep = keep


@given("a lab")
def a_lab(run):
    run.act()
'''
PYTEST = (
    sys.executable, "-B", "-m", "pytest", "-p", "harness.plugin", "-p", "harness.fleet.plugin",
    "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-q", "-s",
)  # fmt: skip


# What harness run does, with the options of the test.
HARNESS = """
import json, sys
from pathlib import Path
from harness.fleet.running import many_clusters
from harness.lab.paths import Cache
from harness.running import run_scenarios
from harness.session import Keep, RunOptions

told = json.loads(Path("options.json").read_text())
told["keep"] = Keep(told.get("keep", "never"))
folder, cache = Path(told.pop("folder")), Cache(Path(told.pop("cache")))
options = RunOptions(cache=cache, folder=folder, accelerator="tcg", **told)
pool = Path(sys.argv[2]) if len(sys.argv) > 2 else None
with many_clusters(int(sys.argv[1]), pool):
    sys.exit(run_scenarios(options, Path("story.feature").resolve()))
"""


class Ended:
    """What became of a run of pytest."""

    def __init__(self, code: int, said: str) -> None:
        self.code, self.said = code, said


class Fleet:
    """A folder with scenarios, and runs of them."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.cache = folder, cache
        self.run = folder / "reports" / "run"
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "did.jsonl").touch()
        self.host("mine")
        self.behave()
        self.options()

    def scenarios(self, *names: str) -> None:
        """The feature's scenarios."""
        told = "\n".join(f"  Scenario: {name}\n    Given a lab\n" for name in names)
        (self.folder / "story.feature").write_text(f"Feature: Fleet\n{told}")

    def behave(self, **how: Any) -> None:
        """What scenarios do, by name."""
        (self.folder / "behave.json").write_text(json.dumps(how))

    def options(self, **told: Any) -> None:
        """Options of the run."""
        told = {"cache": str(self.cache), "folder": str(self.run)} | told
        told = {key: value for key, value in told.items() if value is not None}
        (self.folder / "options.json").write_text(json.dumps(told))

    def host(self, *rules: str) -> None:
        """What there is on the host now."""
        told: dict[str, list[str]] = {key: [] for key in HOST_SECTIONS}
        told["rules"] = list(rules)
        (self.folder / "host.json").write_text(json.dumps(told))

    def measured(self, **seconds: float) -> None:
        """What the cache knows of earlier runs."""
        own = {name: {"seconds": [one], "last_ns": 1} for name, one in seconds.items()}
        (self.cache / "durations.json").write_text(
            json.dumps({Durations(self.cache, "tcg").key: own})
        )

    def start(self, *arguments: str, command: tuple[str, ...] = PYTEST) -> subprocess.Popen[str]:
        """Begin a run."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        env |= {"PYTHONPATH": str(PROJECT), "COLUMNS": "200"}
        # A shell has what it puts into the background ignore SIGINT, and that is inherited.
        return subprocess.Popen(
            [*command, *arguments],
            cwd=self.folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def end(self, process: subprocess.Popen[str], timeout_s: float = 1500) -> Ended:
        """Wait for it."""
        try:
            said, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
            raise AssertionError(f"it hangs: {said}") from None
        return Ended(process.returncode, said)

    def pytest(self, *arguments: str) -> Ended:
        """Run the feature to its end."""
        return self.end(self.start(*arguments, "story.feature"))

    def harness(self, *arguments: str) -> Ended:
        """Run the feature as ``harness run`` does."""
        return self.end(self.start(*arguments, command=(sys.executable, "-B", "-c", HARNESS)))

    def did(self, what: str) -> list[dict[str, Any]]:
        """What was done, in order."""
        lines = (self.folder / "did.jsonl").read_text().splitlines()
        return [told for told in map(json.loads, lines) if told["what"] == what]

    def begun(self) -> list[str]:
        """Names of scenarios, in the order in which they were begun."""
        return [one["name"] for one in self.did("begin")]

    def wait_for(self, what: str, number: int = 1, timeout_s: float = 900) -> list[dict[str, Any]]:
        """Wait until something was done so many times."""
        deadline = time.monotonic() + timeout_s
        while len(found := self.did(what)) < number:
            assert time.monotonic() < deadline, f"no {what}: {self.did('begin')}"
            time.sleep(0.05)
        return found

    def evidence(self) -> dict[str, str]:
        """Verdict by scenario of the gathered run; empty where there is none."""
        found = {}
        for folder in sorted((self.run / "evidence").glob("*/")):
            checks = read_json(folder / "verdict.json").get("checks")
            name = read_json(folder / "scenario.json")["name"]
            found[name] = checks[0]["verdict"] if checks else ""
        return found

    def json(self, name: str) -> dict[str, Any]:
        """A file of the run."""
        return read_json(self.run / name)

    def labs(self) -> list[str]:
        """Labs that are left."""
        return sorted(path.name for path in (self.cache / "labs").glob("*"))


def wait_gone(pids: list[int], timeout_s: float = 300) -> None:
    """Wait until processes have ended."""
    deadline = time.monotonic() + timeout_s
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for the sockets below a cache."""
    root = Path(tempfile.mkdtemp(prefix="fh-", dir="/tmp"))
    yield root
    shutil.rmtree(root, ignore_errors=True)
