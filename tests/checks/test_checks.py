"""Every check: a healthy folder is VALID, and a planted defect turns just what it should."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.checks import ALL_CHECKS, Verdict, judge, judge_one
from harness.evidence.model import RunInfo
from tests.checks.build import GI, MACS, OPERATION, VIP, Folder, healthy, progress, reseal, stamp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
    """A third job, which writes to a file."""
    folder.writes["file"] = [w for w in folder.writes["raw0"] if w.issue_s < 70]
    folder.scenario["jobs"].append(
        {"name": "file", "kind": "file", "lun": None, "resource": None, "block_size": 4096,
         "json": "fio/file.json", "lat_log": "fio/file_lat.1.log", "headers": None}
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_a_healthy_folder_is_valid(tmp_path: Path, seed: int) -> None:
    verdict = judge(with_samples(healthy(seed)).save(tmp_path))
    assert [f"{r.check}: {r.seen}" for r in verdict.checks if r.verdict is not Verdict.VALID] == []
    assert verdict.verdict is Verdict.VALID
    assert {r.check for r in verdict.checks} == set(ALL_CHECKS)
    assert all(r.operations > 0 for r in verdict.checks)


@defect(split_brain_messages=INVALID)
def split_brain_unresolved(f: Folder) -> None:
    f.kernel(70, "alpha", "block drbd0: Split-Brain detected but unresolved, dropping connection!")


@defect(split_brain_messages=INVALID)
def split_brain_solved_by_policy_behind_a_login_prompt(f: Folder) -> None:
    text = (
        "alpha login: [  170.123456] block drbd1: Split-Brain detected, 1 primaries, "
        "automatically solved. Sync from peer node"
    )
    f.add(70, "alpha", "console", "line", text=text)


@defect(split_brain_messages=INVALID)
def uuids_compare_to_split_brain(f: Folder) -> None:
    f.kernel(70, "bravo", "block drbd0: uuid_compare()=100 by rule 90")


@defect()
def uuids_compare_to_a_resync(f: Folder) -> None:
    f.kernel(70, "bravo", "block drbd0: uuid_compare()=1 by rule 70")


@defect()
def split_brain_in_a_user_process_or_before_the_nonce(f: Folder) -> None:
    f.journal(70, "bravo", "block drbd0: Split-Brain detected but unresolved", identifier="x")
    f.kernel(-3, "bravo", "block drbd0: Split-Brain detected but unresolved")


@defect(generation_ids=INVALID)
def identifiers_diverged(f: Folder) -> None:
    f.value("gi", "after", "alpha")["r1"] = GI["alpha"].replace("AAAAAAAAAAAAAAA0", "B" * 15 + "0")


@defect()
def identifiers_one_behind(f: Folder) -> None:
    f.value("gi", "after", "alpha")["r1"] = GI["alpha"].replace(
        "AAAAAAAAAAAAAAA0", "9999999999999991"
    )


@defect()
def identifiers_just_created(f: Folder) -> None:
    f.value("gi", "after", "alpha")["r1"] = ":".join(["0000000000000004"] + ["0" * 16] * 3)


@defect(generation_ids=INCONCLUSIVE)
def identifiers_unreadable(f: Folder) -> None:
    f.value("gi", "after", "alpha")["r1"] = "No such resource"


@defect(forked_generations=INVALID)
def both_begin_a_generation_from_one_parent(f: Folder) -> None:
    f.kernel(
        15, "alpha",
        "block drbd0: new current UUID CCCCCCCCCCCCCCC1:9999999999999991:8888888888888880:"
        "7777777777777770",
    )  # fmt: skip


@defect(dual_primary=INVALID, failovers=INVALID, fence_before_promotion=INVALID)
def promoted_while_the_peer_is_primary(f: Folder) -> None:
    f.kernel(70, "alpha", "block drbd0: role( Secondary -> Primary )", boot="2")


@defect(dual_primary=INVALID, fence_before_promotion=INVALID, fencings=INVALID)
def never_fenced(f: Folder) -> None:
    f.drop(lambda e: e.channel == "domain" or "Operation" in str(e.data.get("message")))
    f.drop(lambda e: e.kind in ("lost", "open") or "Linux version" in str(e.data.get("text")))
    f.drop(lambda e: e.data.get("boot_id") == "alpha-boot-2" or "ENTER" in str(e.data.get("text")))
    for event in f.events:
        if event.channel == "fault":
            event.data |= {"kind": "cut-carrier", "target": "drbd link of alpha"}
    f.add(54.9, "host", "fault", "still-bitten", id="f1-power-off", proof="carrier is 0")
    f.value("fence_history", "after").clear()


@defect(dual_vip=INVALID)
def two_owners_of_the_vip(f: Folder) -> None:
    for t_s, node in (
        (36, "alpha"),
        (36.5, "bravo"),
        (42, "bravo"),
        (42.1, "alpha"),
        (43, "bravo"),
    ):
        f.add(t_s, "host", "arp", "claim", ip=VIP, mac=MACS[node])


@defect(dual_vip=INCONCLUSIVE, failovers=INCONCLUSIVE)
def nobody_watched_the_vip(f: Folder) -> None:
    f.drop(lambda e: e.channel == "arp")


@defect(fence_before_promotion=INVALID)
def promoted_before_the_fence_succeeded(f: Folder) -> None:
    f.drop(lambda e: "Operation" in str(e.data.get("message")))
    f.journal(33, "bravo", OPERATION.format("alpha", "bravo", "bravo"))


@defect(fence_before_promotion=INVALID, fencings=INCONCLUSIVE)
def promoted_though_the_fence_failed(f: Folder) -> None:
    f.drop(lambda e: "Operation" in str(e.data.get("message")))
    text = OPERATION.format("alpha", "bravo", "bravo").replace("OK (complete)", "Timer expired")
    f.journal(28, "bravo", text)


@defect(fencings=INVALID)
def fenced_twice(f: Folder) -> None:
    f.value("fence_history", "after").append(dict(f.value("fence_history", "after")[0]))
    f.journal(75, "bravo", OPERATION.format("alpha", "bravo", "bravo"))


@defect(fencings=INVALID)
def fenced_the_wrong_node(f: Folder) -> None:
    f.scenario["expect"]["fenced"] = ["bravo"]


@defect(fencings=INCONCLUSIVE)
def fence_history_and_journal_disagree(f: Folder) -> None:
    f.value("fence_history", "after").append(dict(f.value("fence_history", "after")[0]))


@defect(fencings=INCONCLUSIVE)
def no_fence_history(f: Folder) -> None:
    f.drop(lambda e: e.data.get("what") == "fence_history" and e.data.get("when") == "before")


@defect(failovers=INVALID)
def expected_no_failover(f: Folder) -> None:
    f.scenario["expect"]["failovers"] = 0


@defect(dual_vip=INCONCLUSIVE)
def nobody_watched_the_vip_for_a_while(f: Folder) -> None:
    f.drop(lambda e: e.channel == "arp" and 60 < e.t_s < 75)


@defect(dual_vip=INCONCLUSIVE)
def nobody_watched_the_vip_at_the_end(f: Folder) -> None:
    f.drop(lambda e: e.channel == "arp" and e.t_s > 80)


@defect(dual_vip=INCONCLUSIVE)
def nobody_watched_the_vip_at_the_beginning(f: Folder) -> None:
    f.drop(lambda e: e.channel == "arp" and e.t_s < 14)


@defect()
def the_vip_moves_while_writes_stand_still(f: Folder) -> None:
    for name, writes in f.writes.items():
        f.writes[name] = [w for w in writes if not 64 < w.issue_s < 76]
    f.drop(lambda e: e.channel == "arp" and 63 < e.t_s < 78)


@defect(dual_vip=INCONCLUSIVE, failovers=INCONCLUSIVE)
def the_vip_never_moved(f: Folder) -> None:
    f.drop(lambda e: e.channel == "arp" and e.data["mac"] == MACS["bravo"])


@defect(active_node=INVALID)
def the_wrong_node_is_active(f: Folder) -> None:
    f.scenario["expect"]["active"] = "alpha"


@defect(connections=INVALID)
def not_connected(f: Folder) -> None:
    f.value("drbd", "after", "bravo")["r0"]["cs"] = "WFConnection"


@defect(replicas_up_to_date=INVALID)
def out_of_sync(f: Folder) -> None:
    f.value("drbd", "after", "bravo")["r0"]["oos_kib"] = 4


@defect(replicas_up_to_date=INVALID)
def outdated(f: Folder) -> None:
    f.value("drbd", "after", "alpha")["r1"]["disk"] = "Outdated"


@defect(connections=INCONCLUSIVE, replicas_up_to_date=INCONCLUSIVE)
def one_node_not_sampled(f: Folder) -> None:
    f.drop(lambda e: e.data.get("what") == "drbd" and e.data["node"] == "alpha" and e.t_s > 50)


@defect(instances=INVALID)
def no_unpromoted_instance(f: Folder) -> None:
    f.value("instances", "after")["r0"]["unpromoted"] = []


@defect(instances=INVALID)
def a_stopped_member_of_the_group(f: Folder) -> None:
    f.value("group", "after")["resources"]["vip"] = "Stopped"


@defect(instances=INVALID, active_node=INVALID)
def the_group_runs_elsewhere(f: Folder) -> None:
    f.value("group", "after")["node"] = "alpha"


@defect(fence_constraints=INVALID)
def a_constraint_is_left(f: Folder) -> None:
    f.value("fence_constraints", "after").append("drbd-fence-by-handler-r0-msg")


@defect(failed_actions=INVALID)
def a_failed_action(f: Folder) -> None:
    f.value("failed_actions", "after").append("lun0_start_0 on bravo: error")


@defect(membership=INVALID)
def a_node_in_standby(f: Folder) -> None:
    f.value("membership", "after")["alpha"] = "standby"


@defect(membership=INCONCLUSIVE)
def nobody_asked_for_the_membership(f: Folder) -> None:
    f.drop(lambda e: e.data.get("what") == "membership" and e.data.get("when") == "after")


@defect(lost_writes=INVALID)
def an_earlier_write_is_on_the_disk(f: Folder) -> None:
    last = [w for w in f.writes["raw1"] if w.block == 7]
    f.on_disk["raw1"] = {7: last[-2]}


@defect(lost_writes=INVALID)
def a_written_block_is_empty(f: Folder) -> None:
    f.on_disk["raw1"] = {7: None}


@defect(lost_writes=INVALID)
def a_burst_is_lost(f: Folder) -> None:
    """Everything of the 40 s before the fault's end: most blocks hold an earlier write."""
    early: dict[int, Any] = dict.fromkeys({w.block for w in f.writes["raw0"]})
    for write in f.writes["raw0"]:
        if write.issue_s < 40:
            early[write.block] = write
    f.on_disk["raw0"] = early


@defect(lost_writes=INVALID)
def a_write_landed_elsewhere(f: Folder) -> None:
    def misplace(job: str, records: Any) -> None:
        if job == "raw0":
            records[5] = records[6]

    f.deface.append(misplace)


@defect(lost_writes=INVALID)
def an_unknown_write_is_on_the_disk(f: Folder) -> None:
    def forge(job: str, records: Any) -> None:
        if job == "raw0":
            records["time_sec"][9] -= 3
            reseal(records)

    f.deface.append(forge)


@defect(lost_writes=INCONCLUSIVE)
def the_header_clock_was_set(f: Folder) -> None:
    def step(job: str, records: Any) -> None:
        if job == "raw0":
            records["time_sec"][::2] += 3600
            reseal(records)

    f.deface.append(step)


@defect(lost_writes=INCONCLUSIVE)
def the_header_clock_is_noise(f: Folder) -> None:
    def scatter(job: str, records: Any) -> None:
        if job == "raw0":
            records["time_sec"] += (
                np.random.default_rng(3).integers(0, 4000, len(records)).astype("u4")
            )
            reseal(records)

    f.deface.append(scatter)


@defect(lost_writes=INCONCLUSIVE, spanning_writes=INCONCLUSIVE)
def the_log_is_incomplete(f: Folder) -> None:
    f.total_ios["raw0"] = len(f.writes["raw0"]) + 1


@defect(lost_writes=INVALID, spanning_writes=INCONCLUSIVE)
def an_incomplete_log_proves_a_loss(f: Folder) -> None:
    f.total_ios["raw1"] = len(f.writes["raw1"]) + 1
    an_earlier_write_is_on_the_disk(f)


@defect(torn_blocks=INVALID)
def a_torn_payload(f: Folder) -> None:
    def tear(job: str, records: Any) -> None:
        if job == "raw0":
            records["status"][3] = 0

    f.deface.append(tear)


@defect(torn_blocks=INVALID, lost_writes=INVALID)
def a_torn_header(f: Folder) -> None:
    def tear(job: str, records: Any) -> None:
        if job == "raw0":
            records["rand_seed"][3] += 1

    f.deface.append(tear)


@defect(replica_digests=INVALID)
def the_replicas_differ(f: Folder) -> None:
    f.crcs["r0", "bravo"][[3, 9]] += 1


@defect(replica_digests=INVALID)
def the_replicas_differ_in_size(f: Folder) -> None:
    f.crcs["r0", "bravo"] = f.crcs["r0", "bravo"][:-1]


@defect(replica_digests=INCONCLUSIVE)
def a_replica_was_not_read(f: Folder) -> None:
    del f.crcs["r1", "bravo"]


@defect(io_errors=INVALID)
def an_io_error(f: Folder) -> None:
    f.errors["raw0"] = 121


@defect(lost_writes=INCONCLUSIVE, io_errors=INCONCLUSIVE, stall=INCONCLUSIVE,
        spanning_writes=INCONCLUSIVE, torn_blocks=INCONCLUSIVE, dual_vip=INCONCLUSIVE)  # fmt: skip
def no_job_at_all(f: Folder) -> None:
    f.scenario["jobs"] = []


@defect(stall=INVALID)
def too_long_a_stall(f: Folder) -> None:
    f.scenario["expect"]["max_stall_s"] = 10


@defect(spanning_writes=INCONCLUSIVE)
def too_few_writes(f: Folder) -> None:
    f.scenario["expect"]["min_spanning_writes"] = 5000


@defect(spanning_writes=INCONCLUSIVE)
def no_write_after_the_heal(f: Folder) -> None:
    for name, writes in f.writes.items():
        f.writes[name] = [w for w in writes if w.issue_s < 58]


@defect(spanning_writes=INCONCLUSIVE)
def one_job_wrote_nothing_after_the_heal(f: Folder) -> None:
    f.writes["raw1"] = [w for w in f.writes["raw1"] if w.issue_s < 58]


@defect(spanning_writes=INCONCLUSIVE)
def one_job_wrote_nothing_before_the_fault(f: Folder) -> None:
    f.writes["raw1"] = [w for w in f.writes["raw1"] if w.issue_s > 20.5]


@defect(spanning_writes=INCONCLUSIVE)
def the_log_of_a_file_job_is_incomplete(f: Folder) -> None:
    with_a_file_job(f)
    f.total_ios["file"] = len(f.writes["file"]) + 1


@defect(spanning_writes=INCONCLUSIVE)
def a_file_job_does_not_count_for_the_raw_ones(f: Folder) -> None:
    with_a_file_job(f)
    f.scenario["expect"]["min_spanning_writes"] = 1 + sum(
        len(f.writes[name]) for name in ("raw0", "raw1")
    )


@defect(spanning_writes=INCONCLUSIVE, stall=INCONCLUSIVE)
def an_empty_log(f: Folder) -> None:
    with_a_file_job(f)
    f.writes["file"] = []


@defect(stall=INVALID, spanning_writes=INCONCLUSIVE)
def a_job_stood_still_until_the_end(f: Folder) -> None:
    f.writes["raw1"] = [w for w in f.writes["raw1"] if w.issue_s < 45]


@defect(torn_blocks=INCONCLUSIVE)
def no_payload_was_checked(f: Folder) -> None:
    def unchecked(job: str, records: Any) -> None:
        if job == "raw1":
            records["status"][records["status"] == 1] = 3

    f.deface.append(unchecked)


@defect()
def some_payloads_were_checked(f: Folder) -> None:
    def unchecked(job: str, records: Any) -> None:
        records["status"][8:][records["status"][8:] == 1] = 3

    f.deface.append(unchecked)


@defect(replica_digests=INCONCLUSIVE)
def the_digests_leave_out_the_end(f: Folder) -> None:
    for node in ("alpha", "bravo"):
        f.crcs["r1", node] = f.crcs["r1", node][:60]


@defect(replica_digests=INCONCLUSIVE)
def the_digests_are_of_zeroes(f: Folder) -> None:
    for node in ("alpha", "bravo"):
        f.crcs["r1", node][:] = 0xC71C0011


@defect(files=INCONCLUSIVE)
def a_file_job_without_its_files(f: Folder) -> None:
    with_a_file_job(f)
    f.drop(lambda e: e.data.get("what") == "files")


@defect(spanning_writes=INCONCLUSIVE, stall=INCONCLUSIVE, dual_vip=INCONCLUSIVE)
def the_clock_was_not_measured(f: Folder) -> None:
    f.drop(lambda e: e.channel == "clock")


@defect(faults=INCONCLUSIVE, spanning_writes=INCONCLUSIVE)
def no_proof_of_the_heal(f: Folder) -> None:
    f.drop(lambda e: e.kind == "healed")


@defect(faults=INCONCLUSIVE)
def the_fault_did_not_bite(f: Folder) -> None:
    for event in f.events:
        if event.kind == "bitten":
            event.kind = "not-bitten"


@defect(faults=INCONCLUSIVE, spanning_writes=INCONCLUSIVE)
def no_fault_at_all(f: Folder) -> None:
    f.drop(lambda e: e.channel == "fault")


@defect(faults=INCONCLUSIVE)
def a_cut_ended_by_itself(f: Folder) -> None:
    nobody_looked_whether_a_cut_lasted(f)
    f.add(49.9, "host", "fault", "no-longer-bitten", id="f2", fault="cut", proof="carrier is 1")


@defect()
def a_machine_was_powered_on_before_its_heal(f: Folder) -> None:
    f.add(54.9, "host", "fault", "no-longer-bitten", id="f1-power-off", proof="")


@defect(machines=INVALID)
def a_machine_crashed_by_itself(f: Folder) -> None:
    f.add(82, "client", "domain", "lifecycle", event="crashed", detail="panicked")


@defect(machines=INVALID)
def a_node_stopped_once_more(f: Folder) -> None:
    f.add(35, "alpha", "domain", "lifecycle", event="stopped", detail="failed")
    f.add(36, "alpha", "domain", "lifecycle", event="started", detail="booted")
    f.add(37, "alpha", "domain", "lifecycle", event="stopped", detail="failed")


@defect(machines=INVALID)
def a_machine_booted_by_itself(f: Folder) -> None:
    f.journal(85, "client", "Started", identifier="x", boot="2")


@defect(machines=INVALID)
def a_node_booted_more_often_than_it_was_put_down(f: Folder) -> None:
    f.journal(83, "alpha", "Started", identifier="x", boot="3")


@defect()
def a_reboot_that_was_asked_for(f: Folder) -> None:
    f.journal(85, "bravo", "Started", identifier="x", boot="2")
    value = {"node": "bravo", "seconds": 20.0, "boot_id_before": "bravo-boot-1",
             "boot_id_after": "bravo-boot-2", "deadline_s": 60.0}  # fmt: skip
    f.sample(91, "reboot", "after", "bravo", value)


@defect()
def a_revert_is_no_stop(f: Folder) -> None:
    f.add(0.1, "client", "domain", "lifecycle", event="stopped", detail="from-snapshot")


@defect(fencings=INCONCLUSIVE)
def fence_virtd_acted_twice(f: Folder) -> None:
    f.add(29, "host", "fence", "line", text="ENTER libvirt_off fh0-alpha 6")


@defect(fencings=INCONCLUSIVE)
def fence_virtd_acted_on_the_other_node(f: Folder) -> None:
    for event in f.events:
        if "ENTER" in str(event.data.get("text")):
            event.data["text"] = "ENTER libvirt_reboot fh0-bravo 5"


@defect(fencings=INCONCLUSIVE)
def fence_virtd_did_nothing(f: Folder) -> None:
    f.drop(lambda e: "ENTER" in str(e.data.get("text")))


@defect()
def fence_virtd_told_a_request_twice(f: Folder) -> None:
    f.add(27.1, "host", "fence", "line", text="ENTER libvirt_reboot fh0-alpha 5")


@defect(faults=INCONCLUSIVE)
def nobody_looked_whether_a_cut_lasted(f: Folder) -> None:
    f.add(40, "host", "fault", "plan", id="f2", fault="cut", kind="cut-carrier", target="data")
    for t_s, kind in ((40, "inject"), (41, "bitten"), (50, "heal"), (51, "healed")):
        f.add(t_s, "host", "fault", kind, id="f2", fault="cut", kind="cut-carrier", target="data")


@defect()
def a_cut_that_lasted(f: Folder) -> None:
    nobody_looked_whether_a_cut_lasted(f)
    f.add(49.9, "host", "fault", "still-bitten", id="f2", fault="cut", proof="carrier is 0")


@defect()
def a_cut_of_a_guest_that_could_not_be_asked(f: Folder) -> None:
    nobody_looked_whether_a_cut_lasted(f)
    f.add(49.9, "host", "fault", "still-unknown", id="f2", fault="cut", unreachable=True)


@defect(settled=INVALID)
def the_cluster_did_not_settle(f: Folder) -> None:
    f.add(89, "host", "state", "not-settled", text="not within 300 s; bravo: r1 is Inconsistent")


@defect(healthy_start=INCONCLUSIVE)
def a_replica_was_stale_before(f: Folder) -> None:
    f.value("drbd", "before", "alpha")["r1"]["peer_disk"] = "Outdated"


@defect(healthy_start=INCONCLUSIVE)
def a_connection_was_down_before(f: Folder) -> None:
    f.value("drbd", "before", "alpha")["r1"]["cs"] = "WFConnection"


@defect(healthy_start=INCONCLUSIVE)
def a_resource_was_stopped_before(f: Folder) -> None:
    f.value("group", "before")["resources"]["vip"] = "Stopped"


@defect(healthy_start=INCONCLUSIVE)
def a_constraint_was_there_before(f: Folder) -> None:
    f.value("fence_constraints", "before").append("drbd-fence-by-handler-r0-msg")


@defect(healthy_start=INCONCLUSIVE)
def an_action_had_failed_before(f: Folder) -> None:
    f.value("failed_actions", "before").append("lun0_start_0 on bravo: error")


@defect(healthy_start=INCONCLUSIVE)
def a_node_was_in_standby_before(f: Folder) -> None:
    f.value("membership", "before")["alpha"] = "standby"


@defect(healthy_start=INCONCLUSIVE)
def nobody_asked_for_the_instances_before(f: Folder) -> None:
    f.drop(lambda e: e.data.get("what") == "instances" and e.data.get("when") == "before")


@defect(witnesses=INCONCLUSIVE)
def a_stream_without_nonce(f: Folder) -> None:
    f.drop(lambda e: e.kind == "nonce" and e.source == "client" and e.channel == "console")


@defect(witnesses=INCONCLUSIVE)
def a_stream_with_an_old_nonce(f: Folder) -> None:
    for event in f.events:
        if event.kind == "nonce" and event.source == "client" and event.channel == "journal":
            event.data["nonce"] = "n0"


@defect(witnesses=INCONCLUSIVE)
def a_stream_broke_by_itself(f: Folder) -> None:
    f.add(65, "bravo", "journal", "lost", reason="end of stream")
    f.add(66, "bravo", "journal", "open")


@defect(witnesses=INCONCLUSIVE)
def a_stream_never_opened_again(f: Folder) -> None:
    f.drop(
        lambda e: e.kind == "open" and e.source == "alpha" and e.channel == "console" and e.t_s > 0
    )


@defect(witnesses=INCONCLUSIVE)
def a_stream_without_a_nonce_at_the_end(f: Folder) -> None:
    f.drop(lambda e: e.kind == "end-nonce" and (e.source, e.channel) == ("bravo", "events2"))


@defect(witnesses=INCONCLUSIVE)
def another_nonce_at_the_end(f: Folder) -> None:
    for event in f.events:
        if event.kind == "end-nonce" and event.source == "client" and event.channel == "journal":
            event.data["nonce"] = "end-e0"


@defect()
def a_nonce_at_the_end_twice(f: Folder) -> None:
    """Through /dev/kmsg and by logger."""
    f.add(94.5, "alpha", "journal", "end-nonce", nonce="end-e1")


@defect(witnesses=INCONCLUSIVE)
def a_garbled_stream(f: Folder) -> None:
    for n in range(4):
        f.add(40 + n, "bravo", "journal", "garbled", text="{")


@defect()
def a_few_torn_lines(f: Folder) -> None:
    for n in range(3):
        f.add(40 + n, "bravo", "journal", "garbled", text="{")


@defect(witnesses=INCONCLUSIVE)
def a_witness_on_the_host_died(f: Folder) -> None:
    f.add(40, "host", "arp", "witness-died", reason="OSError: Network is down")


@defect(witnesses=INCONCLUSIVE)
def no_counters_for_half_a_minute(f: Folder) -> None:
    f.drop(lambda e: e.channel == "progress" and 22 < e.t_s < 54)


@defect(witnesses=INCONCLUSIVE)
def no_counters_after_the_heal(f: Folder) -> None:
    f.drop(lambda e: e.channel == "progress" and e.t_s > 58)


@defect(witnesses=INCONCLUSIVE)
def no_counters_before_the_fault(f: Folder) -> None:
    f.drop(lambda e: e.channel == "progress" and e.t_s < 21)


@defect(witnesses=INCONCLUSIVE)
def no_counters_at_all(f: Folder) -> None:
    f.drop(lambda e: e.channel == "progress")


@defect(kernel_alarms=INVALID)
def an_oops(f: Folder) -> None:
    f.kernel(40, "bravo", "BUG: unable to handle page fault for address: ffffc90000a4a000")


@defect(kernel_alarms=INVALID)
def an_io_error_of_the_initiator(f: Folder) -> None:
    f.kernel(40, "client", "I/O error, dev sda, sector 2048 op 0x1:(WRITE) flags 0x800")


@defect(kernel_alarms=INVALID)
def the_file_system_became_read_only(f: Folder) -> None:
    f.journal(40, "client", "EXT4-fs (sda1): Remounting filesystem read-only", "kernel", "kernel")


@defect(kernel_alarms=INVALID)
def drbd_gave_up_its_disk(f: Folder) -> None:
    f.kernel(40, "bravo", "block drbd0: disk( UpToDate -> Failed ) ")


@defect()
def drbd_detached_because_pacemaker_stopped_it(f: Folder) -> None:
    text = " notice: Initiating stop operation d0_stop_0 on bravo"
    f.journal(38, "alpha", text, identifier="pacemaker-controld", boot="2")
    drbd_gave_up_its_disk(f)


@defect(kernel_alarms=INVALID)
def pacemaker_stopped_what_had_failed(f: Folder) -> None:
    f.kernel(
        37, "bravo", "block drbd0: Local IO failed in drbd_endio_write_sec_final. Detaching..."
    )
    drbd_detached_because_pacemaker_stopped_it(f)


@defect(kernel_alarms=INVALID)
def pacemaker_stopped_it_afterwards(f: Folder) -> None:
    text = " notice: Initiating stop operation d0_stop_0 on bravo"
    f.journal(50, "alpha", text, identifier="pacemaker-controld", boot="2")
    drbd_gave_up_its_disk(f)


@defect(kernel_alarms=INVALID)
def the_fence_handler_is_broken(f: Folder) -> None:
    f.kernel(40, "bravo", "drbd r0: fence-peer helper broken, returned 0")


@defect(kernel_alarms=INCONCLUSIVE)
def a_soft_lockup(f: Folder) -> None:
    f.kernel(40, "bravo", "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [fio:812]")


@defect(kernel_alarms=INCONCLUSIVE)
def an_rcu_stall(f: Folder) -> None:
    f.kernel(40, "client", "rcu: INFO: rcu_preempt self-detected stall on CPU")


@defect(kernel_alarms=INCONCLUSIVE)
def a_timer_interrupt_of_seconds(f: Folder) -> None:
    f.kernel(40, "client", "hrtimer: interrupt took 2356730000 ns")


@defect(kernel_alarms=INCONCLUSIVE)
def a_task_blocked_without_a_stall(f: Folder) -> None:
    f.kernel(15, "client", "INFO: task fio:812 blocked for more than 120 seconds.")


@defect()
def kernel_lines_that_are_no_alarm(f: Folder) -> None:
    f.kernel(34, "client", "INFO: task fio:812 blocked for more than 120 seconds.")
    f.kernel(21, "client", " connection1:0: detected conn error (1022)")
    f.kernel(40, "client", "hrtimer: interrupt took 9356730 ns")
    f.kernel(40, "alpha", "EXT4-fs (vda): re-mounted. Quota mode: none.", boot="2")
    f.kernel(40, "alpha", "rcu: Preemptible hierarchical RCU implementation.", boot="2")
    f.kernel(40, "alpha", "systemd[1]: x: I/O error", boot="2")
    f.add(40, "alpha", "console", "line", text="login: I/O error")
    f.journal(40, "client", "fio: I/O error", identifier="fio")
    f.kernel(-3, "client", "I/O error, dev sda, sector 2048")


@defect(fsck=INVALID)
def fsck_found_errors(f: Folder) -> None:
    f.value("fsck", "after")["exit_code"] = 4


@defect(fsck=INCONCLUSIVE)
def a_file_job_without_fsck(f: Folder) -> None:
    f.drop(lambda e: e.data.get("what") == "fsck")
    with_a_file_job(f)


@defect(files=INVALID)
def a_file_changed(f: Folder) -> None:
    f.value("files", "after")["seen"]["/b"] = "23"


@defect(jumbo=INVALID)
def a_jumbo_frame_is_dropped(f: Folder) -> None:
    f.value("jumbo", "after")["exit_code"] = 1


@defect(reboot=INVALID)
def a_reboot_hangs(f: Folder) -> None:
    f.value("reboot", "after")["seconds"] = None


@defect(reboot=INVALID)
def a_reboot_that_was_none(f: Folder) -> None:
    f.value("reboot", "after")["boot_id_after"] = "a"


@pytest.mark.parametrize(("plant", "expected"), DEFECTS)
def test_a_defect_turns_just_its_checks(
    tmp_path: Path, plant: Callable[[Folder], None], expected: dict[str, Verdict]
) -> None:
    folder = with_samples(healthy())
    plant(folder)
    assert outcome(folder, tmp_path) == expected


def test_every_check_has_a_defect() -> None:
    planted = {slug for param in DEFECTS for slug in param.values[1]}
    assert planted == set(ALL_CHECKS)


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


def _handover(late_s: float) -> Folder:
    """A planned move at 30 s whose demotion reaches the host after the promotion."""
    folder = healthy()
    never_fenced(folder)
    folder.drop(lambda e: "will be fenced" in str(e.data.get("message")))
    folder.scenario["expect"] |= {"fencings": 0, "fenced": []}
    folder.role(30.5, "alpha", "Secondary")
    for event in folder.events:
        if event.source == "alpha" and 30 < event.t_s < 31:
            event.t_s += late_s
    return folder


def _forget_stamps(folder: Folder) -> None:
    for event in folder.events:
        if event.channel == "journal" and "role(" in str(event.data.get("message")):
            event.data["monotonic_us"] = None


def test_a_late_demotion_is_ordered_by_the_guests_clocks(tmp_path: Path) -> None:
    assert outcome(_handover(late_s=2.0), tmp_path) == {}


def test_a_late_demotion_that_nothing_orders(tmp_path: Path) -> None:
    folder = _handover(late_s=2.0)
    _forget_stamps(folder)
    assert outcome(folder, tmp_path) == {"dual-primary": INCONCLUSIVE}


@pytest.mark.parametrize(("promote_s", "verdict"), [(30.9, None), (30.6, INCONCLUSIVE)])
def test_a_late_demotion_is_ordered_by_pacemaker(
    tmp_path: Path, promote_s: float, verdict: Verdict | None
) -> None:
    folder = _handover(late_s=2.0)
    _forget_stamps(folder)
    for t_s, text in (
        (30.8, "notice: Result of demote operation for d0 on alpha: ok"),
        (promote_s, "notice: Initiating promote operation d0_promote_0 on bravo"),
    ):
        folder.journal(t_s, "alpha", text, identifier="pacemaker-controld")
    assert outcome(folder, tmp_path) == ({} if verdict is None else {"dual-primary": verdict})


def test_a_crossing_of_more_than_lateness_is_real(tmp_path: Path) -> None:
    folder = _handover(late_s=4.0)
    assert judge_one(folder.save(tmp_path), "dual-primary").verdict is INVALID


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
    assert outcome(folder, tmp_path) == {"failovers": INVALID}


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
