"""Garbage: what an aborted run left, found by what is neither owned nor kept, and removed.

A lab whose lock nobody holds and that was not kept on purpose is garbage: its warden is killed, and
with it, by the kernel, every process, mount, bridge, tap and rule of its namespaces; of a lab on an
existing daemon the objects that are its own are removed one by one. Half-built images and cache
entries are garbage when nobody builds them.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from harness.errors import HarnessError, MissingEnvironmentError
from harness.lab.lab import KEPT, end_host
from harness.lab.lease import try_lease

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.lab.paths import Cache


def _nothing() -> None:
    pass


def collect_garbage(
    cache: Cache, *, kept_too: bool = False, between: Callable[[], None] = _nothing
) -> list[str]:
    """Remove all garbage below the cache root; returns what was removed, in words.

    Args:
        kept_too: also remove labs that were kept on purpose (never those in use).
        between: called between the end of a lab's processes and of its files (crash tests).

    Raises:
        MissingEnvironmentError: an existing daemon refuses, so that a lab on it could not be
            removed; everything else was.
    """
    removed = []
    refused: MissingEnvironmentError | None = None
    for folder in _folders(cache.labs):
        lease = try_lease(cache.leases / f"{folder.name}.lock")
        if lease is None:
            continue
        try:
            if kept_too or not (folder / KEPT).exists():
                end_host(folder)
                between()
                shutil.rmtree(folder)
                removed.append(f"lab {folder.name}")
        except MissingEnvironmentError as error:
            refused = error
        finally:
            lease.release()
    # A half-built folder whose lock is held is being built right now.
    for parent, prefix in ((cache.images, "image"), (cache.clusters, "cluster")):
        for folder in _folders(parent):
            if not folder.name.startswith(".building-"):
                continue
            key = folder.name.removeprefix(".building-").split(".")[0]
            lease = try_lease(cache.leases / f"{prefix}-{key}.lock")
            if lease is not None:
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(f"half-built {prefix} {key}")
                lease.release()
    if refused is not None:
        raise refused
    return removed


def remove_lab(cache: Cache, name: str) -> None:
    """Remove one lab, kept or not.

    Raises:
        HarnessError: there is none of that name, or it is in use.
    """
    folder = cache.labs / name
    lease = try_lease(cache.leases / f"{name}.lock")
    if lease is None or not folder.is_dir():
        raise HarnessError(f"no lab {name} that could be removed", hint="harness status")
    try:
        end_host(folder)
        shutil.rmtree(folder)
    finally:
        lease.release()


def _folders(parent: Path) -> list[Path]:
    return sorted(p for p in parent.iterdir() if p.is_dir()) if parent.is_dir() else []
