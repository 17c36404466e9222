"""What is left in the folder by judging it: the histories that were judged, or none."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.checks import ScenarioVerdict, Verdict, judge, judge_and_keep
from harness.checks.histories import history_of
from harness.evidence.model import Evidence
from harness.history import store
from harness.history.model import History
from tests.checks.build import DISKS, healthy
from tests.checks.fio_files import OFFSET_NS, stamp
from tests.checks.planting import INCONCLUSIVE, with_samples

if TYPE_CHECKING:
    from pathlib import Path

OLD = b"what an earlier judgement left"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A healthy scenario with a flush, and with histories of before."""
    built = with_samples(healthy())
    for t_s, kind in ((30.0, "issue"), (30.2, "complete")):
        built.add(t_s, "client", "block", kind, disk=DISKS["lun1"], op="flush", fua=False,
                  sector=0, sectors=0, guest_ns=stamp(t_s) + OFFSET_NS, error=0)  # fmt: skip
    path = built.save(tmp_path / "e")
    (path / "history").mkdir()
    for name in ("lun0", "lun1", "lun7"):
        (path / f"history/{name}.npz").write_bytes(OLD)
    return path


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("history/*"))


def assert_same(one: History, other: History) -> None:
    for column in fields(History):
        if column.name != "flushes":
            np.testing.assert_array_equal(getattr(one, column.name), getattr(other, column.name))
    for column in fields(one.flushes):
        ours, theirs = (getattr(each.flushes, column.name) for each in (one, other))
        np.testing.assert_array_equal(ours, theirs)


def test_what_was_judged_can_be_loaded(folder: Path) -> None:
    before = judge(folder)
    assert before.verdict is Verdict.VALID
    # No verdict depends on what is there, nor on what is not.
    assert judge_and_keep(folder) == before
    assert ScenarioVerdict.load(folder / "verdict.json").verdict is Verdict.VALID
    assert kept(folder) == ["lun0.npz", "lun1.npz"]
    evidence = Evidence(folder)
    for job in evidence.scenario.jobs:
        loaded = store.load(folder / f"history/{job.lun}.npz")
        assert_same(loaded, history_of(evidence, job))
        assert len(loaded.flushes.issue_ns) == (job.lun == "lun1")
        assert len(loaded) > 100
    assert judge_and_keep(folder) == before


def test_the_same_bytes_each_time(folder: Path) -> None:
    judge_and_keep(folder)
    first = {path: path.read_bytes() for path in folder.glob("history/*.npz")}
    judge_and_keep(folder)
    assert {path: path.read_bytes() for path in first} == first


def test_an_unreadable_log_leaves_no_file(folder: Path) -> None:
    (folder / "fio/raw1_lat.1.log").write_text("no log\n")
    verdict = judge_and_keep(folder)
    assert verdict.verdict is INCONCLUSIVE
    assert verdict == judge(folder)
    assert kept(folder) == ["lun0.npz"]
    assert (folder / "history/lun0.npz").read_bytes() != OLD


@pytest.mark.parametrize("name", ["scenario.json", "timeline.jsonl"])
def test_without_a_scenario_or_a_timeline_there_is_none(folder: Path, name: str) -> None:
    (folder / name).write_text("{\n")
    assert judge_and_keep(folder).verdict is INCONCLUSIVE
    assert (folder / "verdict.json").exists()
    assert kept(folder) == []


def test_a_bug_in_building_them_is_no_verdict_lost(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_evidence: Evidence, _job: object) -> History:
        raise IndexError("a bug")

    monkeypatch.setattr("harness.checks.histories.history_of", broken)
    result = judge_and_keep(folder).result("linearizable")
    assert result is not None
    assert (result.verdict, result.seen) == (INCONCLUSIVE, "IndexError: a bug")
    assert kept(folder) == []


def test_a_full_disk_leaves_the_verdict(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: object, **_columns: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert judge_and_keep(folder).verdict is Verdict.VALID
    assert ScenarioVerdict.load(folder / "verdict.json").verdict is Verdict.VALID
    assert kept(folder) == []
