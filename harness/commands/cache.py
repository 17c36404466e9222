"""Where a lab is made and where its files live, as commands are told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.lab.paths import Cache, default_cache

CacheOption = Annotated[
    Path | None,
    typer.Option(
        "--cache", help="Where images, formed clusters and labs live.", show_default=False
    ),
]

ConnectOption = Annotated[
    str,
    typer.Option(
        help="Put the lab on an existing libvirt, e.g. qemu:///system or qemu+ssh://host/system, "
        "instead of a private one."
    ),
]


def cache_at(root: Path | None) -> Cache:
    """The cache that is named, or the default one."""
    return Cache(root.resolve()) if root is not None else default_cache()


def newest_kernel(place: Cache) -> Path | None:
    """A guest's kernel to try KVM with; None before the first image is built."""
    kernels = sorted(place.images.glob("*/vmlinuz"))
    return kernels[-1] if kernels else None
