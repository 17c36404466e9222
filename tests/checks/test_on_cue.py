"""A fault that came when its moment was over tested something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.checks import judge_one
from harness.checks.verdict import Verdict
from tests.checks.build import Folder, healthy
from tests.checks.planting import INCONCLUSIVE, outcome

if TYPE_CHECKING:
    from pathlib import Path

PROMOTED = "bravo promoted, no LUN started"
STARTS = "notice: Initiating start operation lun1_start_0 locally on bravo"


def _waited(trigger: str, fault: str = "f1-power-off") -> Folder:
    """The power cut of 20.6 s came when it did because of ``trigger``."""
    folder = healthy()
    folder.add(
        20.1, "host", "state", "reaction",
        trigger=trigger, fault=fault, seconds=0.1, trigger_ns=1, inject_ns=2,
    )  # fmt: skip
    return folder


def _disk(folder: Folder, t_s: float, resource: str, disk: str) -> None:
    fields = {"name": resource, "volume": "0", "minor": "1", "disk": disk}
    folder.add(t_s, "bravo", "events2", "change", object="device", fields=fields, raw="")


@pytest.mark.parametrize("over_s", [None, 20.5, 20.7])
@pytest.mark.parametrize("trigger", ["r1 of bravo is copied to 30 %", "r1 of bravo: Inconsistent"])
def test_a_resync_has_to_go_on(tmp_path: Path, trigger: str, over_s: float | None) -> None:
    folder = _waited(trigger)
    _disk(folder, 15, "r1", "Inconsistent")
    _disk(folder, 20.5, "r0", "UpToDate")
    if over_s is not None:
        _disk(folder, over_s, "r1", "UpToDate")
    result = judge_one(folder.save(tmp_path), "on-cue")
    assert result.verdict is (INCONCLUSIVE if over_s == 20.5 else Verdict.VALID)
    assert (" when f1-power-off bit" in result.seen) == (over_s == 20.5)


def test_a_resource_that_nobody_tells_of(tmp_path: Path) -> None:
    folder = _waited("r1 of bravo is copied to 30 %")
    assert "r1 is down when" in judge_one(folder.save(tmp_path), "on-cue").seen


def test_all_that_was_waited_for(tmp_path: Path) -> None:
    for name, trigger in (
        ("a", "r0 and r1 of bravo: Outdated"),
        ("b", "all resources of bravo: Outdated"),
    ):
        folder = _waited(trigger)
        _disk(folder, 15, "r0", "Outdated")
        _disk(folder, 15, "r1", "UpToDate")
        result = judge_one(folder.save(tmp_path / name), "on-cue")
        assert result.verdict is INCONCLUSIVE
        assert "r1 is UpToDate" in result.seen
        assert "r0 is" not in result.seen


@pytest.mark.parametrize(("start_s", "verdict"), [(20.5, INCONCLUSIVE), (31, Verdict.VALID)])
def test_between_promotion_and_the_luns(tmp_path: Path, start_s: float, verdict: Verdict) -> None:
    folder = _waited(PROMOTED)
    folder.journal(start_s, "bravo", STARTS, identifier="pacemaker-controld")
    assert judge_one(folder.save(tmp_path), "on-cue").verdict is verdict


def test_where_the_fault_did_not_bite_it_is_judged_when_it_came(tmp_path: Path) -> None:
    folder = _waited(PROMOTED, fault="f9-power-off")
    folder.journal(20.3, "bravo", STARTS, identifier="pacemaker-controld")
    assert judge_one(folder.save(tmp_path), "on-cue").verdict is Verdict.VALID


def test_other_moments_cannot_be_over(tmp_path: Path) -> None:
    assert outcome(_waited("the writes go on"), tmp_path) == {}
