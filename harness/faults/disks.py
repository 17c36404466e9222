"""A node's backing disks: slow, or returning errors."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libvirt

from harness.cluster.observe import ObservationError, drbd_state
from harness.errors import HarnessError
from harness.faults.fault import MachineFault
from harness.faults.journal import Undo
from harness.lab.failing import FailingDisks
from harness.lab.machine import guest_disk
from harness.lab.nbd import end_servers, remove_files
from harness.lab.topology import RESOURCES

if TYPE_CHECKING:
    from harness.lab.lab import Lab
    from harness.lab.machine import Machine
    from harness.lab.shape import Shape

# Two seconds at ten requests a second: long enough to be measured.
_READS = 20
_TOOK = re.compile(r"^took (\d+) ms$", re.MULTILINE)
# The block that holds DRBD's superblock: the last of the disk, and always written
# (harness.drbd_metadata), so that a read of it really asks the disk.
_LAST_BLOCK = "$(($(blockdev --getsize64 $d) / 4096 - 1))"


@dataclass(slots=True)
class SlowDisk(MachineFault):
    """Limits a node's backing disks to some requests a second each (virDomainSetBlockIoTune).

    QEMU holds further requests back; the guest sees a disk that answers late, and nothing else.
    Flushes are not counted. The proof is libvirt's own word and a measurement in the guest: reading
    blocks past its cache takes as long as the limit says.
    """

    iops: int
    kind: str = "slow-disk"

    @property
    def target(self) -> str:
        """Whose disks, and how slow."""
        return f"disks of {self.machine}, {self.iops} requests a second"

    def undo(self) -> list[Undo]:
        """Lift the limit."""
        return [Undo("disk-speed", {"machine": self.machine})]

    def inject(self, lab: Lab) -> None:
        """Set the limit."""
        limit_disks(lab.machines[self.machine], self.iops)

    def bitten(self, lab: Lab) -> str:
        """libvirt tells the limit of every disk, and reading keeps to it."""
        machine = lab.machines[self.machine]
        if any(disk_limit(machine, resource) != self.iops for resource in RESOURCES):
            return ""
        took_ms = _read_ms(machine)
        # The first requests of a burst are let through at once.
        if took_ms < 1000 * _READS / self.iops / 2:
            return ""
        return f"{self.iops} requests a second each; reading {_READS} blocks took {took_ms} ms"

    def heal(self, lab: Lab) -> None:
        """Lift the limit; a machine that was started anew has none."""
        limit_disks(lab.machines[self.machine], 0)

    def healed(self, lab: Lab) -> str:
        """libvirt tells no limit, and reading is quicker than it was."""
        machine = lab.machines[self.machine]
        if any(disk_limit(machine, resource) for resource in RESOURCES):
            return ""
        took_ms = _read_ms(machine)
        if took_ms >= 1000 * _READS / self.iops / 2:
            return ""
        return f"no limit; reading {_READS} blocks took {took_ms} ms"


def limit_disks(machine: Machine, iops: int) -> None:
    """Limit each backing disk of a running machine to so many requests a second; 0: no limit.

    Raises:
        HarnessError: libvirt refused.
    """
    if not machine.running():
        return
    for resource in RESOURCES:
        try:
            machine.domain.setBlockIoTune(
                guest_disk(resource), {"total_iops_sec": iops}, libvirt.VIR_DOMAIN_AFFECT_LIVE
            )
        except libvirt.libvirtError as error:
            raise HarnessError(f"{machine.name}: no limit for {resource}: {error}") from error


def disk_limit(machine: Machine, resource: str) -> int:
    """Requests a second that a backing disk is limited to; 0 without a limit."""
    told = machine.domain.blockIoTune(guest_disk(resource), libvirt.VIR_DOMAIN_AFFECT_LIVE)
    return int(told["total_iops_sec"])


def _read_ms(machine: Machine) -> int:
    """How long some reads of a backing disk take, one after the other, past the guest's cache."""
    disk = f"/dev/disk/by-id/virtio-{RESOURCES[-1]}"
    script = (
        "s=$(date +%s%N); "
        f"dd if={disk} of=/dev/null bs=4096 count={_READS} iflag=direct status=none && "
        'echo "took $((($(date +%s%N) - s) / 1000000)) ms"'
    )
    found = _TOOK.search(machine.guest.run(script, timeout_s=120).stdout)
    if found is None:
        raise HarnessError(f"{machine.name}: reading {disk} was not measured")
    return int(found[1])


@dataclass(slots=True)
class DiskErrors(MachineFault):
    """Lets every read and write of some of a node's backing disks fail (EIO).

    The disks are put behind an NBD server with a switch beforehand (harness.lab.failing); the
    injection is the switch. DRBD gives such a disk up at its first request (``on-io-error
    detach``). Healing makes the disks sound again, takes the servers away, and does what an
    operator would: ``drbdadm attach``, where DRBD still has the resource configured.
    """

    resources: tuple[str, ...]
    kind: str = "disk-errors"
    _disks: FailingDisks | None = field(default=None, init=False)

    @property
    def target(self) -> str:
        """Which disks."""
        return f"disks of {' and '.join(self.resources)} on {self.machine}"

    def facts(self) -> dict[str, str]:
        """The machine, the resources and their disks' names there: their errors are our doing."""
        names = " ".join(guest_disk(resource) for resource in self.resources)
        return {"machine": self.machine, "resources": " ".join(self.resources), "disks": names}

    def undo(self) -> list[Undo]:
        """Take the servers away, and with them the machine, which cannot go on without."""
        return [Undo("errors-drop", {"machine": self.machine})]

    def prepare(self, lab: Lab) -> None:
        """Put the disks behind their servers."""
        self._disks = FailingDisks(lab.machines[self.machine], self.resources)
        self._disks.attach()

    def inject(self, lab: Lab) -> None:
        """Switch the errors on."""
        assert self._disks is not None
        self._disks.switch(on=True)

    def bitten(self, lab: Lab) -> str:
        """QEMU still uses the servers, and the guest cannot read its disks."""
        assert self._disks is not None
        if not self._disks.in_use():
            return ""
        machine = lab.machines[self.machine]
        if any(_reads(machine, resource) for resource in self.resources):
            return ""
        return f"{self.machine} cannot read the {self.target}"

    def heal(self, lab: Lab) -> None:
        """Make the disks sound, and let DRBD have them back."""
        assert self._disks is not None
        self._disks.detach()
        machine = lab.machines[self.machine]
        if machine.running():
            attach_again(machine, self.resources, lab.topology.shape)

    def healed(self, lab: Lab) -> str:
        """The guest reads its disks, and DRBD has none given up."""
        machine = lab.machines[self.machine]
        if not all(_reads(machine, resource) for resource in self.resources):
            return ""
        state = drbd_state(machine.guest)
        given_up = [r for r in self.resources if state.get(r, {}).get("disk") == "Diskless"]
        return "" if given_up else f"{self.machine} reads the {self.target}, and DRBD uses them"


def _reads(machine: Machine, resource: str) -> bool:
    """Whether the guest can read the last block of a backing disk; that it cannot must be EIO.

    Raises:
        ObservationError: it cannot for another reason (there is no such disk, say).
    """
    script = (
        f"d=/dev/disk/by-id/virtio-{resource}; LC_ALL=C dd if=$d of=/dev/null bs=4096 count=1 "
        f"skip={_LAST_BLOCK} iflag=direct status=none 2>&1"
    )
    result = machine.guest.run(script, timeout_s=60, check=False)
    if result.exit_code != 0 and "Input/output error" not in result.stdout:
        told = result.stdout.strip() or result.stderr.strip()
        raise ObservationError(f"{machine.name} cannot ask the disk of {resource}: {told!r:.200}")
    return result.exit_code == 0


def attach_again(machine: Machine, resources: tuple[str, ...], shape: Shape) -> None:
    """``drbdadm attach`` of what DRBD has configured without a disk."""
    state = drbd_state(machine.guest)
    for resource in resources:
        if state.get(resource, {}).get("disk") == "Diskless":
            machine.guest.run(f"drbdadm attach {shape.name_of(resource)}", timeout_s=120)


def drop_failing_disks(lab: Lab, name: str) -> None:
    """Take the servers away from under a machine; it is reverted next, or it is garbage."""
    machine = lab.machines[name]
    end_servers(machine, "errors-nbd")
    if remove_files(machine, "errors-nbd") and machine.running():
        machine.kill()
        machine.wait_off()
