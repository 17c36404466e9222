"""Where no node survives only what was flushed is promised: that, and nothing less."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.checks import judge_one
from tests.checks.build import DISKS, healthy
from tests.checks.fio_files import OFFSET_NS, stamp
from tests.checks.planting import INCONCLUSIVE, INVALID, outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.checks.build import Folder
    from tests.checks.fio_files import Write

FLUSH_S = 12.0  # power is cut at 20 s


def flushed() -> Folder:
    """A failover in which both LUNs were flushed once before the cut."""
    folder = healthy()
    folder.scenario["expect"]["durable"] = "flushed"
    for disk in DISKS.values():
        for t_s, kind, error in (
            (FLUSH_S, "issue", {}),
            (FLUSH_S + 0.01, "complete", {"error": 0}),
        ):
            folder.add(
                t_s, "client", "block", kind, disk=disk, op="flush", fua=False, sector=0,
                sectors=0, guest_ns=stamp(t_s) + OFFSET_NS, **error,
            )  # fmt: skip
    return folder


def forget(folder: Folder, wanted: Callable[[Write], bool]) -> None:
    """Take the last write of a block from the disk, where it is as wanted."""
    blocks: dict[int, list[Write]] = {}
    for write in folder.writes["raw0"]:
        blocks.setdefault(write.block, []).append(write)
    writes = next(own for own in blocks.values() if wanted(own[-1]))
    folder.on_disk["raw0"] = {writes[-1].block: writes[-2] if len(writes) > 1 else None}


def acknowledged(write: Write) -> float:
    return write.issue_s + write.latency_s


def test_everything_is_there(tmp_path: Path) -> None:
    assert outcome(flushed(), tmp_path) == {}
    found = judge_one(tmp_path, "flushed-writes")
    before = [w for n in range(2) for w in flushed().writes[f"raw{n}"]]
    assert found.operations == sum(acknowledged(w) < FLUSH_S for w in before) > 10


def test_a_write_that_was_not_flushed_may_be_gone(tmp_path: Path) -> None:
    folder = flushed()
    forget(folder, lambda w: w.issue_s > FLUSH_S and acknowledged(w) < 20)
    assert outcome(folder, tmp_path / "a") == {}
    folder.scenario["expect"]["durable"] = "acknowledged"
    assert outcome(folder, tmp_path / "b") == {"lost-writes": INVALID, "linearizable": INVALID}


def a_flushed_write_is_gone(folder: Folder) -> None:
    forget(folder, lambda w: acknowledged(w) < FLUSH_S)


def a_write_after_the_cut_is_gone(folder: Folder) -> None:
    forget(folder, lambda w: w.issue_s > 40)


def nothing_was_flushed(folder: Folder) -> None:
    folder.drop(lambda e: e.data.get("op") == "flush")


def the_flush_failed(folder: Folder) -> None:
    for event in folder.events:
        if event.data.get("op") == "flush" and event.kind == "complete":
            event.data["error"] = -5


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (a_flushed_write_is_gone, {"flushed-writes": INVALID, "linearizable": INVALID}),
        (a_write_after_the_cut_is_gone, {"linearizable": INVALID}),
        (nothing_was_flushed, {"flushed-writes": INCONCLUSIVE}),
        (the_flush_failed, {"flushed-writes": INCONCLUSIVE, "block-requests": INVALID}),
    ],
)
def test_a_defect(
    tmp_path: Path, plant: Callable[[Folder], None], expected: dict[str, object]
) -> None:
    folder = flushed()
    plant(folder)
    assert outcome(folder, tmp_path) == expected


def test_without_a_cut_nothing_is_excused(tmp_path: Path) -> None:
    folder = flushed()
    folder.drop(lambda e: e.channel == "fault")
    found = judge_one(folder.save(tmp_path), "flushed-writes")
    assert found.verdict is INCONCLUSIVE
    assert "power was never cut" in found.seen
