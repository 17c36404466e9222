"""A split-brain that the scenario forced, and times in which nobody may serve."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import pytest

from harness.checks import judge_one
from harness.evidence.blocks import BLOCK_SIZE
from tests.checks.build import MACS, VIP, healthy
from tests.checks.planting import INCONCLUSIVE, INVALID, outcome, with_samples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.checks.build import Folder

UNRESOLVED = "block drbd0: Split-Brain detected but unresolved, dropping connection!"
SOLVED = "block drbd0: Split-Brain detected, {}. Sync from {} node"


def forced() -> Folder:
    """After the failover, alpha writes alone to r0, and bravo goes on without it."""
    folder = with_samples(healthy())
    folder.scenario["expect"]["split_brain"] = {"resource": "r0", "victim": "alpha"}
    parent = "AAAAAAAAAAAAAAA1:8888888888888880:7777777777777770"
    folder.kernel(63, "bravo", "drbd r0: pdsk( UpToDate -> Outdated )")
    folder.kernel(63.1, "bravo", f"block drbd0: new current UUID BBBBBBBBBBBBBBB1:{parent}")
    folder.kernel(64, "alpha", "drbd r0: pdsk( UpToDate -> DUnknown )", boot="2")
    folder.kernel(65, "alpha", "block drbd0: role( Secondary -> Primary )", boot="2")
    folder.kernel(65.1, "alpha", f"block drbd0: new current UUID CCCCCCCCCCCCCCC1:{parent}")
    folder.kernel(67, "alpha", "block drbd0: role( Primary -> Secondary )", boot="2")
    written = [{"block": b, "crc32": f"{zlib.crc32(bytes([b]) * BLOCK_SIZE):08x}"} for b in (3, 4)]
    value = {"resource": "r0", "blocks": written}
    folder.sample(68, "forced_writes", "during", "alpha", value)
    for node, whose, boot in (("alpha", "peer", "2"), ("bravo", "this", "1")):
        folder.kernel(70, node, UNRESOLVED, boot=boot)
        folder.kernel(75, node, SOLVED.format("manually solved", whose), boot=boot)
    fault = {
        "fault": "forced-split-brain", "kind": "forced-split-brain", "target": "r0 on alpha",
        "id": "f2", "machine": "alpha", "resource": "r0",
    }  # fmt: skip
    for t_s, kind in ((64.5, "inject"), (67.5, "bitten"), (74, "heal"), (76, "healed")):
        folder.add(t_s, "host", "fault", kind, **fault, proof="seen")
    return folder


def test_a_forced_split_brain_that_was_noticed(tmp_path: Path) -> None:
    assert outcome(forced(), tmp_path) == {}
    found = judge_one(tmp_path, "discarded-writes")
    assert found.seen == "2 writes of alpha to r0 (lun0) discarded: blocks 3-4 of 4096 bytes"
    first, second = found.details["discarded"]
    assert first == {
        "node": "alpha", "resource": "r0", "offset_bytes": 12288, "bytes": 4096,
        "crc32": f"{zlib.crc32(bytes([3]) * BLOCK_SIZE):08x}",
    }  # fmt: skip
    assert second["offset_bytes"] == 16384
    noticed = judge_one(tmp_path, "split-brain-detected")
    assert noticed.seen == "r0: noticed by alpha and bravo, then solved by hand"


@pytest.mark.parametrize(
    ("blocks", "said"),
    [([7], "7"), ([3, 4, 5], "3-5"), ([9, 3, 4, 11, 10], "3-4, 9-11"), ([1, 3], "1, 3")],
)
def test_every_discarded_block_is_named(tmp_path: Path, blocks: list[int], said: str) -> None:
    folder = forced()
    value = {"resource": "r0", "blocks": [{"block": b, "crc32": "00000001"} for b in blocks]}
    folder.sample(69, "forced_writes", "during", "alpha", value)
    found = judge_one(folder.save(tmp_path), "discarded-writes")
    assert f"discarded: blocks {said} of 4096 bytes" in found.seen


HANDLER = "block drbd0: helper command: /sbin/drbdadm initial-split-brain minor-0"


def test_the_handlers_call_is_notice_enough(tmp_path: Path) -> None:
    """Of the two lines of one handshake, one may be lost on its way."""
    folder = forced()
    noticed_by_one_only(folder)
    folder.kernel(70, "alpha", HANDLER, boot="2")
    assert outcome(folder, tmp_path) == {}


def test_what_is_forced_must_be_said(tmp_path: Path) -> None:
    folder = forced()
    folder.scenario["expect"]["split_brain"] = None
    assert set(outcome(folder, tmp_path)) >= {
        "split-brain-messages", "forked-generations", "dual-primary", "writes-alone",
    }  # fmt: skip


def solved_by_itself(folder: Folder) -> None:
    folder.drop(lambda e: "detected" in str(e.data))
    for node in ("alpha", "bravo"):
        boot = "2" if node == "alpha" else "1"
        folder.kernel(70, node, SOLVED.format("1 primaries, automatically solved", "this"), boot)


def never_noticed(folder: Folder) -> None:
    folder.drop(lambda e: UNRESOLVED in str(e.data))


def noticed_by_one_only(folder: Folder) -> None:
    """Of the other one nothing tells whether it met its peer at all."""
    folder.drop(lambda e: UNRESOLVED in str(e.data) and e.source == "alpha")


def noticed_too_late(folder: Folder) -> None:
    noticed_by_one_only(folder)
    folder.kernel(75.5, "alpha", HANDLER, boot="2")


def never_solved(folder: Folder) -> None:
    folder.drop(lambda e: "manually" in str(e.data))


def solved_before_it_was_noticed(folder: Folder) -> None:
    never_noticed(folder)
    folder.kernel(77, "bravo", UNRESOLVED)


def solved_by_a_handler(folder: Folder) -> None:
    folder.drop(lambda e: "manually" in str(e.data))
    folder.kernel(71, "bravo", SOLVED.format("manually solved", "this"))


def never_made(folder: Folder) -> None:
    never_noticed(folder)
    never_solved(folder)
    for e in folder.events:
        if e.kind == "bitten" and e.data["id"] == "f2":
            e.kind = "not-bitten"


def a_second_one_after_the_recovery(folder: Folder) -> None:
    folder.kernel(82, "bravo", UNRESOLVED)


def never_demoted(folder: Folder) -> None:
    folder.drop(lambda e: e.t_s > 64 and "Primary -> Secondary" in str(e.data))


def a_discarded_write_is_still_there(folder: Folder) -> None:
    for node in ("alpha", "bravo"):
        folder.crcs["r0", node][4] = zlib.crc32(bytes([4]) * BLOCK_SIZE)


def one_node_did_not_notice(folder: Folder) -> None:
    folder.drop(lambda e: e.source == "alpha" and UNRESOLVED in str(e.data))


def one_node_was_hung_up_on(folder: Folder) -> None:
    one_node_did_not_notice(folder)
    folder.kernel(70.1, "alpha", "drbd r0: conn( WFReportParams -> BrokenPipe )", boot="2")


def the_survivor_s_writes_were_discarded(folder: Folder) -> None:
    folder.drop(lambda e: "manually" in str(e.data))
    for node, whose, boot in (("alpha", "this", "2"), ("bravo", "peer", "1")):
        folder.kernel(75, node, SOLVED.format("manually solved", whose), boot=boot)


def the_other_resource_too(folder: Folder) -> None:
    folder.kernel(70, "bravo", UNRESOLVED.replace("drbd0", "drbd1"))


def the_victim_of_another_resource_was_promoted(folder: Folder) -> None:
    folder.kernel(65, "alpha", "block drbd1: role( Secondary -> Primary )", boot="2")
    folder.kernel(69, "alpha", "block drbd1: role( Primary -> Secondary )", boot="2")


def nobody_noted_what_was_written(folder: Folder) -> None:
    folder.drop(lambda e: e.data.get("what") == "forced_writes")


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (solved_by_itself, {"split-brain-detected": INVALID}),
        (one_node_did_not_notice, {"split-brain-detected": INCONCLUSIVE}),
        (one_node_was_hung_up_on, {"split-brain-detected": INVALID}),
        (the_survivor_s_writes_were_discarded, {"split-brain-detected": INVALID}),
        (never_noticed, {"split-brain-detected": INVALID}),
        (noticed_by_one_only, {"split-brain-detected": INCONCLUSIVE}),
        (noticed_too_late, {"split-brain-detected": INVALID}),
        (never_solved, {"split-brain-detected": INVALID}),
        (solved_before_it_was_noticed, {"split-brain-detected": INVALID}),
        (solved_by_a_handler, {"split-brain-detected": INVALID}),
        (never_made, {"split-brain-detected": INCONCLUSIVE, "faults": INCONCLUSIVE}),
        (a_second_one_after_the_recovery, {"split-brain-messages": INVALID}),
        (a_discarded_write_is_still_there, {"discarded-writes": INVALID}),
        (nobody_noted_what_was_written, {"discarded-writes": INCONCLUSIVE}),
        (the_other_resource_too, {"split-brain-messages": INVALID}),
    ],
)
def test_a_defect_of_a_forced_split_brain(
    tmp_path: Path, plant: Callable[[Folder], None], expected: dict[str, object]
) -> None:
    folder = forced()
    plant(folder)
    assert outcome(folder, tmp_path) == expected


def test_a_forced_primary_that_stays_is_two_primaries(tmp_path: Path) -> None:
    folder = forced()
    never_demoted(folder)
    assert outcome(folder, tmp_path)["dual-primary"] == INVALID


def test_a_forced_split_brain_that_failed_is_not_the_clusters(tmp_path: Path) -> None:
    folder = forced()
    folder.drop(lambda e: e.data.get("id") == "f2" and e.kind in ("bitten", "heal", "healed"))
    assert set(outcome(folder, tmp_path)) == {"faults", "split-brain-detected"}
    assert judge_one(tmp_path, "split-brain-detected").verdict is INCONCLUSIVE


def test_only_the_forced_resource_is_excused(tmp_path: Path) -> None:
    folder = forced()
    the_victim_of_another_resource_was_promoted(folder)
    assert outcome(folder, tmp_path)["dual-primary"] == INVALID


def served(folder: Folder) -> None:
    folder.role(25, "bravo", "Primary")


def claimed(folder: Folder) -> None:
    folder.add(25, "host", "arp", "claim", ip=VIP, mac=MACS["bravo"])


def acknowledged(folder: Folder) -> None:
    late = [e for e in folder.events if e.channel == "block" and e.kind == "complete"]
    after = next(e for e in late if e.t_s >= 35)
    shift_ns = int((after.t_s - 25) * 1e9)
    after.data["guest_ns"] -= shift_ns


def nobody_refused(folder: Folder) -> None:
    folder.drop(lambda e: "lack of quorum" in str(e.data))


def never_ended(folder: Folder) -> None:
    folder.drop(lambda e: e.kind == "no-service-end")


@pytest.mark.parametrize(
    ("plant", "verdict", "says"),
    [
        (lambda _folder: None, "VALID", "nobody served for 8 s"),
        (served, "INVALID", "bravo was Primary of r0 4 s into it"),
        (claimed, "INVALID", "the VIP was claimed 1 times"),
        (acknowledged, "INVALID", "1 writes were acknowledged"),
        (never_ended, "INCONCLUSIVE", "no begin or no end"),
        (nobody_refused, "INCONCLUSIVE", "perhaps none could have"),
    ],
)
def test_nobody_serves_while_nobody_may(
    tmp_path: Path, plant: Callable[[Folder], None], verdict: str, says: str
) -> None:
    folder = with_samples(healthy())
    plant(folder)
    found = judge_one(folder.save(tmp_path), "no-service")
    assert str(found.verdict) == verdict
    assert says in found.seen


@pytest.mark.parametrize(
    ("expected", "fewer", "verdict"),
    [(1, False, "VALID"), (2, False, "INVALID"), (2, True, "VALID"), (0, True, "INVALID")],
)
def test_fewer_failovers_may_be_right(
    tmp_path: Path, expected: int, fewer: bool, verdict: str
) -> None:
    folder = healthy()
    folder.scenario["expect"] |= {"failovers": expected, "fewer_failovers": fewer}
    found = judge_one(folder.save(tmp_path), "failovers")
    assert str(found.verdict) == verdict


@pytest.mark.parametrize(
    ("fencings", "fenced", "fewer", "verdict"),
    [
        (2, [], False, "INVALID"),
        (2, [], True, "VALID"),
        (1, [], True, "VALID"),
        (0, [], True, "INVALID"),
        (2, ["alpha", "bravo"], True, "VALID"),
        (1, ["bravo"], True, "INVALID"),
    ],
)
def test_fewer_fencings_may_be_right(
    tmp_path: Path, fencings: int, fenced: list[str], fewer: bool, verdict: str
) -> None:
    folder = healthy()
    folder.scenario["expect"] |= {
        "fencings": fencings, "fenced": fenced, "fewer_fencings": fewer,
    }  # fmt: skip
    found = judge_one(folder.save(tmp_path), "fencings")
    assert str(found.verdict) == verdict
    assert ("or fewer" in found.expected) == fewer


def test_a_sync_target_reads_from_its_peer(tmp_path: Path) -> None:
    folder = healthy()
    text = "drbd r0: conn( WFBitMapT -> {} ) disk( UpToDate -> Inconsistent ) pdsk( {} -> {} )"
    folder.kernel(62, "alpha", text.format("SyncTarget", "DUnknown", "UpToDate"), boot="2")
    folder.kernel(66, "alpha", "block drbd0: role( Secondary -> Primary )", boot="2")
    connected = judge_one(folder.save(tmp_path / "a"), "outdated-promotion")
    folder.kernel(64, "alpha", "drbd r0: conn( SyncTarget -> Timeout )", boot="2")
    alone = judge_one(folder.save(tmp_path / "b"), "outdated-promotion")
    assert (str(connected.verdict), str(alone.verdict)) == ("VALID", "INVALID")
    assert "alpha promoted with a disk that was Inconsistent" in alone.seen


def test_a_later_promotion_of_the_victim_was_not_forced(tmp_path: Path) -> None:
    folder = forced()
    folder.kernel(78, "alpha", "block drbd0: role( Secondary -> Primary )", boot="2")
    assert outcome(folder, tmp_path)["dual-primary"] == INVALID
