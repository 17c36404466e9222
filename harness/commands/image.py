"""``harness image``: build the guest image, and make a Vagrant box of it."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  (typer needs it at run time)
from typing import Annotated

import typer

from harness.commands.cache import CacheOption, cache_at
from harness.commands.guest import GuestOption  # noqa: TC001  (typer needs it at run time)
from harness.commands.rootless import RootlessOption, enter
from harness.errors import BadInputError


def image(
    box: Annotated[
        Path | None,
        typer.Option(help="Write a Vagrant box (libvirt provider) of it to this file."),
    ] = None,
    guest: GuestOption = "",
    mirror: Annotated[str, typer.Option(help="Mirror for the guest image.")] = "",
    proxy: Annotated[str, typer.Option(help="HTTP proxy for the guest image's packages.")] = "",
    offline: Annotated[
        bool, typer.Option("--offline", help="Use only packages downloaded before.")
    ] = False,
    rootless: RootlessOption = False,
    cache: CacheOption = None,
) -> None:
    """Build the guest image, unless the cache has it already, and say where it is.

    vagrant up does this by itself (docs/vagrant.md). To use the box elsewhere:
    vagrant box add --name NAME FILE
    """
    from harness.box import box_name, make_box
    from harness.lab.guests import DEFAULT
    from harness.lab.image import ImageOptions, ensure_image

    if box is not None and not box.parent.is_dir():
        raise BadInputError(f"no folder {box.parent}", hint="--box names a file in one that exists")
    enter(rootless)
    options = ImageOptions(guest or DEFAULT, mirror=mirror, proxy=proxy, offline=offline)
    built = ensure_image(cache_at(cache), options)
    print(f"Image: {built.folder}")
    if box is not None:
        make_box(built, box)
        print(f"Box: {box} (vagrant box add --name {box_name(built.key)} {box})")
