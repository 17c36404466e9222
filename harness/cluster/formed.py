"""Formed clusters: form once, keep disks, memory and keys, start every later lab from them.

A cache entry is keyed by everything that the guests' memory depends on: image, configuration,
topology, QEMU's version, accelerator and CPU.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cluster.form import form_cluster
from harness.cluster.render import config_key
from harness.cluster.secrets import Secrets, new_secrets
from harness.errors import BadInputError, HarnessError, MissingEnvironmentError
from harness.evidence.files import read_json, write_json
from harness.lab import snapshot
from harness.lab.lease import locked
from harness.lab.machine import domain_xml
from harness.lab.remote_objects import forget_disks
from harness.progress import stage

if TYPE_CHECKING:
    from harness.cluster.config import ClusterConfig
    from harness.lab.image import Image
    from harness.lab.lab import Lab
    from harness.lab.paths import Cache


_OF_LAB = "formed.json"
"""In a lab's folder: what its cluster was formed of."""


@dataclass(frozen=True, slots=True)
class FormedKey:
    """What a formed cluster depends on."""

    image: str
    config: str
    qemu: str
    accelerator: str
    cpu: str
    domains: str
    # 2: the guests' neighbour tables know the bridges by addresses that stay.
    snapshot_format: int = 2

    def digest(self) -> str:
        """The name of the cache entry."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


def qemu_version() -> str:
    """QEMU's version line.

    Raises:
        MissingEnvironmentError: QEMU is not installed.
    """
    try:
        done = subprocess.run(
            ["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise MissingEnvironmentError(
            "qemu-system-x86_64 does not run", hint="run: make install"
        ) from error
    return done.stdout.splitlines()[0]


def _host_cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def formed_key(image: Image, config: ClusterConfig, lab: Lab, accelerator: str) -> FormedKey:
    """The key of the formed cluster that this lab would have."""
    domains = hashlib.sha256()
    for plan in lab.topology.machines:
        domains.update(domain_xml(plan, lab.host, accelerator, image.key).encode())
    there = lab.host.elsewhere
    cpu = _host_cpu if there is None else there.cpu
    return FormedKey(
        image=image.key,
        config=config_key(config, lab.topology),
        qemu=qemu_version() if there is None else there.qemu(),
        accelerator=accelerator,
        # Emulation offers the same CPU everywhere.
        cpu=cpu() if accelerator == "kvm" else "maximum",
        domains=domains.hexdigest()[:16],
    )


@dataclass(frozen=True, slots=True)
class Bringup:
    """How a lab got its cluster: ``how`` is ``formed`` or ``restored``; seconds it took."""

    how: str
    seconds: float
    entry: Path


def bring_up(
    lab: Lab, image: Image, config: ClusterConfig, *, accelerator: str, fresh: bool = False
) -> Bringup:
    """Give an empty lab a running, healthy cluster with its snapshot.

    From the cache if the same cluster was formed before, else formed cold and kept.

    Raises:
        HarnessError, DeadlineError: it could not be formed; says what was missing.
    """
    lab.take_shape(config.shape)
    key = formed_key(image, config, lab, accelerator)
    write_json(lab.folder / _OF_LAB, asdict(key))
    entry = lab.cache.clusters / key.digest()
    started = time.monotonic()
    with locked(lab.cache.leases / f"cluster-{entry.name}.lock"):
        lab.host.provide(image.folder, image.key)
        if not fresh and (entry / "key.json").exists() and lab.host.has_disks(entry):
            with stage("Restoring the formed cluster from the cache"):
                _restore(lab, entry)
            return Bringup("restored", time.monotonic() - started, entry)
        title = "Forming the cluster cold (about 3 minutes under emulation)"
        with stage(title) as progress:
            secrets = new_secrets(lab.topology, lab.folder)
            secrets.save(lab.folder / "secrets.json")
            form_cluster(
                lab,
                config,
                secrets,
                accelerator=accelerator,
                image_key=image.key,
                note=progress.note,
            )
            seconds = time.monotonic() - started
        with stage("Taking the healthy snapshot and keeping it"):
            snapshot.take(list(lab.machines.values()), snapshot.HEALTHY)
            _keep(lab, entry, key, seconds)
    return Bringup("formed", seconds, entry)


def forget_cluster(cache: Cache, entry: str) -> None:
    """Remove a formed cluster from the cache; it need not be there."""
    with locked(cache.leases / f"cluster-{entry}.lock"):
        forget_disks(cache.clusters / entry)
        (cache.clusters / entry / "key.json").unlink(missing_ok=True)
        shutil.rmtree(cache.clusters / entry, ignore_errors=True)


def _keep(lab: Lab, entry: Path, key: FormedKey, seconds: float) -> None:
    """Copy disks, XML and secrets to the cache; the VMs are off meanwhile and then reverted."""
    machines = list(lab.machines.values())
    building = entry.with_name(f".building-{entry.name}")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True, mode=0o700)
    try:
        snapshot.export_xml(machines, building, snapshot.HEALTHY)
        for machine in machines:
            # A plain destroy: QEMU writes its qcow2 metadata before it ends.
            machine.guest.forget()
            machine.domain.destroy()
        shutil.copy(lab.folder / "secrets.json", building / "secrets.json")
        lab.host.keep_disks(entry, building)
        facts = {"key": repr(key), "formed_s": seconds, "accelerator": key.accelerator}
        (building / "key.json").write_text(json.dumps(facts), encoding="utf-8")
        if entry.exists():
            # Only now: what was formed before is there until the new one is. The mark of a whole
            # entry goes first: a kill in between must not leave half of one.
            (entry / "key.json").unlink(missing_ok=True)
            shutil.rmtree(entry)
        building.rename(entry)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    lab.revert()


def _restore(lab: Lab, entry: Path) -> None:
    secrets = Secrets.load(entry / "secrets.json")
    shutil.copy(entry / "secrets.json", lab.folder / "secrets.json")
    secrets.write_files(lab.folder)
    lab.open_machines(secrets.ssh_private, secrets.host_keys)
    lab.host.restore_disks(entry)
    lab.host.publish("fence.key")
    machines = list(lab.machines.values())
    snapshot.import_xml(machines, entry, snapshot.HEALTHY)
    lab.start_fence_device()
    lab.revert()


_IN_WORDS = {
    "image": "guest image",
    "config": "configuration",
    "qemu": "QEMU",
    "cpu": "CPU",
    "domains": "definition of the machines",
    "snapshot_format": "kind of snapshot",
}


def check_formed(lab: Lab, key: FormedKey) -> None:
    """See to it that a kept lab has the cluster that is asked for, and not just one.

    Raises:
        BadInputError: it was formed of something else, or nothing tells of what.
    """
    had = read_json(lab.folder / _OF_LAB)
    wanted = asdict(key)
    if had == wanted:
        return
    other = [name for name, value in wanted.items() if had.get(name) != value]
    what = ", ".join(_IN_WORDS.get(name, name) for name in other)
    raise BadInputError(
        f"{lab.name} was formed of another {what}"
        if had
        else f"nothing tells of what {lab.name} was formed",
        hint=f"harness down --lab {lab.name}, then run without --lab, or harness up with that "
        "configuration",
    )


def open_formed(lab: Lab) -> None:
    """Open the machines of a kept lab that has a formed cluster.

    Raises:
        HarnessError: it has none.
    """
    path = lab.folder / "secrets.json"
    if not path.exists():
        raise HarnessError(f"{lab.name} has no cluster", hint="harness down, then harness up")
    secrets = Secrets.load(path)
    lab.open_machines(secrets.ssh_private, secrets.host_keys)
