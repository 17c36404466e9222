"""Attempts at a scenario within one run: which of them can say anything, and where they are kept.

A run that is resumed sets earlier attempts aside, below its own folder. What was judged of them
counts as what came after: a scenario that was INVALID once is not VALID for being tried again.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

SUPERSEDED = "superseded"
"""Below a run's folder: ``SLUG-NS`` for each attempt that was set aside."""
INTERRUPTED = "interrupted"
"""``error`` of a scenario that Ctrl-C ended."""


def cut_short(evidence: Path) -> bool:
    """Whether a scenario was ended before it could say anything of the cluster.

    Killed or interrupted; or given up by the harness before anything was broken. Not: given up
    after that, whatever the reason. That is INCONCLUSIVE, and stays so.
    """
    scenario = read_json(evidence / "scenario.json")
    match scenario.get("outcome"):
        case "finished":
            return False
        case "error":
            untouched = scenario.get("touched") is False
            return untouched or scenario.get("error") == INTERRUPTED
        case _:
            return True


def superseded(run_folder: Path) -> list[Path]:
    """Evidence folders of the attempts that were set aside, in order of their names."""
    return sorted(path for path in (run_folder / SUPERSEDED).glob("*/"))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; an empty one where there is none that can be read."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return raw if isinstance(raw, dict) else {}


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON object, whole or not at all: a kill -9 leaves what was there before."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)
