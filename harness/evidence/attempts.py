"""Attempts at a scenario within one run: which of them can say anything, and where they are kept.

A run that is resumed sets earlier attempts aside, below its own folder. What was judged of them
counts as what came after: a scenario that was INVALID once is not VALID for being tried again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.evidence.files import read_json

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


def says_nothing(evidence: Path) -> bool:
    """Whether an attempt counts for nothing: it was cut short, and nothing bad was seen until then.

    What was broken when somebody looked later is not undone by the harness having been killed: an
    invariant needs no end (what a scenario predicts does, and is not held against it then, see
    harness.checks.judging). It is begun anew all the same, and counts beside what comes of that.
    """
    return cut_short(evidence) and read_json(evidence / "verdict.json").get("verdict") != "INVALID"


def superseded(run_folder: Path) -> list[Path]:
    """Evidence folders of the attempts that were set aside, in order of their names."""
    return sorted(path for path in (run_folder / SUPERSEDED).glob("*/"))
