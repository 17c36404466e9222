"""kill -9 of the harness at any point: ``harness gc`` leaves the host as it was."""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.lab.image import ImageOptions, ensure_image
from harness.lab.paths import Cache
from tests.vm.conftest import HostState

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

pytestmark = pytest.mark.vm

_SCENARIO = "The mgmt link is cut during writes [by carrier]"
# Point to the arguments that reach it. "fault", "revert" and "gc" are the three of make test.
_QUICK = ("fault", "revert", "gc")
_SLOW = ("image", "boot", "forming", "snapshot", "journal", "heal", "report")


def _arguments(point: str, folder: Path) -> list[str]:
    if point == "gc":
        return ["gc"]
    arguments = ["run", "--scenario", _SCENARIO, "--folder", str(folder)]
    return [*arguments, "--fresh"] if point in ("boot", "forming", "snapshot") else arguments


def _check(
    point: str, harness: Callable[..., subprocess.CompletedProcess[str]], folder: Path
) -> None:
    assert harness("gc").returncode == 0
    before = HostState.now()
    if point == "gc":
        # Something for gc to die on: a lab whose owner was killed.
        dead = harness(
            "run",
            "--scenario",
            _SCENARIO,
            "--folder",
            str(folder / "0"),
            FAILOVER_HARNESS_DIE_AT="revert",
        )
        assert dead.returncode == -signal.SIGKILL
    done = harness(*_arguments(point, folder / "1"), FAILOVER_HARNESS_DIE_AT=point)
    assert done.returncode == -signal.SIGKILL, f"{point} was not reached: {done.stdout[-2000:]}"
    assert harness("gc").returncode == 0
    assert HostState.now() == before


@pytest.mark.parametrize("point", _QUICK)
def test_gc_cleans_up_after_kill_9(
    point: str, harness: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Processes, mounts, namespaces, interfaces, rules, loop devices and files are as before."""
    _check(point, harness, tmp_path)


def _check_image(
    harness: Callable[..., subprocess.CompletedProcess[str]], cache: Path, folder: Path
) -> None:
    before = HostState.now()
    arguments = ["run", "--cache", str(cache), "--folder", str(folder)]
    done = harness(*arguments, FAILOVER_HARNESS_DIE_AT="image")
    assert done.returncode == -signal.SIGKILL, done.stdout[-2000:]
    assert list((cache / "images").glob(".building-*"))
    assert harness("gc", "--cache", str(cache)).returncode == 0
    assert HostState.now() == before
    assert not list((cache / "images").glob(".*"))
    # The next build begins anew, and succeeds.
    built = ensure_image(Cache(cache), ImageOptions())
    assert (built.folder / "base.qcow2").exists()


@pytest.mark.nightly
@pytest.mark.parametrize("point", _SLOW)
def test_gc_cleans_up_after_kill_9_slow(
    point: str, harness: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """As above, for the points that take minutes to reach; and the next run succeeds."""
    if point == "image":
        # At a short path: unix sockets live below a cache.
        with tempfile.TemporaryDirectory() as name:
            _check_image(harness, Path(name), tmp_path / "run")
        return
    _check(point, harness, tmp_path)
    done = harness("run", "--scenario", _SCENARIO, "--folder", str(tmp_path / "next"))
    assert done.returncode == 0, done.stdout[-3000:]
