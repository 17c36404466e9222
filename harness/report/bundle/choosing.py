"""Which files of a run go into a bundle, and which have to.

What ``harness recheck`` reads has to; so does everything that is not known to be of less account.
What is made of the rest (pages, files for machines, histories) is made again where it is wanted.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from harness.checks.verdict import ScenarioVerdict, Verdict, VerdictError
from harness.errors import BadInputError
from harness.evidence.attempts import superseded
from harness.evidence.files import read_json
from harness.report.bundle.patterns import KEY_FILE, OPAQUE_FILE
from harness.report.load import SEVERITY

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFEST = "bundle.json"


class Use(StrEnum):
    """What a file is to a bundle."""

    NEEDED = "needed to judge again"
    WANTED = "for reading"
    MADE_ANEW = "made anew: harness report, harness recheck"
    KEY = "a file of this name holds a key"
    OPAQUE = "it cannot be searched for secrets"
    NO_FILE = "not a regular file"
    ODD_NAME = "its name has characters that a name should not have"
    OTHERS = "also tells of scenarios that are not in this bundle"
    OLD_MANIFEST = "the manifest of an earlier bundle"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file of the run.

    Attributes:
        name: path relative to the run's folder, with ``/``.
        rank: the lower, the longer it is kept where room is short.
    """

    path: Path
    name: str
    use: Use
    rank: tuple[int, int, str]


_NEEDED = re.compile(
    r"^(?:(?:scenario|span|verdict)\.json|timeline\.jsonl|fio/.+\.(?:json|log|bin)|replicas/.+)$"
)
_MADE_OF_EVIDENCE = re.compile(r"^history/.+\.npz$|\.tmp$")
_MADE_OF_RUN = re.compile(
    r"^(?:[^/]+\.html|scenarios/.+|junit\.xml|cucumber\.json|run-report\.json)$|\.tmp$|\.sqlite(?:-\w+)?$"
)
_PLAIN = re.compile(r"^[^\x00-\x1f\x7f\\]+$")


def evidence_folders(run_folder: Path, scenario: str | None) -> list[Path]:
    """The evidence that is asked for, with earlier attempts, in the order of their paths.

    Args:
        scenario: a name, with or without its example, or a folder's name; None for all.

    Raises:
        BadInputError: there is no such scenario; the hint names some that there are.
    """
    every = [*sorted((run_folder / "evidence").glob("*/")), *superseded(run_folder)]
    every = [folder for folder in every if not folder.is_symlink()]
    if scenario is None:
        return every
    names = {folder: str(read_json(folder / "scenario.json").get("name", "")) for folder in every}
    wanted = {
        name
        for folder, name in names.items()
        if scenario in (name, folder.name) or name.startswith(f"{scenario} [")
    }
    found = [
        folder
        for folder in every
        if folder.name == scenario or (names[folder] and names[folder] in wanted)
    ]
    if not any(folder.parent.name == "evidence" for folder in found):
        known = sorted({name for name in names.values() if name})
        more = f", and {len(known) - 3} more" if len(known) > 3 else ""
        raise BadInputError(
            f"no scenario {scenario!r} in {run_folder}",
            hint=f"there is: {'; '.join(known[:3])}{more}" if known else "it has none",
        )
    return found


def candidates(run_folder: Path, folders: list[Path], *, whole: bool) -> list[Candidate]:
    """The files of a run that a bundle of ``folders`` is about, sorted by name.

    Args:
        whole: ``folders`` are all that the run has.
    """
    found = [
        _candidate(run_folder, path, _of_run(name, whole=whole), Verdict.INVALID)
        for path, name in _files(run_folder, run_folder)
        if name.split("/", 1)[0] not in ("evidence", "superseded")
    ]
    for folder in folders:
        verdict = _verdict(folder)
        named = _named(folder)
        for path, name in _files(folder, folder):
            found.append(_candidate(run_folder, path, _of_evidence(name, named), verdict))
    return sorted(found, key=lambda one: one.name)


def _files(root: Path, top: Path) -> Iterator[tuple[Path, str]]:
    """(path, path relative to ``top``) of everything below ``root`` but folders."""
    for folder, folders, names in os.walk(root, followlinks=False):
        here = Path(folder)
        if here == top and (here / "evidence").is_dir():
            folders[:] = [name for name in folders if name not in ("evidence", "superseded")]
        linked = [name for name in folders if (here / name).is_symlink()]
        for name in (*names, *linked):
            yield here / name, (here / name).relative_to(top).as_posix()


def _candidate(run_folder: Path, path: Path, use: Use, verdict: Verdict) -> Candidate:
    name = path.relative_to(run_folder).as_posix()
    info = path.lstat()
    try:
        name.encode("utf-8")
        plain = bool(_PLAIN.match(name))
    except UnicodeEncodeError:
        plain = False
    if not plain:
        use = Use.ODD_NAME
        name = name.encode("utf-8", "backslashreplace").decode()
    elif not stat.S_ISREG(info.st_mode):
        if use is Use.NEEDED:
            raise BadInputError(
                f"{path} is not a regular file", hint="put the file itself where it is expected"
            )
        use = Use.NO_FILE
    elif use is not Use.NEEDED and KEY_FILE.search(name):
        use = Use.KEY
    elif use is Use.WANTED and OPAQUE_FILE.search(name):
        use = Use.OPAQUE
    return Candidate(path, name, use, (SEVERITY[verdict], info.st_size, name))


def _of_run(name: str, *, whole: bool) -> Use:
    if name in ("run.json", "residue.json"):
        return Use.NEEDED
    if name == "verdicts.json":
        return Use.NEEDED if whole else Use.OTHERS
    if name == MANIFEST:
        return Use.OLD_MANIFEST
    return Use.MADE_ANEW if _MADE_OF_RUN.search(name) else Use.WANTED


def _of_evidence(name: str, named: set[str]) -> Use:
    if _NEEDED.match(name) or name in named:
        return Use.NEEDED
    return Use.MADE_ANEW if _MADE_OF_EVIDENCE.search(name) else Use.WANTED


def _named(folder: Path) -> set[str]:
    """Files that the jobs of a scenario name."""
    jobs = read_json(folder / "scenario.json").get("jobs")
    told = [job for job in jobs if isinstance(job, dict)] if isinstance(jobs, list) else []
    values = [job.get(key) for job in told for key in ("json", "lat_log", "headers")]
    return {value for value in values if isinstance(value, str)}


def _verdict(folder: Path) -> Verdict:
    try:
        return ScenarioVerdict.load(folder / "verdict.json").verdict
    except (OSError, VerdictError):
        return Verdict.INCONCLUSIVE
