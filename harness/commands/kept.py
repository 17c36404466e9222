"""Kept labs, as commands find and open them."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from harness.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.lab.lab import Lab
    from harness.lab.paths import Cache


def lab_name(place: Cache, lab: str | None) -> str:
    """The lab that is named, or the only one there is.

    Raises:
        BadInputError: none is named, and there is none or more than one.
    """
    if lab is not None:
        return lab
    labs = sorted(p.name for p in place.labs.iterdir()) if place.labs.is_dir() else []
    if len(labs) != 1:
        raise BadInputError(
            f"{len(labs)} labs on this host", hint="name one with --lab; harness status lists them"
        )
    return labs[0]


@contextlib.contextmanager
def kept_lab(place: Cache, name: str) -> Iterator[Lab]:
    """A kept lab, opened and kept again.

    Raises:
        HarnessError: there is none of that name, it is in use, or it has no cluster.
    """
    from harness.cluster.formed import open_formed
    from harness.lab.lab import KEPT, Lab

    lab = Lab.attach(place, name)
    why = json.loads((lab.folder / KEPT).read_text(encoding="utf-8"))["why"]
    try:
        open_formed(lab)
        yield lab
    finally:
        lab.keep(why)
