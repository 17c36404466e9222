"""Every check: a healthy folder is VALID, and a planted defect turns just what it should."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.checks import ALL_CHECKS, Verdict, judge, judge_one
from harness.evidence.model import RunInfo
from tests.checks import (  # noqa: F401  (DEFECTS)
    defects_cluster,
    defects_seeming,
    defects_watching,
    defects_writes,
)
from tests.checks.build import MACS, Folder, healthy, progress
from tests.checks.defects_cluster import (
    identifiers_diverged,
    never_fenced,
    nobody_watched_the_vip_at_the_beginning,
    split_brain_unresolved,
)
from tests.checks.defects_watching import a_soft_lockup, an_oops
from tests.checks.defects_writes import (
    a_disk_was_outdated,
    a_replica_holds_an_older_write,
    a_request_ended_with_an_error,
    a_torn_payload,
    an_earlier_write_is_on_the_disk,
    an_io_error,
    the_replicas_differ,
)
from tests.checks.fio_files import stamp
from tests.checks.planting import DEFECTS, INCONCLUSIVE, INVALID, outcome, with_samples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


# They apply in few scenarios only; test_recovery, test_flushed, test_maintenance, test_resync,
# test_lost_peer, test_on_cue and test_told have their defects.
FORCED = {
    "split-brain-detected",
    "discarded-writes",
    "flushed-writes",
    "maintenance",
    "resync-goes-on",
    "lost-peer",
    "corosync-links",
    "respawned",
    "on-cue",
    "fence-device-told",
    "ifdown",
}


@pytest.mark.parametrize("seed", range(5))
def test_a_healthy_folder_is_valid(tmp_path: Path, seed: int) -> None:
    verdict = judge(with_samples(healthy(seed)).save(tmp_path))
    assert [f"{r.check}: {r.seen}" for r in verdict.checks if r.verdict is not Verdict.VALID] == []
    assert verdict.verdict is Verdict.VALID
    assert {r.check for r in verdict.checks} == set(ALL_CHECKS) - FORCED
    assert all(r.operations > 0 for r in verdict.checks)


@pytest.mark.parametrize(("plant", "expected"), DEFECTS)
def test_a_defect_turns_just_its_checks(
    tmp_path: Path, plant: Callable[[Folder], None], expected: dict[str, Verdict]
) -> None:
    folder = with_samples(healthy())
    plant(folder)
    assert outcome(folder, tmp_path) == expected


def test_every_check_has_a_defect() -> None:
    planted = {slug for param in DEFECTS for slug in param.values[1]}
    assert planted == set(ALL_CHECKS) - FORCED


@pytest.mark.parametrize("content", [None, b"\xff\xff"])
@pytest.mark.parametrize(
    ("slug", "plant", "of_another"),
    [
        ("lost-writes", an_earlier_write_is_on_the_disk, "fio/lun0.headers.bin"),
        ("linearizable", an_earlier_write_is_on_the_disk, "fio/lun0.headers.bin"),
        ("torn-blocks", a_torn_payload, "fio/lun1.headers.bin"),
        ("io-errors", an_io_error, "fio/raw1.json"),
        ("block-requests", a_request_ended_with_an_error, "fio/lun0.headers.bin"),
        ("replica-digests", the_replicas_differ, "replicas/r1.alpha.digests.bin"),
        ("replica-sweep", a_replica_holds_an_older_write, "replicas/r1.alpha.headers.bin"),
        ("offline-metadata", a_disk_was_outdated, "replicas/r0.alpha.metadata.json"),
    ],
)
def test_what_one_shows_counts_though_anothers_file_cannot_be_read(
    tmp_path: Path,
    slug: str,
    plant: Callable[[Folder], None],
    of_another: str,
    content: bytes | None,
) -> None:
    built = healthy()
    sound = built.save(tmp_path / "sound")
    plant(built)
    planted = built.save(tmp_path / "planted")
    for folder in (sound, planted):
        (folder / of_another).unlink()
        if content is not None:
            (folder / of_another).write_bytes(content)
    result = judge_one(sound, slug)
    assert result.verdict is INCONCLUSIVE
    assert result.seen.startswith(("raw0: ", "raw1: ", "r0: ", "r1: ", "r1 of alpha: "))
    assert of_another.rsplit("/", 1)[1] in result.seen
    assert judge_one(planted, slug).verdict is INVALID


def test_console_and_journal_copies_count_once(tmp_path: Path) -> None:
    folder = healthy()
    split_brain_unresolved(folder)
    result = judge_one(folder.save(tmp_path), "split-brain-messages")
    assert result.details["messages"] == 1
    assert result.when_ns == (stamp(70),)
    assert len(result.evidence) == 2


def test_stand_alone_without_divergence_is_not_called_split_brain(tmp_path: Path) -> None:
    folder = healthy()
    folder.value("drbd", "after", "bravo")["r0"]["cs"] = "StandAlone"
    result = judge_one(folder.save(tmp_path / "a"), "connections")
    assert result.verdict is INVALID
    assert "not split-brain" in result.seen
    identifiers_diverged(folder)
    folder.value("drbd", "after", "bravo")["r1"]["cs"] = "StandAlone"
    assert "split-brain)" in judge_one(folder.save(tmp_path / "b"), "connections").seen


@pytest.mark.parametrize(
    ("demoted_s", "verdict"), [(30.5, Verdict.VALID), (31.5, INCONCLUSIVE), (33, INVALID)]
)
def test_overlap_within_the_skew_is_inconclusive(
    tmp_path: Path, demoted_s: float, verdict: Verdict
) -> None:
    folder = healthy()
    never_fenced(folder)
    folder.role(demoted_s, "alpha", "Secondary")
    assert judge_one(folder.save(tmp_path), "dual-primary").verdict is verdict


def test_a_short_promotion_beside_a_primary_is_real(tmp_path: Path) -> None:
    folder = healthy()
    folder.role(70, "alpha", "Primary", boot="2")
    folder.role(70.5, "alpha", "Secondary", boot="2")
    assert judge_one(folder.save(tmp_path), "dual-primary").verdict is INVALID


def test_a_switchover_needs_no_fencing(tmp_path: Path) -> None:
    folder = healthy()
    never_fenced(folder)
    folder.drop(lambda e: "will be fenced" in str(e.data.get("message")))
    folder.role(30, "alpha", "Secondary")
    folder.scenario["expect"] |= {"fencings": 0, "fenced": []}
    assert outcome(folder, tmp_path) == {}


def test_a_failover_and_back_is_no_dual_vip(tmp_path: Path) -> None:
    folder = healthy()
    folder.role(71, "bravo", "Secondary")
    folder.role(72, "alpha", "Primary", boot="2")
    for event in folder.events:
        if event.channel == "arp" and event.t_s > 72:
            event.data["mac"] = MACS["alpha"]
    # Of the way back nothing but the roles is told: no write stood still.
    assert outcome(folder, tmp_path) == {"failovers": INVALID, "failover-phases": INCONCLUSIVE}


def test_the_vip_without_a_workload(tmp_path: Path) -> None:
    """The take-over explains the silence: until the heal, and around a change of roles."""
    folder = healthy()
    folder.scenario["jobs"] = []
    folder.scenario["expect"]["workload"] = False
    assert judge_one(folder.save(tmp_path / "a"), "dual-vip").verdict is Verdict.VALID
    folder.drop(lambda e: e.channel == "fault")
    assert judge_one(folder.save(tmp_path / "b"), "dual-vip").verdict is Verdict.VALID
    nobody_watched_the_vip_at_the_beginning(folder)
    assert judge_one(folder.save(tmp_path / "c"), "dual-vip").verdict is INCONCLUSIVE


def test_a_starved_guest_on_a_real_processor_is_invalid(tmp_path: Path) -> None:
    folder = healthy()
    a_soft_lockup(folder)
    path = folder.save(tmp_path / "evidence" / "s")
    RunInfo(run="r", started_ns=1, accelerator="kvm", harness="0").save(tmp_path / "run.json")
    assert judge_one(path, "kernel-alarms").verdict is INVALID


def test_a_panic_on_purpose_is_no_alarm(tmp_path: Path) -> None:
    folder = healthy()
    an_oops(folder)
    for event in folder.events:
        if event.channel == "fault":
            event.data |= {"kind": "panic", "target": "bravo"}
    assert judge_one(folder.save(tmp_path), "kernel-alarms").verdict is Verdict.VALID


def test_the_lost_write_is_named(tmp_path: Path) -> None:
    folder = healthy()
    mine = [w for w in folder.writes["raw1"] if w.block == 7]
    folder.on_disk["raw1"] = {7: mine[-3]}
    result = judge_one(folder.save(tmp_path), "lost-writes")
    assert "2 acknowledged writes lost in 1 blocks (1 hold an earlier write)" in result.seen
    assert "block 7 at byte 28672" in result.seen
    assert result.evidence[0] == "fio/lun1.headers.bin:7"
    listed = result.details["raw1"]["listed"][0]
    assert listed["last_issued_ns"] == pytest.approx(stamp(mine[-1].issue_s), abs=2_000_000)
    assert listed["found_issued_ns"] == pytest.approx(stamp(mine[-3].issue_s), abs=2_000_000)
    assert result.details["raw0"]["blocks_lost"] == 0


def test_the_blackout_is_on_the_run_clock(tmp_path: Path) -> None:
    result = judge_one(healthy().save(tmp_path), "stall")
    blackout = result.details["blackout"]
    assert blackout["start_ns"] == pytest.approx(stamp(20), abs=1_000_000_000)
    assert blackout["end_ns"] == pytest.approx(stamp(35.2), abs=1_000_000_000)
    assert result.when_ns == (blackout["start_ns"], blackout["end_ns"])


@pytest.mark.parametrize("said_exit", [False, True])
def test_a_stuck_workload_is_invalid_since_its_last_write(tmp_path: Path, said_exit: bool) -> None:
    folder = healthy()
    folder.drop(lambda e: e.channel == "workload" and e.kind == "exit")
    folder.add(93, "host", "workload", "stuck", jobs=["raw0"], exit_code=None, text="")
    if said_exit:  # of a job that was given up
        folder.add(93.5, "host", "workload", "exit", jobs=["raw0"], exit_code=0)
    progress(folder, stop_s=40)
    folder.save(tmp_path)
    (tmp_path / "fio/raw0_lat.1.log").unlink()
    result = judge_one(tmp_path, "stall")
    assert result.verdict is INVALID
    assert result.details["blackout"]["start_ns"] == stamp(40)
    assert judge(tmp_path).verdict is INVALID


def test_a_workload_that_was_slow_to_end_is_judged_by_its_logs(tmp_path: Path) -> None:
    folder = healthy()
    folder.add(80.5, "host", "workload", "stuck", jobs=["raw0"], exit_code=None, text="")
    assert outcome(folder, tmp_path) == {}


def test_a_file_jobs_disk_is_the_one_left(tmp_path: Path) -> None:
    folder = healthy()
    folder.scenario["jobs"] = [
        {"name": "file", "kind": "file", "lun": None, "resource": None, "block_size": 4096,
         "json": "fio/file.json", "lat_log": None, "headers": None},
        folder.scenario["jobs"][1] | {"lat_log": None},
    ]  # fmt: skip
    folder.writes["file"] = []
    progress(folder, stop_s=40)
    result = judge_one(folder.save(tmp_path), "stall")
    assert [s["seconds"] for s in result.details["per_job"]] == [41.0, 41.0]


def test_without_a_log_progress_tells_the_stall(tmp_path: Path) -> None:
    folder = healthy()
    for job in folder.scenario["jobs"]:
        job["lat_log"] = None
    progress(folder, stop_s=40)
    result = judge_one(folder.save(tmp_path), "stall")
    assert result.verdict is INVALID
    assert result.details["blackout"] == {
        "job": "raw0", "kind": "progress", "seconds": 41.0, "start_ns": stamp(40),
        "end_ns": stamp(81),
    }  # fmt: skip


def test_a_replayed_journal_counts_once(tmp_path: Path) -> None:
    """After its service restarted, the journal's stream tells the whole boot again."""
    folder = healthy()
    told = [e for e in folder.events if e.source == "bravo" and e.channel == "journal"]
    folder.add(65, "bravo", "journal", "lost", reason="end of stream")
    folder.add(66, "bravo", "journal", "open")
    for event in told:
        if event.kind == "entry":
            folder.add(67, "bravo", "journal", "entry", **event.data)
    assert outcome(folder, tmp_path) == {"witnesses": INCONCLUSIVE}


def test_resources_are_named_by_their_minor(tmp_path: Path) -> None:
    folder = healthy()
    for event in folder.events:
        fields = event.data.get("fields", {})
        if "minor" in fields:
            fields["minor"] = str(1 - int(fields["minor"]))
    split_brain_unresolved(folder)
    assert "alpha r1:" in judge_one(folder.save(tmp_path), "split-brain-messages").seen
