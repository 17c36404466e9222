"""What a run left behind, as its own comparison tells (residue.json; harness.leaving)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.evidence.files import read_json
from harness.report.text import one_line, plural

if TYPE_CHECKING:
    from pathlib import Path

_MOST = 20


def left_behind(run_folder: Path) -> list[str]:
    """What differs between before and after, in any part of the run; empty where nothing does."""
    told: list[str] = []
    for part in _parts(run_folder):
        differences = part.get("differences")
        if isinstance(differences, list):
            told += [one_line(str(text)) for text in differences]
    return list(dict.fromkeys(told))


def leftover_notes(run_folder: Path) -> list[str]:
    """What was left behind, for the report, one line each."""
    left = left_behind(run_folder)
    more = [f"and {len(left) - _MOST} more"] if len(left) > _MOST else []
    return [f"left behind: {text}" for text in (*left[:_MOST], *more)]


def leftover_summary(run_folder: Path) -> str:
    """The same in a few words; empty where nobody looked.

    A part that was killed, or whose lab was kept, did not look at the end; the next one began with
    a look at the host, and compares with the beginning of the first.
    """
    parts = _parts(run_folder)
    if not parts:
        return ""
    if left := left_behind(run_folder):
        return plural(len(left), "thing")
    compared = sum(isinstance(part.get("differences"), list) for part in parts)
    if not compared:
        return "not known: it was cut short, or its lab was kept"
    if compared == len(parts):
        return "nothing"
    return f"nothing, as far as {compared} of {plural(len(parts), 'part')} looked"


def _parts(run_folder: Path) -> list[dict[str, object]]:
    parts = read_json(run_folder / "residue.json").get("parts")
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
