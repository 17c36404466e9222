"""A lab on an existing daemon: it works there, and leaves that daemon and its host as they were.

A private host, empty, plays the machine that has a libvirtd already. Its bridges have the names
and subnets of the first slot, so the lab has to take another.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.lab.host import PrivateHost, kill_warden
from harness.lab.image import ImageOptions, ensure_image
from harness.lab.paths import PROJECT, default_cache
from tests.vm.conftest import HostState

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.vm, pytest.mark.nightly]

URI = "qemu:///system"
_SCENARIO = "The mgmt link is cut during writes [silently]"


@pytest.fixture
def machine() -> Iterator[PrivateHost]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "machine"
        folder.mkdir(mode=0o700)
        # A cache of its own: the default one may be covered on that machine.
        image = ensure_image(default_cache(), ImageOptions())
        shutil.copytree(image.folder, Path(name) / "images" / image.folder.name)
        host = PrivateHost.start(folder, default_cache())
        try:
            yield host
        finally:
            host.stop()
            kill_warden(folder)


def harness(machine: PrivateHost, *arguments: str, **env: str) -> str:
    """The ``harness`` command on that machine; raises HarnessError if it fails."""
    env |= {"PYTHONPATH": str(PROJECT), "FAILOVER_HARNESS_CACHE": str(machine.folder.parent)}
    settings = [f"{key}={value}" for key, value in env.items()]
    return machine.run("env", "-C", str(PROJECT), *settings, sys.executable, "-m", "harness",
                       *arguments)  # fmt: skip


def objects(machine: PrivateHost) -> dict[str, str]:
    """What a lab could leave on that machine."""
    return {
        "domains": machine.run("virsh", "-q", "-c", URI, "list", "--all", "--name"),
        "links": machine.run("ip", "-o", "-br", "link"),
        "addresses": machine.run("ip", "-o", "-br", "addr"),
        "rules": machine.run("nft", "list", "ruleset"),
        "processes": machine.run("sh", "-c", "ps -e -o comm= | grep -E 'qemu|fence_virtd' || true"),
    }


def test_a_scenario_on_an_existing_daemon(machine: PrivateHost, tmp_path: Path) -> None:
    """A run is VALID there; killed in the middle of a cut, gc removes what is the lab's own."""
    outside, before = HostState.now(), objects(machine)
    run = ["run", "--connect", URI, "--scenario", _SCENARIO, "--folder"]
    print(harness(machine, *run, str(tmp_path / "1")))
    assert objects(machine) == before
    with pytest.raises(HarnessError, match=r"-9|137"):
        harness(machine, *run, str(tmp_path / "2"), FAILOVER_HARNESS_DIE_AT="fault")
    left = objects(machine)
    assert "fh1-alpha" in left["domains"]
    assert "fh1_cut" in left["rules"]
    harness(machine, "gc")
    assert objects(machine) == before
    assert HostState.now() == outside
