"""The guests' profile, as commands are told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import BadInputError

if TYPE_CHECKING:
    from pathlib import Path

GuestOption = Annotated[
    str,
    typer.Option(
        "--guest",
        help="Profile of the guests' operating system, below vagrant/guests (docs/guests.md); by "
        "default what the configuration says, and that of Debian 12 where it says nothing.",
        show_default=False,
    ),
]


def guest_of(guest: str, config: Path | None = None) -> str:
    """Name of the profile that guests have if this is asked for; an image of it can be built.

    Raises:
        BadInputError: there is no such profile, the configuration cannot be had on it, or no image
            of it can be built here.
    """
    from harness.cluster.config import load_config
    from harness.lab.guests import load_guest
    from harness.timing import PROFILES

    name = load_config(config, PROFILES["tcg"], guest_name=guest).guest.name
    if load_guest(name).family != "debian":
        raise BadInputError(
            f"no image of the guest {name} can be built here, and so nothing can be run on it",
            hint="docs/guests.md: those that there are",
        )
    return name
