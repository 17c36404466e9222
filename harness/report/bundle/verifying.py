"""Sees to it that evidence without its secrets is judged as it was with them."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.checks import judge
from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.report.bundle.choosing import Candidate
    from harness.report.bundle.redact import Redactor

_RUN = "run.json"


def verify(
    run_folder: Path, folder: Path, files: list[Candidate], redactor: Redactor, scratch: Path
) -> None:
    """Judge a scenario without its secrets, and compare with the verdict that there is.

    Args:
        files: what is needed of ``folder`` to judge it.
        scratch: where there is room for a copy.

    Raises:
        HarnessError: it would be judged differently.
        OSError: there is no room for the copy.
    """
    with tempfile.TemporaryDirectory(dir=scratch, prefix=".bundle-") as root:
        copy = Path(root) / folder.relative_to(run_folder)
        for one in files:
            _copy(one.path, copy / one.path.relative_to(folder), redactor)
        if (run_folder / _RUN).is_file():
            _copy(run_folder / _RUN, Path(root) / _RUN, redactor)
        new = _plain(judge(copy).to_json())
    try:
        stored = json.loads((folder / "verdict.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        stored = None
    if new == redactor.value(stored):
        return
    # Or it was judged by other code than this.
    if new != redactor.value(_plain(judge(folder).to_json())):
        raise HarnessError(
            f"without its secrets {folder.name} would be judged differently",
            hint="bundle the other scenarios one by one, and tell us of this one",
        )


def _copy(source: Path, target: Path, redactor: Redactor) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".bin":
        shutil.copyfile(source, target)
        return
    with target.open("wb") as file:
        file.writelines(redactor.lines(source))


def _plain(value: Any) -> Any:
    """As it comes back from JSON: tuples as lists, say."""
    return json.loads(json.dumps(value))
