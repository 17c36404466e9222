"""Defects of what was written: lost, torn, differing, too few, too late."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.drbd_metadata import Flags
from tests.checks.build import CURRENT, block_requests
from tests.checks.fio_files import OFFSET_NS, reseal, stamp
from tests.checks.planting import INCONCLUSIVE, INVALID, defect, with_a_file_job

if TYPE_CHECKING:
    from tests.checks.build import Folder


@defect(lost_writes=INVALID, linearizable=INVALID)
def an_earlier_write_is_on_the_disk(f: Folder) -> None:
    last = [w for w in f.writes["raw1"] if w.block == 7]
    f.on_disk["raw1"] = {7: last[-2]}


@defect(lost_writes=INVALID, linearizable=INVALID)
def a_written_block_is_empty(f: Folder) -> None:
    f.on_disk["raw1"] = {7: None}


@defect(lost_writes=INVALID, linearizable=INVALID)
def a_burst_is_lost(f: Folder) -> None:
    """Everything of the 40 s before the fault's end: most blocks hold an earlier write."""
    early: dict[int, Any] = dict.fromkeys({w.block for w in f.writes["raw0"]})
    for write in f.writes["raw0"]:
        if write.issue_s < 40:
            early[write.block] = write
    f.on_disk["raw0"] = early


@defect(lost_writes=INVALID, linearizable=INVALID)
def a_write_landed_elsewhere(f: Folder) -> None:
    def misplace(job: str, records: Any) -> None:
        if job == "raw0":
            records[5] = records[6]

    f.deface.append(misplace)


@defect(lost_writes=INVALID, linearizable=INVALID)
def an_unknown_write_is_on_the_disk(f: Folder) -> None:
    def forge(job: str, records: Any) -> None:
        if job == "raw0":
            records["time_sec"][9] -= 3
            reseal(records)

    f.deface.append(forge)


@defect(lost_writes=INCONCLUSIVE, linearizable=INCONCLUSIVE)
def the_header_clock_was_set(f: Folder) -> None:
    def step(job: str, records: Any) -> None:
        if job == "raw0":
            records["time_sec"][::2] += 3600
            reseal(records)

    f.deface.append(step)


@defect(lost_writes=INCONCLUSIVE, linearizable=INCONCLUSIVE)
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


@defect(lost_writes=INVALID, spanning_writes=INCONCLUSIVE, linearizable=INVALID)
def an_incomplete_log_proves_a_loss(f: Folder) -> None:
    f.total_ios["raw1"] = len(f.writes["raw1"]) + 1
    an_earlier_write_is_on_the_disk(f)


@defect(torn_blocks=INVALID)
def a_torn_payload(f: Folder) -> None:
    def tear(job: str, records: Any) -> None:
        if job == "raw0":
            records["status"][3] = 0

    f.deface.append(tear)


@defect(torn_blocks=INVALID, lost_writes=INVALID, linearizable=INVALID)
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


@defect(replica_digests=INCONCLUSIVE, offline_metadata=INCONCLUSIVE)
def the_metadata_was_not_read(f: Folder) -> None:
    del f.facts["r1", "bravo"]


@defect(replica_digests=INVALID, offline_metadata=INVALID, connections=INVALID)
def the_replicas_parted_and_more_differs_than_a_resync_would_copy(f: Folder) -> None:
    _parted(f)
    f.crcs["r0", "alpha"][[3, 9, 20]] += 1


@defect(offline_metadata=INVALID, connections=INVALID)
def the_replicas_parted_and_a_resync_would_copy_what_differs(f: Folder) -> None:
    _parted(f)
    f.crcs["r0", "alpha"][[3, 9]] += 1


@defect(offline_metadata=INVALID, connections=INVALID, linearizable=INCONCLUSIVE)
def each_of_two_parted_replicas_is_held_for_outdated(f: Folder) -> None:
    """What excuses the bad one must not excuse the good one too."""
    the_replicas_parted_and_a_resync_would_copy_what_differs(f)
    for node in ("alpha", "bravo"):
        facts = f.facts["r0", node]
        f.facts["r0", node] = replace(facts, flags=facts.flags | Flags.PEER_OUTDATED)
        told = f.value("gi", "after", node)
        flags = told["r0"].split(":")
        flags[-4], flags[-2] = "0", "1"  # connected, the peer is outdated
        told["r0"] = ":".join(flags)


def _parted(f: Folder) -> None:
    """bravo has been alone for a while: a bitmap, and alpha's generation in it."""
    for node in ("alpha", "bravo"):
        facts = f.facts["r0", node]
        f.facts["r0", node] = replace(facts, flags=facts.flags & ~Flags.CONNECTED, may_differ=())
        f.value("drbd", "after", node)["r0"]["cs"] = "WFConnection"
    f.facts["r0", "bravo"] = replace(
        f.facts["r0", "bravo"], dirty=2, may_differ=((3, 1), (9, 1)), bitmap=CURRENT
    )


@defect(offline_metadata=INVALID)
def the_disk_names_another_generation_than_the_node(f: Folder) -> None:
    for node in ("alpha", "bravo"):
        f.facts["r1", node] = replace(f.facts["r1", node], current=0xCCCCCCCCCCCCCCC0)


@defect(offline_metadata=INCONCLUSIVE, generation_ids=INCONCLUSIVE)
def neither_disk_has_a_generation(f: Folder) -> None:
    """Both are unset, and so equal; that is no generation that they have in common."""
    for node in ("alpha", "bravo"):
        facts = f.facts["r1", node]
        f.facts["r1", node] = replace(facts, current=4, bitmap=0, history=(0, 0))
        told = f.value("gi", "after", node)
        flags = told["r1"].split(":")[4:]
        told["r1"] = ":".join([f"{'0' * 15}4", *["0" * 16] * 3, *flags])


@defect(offline_metadata=INVALID)
def the_disks_tell_of_split_brain(f: Folder) -> None:
    f.facts["r1", "alpha"] = replace(f.facts["r1", "alpha"], current=0xCCCCCCCCCCCCCCC0)


@defect(offline_metadata=INVALID)
def a_disk_was_outdated(f: Folder) -> None:
    facts = f.facts["r1", "alpha"]
    f.facts["r1", "alpha"] = replace(facts, flags=facts.flags & ~Flags.WAS_UP_TO_DATE)


@defect(replica_sweep=INVALID, linearizable=INVALID)
def a_replica_holds_an_older_write(f: Folder) -> None:
    def older(resource: str, node: str, records: Any) -> Any:
        if (resource, node) == ("r0", "alpha"):
            records["numberio"][3] -= 1
        return records

    f.deface_replica.append(older)


@defect(replica_sweep=INVALID, linearizable=INVALID)
def a_replica_lacks_a_write(f: Folder) -> None:
    def empty(resource: str, node: str, records: Any) -> Any:
        if (resource, node) == ("r1", "bravo"):
            records[3] = np.zeros(1, dtype=records.dtype)[0]
            records["status"][3] = 2
        return records

    f.deface_replica.append(empty)


@defect(replica_sweep=INVALID)
def a_block_is_torn_on_one_replica(f: Folder) -> None:
    def torn(resource: str, node: str, records: Any) -> Any:
        if (resource, node) == ("r1", "alpha"):
            records["status"][3] = 0
        return records

    f.deface_replica.append(torn)


@defect(replica_sweep=INVALID, linearizable=INCONCLUSIVE)
def a_replica_is_shorter_than_its_lun(f: Folder) -> None:
    f.deface_replica.append(
        lambda resource, node, records: records[:-1] if node == "alpha" else records
    )


@defect(replica_sweep=INCONCLUSIVE, linearizable=INCONCLUSIVE)
def the_stamps_of_a_replica_were_not_read(f: Folder) -> None:
    f.deface_replica.append(
        lambda resource, node, records: None if (resource, node) == ("r0", "alpha") else records
    )


@defect(device_identity=INVALID)
def a_lun_is_another_device(f: Folder) -> None:
    f.value("identities", "after", "client")["lun1"] = "36001405other"


@defect(device_identity=INVALID)
def a_lun_no_longer_identifies_itself(f: Folder) -> None:
    del f.value("identities", "after", "client")["lun1"]


@defect(device_identity=INVALID)
def two_luns_identify_themselves_alike(f: Folder) -> None:
    for when in ("before", "after"):
        identities = f.value("identities", when, "client")
        identities["lun1"] = identities["lun0"]


@defect(device_identity=INCONCLUSIVE)
def a_lun_never_identified_itself(f: Folder) -> None:
    for when in ("before", "after"):
        del f.value("identities", when, "client")["lun1"]


@defect(block_requests=INVALID)
def a_read_was_refused_before_it_was_issued(f: Folder) -> None:
    f.add(88, "client", "block", "complete", disk="8:16", op="read", fua=False, sector=24,
          sectors=8, guest_ns=1, error=-5)  # fmt: skip


@defect(replica_digests=INVALID, offline_metadata=INCONCLUSIVE)
def the_replicas_differ_and_others_were_not_read(f: Folder) -> None:
    f.crcs["r0", "bravo"][3] += 1
    del f.crcs["r1", "bravo"]
    del f.facts["r1", "bravo"]


@defect(offline_metadata=INVALID, generation_ids=INCONCLUSIVE)
def the_disks_tell_of_split_brain_and_a_node_says_nothing(f: Folder) -> None:
    f.facts["r1", "alpha"] = replace(f.facts["r1", "alpha"], current=0xCCCCCCCCCCCCCCC0)
    f.drop(
        lambda e: e.data.get("what") == "gi" and e.data["when"] == "after"
        and e.data["node"] == "bravo"
    )  # fmt: skip


@defect(device_identity=INCONCLUSIVE)
def nobody_asked_the_luns_who_they_are(f: Folder) -> None:
    f.drop(lambda e: e.data.get("what") == "identities" and e.data.get("when") == "after")


@defect(block_requests=INVALID, linearizable=INCONCLUSIVE)
def a_request_ended_with_an_error(f: Folder) -> None:
    answer = next(e for e in f.events if e.channel == "block" and e.kind == "complete")
    answer.data["error"] = -5


@defect(block_requests=INVALID)
def a_request_was_never_answered(f: Folder) -> None:
    f.add(88, "client", "block", "issue", disk="8:0", op="write", fua=False, sector=0, sectors=8,
          guest_ns=1)  # fmt: skip


@defect(block_requests=INCONCLUSIVE, linearizable=INCONCLUSIVE)
def an_acknowledgement_without_a_request(f: Folder) -> None:
    first = next(e for e in f.events if e.channel == "block" and e.kind == "issue")
    f.drop(lambda e: e is first or (
        e.kind == "complete" and e.data.get("sector") == first.data["sector"]
        and e.data.get("disk") == first.data["disk"] and e.t_s < first.t_s + 0.1
    ))  # fmt: skip


@defect(block_requests=INCONCLUSIVE, linearizable=INCONCLUSIVE)
def a_write_that_fio_did_not_log(f: Folder) -> None:
    for t_s, kind in ((85.0, "issue"), (85.1, "complete")):
        f.add(t_s, "client", "block", kind, disk="8:16", op="write", fua=False, sector=24,
              sectors=8, guest_ns=stamp(t_s) + OFFSET_NS, error=0)  # fmt: skip


@defect(block_requests=INCONCLUSIVE)
def a_request_outlasted_its_acknowledgement(f: Folder) -> None:
    for event in f.events:
        if event.channel == "block" and event.kind == "complete" and event.data["sector"] == 16:
            event.data["guest_ns"] += 20_000_000


@defect(block_requests=INCONCLUSIVE, linearizable=INCONCLUSIVE)
def a_lun_came_back_as_another_disk(f: Folder) -> None:
    f.value("disks", "after", "client")["lun1"] = "8:32"


@defect(block_requests=INCONCLUSIVE)
def an_answer_to_what_was_never_issued(f: Folder) -> None:
    f.add(88, "client", "block", "complete", disk="8:16", op="write", fua=False, sector=24,
          sectors=8, guest_ns=1, error=0)  # fmt: skip


@defect(witnesses=INCONCLUSIVE)
def the_tracer_lost_events(f: Folder) -> None:
    f.add(50, "client", "block", "lost-events", count=3)


@defect(witnesses=INCONCLUSIVE)
def the_tracer_was_started_anew(f: Folder) -> None:
    f.add(50, "client", "block", "restarted")


@defect()
def the_tracer_was_started_before_and_after_the_scenario(f: Folder) -> None:
    f.add(-1, "client", "block", "restarted")
    f.add(94.5, "client", "block", "restarted")


@defect(witnesses=INCONCLUSIVE)
def one_garbled_line_of_the_tracer(f: Folder) -> None:
    f.add(50, "client", "block", "garbled", text="fio-81")


@defect(witnesses=INCONCLUSIVE)
def the_tracer_said_nothing_at_the_end(f: Folder) -> None:
    f.drop(lambda e: e.channel == "block" and e.kind == "end-nonce")


@defect(io_errors=INVALID)
def an_io_error(f: Folder) -> None:
    f.errors["raw0"] = 121


@defect(lost_writes=INCONCLUSIVE, io_errors=INCONCLUSIVE, stall=INCONCLUSIVE,
        spanning_writes=INCONCLUSIVE, torn_blocks=INCONCLUSIVE, dual_vip=INCONCLUSIVE,
        failover_phases=INCONCLUSIVE, replica_sweep=INCONCLUSIVE,
        linearizable=INCONCLUSIVE, witnesses=INCONCLUSIVE)  # fmt: skip
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
    block_requests(f)


@defect(spanning_writes=INCONCLUSIVE)
def one_job_wrote_nothing_after_the_heal(f: Folder) -> None:
    f.writes["raw1"] = [w for w in f.writes["raw1"] if w.issue_s < 58]
    block_requests(f)


@defect(spanning_writes=INCONCLUSIVE)
def one_job_wrote_nothing_before_the_fault(f: Folder) -> None:
    f.writes["raw1"] = [w for w in f.writes["raw1"] if w.issue_s > 20.5]
    block_requests(f)


@defect(spanning_writes=INCONCLUSIVE, block_requests=INCONCLUSIVE)
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
    block_requests(f)


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


@defect(spanning_writes=INCONCLUSIVE, stall=INCONCLUSIVE, dual_vip=INCONCLUSIVE,
        failover_phases=INCONCLUSIVE, linearizable=INCONCLUSIVE,
        no_service=INCONCLUSIVE)  # fmt: skip
def the_clock_was_not_measured(f: Folder) -> None:
    f.drop(lambda e: e.channel == "clock")
