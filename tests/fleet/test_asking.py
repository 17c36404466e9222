"""What is asked for on the command line, and what the terminal shows of the workers."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import libvirt
import pytest

from harness.commands.clusters import Clusters, at_once, check_clusters
from harness.errors import BadInputError, MissingEnvironmentError
from harness.evidence.files import write_json
from harness.fleet.board import Workers
from harness.fleet.parts import Part
from harness.fleet.plugin import _is_scenario
from harness.fleet.running import many_clusters
from harness.fleet.worker import host_is_lost
from harness.lab import doctor
from harness.lab.host import PrivateHost
from harness.lab.paths import PROJECT, Cache
from harness.report.fleet import WORKERS
from harness.report.live.terminal import LiveRun
from harness.session import RunOptions

if TYPE_CHECKING:
    from collections.abc import Callable

GIB = 1 << 30
POOL = '[[host]]\nslots = 2\n[[host]]\nuri = "qemu:///system"\nslots = 1\n'


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Say how much memory this host has."""

    def say(gib: float) -> None:
        host = SimpleNamespace(memory_available=lambda: int(gib * GIB))
        monkeypatch.setattr(doctor, "real_host", lambda: host)

    say(100)
    return say


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    path = tmp_path / "pool.toml"
    path.write_text(POOL)
    return path


def options(**told: Any) -> RunOptions:
    return RunOptions(cache=Cache(Path("/nonexistent")), **told)


def asked(
    own: RunOptions, number: int | None, pool: Path | None
) -> tuple[Clusters | None, list[str]]:
    """What comes of it, and which hosts were looked at."""
    looked: list[str] = []
    return check_clusters(own, number, pool, lambda _cache, uri: looked.append(uri)), looked


@pytest.mark.usefixtures("memory")
def test_how_many_and_where(pool: Path) -> None:
    assert asked(options(), None, None) == (None, [""])
    assert asked(options(connect="qemu:///system"), 2, None) == (
        Clusters(2, None), ["qemu:///system"],
    )  # fmt: skip
    assert asked(options(), 2, pool) == (Clusters(2, pool), ["", "qemu:///system"])
    assert asked(options(), None, pool) == (Clusters(3, pool), ["", "qemu:///system"])


@pytest.mark.parametrize(
    ("told", "number", "with_pool", "said"),
    [
        ({"lab": "lab0"}, 2, False, "--lab lab0 is one lab, and -n gives every worker one"),
        ({"lab": "lab0"}, None, True, "--lab lab0 is one lab"),
        ({"connect": "qemu:///system"}, 2, True, "--connect names one host, and --pool a file"),
        ({}, 0, False, "-n 0?"),
        ({}, 33, False, "-n 33?"),
        ({}, 4, True, "4 clusters are wanted, and the pool"),
    ],
)
@pytest.mark.usefixtures("memory")
def test_what_makes_no_sense_is_refused_with_a_hint(
    pool: Path, told: dict[str, Any], number: int | None, with_pool: bool, said: str
) -> None:
    with pytest.raises(BadInputError) as caught:
        asked(options(**told), number, pool if with_pool else None)
    assert caught.value.message.startswith(said)
    assert caught.value.hint


def test_each_cluster_takes_memory(memory: Callable[[float], None]) -> None:
    memory(7.6)
    assert asked(options(), 2, None)[0] == Clusters(2, None)
    memory(7.4)
    with pytest.raises(
        MissingEnvironmentError, match=r"2 clusters at once need 7\.5 GiB"
    ) as caught:
        asked(options(), 2, None)
    assert caught.value.hint.startswith("-n 1,")
    assert asked(options(), 1, None)[0] == Clusters(1, None)


def test_a_cluster_on_another_host_takes_none_of_this_one_s(
    memory: Callable[[float], None], tmp_path: Path
) -> None:
    far = "qemu+ssh://far.example/system"
    path = tmp_path / "pool.toml"
    path.write_text(f'[[host]]\nslots = 1\n[[host]]\nuri = "{far}"\nslots = 4\n')
    memory(4.6)
    assert asked(options(), None, path) == (Clusters(5, path), ["", far])
    assert asked(options(connect=far), 4, None)[0] == Clusters(4, None)
    memory(4.4)
    with pytest.raises(MissingEnvironmentError, match="1 clusters at once need"):
        asked(options(), None, path)


def test_workers_are_told_by_pytest_s_own_variable(
    pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for before in (None, "-v"):
        if before is None:
            monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
        else:
            monkeypatch.setenv("PYTEST_ADDOPTS", before)
        with many_clusters(2, pool):
            told = os.environ["PYTEST_ADDOPTS"]
        assert told == " ".join(
            filter(None, [before, "-p harness.fleet.plugin --many-clusters -n 2", f"--pool {pool}"])
        )
        assert os.environ.get("PYTEST_ADDOPTS") == before


def test_with_one_lab_a_run_of_many_that_was_killed_is_gathered_first(tmp_path: Path) -> None:
    part = Part.make(tmp_path, "gw0", "private", 0, (1, 2))
    evidence = part.folder / "evidence" / "one"
    evidence.mkdir(parents=True)
    write_json(evidence / "scenario.json", {"slug": "one", "name": "One"})
    with at_once(None, tmp_path):
        assert (tmp_path / "evidence" / "one").is_dir()
        assert not (tmp_path / WORKERS).exists()


@pytest.mark.parametrize(
    ("argument", "yes"),
    [
        (str(PROJECT / "scenarios"), True),
        (str(PROJECT / "scenarios/test_features.py::test_x[1]"), True),
        ("/tmp/mine.feature", True),
        (str(PROJECT / "tests"), False),
        (str(PROJECT), False),
    ],
)
def test_only_scenarios_are_handed_out(argument: str, yes: bool) -> None:
    assert _is_scenario(argument) is yes


class Connection:
    """A connection to libvirt."""

    def __init__(self, alive: int | None) -> None:
        self.alive = alive

    def isAlive(self) -> int:
        if self.alive is None:
            raise libvirt.libvirtError("invalid connection pointer")
        return self.alive


@pytest.mark.parametrize(("alive", "lost"), [(1, False), (0, True), (-1, True), (None, True)])
def test_a_host_is_lost_with_its_connection(alive: int | None, lost: bool) -> None:
    host: Any = SimpleNamespace(connection=Connection(alive), answers=lambda: True)
    assert bool(host_is_lost(host)) is lost


def test_a_host_that_does_not_answer_is_lost_though_libvirt_has_not_noticed() -> None:
    host: Any = SimpleNamespace(connection=Connection(1), answers=lambda: False)
    assert host_is_lost(host) == "its host does not answer"


def test_a_private_host_is_lost_with_its_processes() -> None:
    host = PrivateHost.__new__(PrivateHost)
    host.connection = Connection(1)
    for alive in (True, False):
        host.warden = SimpleNamespace(alive=lambda alive=alive: alive)  # type: ignore[assignment]
        assert bool(host_is_lost(host)) is not alive


def begun(part: Part, name: str, step: str, outcome: str = "running") -> None:
    """A scenario that a worker has begun."""
    folder = part.folder / "evidence" / name.lower()
    folder.mkdir(parents=True)
    told = {"name": name, "feature": "F", "started_ns": 1, "nodes": [], "outcome": outcome}
    write_json(folder / "scenario.json", told)
    (folder / "timeline.jsonl").write_text(
        '{"n": 1, "t_ns": 5, "source": "host", "channel": "step", "kind": "begin", '
        f'"data": {{"keyword": "When", "text": "{step}"}}}}\n'
    )


def test_a_line_for_each_worker(tmp_path: Path) -> None:
    parts = [Part.make(tmp_path, f"gw{n}", "private", n, (1, 10 + n)) for n in range(3)]
    begun(parts[0], "One", "a link is cut")
    begun(parts[1], "Two", "x", outcome="finished")
    workers = Workers(tmp_path)
    one, two, three = (line.plain for line in workers.lines())
    assert one.startswith("gw0 ")
    assert one.endswith("One · When a link is cut")
    assert two == "gw1   between two scenarios"
    assert three == "gw2   its lab is being made"
    (only,) = workers.log_lines()
    assert only.startswith("gw0 ")
    assert "no fault is active" in only
    watched = LiveRun(tmp_path).status()
    assert watched is not None, "harness watch shows one of them"
    assert watched.name in ("One", "Two")


def test_a_run_that_is_over_has_no_lines(tmp_path: Path) -> None:
    assert Workers(tmp_path).lines() == []
    assert LiveRun(tmp_path).status() is None
