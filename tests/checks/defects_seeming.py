"""Evidence that is not what it seems: of another moment, silent, or at odds with itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.drbd_metadata import Flags
from tests.checks.build import DISKS, GI, NODES, block_requests
from tests.checks.fio_files import OFFSET_NS, stamp
from tests.checks.planting import INCONCLUSIVE, INVALID, defect, with_a_file_job

if TYPE_CHECKING:
    from tests.checks.build import Folder

# ---------------------------------------------------------------------- of another moment


def _sampled_at(f: Folder, when: str, t_s: float) -> None:
    """All samples but residue, whose processes have ages, and those that tell of roles."""
    for event in f.events:
        told = event.data.get("what") not in ("residue", "drbd")
        if event.kind == "sample" and event.data["when"] == when and told:
            event.t_s = t_s


OF_ANOTHER_MOMENT: dict[str, Any] = dict.fromkeys(
    ("witnesses", "instances", "fence_constraints", "failed_actions", "membership",
     "active_node", "device_identity", "block_requests", "linearizable", "offline_metadata"),
    INCONCLUSIVE,
)  # fmt: skip


@defect(**OF_ANOTHER_MOMENT)
def the_end_state_is_of_before_the_fault(f: Folder) -> None:
    _sampled_at(f, "after", 15)


@defect(**OF_ANOTHER_MOMENT)
def the_end_state_is_of_the_fault(f: Folder) -> None:
    _sampled_at(f, "after", 50)


@defect(residue=INCONCLUSIVE, witnesses=INCONCLUSIVE)
def what_is_left_was_looked_at_before_the_heal(f: Folder) -> None:
    for event in f.events:
        if event.data.get("what") == "residue" and event.data["when"] == "after":
            event.t_s = 55


@defect(witnesses=INCONCLUSIVE, connections=INCONCLUSIVE, replicas_up_to_date=INCONCLUSIVE)
def the_last_states_of_drbd_are_of_the_heal(f: Folder) -> None:
    for event in f.events:
        if event.data.get("what") == "drbd" and event.data["when"] == "after":
            event.t_s = 58


@defect(healthy_start=INCONCLUSIVE, witnesses=INCONCLUSIVE, device_identity=INCONCLUSIVE,
        block_requests=INCONCLUSIVE, linearizable=INCONCLUSIVE)  # fmt: skip
def the_start_is_of_after_the_heal(f: Folder) -> None:
    _sampled_at(f, "before", 70)


@defect(witnesses=INCONCLUSIVE)
def the_last_nonces_came_before_the_fault(f: Folder) -> None:
    for event in f.events:
        if event.kind == "end-nonce":
            event.t_s = 15


# ---------------------------------------------------------------------- disk and node


def _told(f: Folder, node: str, resource: str, old: str, new: str) -> None:
    told = f.value("gi", "after", node)
    assert old in told[resource]
    told[resource] = told[resource].replace(old, new, 1)


@defect(offline_metadata=INVALID)
def a_bitmap_that_the_disk_lacks(f: Folder) -> None:
    _told(f, "bravo", "r1", ":0000000000000000:", ":1122334455667780:")


@defect(offline_metadata=INVALID)
def a_history_that_the_disk_lacks(f: Folder) -> None:
    _told(f, "alpha", "r0", "8888888888888880", "7777777777777770")


@defect(offline_metadata=INVALID)
def a_disk_was_not_up_to_date_for_its_node(f: Folder) -> None:
    _told(f, "alpha", "r0", ":1:1:0:1:", ":1:0:0:1:")


@defect(offline_metadata=INVALID, replica_digests=INVALID)
def apart_on_one_disk(f: Folder) -> None:
    """A disk says that it has no peer, both nodes say Connected; that excuses no difference."""
    facts = f.facts["r1", "alpha"]
    f.facts["r1", "alpha"] = replace(facts, flags=facts.flags & ~Flags.CONNECTED)
    f.crcs["r1", "alpha"][10:20] ^= 1


@defect(offline_metadata=INVALID)
def two_disks_of_primaries(f: Folder) -> None:
    for key, facts in f.facts.items():
        f.facts[key] = replace(facts, flags=facts.flags | Flags.PRIMARY)


@defect(offline_metadata=INVALID)
def the_flags_agree_and_the_role_does_not(f: Folder) -> None:
    facts = f.facts["r1", "alpha"]
    f.facts["r1", "alpha"] = replace(facts, flags=facts.flags | Flags.PRIMARY)
    f.value("gi", "after", "alpha")["r1"] = GI["alpha"].replace(":1:1:0:1:", ":1:1:1:1:")


@defect()
def flags_that_drbdadm_does_not_print(f: Folder) -> None:
    for node in NODES:
        for resource in f.value("gi", "after", node):
            f.value("gi", "after", node)[resource] = GI[node][:67]


@defect(replica_digests=INCONCLUSIVE)
def the_digests_end_before_the_disk(f: Folder) -> None:
    for key, crc in f.crcs.items():
        f.crcs[key] = crc[:62]


# ---------------------------------------------------------------------- silence


@defect(witnesses=INCONCLUSIVE)
def nothing_was_heard_of_the_pauses(f: Folder) -> None:
    f.drop(lambda e: e.data.get("event") in ("suspended", "resumed"))


@defect(witnesses=INCONCLUSIVE)
def a_pause_before_the_end_is_not_the_one_at_the_end(f: Folder) -> None:
    for event in f.events:
        if event.data.get("event") in ("suspended", "resumed"):
            event.t_s -= 85


@defect(witnesses=INCONCLUSIVE, failover_phases=INCONCLUSIVE)
def the_initiator_had_nothing_to_say(f: Folder) -> None:
    f.drop(lambda e: (e.source, e.channel, e.kind) == ("client", "journal", "entry"))


@defect(witnesses=INCONCLUSIVE)
def a_console_is_silent_where_the_journal_tells_of_the_kernel(f: Folder) -> None:
    f.drop(lambda e: (e.source, e.channel, e.kind) == ("bravo", "console", "line"))


@defect()
def a_kernel_that_said_nothing(f: Folder) -> None:
    f.drop(lambda e: (e.source, e.channel, e.kind) == ("client", "console", "line"))


@defect(witnesses=INCONCLUSIVE)
def events2_did_not_tell_of_a_resource(f: Folder) -> None:
    f.drop(
        lambda e: (
            (e.source, e.channel, e.kind) == ("bravo", "events2", "exists")
            and e.data["fields"]["name"] == "r1"
        )
    )


@defect(witnesses=INCONCLUSIVE)
def journald_missed_what_the_kernel_said(f: Folder) -> None:
    f.journal(40, "bravo", "Missed 87 kernel messages", identifier="systemd-journald")


@defect(witnesses=INCONCLUSIVE)
def journald_suppressed_messages(f: Folder) -> None:
    text = "Suppressed 4096 messages from pacemaker.service"
    f.journal(40, "bravo", text, identifier="systemd-journald")


@defect(witnesses=INCONCLUSIVE)
def the_console_dropped_messages(f: Folder) -> None:
    f.add(40, "bravo", "console", "line", text="** 57 printk messages dropped **\r")


@defect()
def somebody_else_speaks_of_missed_messages(f: Folder) -> None:
    f.journal(40, "bravo", "Missed 87 kernel messages", identifier="logger")
    f.kernel(41, "client", "blk_print_req_error: 9 callbacks suppressed")


@defect(witnesses=INCONCLUSIVE)
def a_stamp_far_ahead_makes_what_follows_look_repeated(f: Folder) -> None:
    f.journal(70, "bravo", "hello", identifier="x")
    f.events[-1].data["monotonic_us"] = 10**15
    f.journal(75, "bravo", "this is not a repetition", identifier="x")


@defect()
def a_journal_that_is_told_again(f: Folder) -> None:
    f.journal(-4, "bravo", "of before the nonce", identifier="x")
    told = [e for e in f.events if (e.source, e.channel, e.kind) == ("bravo", "journal", "entry")]
    for n, event in enumerate(sorted(told, key=lambda e: e.t_s)):
        f.events.append(replace(event, t_s=85 + n / 1000, data=dict(event.data)))


@defect()
def a_journal_tells_again_what_lay_before_the_nonce(f: Folder) -> None:
    """Its service starts anew: entries of before the fork, of which this timeline never heard."""
    f.journal(-4, "bravo", "of before the nonce", identifier="x")
    f.journal(-50, "bravo", "of long before it", identifier="x")
    f.events[-1].t_s = 85


@defect(witnesses=INCONCLUSIVE)
def a_device_that_nobody_knows_changed_its_role(f: Folder) -> None:
    f.kernel(86, "alpha", "block drbd7: role( Secondary -> Primary )", boot="2")


@defect(witnesses=INCONCLUSIVE)
def a_job_was_started_that_nobody_judges(f: Folder) -> None:
    for event in f.events:
        if event.kind == "start" and event.channel == "workload":
            event.data["jobs"].append("raw2")


# ---------------------------------------------------------------------- the workload


@defect(stall=INCONCLUSIVE)
def nobody_noted_when_the_writes_were_to_end(f: Folder) -> None:
    f.drop(lambda e: e.kind == "stop-asked")


@defect(stall=INCONCLUSIVE)
def nothing_is_told_of_the_workload(f: Folder) -> None:
    f.drop(lambda e: e.channel == "workload")


@defect()
def a_job_that_writes_to_a_file(f: Folder) -> None:
    with_a_file_job(f)
    for t_s in (12, 40):  # of the file system's own
        _request(f, t_s, "8:32", "write", sector=2, sectors=4)


@defect(block_requests=INCONCLUSIVE)
def the_disk_of_the_file_was_not_traced(f: Folder) -> None:
    with_a_file_job(f)
    f.drop(lambda e: e.channel == "block" and e.data.get("disk") == "8:32")


@defect(block_requests=INCONCLUSIVE)
def a_write_of_the_file_was_never_traced(f: Folder) -> None:
    """The file system writes as much at another time: that is no write of the job's."""
    with_a_file_job(f)
    lost = f.writes["file"].pop()
    block_requests(f)
    f.writes["file"].append(lost)
    _request(f, 79, "8:32", "write", sector=8, sectors=8)


def _request(
    f: Folder, t_s: float, disk: str, op: str, *, sector: int, sectors: int, error: int = 0
) -> None:
    data = {"disk": disk, "op": op, "fua": False, "sector": sector, "sectors": sectors}
    now = stamp(t_s) + OFFSET_NS
    f.add(t_s, "client", "block", "issue", **data, guest_ns=now)
    data |= {"error": error, "guest_ns": now + 1_000_000}
    f.add(t_s + 0.001, "client", "block", "complete", **data)


@defect(block_requests=INVALID)
def a_discard_failed(f: Folder) -> None:
    _request(f, 40, DISKS["lun0"], "other", sector=4096, sectors=64, error=-5)


@defect()
def a_discard_that_the_target_does_not_know(f: Folder) -> None:
    _request(f, 40, DISKS["lun0"], "other", sector=4096, sectors=64, error=-121)


@defect()
def an_inquiry_failed(f: Folder) -> None:
    _request(f, 40, DISKS["lun0"], "other", sector=0, sectors=0, error=-5)


# ---------------------------------------------------------------------- states and proofs


@defect(instances=INVALID)
def a_group_without_members(f: Folder) -> None:
    f.value("group", "after")["resources"].clear()


@defect(instances=INVALID)
def a_group_with_a_member_less(f: Folder) -> None:
    del f.value("group", "after")["resources"]["vip"]


@defect(failed_actions=INVALID)
def an_earlier_answer_lists_a_failed_action(f: Folder) -> None:
    f.sample(89.5, "failed_actions", "after", "bravo", ["d1_start_0 on alpha: error"])


@defect(residue=INCONCLUSIVE)
def nobody_looked_at_rules_mounts_and_processes(f: Folder) -> None:
    for event in f.events:
        if event.data.get("what") == "residue":
            for section in ("rules", "mounts", "processes"):
                event.data["value"].pop(section, None)


@defect(faults=INCONCLUSIVE)
def a_proof_without_words(f: Folder) -> None:
    for event in f.events:
        if event.kind in ("bitten", "healed"):
            event.data["proof"] = ""


@defect(faults=INCONCLUSIVE)
def planned_and_never_injected(f: Folder) -> None:
    f.add(40, "host", "fault", "plan", id="f2-x", fault="x", kind="x", target="y", proof="")


@defect(faults=INCONCLUSIVE)
def a_second_fault_that_nobody_injected(f: Folder) -> None:
    for t_s, kind in ((40, "plan"), (41, "bitten"), (45, "heal"), (46, "healed")):
        f.add(t_s, "host", "fault", kind, id="f2", fault="x", kind="x", target="y", proof="seen")
