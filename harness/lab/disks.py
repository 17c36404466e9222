"""Disk images as files: copied, and read as raw bytes."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from harness.errors import HarnessError

if TYPE_CHECKING:
    from pathlib import Path

COPY = ("cp", "--reflink=auto", "--sparse=always", "-p")
"""cp(1): as reflinks where the file system can, else sparse."""


def copy(source: Path, target: Path) -> None:
    """Copy a folder of disk images.

    Raises:
        HarnessError: it cannot be copied.
    """
    target.mkdir(exist_ok=True, mode=0o700)
    done = subprocess.run(
        [*COPY, "-t", str(target), *(str(path) for path in sorted(source.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise HarnessError(
            f"copying disk images failed: {done.stderr.strip()[:200]}",
            hint="is there enough disk space? harness doctor",
        )


def to_raw(source: Path, target: Path) -> None:
    """Read an image that a paused QEMU has open (-U: it holds the lock, and nothing changes).

    Raises:
        HarnessError: it cannot be read.
    """
    done = subprocess.run(
        ["qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", str(source), str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise HarnessError(f"{source.name} cannot be read: {done.stderr.strip()[:300]}")
