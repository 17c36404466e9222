"""What plants defects in a healthy folder, and what turns a folder into verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.checks import Verdict, judge
from tests.checks.build import FILE_DISK, block_requests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.checks.build import Folder

INVALID, INCONCLUSIVE = Verdict.INVALID, Verdict.INCONCLUSIVE
DEFECTS: list[Any] = []


def defect(
    **expected: Verdict,
) -> Callable[[Callable[[Folder], None]], Callable[[Folder], None]]:
    """Register a defect: what it does to a healthy folder, and which checks must notice."""

    def register(plant: Callable[[Folder], None]) -> Callable[[Folder], None]:
        wanted = {slug.replace("_", "-"): verdict for slug, verdict in expected.items()}
        DEFECTS.append(pytest.param(plant, wanted, id=plant.__name__))
        return plant

    return register


def outcome(folder: Folder, path: Path) -> dict[str, Verdict]:
    """What is not VALID."""
    verdict = judge(folder.save(path))
    return {r.check: r.verdict for r in verdict.checks if r.verdict is not Verdict.VALID}


def with_samples(folder: Folder) -> Folder:
    """Add what only some scenarios sample."""
    folder.sample(91, "fsck", "after", "client", {"exit_code": 0, "text": "clean"})
    files = {"/a": "11", "/b": "22"}
    folder.sample(91, "files", "after", "client", {"expected": dict(files), "seen": dict(files)})
    folder.add(21.5, "host", "state", "no-service-begin")
    folder.add(29.5, "host", "state", "no-service-end")
    folder.journal(
        24, "bravo", "warning: Fencing and resource management disabled due to lack of quorum",
        identifier="pacemaker-schedulerd",
    )  # fmt: skip
    folder.sample(
        91, "jumbo", "after", "alpha",
        {"link": "data", "from": "alpha", "to": "bravo", "payload_bytes": 8972,
         "fragmented": False, "exit_code": 0, "text": ""},
    )  # fmt: skip
    folder.sample(
        91, "reboot", "after", "alpha",
        {"node": "alpha", "seconds": 20.0, "boot_id_before": "a", "boot_id_after": "b",
         "deadline_s": 60.0},
    )  # fmt: skip
    return folder


def with_a_file_job(folder: Folder) -> None:
    """A third job, which writes to a file on a LUN of its own."""
    folder.writes["file"] = [w for w in folder.writes["raw0"] if w.issue_s < 70]
    block_requests(folder)
    for when in ("before", "after"):
        folder.value("disks", when).update(FILE_DISK)
    folder.scenario["jobs"].append(
        {"name": "file", "kind": "file", "lun": None, "resource": None, "block_size": 4096,
         "json": "fio/file.json", "lat_log": "fio/file_lat.1.log", "headers": None}
    )  # fmt: skip
