"""Stored runs, as commands are told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import BadInputError
from harness.lab.paths import REPORTS

if TYPE_CHECKING:
    from pathlib import Path


def needs_run(folder: Path) -> None:
    """See to it that ``folder`` is one of a run.

    Raises:
        BadInputError: it is not; the hint names the last one that there is.
    """
    if not (folder / "evidence").is_dir():
        runs = sorted(path.parent.name for path in REPORTS.glob("*/evidence"))
        raise BadInputError(
            f"{folder} is not the folder of a run",
            hint=f"the last one is reports/{runs[-1]}" if runs else "there is none yet",
        )
