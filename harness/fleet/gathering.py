"""Gathering: what workers left in their parts becomes one run, whatever was killed, and when.

Every step is a rename or the writing of a whole file, and each may be done again: who is killed in
the middle of it goes on where it was. Nothing is thrown away. Of several attempts at a scenario the
one that was begun last is the run's; the others go to ``superseded/``, as in a run that is resumed.
"""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Any

from harness.errors import BadInputError
from harness.evidence.files import read_json, write_json
from harness.fleet.parts import LOG, hold_run, parts_of
from harness.leaving import RESIDUE, changes
from harness.report.fleet import PLACE, WORKERS
from harness.resuming import RUN, by_name, put_aside, verdict_of

if TYPE_CHECKING:
    from pathlib import Path

    from harness.fleet.parts import Part

_LOGS = "workers"
_TROUBLE = "trouble"


def gather(run: Path) -> None:
    """Take in all parts whose workers have ended.

    Raises:
        BadInputError: a worker of a run whose controller is gone still works on its part.
    """
    for part in parts_of(run):
        if not part.wait_for_end():
            raise BadInputError(
                f"{part.worker} of {run} still runs", hint=f"it holds {part.folder}; end it"
            )
        gather_part(run, part)
        finish_part(run, part)


def gather_rest(run: Path) -> None:
    """Take in what a controller that was killed has left; nothing where there is nothing.

    Raises:
        BadInputError: as ``gather``; or somebody works on the run.
    """
    if not (run / WORKERS).is_dir():
        return
    lease = hold_run(run)
    try:
        gather(run)
    finally:
        lease.release()
    remove_workers(run)


def remove_workers(run: Path) -> None:
    """Remove the folder of the parts, if all of them were taken in."""
    if not parts_of(run):
        shutil.rmtree(run / WORKERS, ignore_errors=True)


def gather_part(run: Path, part: Part, *, but: Path | None = None) -> None:
    """Take in the evidence of a part, and what its ``run.json`` says.

    Args:
        but: an evidence folder that is still being written to.
    """
    if (part.folder / RUN).exists():
        _add_facts(run, part)
    known = {evidence: name for name, evidence in by_name(part.folder)}
    folders = sorted((part.folder / "evidence").glob("*/"), key=_started_ns)
    for evidence in folders:
        if evidence == but:
            continue
        write_json(evidence / PLACE, part.place)
        name = known.get(evidence)
        if name is None and verdict_of(evidence) is None:
            # Killed at its first step: nobody could tell which scenario it was.
            put_aside(run, evidence)
        else:
            _take_in(run, evidence, name)


def _take_in(run: Path, evidence: Path, name: str | None) -> None:
    """Move an attempt into the run; an older one at the same scenario makes room, or it does."""
    for known, other in by_name(run):
        if known == name and _started_ns(other) > _started_ns(evidence):
            put_aside(run, evidence)
            return
    for known, other in by_name(run):
        if known == name:
            put_aside(run, other)
    root = run / "evidence"
    root.mkdir(exist_ok=True)
    slug, number = evidence.name, 1
    while (root / slug).exists():
        number += 1
        slug = f"{evidence.name}-{number}"
    if slug != evidence.name:
        _rename(evidence, slug)
    evidence.rename(root / slug)


def _rename(evidence: Path, slug: str) -> None:
    """Two workers have scenarios whose names look alike: what tells the folder's name follows."""
    for file in ("scenario.json", "verdict.json"):
        told = read_json(evidence / file)
        if "slug" in told:
            write_json(evidence / file, told | {"slug": slug})


def _started_ns(evidence: Path) -> int:
    started = read_json(evidence / "scenario.json").get("started_ns")
    return started if isinstance(started, int) else 0


def _add_facts(run: Path, part: Part) -> None:
    """Add a part to the run's ``run.json``, once; the rest of that file is of the last part."""
    told, before = read_json(part.folder / RUN), read_json(run / RUN)
    own = {key: told.get(key) for key in ("started_ns", "command", "cluster")} | part.place
    parts = [one for one in _objects(before.get("parts")) if one.get("part") != part.name]
    began = [one for one in (before.get("started_ns"), part.began_ns) if isinstance(one, int)]
    facts = told | {
        "run": run.name,
        "started_ns": min(began),
        "host": _joined(before.get("host"), told.get("host")),
        "kept": _joined(before.get("kept"), told.get("kept")) or None,
        "parts": [*parts, own],
    }
    if facts != before:
        write_json(run / RUN, facts)


def _joined(before: object, now: object) -> str:
    """Names of what parts have more than one of."""
    names = before.split(", ") if isinstance(before, str) and before else []
    return ", ".join(dict.fromkeys([*names, now] if isinstance(now, str) and now else names))


def finish_part(run: Path, part: Part) -> None:
    """Take in the rest of a part whose worker has ended, and remove it."""
    for attempt in sorted((part.folder / "superseded").glob("*/")):
        put_aside(run, attempt)
    _add_residue(run, part)
    for source, target in (
        (part.folder / _TROUBLE, run / _TROUBLE / part.name),
        (part.folder / LOG, run / _LOGS / f"{part.name}.log"),
    ):
        if source.exists():
            target.parent.mkdir(exist_ok=True)
            with contextlib.suppress(OSError):
                source.rename(target)
    shutil.rmtree(part.folder)


def _add_residue(run: Path, part: Part) -> None:
    """Add what the worker saw left behind in its lab.

    Not what it saw of this host: other labs of the run came and went meanwhile. The controller
    compares the host, from before the first lab to after the last.
    """
    before = _objects(read_json(run / RESIDUE).get("parts"))
    own = _objects(read_json(part.folder / RESIDUE).get("parts"))
    if not own or any(one.get("part") == part.name for one in before):
        return
    parts = [*before, *(_without_host(one) | part.place for one in own)]
    write_json(run / RESIDUE, {"schema": 1, "parts": parts})


def _without_host(told: dict[str, Any]) -> dict[str, Any]:
    host, differences = told.get("host"), told.get("differences")
    if not isinstance(host, dict) or not isinstance(differences, list):
        return told
    before, after = host.get("before"), host.get("after")
    if not isinstance(before, dict) or not isinstance(after, dict):
        return told
    seen = {f"host: {text}" for text in changes(before, after)}
    return told | {"differences": [text for text in differences if text not in seen]}


def _objects(told: object) -> list[dict[str, Any]]:
    return [one for one in (told if isinstance(told, list) else []) if isinstance(one, dict)]
