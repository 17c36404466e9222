"""Files in the formatted LUN whose content is known: intact after a failover, or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.cluster.form import MOUNT_POINT
from harness.cluster.render import lun_link

if TYPE_CHECKING:
    from harness.lab.lab import Lab

_FILES = 12
_KIB = 64


def write_files(lab: Lab) -> dict[str, str]:
    """Write files of random content and sync them; returns path to SHA-256."""
    script = (
        f"cd {MOUNT_POINT} && mkdir -p known && for i in $(seq {_FILES}); do "
        f"head -c {_KIB}K /dev/urandom > known/$i; done && sync -f known/1 && sha256sum known/*"
    )
    return _sums(lab.initiator.guest.run(script).stdout)


def check_files(lab: Lab, expected: dict[str, str]) -> dict[str, Any]:
    """Read the files past the page cache, after an unmount; shape of the ``files`` sample."""
    disk = f"{lun_link(lab.topology, 'lun0')}-part1"
    # Read-only and without the journal: the replicas are compared next, nothing may be written.
    script = (
        f"mount -o ro,noload {disk} {MOUNT_POINT} && cd {MOUNT_POINT} && sha256sum known/*; "
        f"code=$?; cd /; umount {MOUNT_POINT}; exit $code"
    )
    result = lab.initiator.guest.run(script, check=False, timeout_s=120)
    return {"expected": expected, "seen": _sums(result.stdout)}


def check_file_system(lab: Lab) -> dict[str, Any]:
    """Unmount and run e2fsck without changing anything; shape of the ``fsck`` sample.

    The journal is replayed by a mount first if need be: a clean unmount leaves nothing to do.
    """
    disk = f"{lun_link(lab.topology, 'lun0')}-part1"
    script = f"umount {MOUNT_POINT} && sync && e2fsck -f -n {disk} 2>&1"
    result = lab.initiator.guest.run(script, check=False, timeout_s=180)
    return {"exit_code": result.exit_code, "text": (result.stdout + result.stderr)[-2000:]}


def _sums(text: str) -> dict[str, str]:
    pairs = [line.split(maxsplit=1) for line in text.splitlines()]
    return {pair[1]: pair[0] for pair in pairs if len(pair) == 2}
