"""Defects of the cluster: split-brain, roles, the VIP, fencings, the state at the end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.checks.build import GI, MACS, OPERATION, RESOURCES, VIP, block_requests
from tests.checks.planting import INCONCLUSIVE, INVALID, defect

if TYPE_CHECKING:
    from tests.checks.build import Folder


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


@defect(generation_ids=INVALID, offline_metadata=INVALID)
def identifiers_diverged(f: Folder) -> None:
    f.value("gi", "after", "alpha")["r1"] = GI["alpha"].replace("AAAAAAAAAAAAAAA0", "B" * 15 + "0")


@defect(offline_metadata=INVALID)  # the disk says something else
def identifiers_one_behind(f: Folder) -> None:
    f.value("gi", "after", "alpha")["r1"] = GI["alpha"].replace(
        "AAAAAAAAAAAAAAA0", "9999999999999991"
    )


@defect(generation_ids=INCONCLUSIVE, offline_metadata=INVALID)
def identifiers_just_created(f: Folder) -> None:
    f.value("gi", "after", "alpha")["r1"] = ":".join(["0000000000000004"] + ["0" * 16] * 3)


@defect(generation_ids=INCONCLUSIVE, offline_metadata=INCONCLUSIVE)
def identifiers_unreadable(f: Folder) -> None:
    f.value("gi", "after", "alpha")["r1"] = "No such resource"


@defect(no_service=INVALID)
def the_vip_was_claimed_while_nobody_may_serve(f: Folder) -> None:
    f.add(25, "host", "arp", "claim", ip=VIP, mac=MACS["bravo"])


@defect(forked_generations=INVALID, writes_alone=INVALID)
def both_begin_a_generation_from_one_parent(f: Folder) -> None:
    f.kernel(
        15, "alpha",
        "block drbd0: new current UUID CCCCCCCCCCCCCCC1:9999999999999991:8888888888888880:"
        "7777777777777770",
    )  # fmt: skip


@defect(forked_generations=INCONCLUSIVE, writes_alone=INVALID)
def both_begin_a_generation_from_none(f: Folder) -> None:
    """Whether it was one parent nobody knows: 0 and 4 both say that there was none."""
    for event in f.events:
        for key in ("text", "message"):
            text = str(event.data.get(key, ""))
            if "new current UUID" in text:
                event.data[key] = re.sub(r"(UUID \w+):\w+", rf"\1:{'0' * 15}4", text)
    f.kernel(
        15, "alpha",
        f"block drbd0: new current UUID CCCCCCCCCCCCCCC1:{'0' * 16}:8888888888888880:"
        "7777777777777770",
    )  # fmt: skip


@defect(writes_alone=INVALID)
def a_node_went_on_while_its_peer_was_unknown(f: Folder) -> None:
    f.drop(lambda e: "drbd r1: pdsk(" in str(e.data))
    f.kernel(22, "bravo", "drbd r1: pdsk( UpToDate -> DUnknown )")


@defect(writes_alone=INVALID)
def a_node_went_on_before_its_handler_returned(f: Folder) -> None:
    for event in f.events:
        if "drbd r1: pdsk(" in str(event.data):
            event.t_s += 5
            if "monotonic_us" in event.data:
                event.data["monotonic_us"] += 5_000_000


@defect(outdated_promotion=INVALID)
def promoted_with_an_outdated_disk(f: Folder) -> None:
    for event in f.events:
        if event.source == "bravo" and 30.9 < event.t_s < 31.3:
            for key in ("text", "message"):
                text = str(event.data.get(key, ""))
                if "drbd0: role(" in text:
                    event.data[key] = text.replace(
                        "Primary )", "Primary ) disk( Outdated -> UpToDate )"
                    )


@defect(outdated_promotion=INVALID)
def promoted_by_force(f: Folder) -> None:
    f.kernel(30.9, "bravo", "block drbd1: Forced to consider local data as UpToDate!")


@defect(outdated_promotion=INVALID)
def promoted_after_it_was_told_to_be_outdated(f: Folder) -> None:
    f.kernel(22, "bravo", "block drbd1: disk( UpToDate -> Outdated )")


@defect()
def promoted_when_the_peer_was_fenced(f: Folder) -> None:
    f.kernel(22, "bravo", "block drbd1: disk( UpToDate -> Consistent )")


@defect(dual_primary=INVALID, failovers=INVALID, fence_before_promotion=INVALID)
def promoted_while_the_peer_is_primary(f: Folder) -> None:
    f.kernel(70, "alpha", "block drbd0: role( Secondary -> Primary )", boot="2")


@defect(dual_primary=INVALID, fence_before_promotion=INVALID, fencings=INVALID, no_service=INVALID)
def never_fenced(f: Folder) -> None:
    f.drop(lambda e: e.data.get("event") in ("stopped", "started"))
    f.drop(lambda e: "Operation" in str(e.data.get("message")))
    f.drop(lambda e: e.kind in ("lost", "open") or "Linux version" in str(e.data.get("text")))
    f.drop(lambda e: e.data.get("boot_id") == "alpha-boot-2" or "ENTER" in str(e.data.get("text")))
    for event in f.events:
        if event.channel == "fault":
            event.data |= {"kind": "cut-carrier", "target": "drbd link of alpha"}
    for resource in RESOURCES:  # DRBD notices such a cut
        f.kernel(33, "alpha", f"drbd {resource}: conn( Connected -> NetworkFailure )")
    for t_s, what in ((23, "link: host: 1 link: 1 is down"), (57, "rx: host: 1 link: 1 is up")):
        f.journal(t_s, "alpha", f"  [KNET  ] {what}", identifier="corosync")  # and so does Corosync
    f.add(54.9, "host", "fault", "still-bitten", id="f1-power-off", proof="carrier is 0")
    f.value("fence_history", "after").clear()


@defect(failover_phases=INCONCLUSIVE)
def the_session_never_told_that_it_was_back(f: Folder) -> None:
    f.drop(lambda e: "is operational" in str(e.data.get("message")))


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
    block_requests(f)
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


@defect(residue=INVALID)
def a_delay_was_left_on_a_link(f: Folder) -> None:
    f.value("residue", "after", "alpha")["qdiscs"].append("drbd: netem root delay 200ms")


@defect(residue=INCONCLUSIVE)
def nobody_looked_for_what_is_left(f: Folder) -> None:
    f.drop(lambda e: (e.data.get("what"), e.data.get("when")) == ("residue", "after"))


@defect(constraint_placed=INVALID)
def a_handler_only_said_that_the_peer_is_outdated(folder: Folder) -> None:
    folder.kernel(50, "bravo", "drbd r0: helper command: /sbin/drbdadm fence-peer r0")
    folder.kernel(55, "bravo", "drbd r0: fence-peer helper returned 4 (peer was fenced)")
