"""A file system that is filled to the last byte."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.cluster.observe import ObservationError
from harness.faults.fault import MachineFault
from harness.faults.journal import Undo

if TYPE_CHECKING:
    from harness.lab.lab import Lab

_NAME = ".lab-filler"
# Ever smaller files until not even one of a block fits (1 KiB on a small file system); root uses up
# what is reserved for root too.
_RESERVE = """\
n=0; size=$((1 << 30))
while [ $size -ge 1024 ]; do
    if fallocate -l $size {path}.$n 2> /dev/null; then n=$((n + 1))
    else rm -f {path}.$n; size=$((size / 2)); fi
done"""
# What the node's own services free meanwhile, a temporary file of Pacemaker's say, is taken as
# well: seen was a /var that had a block again 30 s later.
_KEEP = """\
systemd-run --quiet --collect --unit={unit} sh -c '
n=0
while sleep 1; do
    while fallocate -l 4096 {path}.kept$n 2> /dev/null; do n=$((n + 1)); done
done'"""
# Each ends because there is no space left; the second takes what the first left of a megabyte.
_WRITE = """\
dd if=/dev/urandom of={path}.0 bs=1M oflag=direct status=none 2> /dev/null
dd if=/dev/urandom of={path}.1 bs=1k oflag=direct status=none 2> /dev/null
sync -f {path}.0"""


@dataclass(slots=True)
class FileSystemFull(MachineFault):
    """Fills the file system that a folder of a machine is on, until no byte more can be written.

    With ``written`` every block of it is written, up to the end of the disk below; without, the
    space is only reserved (fallocate(1)), which takes a moment. The proof is a write of one byte
    that fails for lack of space. Reserved space is kept up with what others free, once a second.
    """

    folder: str
    written: bool = False
    kind: str = "file-system-full"

    @property
    def target(self) -> str:
        """Which file system."""
        return f"{self.folder} of {self.machine}"

    def undo(self) -> list[Undo]:
        """Remove what fills it."""
        return [Undo("filler-remove", {"machine": self.machine, "folder": self.folder})]

    def inject(self, lab: Lab) -> None:
        """Fill it."""
        guest, path = lab.machines[self.machine].guest, f"{self.folder}/{_NAME}"
        script = _WRITE if self.written else _RESERVE
        guest.run(script.format(path=path), check=False, timeout_s=300)
        if not self.written:
            guest.run(_KEEP.format(path=path, unit=_unit(self.folder)), timeout_s=60)

    def bitten(self, lab: Lab) -> str:
        """A single byte cannot be written there."""
        return f"not a byte can be written to {self.target}" if not self._takes(lab) else ""

    def heal(self, lab: Lab) -> None:
        """Remove what fills it."""
        remove_filler(lab, self.machine, self.folder)

    def healed(self, lab: Lab) -> str:
        """A byte can be written again."""
        return f"{self.target} has space" if self._takes(lab) else ""

    def _takes(self, lab: Lab) -> bool:
        """Whether a byte can be written; that it cannot must be for lack of space (ENOSPC).

        Raises:
            ObservationError: it cannot, for another reason: that is neither full nor healed.
        """
        probe = f"{self.folder}/{_NAME}.probe"
        result = lab.machines[self.machine].guest.run(
            f"LC_ALL=C dd if=/dev/zero of={probe} bs=1 count=1 conv=fsync 2>&1; "
            f"code=$?; rm -f {probe}; exit $code",
            timeout_s=60,
            check=False,
        )
        if result.exit_code != 0 and "No space left on device" not in result.stdout:
            raise ObservationError(f"{self.target} takes no byte: {result.stdout.strip()!r:.200}")
        return result.exit_code == 0


def _unit(folder: str) -> str:
    """The transient unit that keeps ``folder`` full."""
    return f"lab-filler{folder.replace('/', '-')}.service"


def remove_filler(lab: Lab, name: str, folder: str) -> None:
    """Remove what fills a file system; a cluster manager there may write to its disk again.

    pacemaker-based gives up writing its configuration to the disk after a failure, and takes it up
    again at SIGPIPE (cib_enable_writes() of pacemaker 2.1): part of the repair.
    """
    lab.machines[name].guest.run(
        f"systemctl stop {_unit(folder)} 2> /dev/null; rm -f {folder}/{_NAME}.*; "
        "pids=$(pidof pacemaker-based) && kill -PIPE $pids; true",
        timeout_s=60,
    )
