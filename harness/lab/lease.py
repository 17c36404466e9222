"""Leases: names, slots and resources that only one lab may hold, as flock(2) lock files.

The kernel drops a lock when its holder ends, whatever ends it, so a lease never has to be
cleaned up by hand.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Lease:
    """An exclusive lock file, held from ``try_lease`` until ``release`` or the process's end."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd

    def release(self) -> None:
        """Give the lease back; twice is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def try_lease(path: Path) -> Lease | None:
    """Take the lock file at ``path`` without waiting; None if somebody holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not inherited by children (PEP 446): a daemon must not keep its owner's lease alive.
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    # For people only: a lock that is held is what counts, not what the file says.
    os.truncate(fd, 0)
    os.pwrite(fd, str(os.getpid()).encode("ascii"), 0)
    return Lease(path, fd)


def holder(path: Path) -> str:
    """Who holds the lock file at ``path``, in words: its process and what that runs."""
    text = path.read_text(encoding="ascii", errors="replace").strip()
    if not text.isdigit():
        return "another process"
    try:
        command = Path(f"/proc/{text}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return f"process {text}"
    return f"process {text}: {b' '.join(command).decode('utf-8', 'replace').strip()[:100]}"


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock file at ``path``."""
    if not path.exists():
        return False
    lease = try_lease(path)
    if lease is None:
        return True
    lease.release()
    return False


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at ``path``, waiting for it if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
