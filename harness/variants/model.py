"""A variant: a configuration that somebody might choose, and why."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.cluster.config import load_config
from harness.errors import BadInputError
from harness.lab.guests import guest_names, load_guest
from harness.lab.paths import PROJECT
from harness.timing import PROFILES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

VARIANTS = PROJECT / "scenarios" / "variants"
REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to build the cluster.

    Attributes:
        name: the file's name without its ending.
        path: the file, which is what ``harness run --config`` takes; None of the reference.
        title: what is other than in the reference, in one line.
        why: why somebody would want it, and what to expect.
    """

    name: str
    path: Path | None
    title: str
    why: str

    @property
    def digest(self) -> str:
        """SHA-256 of its file; empty of the reference, which is part of the code."""
        return "" if self.path is None else hashlib.sha256(self.path.read_bytes()).hexdigest()


def load_variant(path: Path) -> Variant:
    """Read one variant: overrides of the configuration below a comment that tells of them.

    The comment's first line is the title, what follows is the reason.

    Raises:
        BadInputError: no such file, no configuration, no comment, or it is the reference.
    """
    # The configuration first: it has the clearest words for a file that cannot be read.
    config = load_config(path, PROFILES["tcg"])
    comment = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("#").strip())
    title, *why = comment or [""]
    if not title or not any(why):
        raise BadInputError(
            f"{path} does not begin with a comment of a title and a reason",
            hint="# Title, then # and why, each line with its sign; docs/variants.md shows one",
        )
    if config == load_config(None, PROFILES["tcg"]):
        raise BadInputError(f"{path} changes nothing: it is the reference configuration")
    return Variant(path.stem, path, title, " ".join(line for line in why if line))


def load_variants(names: Iterable[str] = (), folder: Path = VARIANTS) -> list[Variant]:
    """The reference and the variants of a folder, by name; all where none is named.

    Raises:
        BadInputError: there is none of a name, or one of them is malformed.
    """
    reference = Variant(
        REFERENCE, None, "The reference configuration", "What the features are written for."
    )
    paths = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    known = [REFERENCE, *paths]
    wanted = tuple(names)
    if unknown := [name for name in wanted if name not in known]:
        raise BadInputError(
            f"there is no variant {', '.join(unknown)}", hint=f"there are: {', '.join(known)}"
        )
    return [
        reference if name == REFERENCE else load_variant(paths[name]) for name in (wanted or known)
    ]


def unbuilt_guests() -> list[Variant]:
    """A row for each guest profile that no image is built of here: nothing can be run on it.

    Raises:
        BadInputError: a profile is malformed.
    """
    return [
        Variant(guest.name, None, guest.title, "No image of it is built here.")
        for guest in map(load_guest, guest_names())
        if guest.family != "debian"
    ]
