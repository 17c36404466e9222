"""Takes finished runs into the database: those below reports/, and others that are named."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.report.text import one_line
from harness.report.trend.extract import (
    Stage,
    UnreadableRunError,
    digest_of,
    identity_of,
    read_run,
    stage_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.report.trend.store import Store


@dataclass(slots=True)
class Imported:
    """What came of it.

    Attributes:
        new, again: names of runs that were not known, and of those that were judged again since.
        known: how many had not changed.
        unfinished: (name, start in ns) of runs that go on, or were cut short.
        notes: what could not be taken in, and why, one line each.
    """

    new: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    known: int = 0
    unfinished: list[tuple[str, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def run_folders(reports: Path) -> list[Path]:
    """What lies directly below ``reports`` and is a run, in order of the names.

    What lies deeper is no night: the runs of mutants, of an exploration's schedules.
    """
    if not reports.is_dir():
        return []
    return sorted(
        path
        for path in reports.iterdir()
        if path.is_dir() and not path.is_symlink() and stage_of(path) is not Stage.OTHER
    )


def import_runs(store: Store, reports: Path, more: Iterable[Path] = ()) -> Imported:
    """Take in every finished run that is not in ``store`` as it is now; each by itself.

    Args:
        more: runs that lie elsewhere.
    """
    done = Imported()
    known, places = store.digests(), store.folders()
    for folder in [*run_folders(reports), *more]:
        stage = stage_of(folder)
        if stage is Stage.PRUNED:
            continue
        if stage is Stage.UNFINISHED:
            done.unfinished.append(identity_of(folder))
            continue
        if stage is not Stage.FINISHED:
            done.notes.append(one_line(f"{folder}: {stage}"))
            continue
        identity = identity_of(folder)
        if known.get(identity) == digest_of(folder):
            done.known += 1
            shown = shown_as(folder, reports)
            # Renamed since, so that another may have its name; a copy leaves it where it was.
            before = places.get(identity, shown)
            if before != shown and identity_of(reports / before) != identity:
                with store.writing():
                    store.moved(identity, shown)
            continue
        try:
            line = read_run(folder, shown_as(folder, reports))
        except (UnreadableRunError, OSError) as error:
            done.notes.append(one_line(f"{folder}: not taken in: {error}"))
            continue
        with store.writing():
            store.put(line)
        (done.again if identity in known else done.new).append(line.name)
        known[identity] = line.digest
    return done


def shown_as(folder: Path, reports: Path) -> str:
    """How a run's folder is kept: relative to ``reports`` where it lies below, else absolute."""
    folder, reports = folder.resolve(), reports.resolve()
    return os.path.relpath(folder, reports) if folder.is_relative_to(reports) else str(folder)
