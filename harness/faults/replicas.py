"""One node's replica is not what it should be: worthless data, or damaged metadata."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.checks.resync import KIND
from harness.cluster.observe import ObservationError, drbd_state
from harness.errors import HarnessError
from harness.faults.fault import MachineFault
from harness.faults.journal import Undo
from harness.lab.topology import RESOURCES

if TYPE_CHECKING:
    from harness.lab.lab import Lab

_SUPERBLOCK = "$(($(blockdev --getsize64 $d) / 4096 - 1))"
# drbdadm dump-md of drbd-utils 9.22: what it says of a disk whose magic number is not DRBD's.
_NO_METADATA = "No valid meta data found"
# What it says of metadata that was not closed in an orderly way: it is there.
_UNCLEAN = 'Found meta data is "unclean"'


def _configured(state: dict[str, dict[str, Any]], resource: str) -> bool:
    return bool(state.get(resource, {}).get("cs", "Unconfigured") != "Unconfigured")


@dataclass(slots=True)
class Invalidated(MachineFault):
    """Declares a node's data worthless (``drbdadm invalidate``): all of it is copied anew.

    The node becomes SyncTarget of all its resources, Inconsistent until everything is copied. So
    that there is time to break something meanwhile, the copying is held at a fixed rate
    (``c-plan-ahead 0``, ``resync-rate``: drbdsetup(8)); healing gives it the configured one back
    (``drbdadm adjust``) and waits until the data is good again. The proof is what DRBD says of its
    disks; it happened once, and stays true when the copying is done.
    """

    kib_s: int
    kind: str = KIND
    _boot_id: str = field(default="", init=False)
    _proof: str = field(default="", init=False)

    @property
    def target(self) -> str:
        """Whose data."""
        return f"data of {self.machine}, copied anew at {self.kib_s} KiB/s"

    def undo(self) -> list[Undo]:
        """Let it copy as it is configured to."""
        return [Undo("adjust", {"machine": self.machine})]

    def prepare(self, lab: Lab) -> None:
        """Which boot it is: the next one has the configured rate."""
        self._boot_id = lab.machines[self.machine].guest.boot_id()

    def inject(self, lab: Lab) -> None:
        """First the rate, then what makes it copy."""
        options = f"--c-plan-ahead=0 --resync-rate={self.kib_s}K"
        names = " ".join(map(lab.topology.shape.name_of, RESOURCES))
        limit = "; ".join(
            f"drbdsetup disk-options {minor} {options}" for minor, _ in enumerate(RESOURCES)
        )
        lab.machines[self.machine].guest.run(
            f"set -e; {limit}; for r in {names}; do drbdadm invalidate $r; done",
            timeout_s=120,
        )

    def bitten(self, lab: Lab) -> str:
        """Each of its disks is Inconsistent, or was."""
        if not self._proof:
            state = drbd_state(lab.machines[self.machine].guest)
            if all(state.get(r, {}).get("disk") == "Inconsistent" for r in RESOURCES):
                self._proof = f"{self.machine}: {', '.join(RESOURCES)} Inconsistent"
        return self._proof

    def heal(self, lab: Lab) -> None:
        """Let it copy as it is configured to."""
        guest = lab.machines[self.machine].guest
        if guest.boot_id() == self._boot_id:
            adjust(lab, self.machine)

    def healed(self, lab: Lab) -> str:
        """All its data is good again."""
        state = drbd_state(lab.machines[self.machine].guest)
        good = all(state.get(r, {}).get("disk") == "UpToDate" for r in RESOURCES)
        return f"{self.machine}: {', '.join(RESOURCES)} UpToDate" if good else ""


def adjust(lab: Lab, name: str) -> None:
    """``drbdadm adjust`` of what DRBD has configured: of what it has not, it would be a start."""
    guest = lab.machines[name].guest
    state = drbd_state(guest)
    if up := [resource for resource in RESOURCES if _configured(state, resource)]:
        guest.run(f"for r in {' '.join(up)}; do drbdadm adjust $r; done", timeout_s=120)


@dataclass(slots=True)
class DamagedMetadata(MachineFault):
    """Overwrites the superblock of DRBD's metadata on a backing disk that is not in use.

    It is the last block of the disk (harness.drbd_metadata); random bytes are written over it, as a
    misdirected write does. The proof is drbdadm's own word that there is no valid metadata. Healing
    is the operator's: create it anew, which makes the node copy everything from its peer.
    """

    resource: str
    kind: str = "metadata-damaged"

    @property
    def target(self) -> str:
        """Whose metadata."""
        return f"metadata of {self.resource} on {self.machine}"

    def facts(self) -> dict[str, str]:
        """Whose and of what, for the judge."""
        return {"machine": self.machine, "resource": self.resource}

    def undo(self) -> list[Undo]:
        """Create it anew."""
        arguments = {"machine": self.machine, "resource": self.resource}
        return [Undo("metadata-create", arguments)]

    def inject(self, lab: Lab) -> None:
        """Overwrite it.

        Raises:
            HarnessError: DRBD uses the disk: it would write its superblock again at once.
        """
        guest = lab.machines[self.machine].guest
        if _configured(drbd_state(guest), self.resource):
            raise HarnessError(
                f"{self.resource} is up on {self.machine}", hint="put the node on standby before"
            )
        guest.run(
            f"d=/dev/disk/by-id/virtio-{self.resource}; dd if=/dev/urandom of=$d bs=4096 count=1 "
            f"seek={_SUPERBLOCK} oflag=direct conv=notrunc,fsync status=none",
            timeout_s=60,
        )

    def bitten(self, lab: Lab) -> str:
        """drbdadm finds no metadata."""
        return _NO_METADATA if metadata_is_missing(lab, self.machine, self.resource) else ""

    def heal(self, lab: Lab) -> None:
        """Create it anew."""
        create_metadata(lab, self.machine, self.resource)

    def healed(self, lab: Lab) -> str:
        """drbdadm finds metadata, or DRBD uses the disk already."""
        state = drbd_state(lab.machines[self.machine].guest)
        if _configured(state, self.resource):
            # Attached it may be, but not if it was refused: then it has no disk.
            disk = state[self.resource]["disk"]
            return "" if disk == "Diskless" else f"{self.resource} is {disk} on {self.machine}"
        missing = metadata_is_missing(lab, self.machine, self.resource)
        return "" if missing else f"{self.resource} has metadata on {self.machine}"


def metadata_is_missing(lab: Lab, name: str, resource: str) -> bool:
    """Whether drbdadm finds no valid metadata on a disk that DRBD does not use.

    Raises:
        ObservationError: it says neither that there is some nor that there is none.
    """
    shown = lab.machines[name].guest.run(
        f"drbdadm dump-md {lab.topology.shape.name_of(resource)} 2>&1", check=False, timeout_s=60
    )
    if shown.exit_code == 0 or _UNCLEAN in shown.stdout:
        return False
    if _NO_METADATA not in shown.stdout:
        raise ObservationError(f"{name}: metadata of {resource}: {shown.stdout.strip()!r:.200}")
    return True


def create_metadata(lab: Lab, name: str, resource: str) -> None:
    """Create a disk's metadata anew, if there is none."""
    if metadata_is_missing(lab, name, resource):
        volume = lab.topology.shape.name_of(resource)
        lab.machines[name].guest.run(f"drbdadm create-md --force {volume}", timeout_s=120)
