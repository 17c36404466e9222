"""What a run was to run, and why it did not begin all of that: ``selection.json`` of the run.

Written when the scenarios are collected, so that a run which is killed tells of it too, and again
at its end: ``{"schema": 1, "chosen": [str], "left_out": [str], "ended": str}``. Of a run in parts
it is the last part's. ``harness.report.nottested`` reads it.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from harness.evidence.files import write_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SELECTION = "selection.json"


def note_selection(
    run_folder: Path, chosen: Sequence[str], left_out: Sequence[str], ended: str = ""
) -> None:
    """Write it down; what cannot be written is no trouble of a run.

    Args:
        chosen: names of the scenarios that are to be run, in that order.
        left_out: those that were chosen as well, and do not fit into the time.
        ended: what ended the run before its end, one line; empty if nothing did.
    """
    told = {"schema": 1, "chosen": [*chosen], "left_out": [*left_out], "ended": ended}
    with contextlib.suppress(OSError):
        write_json(run_folder / SELECTION, told)


def forget_selection(run_folder: Path) -> None:
    """Remove it: nothing was begun, and the folder is to be free for another run."""
    with contextlib.suppress(OSError):
        (run_folder / SELECTION).unlink(missing_ok=True)
