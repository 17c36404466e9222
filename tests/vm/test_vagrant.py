"""``vagrant up`` from a clean clone, ``harness adopt``, and the power-off feature, green.

A private host, empty, plays the machine of somebody who has Vagrant: its libvirtd, network and
folders are its own, so that nothing of this machine's is touched. Debian's packages vagrant,
vagrant-libvirt, dnsmasq-base and iptables have to be installed (they start nothing).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.lab.host import PrivateHost, kill_warden
from harness.lab.image import ImageOptions, ensure_image
from harness.lab.paths import PROJECT, default_cache
from tests.vm.conftest import HostState

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.vm, pytest.mark.nightly]

_SCENARIO = "The active node loses power during writes"
_PROGRAMS = {"vagrant": "vagrant vagrant-libvirt", "dnsmasq": "dnsmasq-base",
             "iptables": "iptables"}  # fmt: skip


@dataclass(frozen=True)
class Desk:
    """The machine, and where its user keeps things."""

    host: PrivateHost
    folder: Path

    def __call__(
        self, *command: str, where: Path = PROJECT, code: int = 0, timeout_s: float = 3600
    ) -> str:
        """A command there, which ends with that exit code; what it printed."""
        settings = {
            "HOME": str(self.folder / "home"),
            "VAGRANT_HOME": str(self.folder / "home/vagrant.d"),
            # Else it would lie in the clone.
            "VAGRANT_DOTFILE_PATH": str(self.folder / "home/dot"),
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "LIBVIRT_DEFAULT_URI": "qemu:///system",
            "FAILOVER_HARNESS_CACHE": str(self.folder),
            "FAILOVER_HARNESS": str(self.folder / "harness"),
            "PYTHONPATH": str(PROJECT),
        }
        told = [f"{name}={value}" for name, value in settings.items()]
        done = subprocess.run(
            self.host.inside("env", "-C", str(where), *told, *command),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=timeout_s, check=False,
        )  # fmt: skip
        print("$", *command, done.stdout, sep="\n")
        assert done.returncode == code, f"{command[0]} ended with {done.returncode}"
        return done.stdout

    def harness(self, *arguments: str, code: int = 0) -> str:
        """The ``harness`` command there."""
        return self(str(self.folder / "harness"), *arguments, code=code)

    def vagrant(self, *arguments: str) -> str:
        """``vagrant`` in the clone's folder."""
        return self("vagrant", *arguments, where=PROJECT / "vagrant")

    def domains(self) -> list[str]:
        """Names of all that libvirt has there."""
        return self("virsh", "-q", "list", "--all", "--name").split()


@pytest.fixture
def desk() -> Iterator[Desk]:
    for program, package in _PROGRAMS.items():
        found = shutil.which(program) or shutil.which(program, path="/usr/sbin")
        assert found, f"no {program} here (hint: apt-get install {package})"
    with tempfile.TemporaryDirectory(prefix="fh-", dir="/tmp") as name:
        folder = Path(name)
        (folder / "machine").mkdir(mode=0o700)
        (folder / "home").mkdir()
        image = ensure_image(default_cache(), ImageOptions())
        shutil.copytree(image.folder, folder / "images" / image.folder.name)
        own = folder / "harness"
        own.write_text(f'#!/bin/sh\nexec {sys.executable} -B -m harness "$@"\n', encoding="utf-8")
        own.chmod(0o755)
        host = PrivateHost.start(folder / "machine", default_cache())
        try:
            yield Desk(host, folder)
        finally:
            host.stop()
            kill_warden(folder / "machine")


def test_from_a_clone_to_a_verdict(desk: Desk) -> None:
    """Box, three machines, a cluster formed on them, the feature VALID, and all of it gone."""
    outside, in_clone = HostState.now(), set((PROJECT / "vagrant").iterdir())
    box = desk.folder / "own.box"
    desk.harness("image", "--box", str(box))
    desk.vagrant("box", "add", "--name", "own", str(box))
    desk.vagrant("up")
    assert len(desk.domains()) == 3
    desk.harness("adopt")
    # Again, from the snapshot, and where Vagrant says that the guests answer.
    told = desk.folder / "ssh-config"
    told.write_text(desk.vagrant("ssh-config"), encoding="utf-8")
    assert "healthy snapshot" in desk.harness("adopt", "--ssh-config", str(told))
    run = desk.folder / "run"
    desk.harness("adopt", "--run", "--folder", str(run), _SCENARIO)
    (verdict,) = run.glob("evidence/*/verdict.json")
    assert json.loads(verdict.read_text(encoding="utf-8"))["verdict"] == "VALID"
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["host"].startswith("adopted")
    # The nodes are as Vagrant made them, and still Vagrant's.
    assert "alpha" in desk.vagrant("ssh", "alpha", "-c", "crm_node -n")
    desk.vagrant("destroy", "-f")
    assert desk.domains() == []
    desk.harness("adopt", "--forget")
    assert not (desk.folder / "vagrant").exists()
    assert set((PROJECT / "vagrant").iterdir()) == in_clone
    assert HostState.now() == outside


def test_domains_may_be_called_whatever_they_are(desk: Desk) -> None:
    """Renamed before they are adopted: the nodes fence each other by the names that there are."""
    desk.vagrant("up")
    for name in desk.domains():
        new = f"somebody-s-{name.rpartition('-')[2]}"
        desk("virsh", "-q", "destroy", name)
        desk("virsh", "-q", "domrename", name, new)
        desk("virsh", "-q", "start", new)
    shown = desk.harness("adopt")
    assert "alpha: domain somebody-s-alpha" in shown
    run = desk.folder / "run"
    desk.harness("adopt", "--run", "--folder", str(run), _SCENARIO)
    timeline = "".join(p.read_text(encoding="utf-8") for p in run.glob("evidence/*/timeline.jsonl"))
    assert "somebody-s-" in timeline, "fence_virtd was asked for it by that name"
