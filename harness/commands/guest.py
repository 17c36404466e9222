"""The guests' profile, as commands are told of it."""

from __future__ import annotations

from typing import Annotated

import typer

GuestOption = Annotated[
    str,
    typer.Option(
        "--guest",
        help="Profile of the guests' operating system, below vagrant/guests (docs/guests.md); by "
        "default what the configuration says, and that of Debian 12 where it says nothing.",
        show_default=False,
    ),
]
