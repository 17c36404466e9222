"""Stored runs, as commands are told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import BadInputError
from harness.lab.paths import REPORTS
from harness.report.fleet import WORKERS

if TYPE_CHECKING:
    from pathlib import Path


def needs_run(folder: Path) -> None:
    """See to it that ``folder`` is one of a run.

    Raises:
        BadInputError: it is not; the hint names the last one that there is.
    """
    if not (folder / "evidence").is_dir():
        newest = newest_run()
        raise BadInputError(
            f"{folder} is not the folder of a run: it has no folder evidence/",
            hint=f"the last one is reports/{newest.name}" if newest else "there is none yet",
        )


def newest_run() -> Path | None:
    """The run in ``reports/`` that was worked on last, if there is any."""
    # One of many clusters has no evidence of its own before its first scenario was taken in.
    there = [*REPORTS.glob("*/evidence"), *REPORTS.glob(f"*/{WORKERS}")]
    runs = sorted(there, key=lambda path: path.stat().st_mtime_ns)
    return runs[-1].parent if runs else None
