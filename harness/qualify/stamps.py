"""Stamps in the cache, one for each kind of emulation, and their way into runs' folders."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from pydantic import ValidationError

from harness.evidence.files import read_json, write_json
from harness.qualify.fingerprint import fingerprint
from harness.report.qualified import NOTED, Before, Noted, Stamp
from harness.resuming import RUN, code_hash

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.lab.paths import Cache
    from harness.report.qualified import Fingerprint, Kind

KINDS: tuple[Kind, ...] = ("kvm", "tcg")
_MOST = 20  # earlier qualifications that a stamp tells of


def stamp_path(cache: Cache, kind: Kind) -> Path:
    """Where the stamp of a host lies."""
    return cache.root / f"qualified-{kind}.json"


def read_stamp(cache: Cache, kind: Kind) -> Stamp | None:
    """The stamp of a kind of emulation; None where there is none, or none that can be read."""
    try:
        return Stamp.model_validate_json(stamp_path(cache, kind).read_bytes())
    except (OSError, ValidationError):
        return None


def keep_stamp(cache: Cache, stamp: Stamp) -> Stamp:
    """Put a stamp in place of the one before; of one of the same host it goes on to tell.

    Returns:
        The stamp as it is kept.
    """
    last = read_stamp(cache, stamp.accelerator)
    if last is not None and last.host == stamp.host:
        said = Before(when_ns=last.when_ns, code=last.code, qualified=last.qualified)
        stamp = stamp.model_copy(update={"before": (*last.before, said)[-_MOST:]})
    cache.root.mkdir(parents=True, exist_ok=True)
    write_json(stamp_path(cache, stamp.accelerator), stamp.model_dump(mode="json"))
    return stamp


def noted_here(cache: Cache, ask: Callable[[], Fingerprint] = fingerprint) -> Noted:
    """What is known of this host: the stamps that are valid, and what has changed since others."""
    host = ask()
    stamps = [one for kind in KINDS if (one := read_stamp(cache, kind)) is not None]
    return Noted(
        host=host,
        stamps=tuple(one for one in stamps if one.host == host),
        changed={
            one.accelerator: tuple(one.host.differing(host)) for one in stamps if one.host != host
        },
    )


def note(cache: Cache, run_folder: Path, ask: Callable[[], Fingerprint] = fingerprint) -> None:
    """Put what is known of this host into a run's folder, for its reports.

    Nothing depends on it, so what cannot be written is no trouble of a run. A run of other code
    will be refused, and goes on telling of its own host.
    """
    before = read_json(run_folder / RUN)
    if before and before.get("code") != code_hash():
        return
    with contextlib.suppress(OSError):
        run_folder.mkdir(parents=True, exist_ok=True)
        write_json(run_folder / NOTED, noted_here(cache, ask).model_dump(mode="json"))


def take_back(run_folder: Path) -> None:
    """Remove it from the folder of a run that ended before it began: nothing else is in it."""
    with contextlib.suppress(OSError):
        if [path.name for path in run_folder.iterdir()] == [NOTED]:
            (run_folder / NOTED).unlink()
