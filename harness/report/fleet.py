"""Which clusters a run had at once: where each scenario ran, and what was run again, and why.

A run with workers (harness.fleet) notes what became of them in ``fleet.json``, and in each evidence
folder where it was made (``worker.json``). What is in parts that were not gathered is in no report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.evidence.attempts import superseded
from harness.evidence.files import read_json
from harness.report.text import one_line, plural

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORKERS = ".workers"
"""Below a run's folder while it goes on: a part of it for each worker."""
FLEET = "fleet.json"
PLACE = "worker.json"


def place_of(evidence: Path) -> str:
    """Where a scenario ran, in words; empty in a run with one cluster."""
    told = read_json(evidence / PLACE)
    worker, host = told.get("worker"), told.get("host")
    if not isinstance(worker, str) or not isinstance(host, str):
        return ""
    slot = told.get("slot")
    return one_line(f"{worker} on {host}" + (f", slot {slot}" if isinstance(slot, int) else ""), 80)


def clusters_at_once(run_folder: Path) -> str:
    """How many scenarios ran where, in words; empty in a run with one cluster at a time."""
    ran: dict[str, int] = {}
    for evidence in sorted((run_folder / "evidence").glob("*/")):
        if place := place_of(evidence):
            ran[place] = ran.get(place, 0) + 1
    told = [f"{place}: {plural(number, 'scenario')}" for place, number in sorted(ran.items())]
    return "; ".join(told)


def fleet_notes(run_folder: Path) -> list[str]:
    """What became of workers and hosts, for the report, one line each."""
    told = read_json(run_folder / FLEET)
    notes = [
        one_line(f"{_text(one, 'worker')} on {_text(one, 'host')} was lost: {_text(one, 'why')}")
        for one in _objects(told.get("lost"))
    ]
    notes += [_run_again(run_folder, one) for one in _objects(told.get("given_back"))]
    if left := [path.name for path in sorted((run_folder / WORKERS).glob("*/"))]:
        notes.append(
            f"{plural(len(left), 'part')} of this run's workers are not in this report: the run "
            "goes on, or was killed (harness run --resume gathers them)"
        )
    return notes


def _run_again(run_folder: Path, one: dict[str, Any]) -> str:
    """A scenario that was given back: where it was begun, and where it ran then."""
    name, part = _text(one, "scenario"), one.get("part")
    begun = f"begun on {_text(one, 'worker')} on {_text(one, 'host')}, which was lost"
    if one.get("begun") is False:
        begun = f"not begun on {_text(one, 'worker')} on {_text(one, 'host')}, which was lost"
    folders = [*sorted((run_folder / "evidence").glob("*/")), *superseded(run_folder)]
    after = [
        place_of(folder)
        for folder in folders
        if read_json(folder / "scenario.json").get("name") == one.get("scenario")
        and read_json(folder / PLACE).get("part") not in (part, None)
    ]
    again = f"run again on {after[0]}" if after else "not run again"
    return one_line(f"given back: {name}: {begun}; {again}", 400)


def _text(told: dict[str, Any], key: str) -> str:
    value = told.get(key)
    return value if isinstance(value, str) and value else "?"


def _objects(told: object) -> Iterator[dict[str, Any]]:
    yield from (one for one in (told if isinstance(told, list) else []) if isinstance(one, dict))
