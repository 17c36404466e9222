"""Both backing disks read outside of the guests, while all VMs stand still.

No guest can lie about them, and a guest that is off has a disk all the same.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import libvirt

from harness.drbd_metadata import MetadataError
from harness.errors import HarnessError
from harness.evidence.replica import read_replica
from harness.lab.machine import in_parallel
from harness.lab.snapshot import pause_all, resume_all
from harness.lab.topology import RESOURCES

if TYPE_CHECKING:
    from harness.lab.lab import Lab
    from harness.lab.machine import Machine


def read_replicas(lab: Lab, folder: Path) -> None:
    """Keep digests, stamps and metadata of both replicas of every resource in ``folder``/replicas.

    A pause makes QEMU write what it holds (vm_stop() drains and flushes every disk), so that the
    images can be read beside it. The pause of all VMs at once is one that none of them notices.

    Raises:
        HarnessError: a disk cannot be read, or has no DRBD metadata; the others are kept. Or what
            lies beside the VMs is not all that their disks hold.
    """
    if hidden := [machine.name for machine in lab.nodes if machine.volatile is not None]:
        raise HarnessError(f"the disks of {' and '.join(hidden)} are under a volatile cache")
    target = folder / "replicas"
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=lab.folder, prefix="raw-") as name:
        raw = Path(name)
        running = [machine for machine in lab.machines.values() if machine.running()]
        try:
            pause_all(running)
            in_parallel({m.name: partial(_convert, lab, m, raw) for m in lab.nodes})
        except libvirt.libvirtError as error:
            raise HarnessError(f"the VMs cannot be paused: {error}") from error
        finally:
            resume_all(running)
        troubles = []
        for machine in lab.nodes:
            for resource in RESOURCES:
                try:
                    replica = read_replica(raw / f"{machine.name}-{resource}.raw")
                    replica.save(target, resource, machine.name)
                except (MetadataError, OSError, ValueError) as error:
                    troubles.append(f"{resource} of {machine.name}: {error}")
    if troubles:
        raise HarnessError("; ".join(troubles))


def _convert(lab: Lab, machine: Machine, folder: Path) -> None:
    for resource in RESOURCES:
        name = f"{machine.name}-{resource}"
        lab.host.read_disk(f"{name}.qcow2", folder / f"{name}.raw")
