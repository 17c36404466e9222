"""Faults that did not bite: what was predicted of them is not known, whatever came of it instead.

As in a run without injecting: the cluster is well all the time, and each scenario expected
something else. None of them may be VALID, and none INVALID.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.checks import ALL_CHECKS, Verdict, judge, judge_one
from harness.checks.faults import without_bite
from harness.evidence.model import Evidence
from tests.checks.build import MACS, VIP, Folder, _in_sync, _samples, block_requests, healthy
from tests.checks.fio_files import Write
from tests.checks.planting import INCONCLUSIVE, INVALID

if TYPE_CHECKING:
    from pathlib import Path


def uneventful(kind: str = "power-off", target: str = "alpha", **expect: Any) -> Folder:
    """A scenario in which nothing was broken and nothing happened, and that was ended for it."""
    folder = healthy()
    folder.drop(
        lambda e: (
            e.channel in ("fault", "arp", "fence")
            or e.data.get("event") in ("stopped", "started")
            or (e.channel in ("console", "journal", "events2") and 19 < e.t_s < 61)
            or (e.channel in ("console", "journal", "events2") and e.kind in ("lost", "open"))
            or e.data.get("when") == "after"
        )
    )
    for t_s in range(1, 95, 3):
        folder.add(t_s, "host", "arp", "claim", ip=VIP, mac=MACS["alpha"])
    for job, writes in folder.writes.items():
        folder.writes[job] = [Write(w.block, w.issue_s, min(w.latency_s, 0.02)) for w in writes]
    block_requests(folder)
    folder.facts = {key: _of_active(key[1], folder.blocks) for key in folder.facts}
    _samples(folder, 90, "after", active="alpha", fenced=0)
    disks = folder.value("disks", "before"), folder.value("identities", "before")
    for what, value in zip(("disks", "identities"), disks, strict=True):
        folder.sample(91, what, "after", "client", value)
    fault = {"fault": kind, "kind": kind, "target": target, "machine": target, "id": f"f1-{kind}"}
    for t_s, stage in ((20, "plan"), (20, "inject"), (65, "not-bitten"), (70, "heal"),
                       (75, "not-healed")):  # fmt: skip
        folder.add(t_s, "host", "fault", stage, **fault, proof="no proof found")
    folder.scenario["expect"] |= expect
    return folder


def _of_active(node: str, blocks: int) -> Any:
    """alpha was Primary all the time: the other one of ``_in_sync``."""
    return _in_sync("bravo" if node == "alpha" else "alpha", blocks)


NOTHING: dict[str, Any] = {"failovers": 0, "fencings": 0, "active": None, "fenced": []}
EXPECTED = [
    pytest.param({}, id="a failover and a fencing"),
    pytest.param(NOTHING, id="nothing"),
    pytest.param(NOTHING | {"active": "bravo", "failovers": 1}, id="a failover"),
    pytest.param(NOTHING | {"fencings": 1, "fenced": ["bravo"]}, id="a fencing"),
    pytest.param(NOTHING | {"failovers": 1, "fewer_failovers": True}, id="perhaps a failover"),
    pytest.param(NOTHING | {"durable": "flushed"}, id="only what was flushed"),
    pytest.param(NOTHING | {"split_brain": {"resource": "r1", "victim": "bravo"}}, id="a split"),
]  # fmt: skip
KINDS = [
    "power-off", "reset", "kernel-panic", "memory-exhausted", "pause", "cut-carrier", "cut-silent",
    "flapping", "latency", "maintenance", "invalidated", "disk-errors", "forced-split-brain",
]  # fmt: skip


@pytest.mark.parametrize("expect", EXPECTED)
def test_what_did_not_bite_is_neither_valid_nor_invalid(
    tmp_path: Path, expect: dict[str, Any]
) -> None:
    verdict = judge(uneventful(**expect).save(tmp_path))
    assert verdict.verdict is INCONCLUSIVE
    assert [f"{r.check}: {r.seen}" for r in verdict.checks if r.verdict is INVALID] == []
    faults = verdict.result("faults")
    assert faults is not None
    assert faults.verdict is INCONCLUSIVE


@pytest.mark.parametrize("kind", KINDS)
def test_so_it_is_of_every_kind_of_fault(tmp_path: Path, kind: str) -> None:
    verdict = judge(uneventful(kind).save(tmp_path))
    assert verdict.verdict is INCONCLUSIVE
    assert [f"{r.check}: {r.seen}" for r in verdict.checks if r.verdict is INVALID] == []


def test_a_time_in_which_nobody_may_serve_was_none(tmp_path: Path) -> None:
    folder = uneventful()
    folder.add(66, "host", "state", "no-service-begin")
    folder.add(69, "host", "state", "no-service-end")
    result = judge_one(folder.save(tmp_path), "no-service")
    assert result.verdict is INCONCLUSIVE
    assert result.seen.startswith("without a bite of power-off nothing of it was to be expected; ")
    assert "alpha was Primary" in result.seen, "what was seen is told all the same"


@pytest.mark.parametrize(("begun", "verdict"), [("", INCONCLUSIVE), ("systemd stops", INVALID)])
def test_a_reboot_that_never_began_is_no_reboot_that_hangs(
    tmp_path: Path, begun: str, verdict: Verdict
) -> None:
    folder = uneventful(**(NOTHING | {"fault": False, "failovers": 1}))
    folder.drop(lambda e: e.channel == "fault")
    value = {"node": "alpha", "seconds": None, "begun": begun, "boot_id_before": "a",
             "boot_id_after": "", "deadline_s": 300.0}  # fmt: skip
    folder.sample(80, "reboot", "after", "alpha", value)
    judged = judge(folder.save(tmp_path))
    assert judged.verdict is verdict
    for slug in ("reboot", "failovers"):
        result = judged.result(slug)
        assert result is not None
        assert result.verdict is verdict
    named = ["reboot of alpha"] if not begun else []
    assert without_bite(Evidence(tmp_path)) == named


def test_an_invariant_holds_whatever_was_broken(tmp_path: Path) -> None:
    """A lost write is lost, and a replica that differs differs, though the fault did not bite."""
    folder = uneventful()
    folder.errors["raw1"] = 5
    for crc in (folder.crcs["r1", "alpha"],):
        crc[3] ^= 1
    judged = judge(folder.save(tmp_path))
    assert judged.verdict is INVALID
    bad = {result.check for result in judged.checks if result.verdict is INVALID}
    assert bad == {"io-errors", "replica-digests"}


def test_a_fault_that_bit_is_judged_by_what_it_was_to_do(tmp_path: Path) -> None:
    folder = healthy()
    folder.scenario["expect"] |= {"failovers": 0}
    assert judge_one(folder.save(tmp_path), "failovers").verdict is INVALID


def test_only_what_follows_from_a_fault_is_a_prediction() -> None:
    assert {slug for slug, check in ALL_CHECKS.items() if check.predicts} == {
        "no-service", "maintenance", "resync-goes-on", "failovers", "fencings", "active-node",
        "reboot", "lost-peer", "corosync-links", "fence-device-told", "ifdown",
    }  # fmt: skip
