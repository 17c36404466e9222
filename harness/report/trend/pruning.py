"""Which runs may be removed to save space, in which order, and how: never more than is certain.

A run goes in two stages: first its evidence, which is nearly all of its size, then the rest.
Verdicts, report and what the database knows outlive the evidence. What failed is kept longer than
what did not.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from harness.checks.verdict import Verdict
from harness.evidence.files import write_json
from harness.report.trend.extract import PRUNED, Stage, digest_of, identity_of, stage_of
from harness.report.trend.importing import run_folders

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.report.trend.model import RunLine

LONGER = 3
"""A run that was not VALID is kept so many times as long, and so many times as many of them."""
QUIET_S = 3600.0
"""A run in which something changed within so many seconds may be going on: no part of a run that
goes on is silent for so long. Nothing locks a run's folder."""
_EVIDENCE = ("evidence", "superseded", "trouble")
_ASIDE = ".pruned-"


class What(StrEnum):
    """What of a run is removed."""

    EVIDENCE = "evidence"
    WHOLE = "whole run"


@dataclass(frozen=True, slots=True)
class Stored:
    """A run's folder as it lies there.

    Attributes:
        evidence_bytes, other_bytes: allocated on the disk.
        failed: not VALID, or nobody knows.
        spared: why it must not be touched; empty where it may be.
    """

    folder: Path
    started_ns: int
    evidence_bytes: int
    other_bytes: int
    failed: bool
    spared: str

    @property
    def bytes(self) -> int:
        """Of both."""
        return self.evidence_bytes + self.other_bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """What may stay; None for no limit. ``whole``: what is over age or number goes whole."""

    older_than_s: float | None = None
    keep: int | None = None
    quota_bytes: int | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Removal:
    """One thing to be removed."""

    run: Stored
    what: What
    why: str

    @property
    def bytes(self) -> int:
        """How much space that gives back."""
        return self.run.bytes if self.what is What.WHOLE else self.run.evidence_bytes


def stored_runs(
    reports: Path, recorded: Sequence[RunLine], *, unrecorded_too: bool = False
) -> list[Stored]:
    """Every run directly below ``reports``, the oldest first.

    Args:
        recorded: all that the database knows.
        unrecorded_too: what it does not know may go as well.
    """
    known = {(run.name, run.started_ns): run for run in recorded}
    in_use = open_below(reports)
    found = []
    for folder in run_folders(reports):
        stage, identity = stage_of(folder), identity_of(folder)
        line = known.get(identity)
        # One that was judged again and not taken in since is not known as it is.
        same = line is not None and (stage is Stage.PRUNED or line.digest == digest_of(folder))
        spared = ""
        if stage is Stage.BROKEN:
            spared = str(stage)
        elif goes_on(folder, in_use):
            spared = "it may be going on"
        elif not same and not unrecorded_too:
            spared = "not in the database as it is (harness trend takes it in)"
        evidence = sum(_size(folder / part) for part in _EVIDENCE)
        failed = line is None or not same or line.verdict is not Verdict.VALID
        started_ns = identity[1]
        size = _size(folder) - evidence
        found.append(Stored(folder, started_ns, evidence, size, failed, spared))
    return sorted(found, key=lambda run: (run.started_ns, run.folder.name))


def plan(runs: Sequence[Stored], limits: Limits, now_ns: int) -> list[Removal]:
    """What has to go, in this order, so that what stays is within ``limits``.

    The newest run that could go stays whatever the limits say.

    Args:
        runs: all there are, the oldest first.
    """
    chosen: dict[Path, Removal] = {}
    may_go = [run for run in runs if not run.spared][:-1]

    def take(run: Stored, what: What, why: str) -> None:
        before = chosen.get(run.folder)
        if what is What.EVIDENCE and (before is not None or not run.evidence_bytes):
            return
        if before is None or before.what is not What.WHOLE:
            chosen[run.folder] = Removal(run, what, why)

    stage = What.WHOLE if limits.whole else What.EVIDENCE
    for run in may_go:
        times = LONGER if run.failed else 1
        age_s = (now_ns - run.started_ns) / 1e9
        if limits.older_than_s is not None and age_s > times * limits.older_than_s:
            take(run, stage, f"{age_s / 86400:.0f} days old")
        newer = len(runs) - 1 - runs.index(run)
        if limits.keep is not None and newer >= times * limits.keep:
            take(run, stage, f"{newer} newer ones")
    if limits.quota_bytes is not None:
        for what in What:
            for run in sorted(may_go, key=lambda one: one.failed):
                if _left(runs, chosen) <= limits.quota_bytes:
                    return list(chosen.values())
                take(run, what, "more than the quota")
    return list(chosen.values())


def _left(runs: Sequence[Stored], chosen: dict[Path, Removal]) -> int:
    return sum(run.bytes for run in runs) - sum(one.bytes for one in chosen.values())


def remove(removal: Removal) -> bool:
    """Remove what is planned; False where the run is not any more what it was then.

    Killed in between, it leaves what the next time is seen and finished.

    Raises:
        OSError: it cannot be removed.
    """
    folder = removal.run.folder
    if folder.is_symlink() or stage_of(folder) in (Stage.OTHER, Stage.BROKEN):
        return False
    if identity_of(folder)[1] != removal.run.started_ns or goes_on(folder, open_below(folder)):
        return False
    if removal.what is What.WHOLE:
        aside = folder.with_name(_ASIDE + folder.name)
        folder.rename(aside)
        shutil.rmtree(aside)
        return True
    # Said before it is done: what is half removed must not be taken for a run of few scenarios.
    touched = _last_change(folder)
    write_json(folder / PRUNED, {"schema": 1, "removed": list(_EVIDENCE), "t_ns": time.time_ns()})
    for part in _EVIDENCE:
        if (folder / part).is_dir() and not (folder / part).is_symlink():
            shutil.rmtree(folder / part)
    # Else it would look as if it went on, and could not be removed whole for a while.
    for path in (folder, folder / PRUNED):
        os.utime(path, (touched, touched))
    return True


def remove_halves(reports: Path) -> None:
    """Finish what a killed removal of whole runs left."""
    for path in reports.glob(f"{_ASIDE}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)


def goes_on(folder: Path, in_use: set[Path]) -> bool:
    """Whether a run may be going on: a process has a file of it open, or it changed just now."""
    own = folder.resolve()
    if any(path == own or path.is_relative_to(own) for path in in_use):
        return True
    return abs(time.time() - _last_change(folder)) < QUIET_S


def open_below(root: Path) -> set[Path]:
    """Files and working folders below ``root`` that processes of this host have open.

    Of other users' processes only root is told.
    """
    root, found = root.resolve(), set()
    for link in _links_of_processes():
        with contextlib.suppress(OSError):
            path = Path(os.readlink(link))
            if path.is_relative_to(root):
                found.add(path)
    return found


def _links_of_processes() -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        yield f"{process}/cwd"
        with contextlib.suppress(OSError):
            yield from (entry.path for entry in os.scandir(process / "fd"))


def _last_change(folder: Path) -> float:
    """When anything of a run changed last, seconds since the epoch."""
    return max((found.st_mtime for found in _everything(folder)), default=0.0)


def _size(path: Path) -> int:
    """Bytes that a folder takes on the disk."""
    return sum(found.st_blocks * 512 for found in _everything(path))


def _everything(path: Path) -> Iterator[os.stat_result]:
    """A folder and all that is below it; links are not followed."""
    for where, folders, files in os.walk(path):
        links = (one for one in folders if os.path.islink(os.path.join(where, one)))
        for name in ("", *files, *links):
            with contextlib.suppress(OSError):
                yield os.lstat(os.path.join(where, name))
