"""Moves of the service whose two ends reach the host crossed, and pauses of a node around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.checks import Verdict, judge_one
from tests.checks.build import Folder, healthy
from tests.checks.defects_cluster import never_fenced
from tests.checks.planting import INCONCLUSIVE, INVALID, outcome

if TYPE_CHECKING:
    from pathlib import Path


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


def _paused(folder: Folder, vm: str, from_s: float, to_s: float) -> None:
    """A VM stands still: libvirt tells, and its monotonic clock does not count that time."""
    for t_s, event in ((from_s, "suspended"), (to_s, "resumed")):
        folder.add(t_s, vm, "domain", "lifecycle", event=event, detail="0")
    for one in folder.events:
        if one.source == vm and one.t_s > to_s and "monotonic_us" in one.data:
            one.data["monotonic_us"] -= int((to_s - from_s) * 1e6)


@pytest.mark.parametrize(
    ("resumed_s", "verdict"),
    [
        (65, INVALID),
        (70, INCONCLUSIVE),  # what comes so soon after it may be of before the pause
    ],
)
def test_a_pause_of_the_first_node_does_not_hide_two_primaries(
    tmp_path: Path, resumed_s: float, verdict: Verdict
) -> None:
    folder = healthy()
    folder.role(70, "alpha", "Primary", boot="2")
    folder.role(72, "bravo", "Secondary")
    _paused(folder, "bravo", 62, resumed_s)
    assert outcome(folder, tmp_path)["dual-primary"] is verdict


def test_a_move_after_a_pause_is_ordered_by_the_clocks_since(tmp_path: Path) -> None:
    """All VMs are suspended at the end of every scenario, and may be at its beginning."""
    folder = _handover(late_s=2.0)
    for t_s in (9, 20):
        folder.journal(t_s, "alpha", "something", identifier="x")
    for vm in ("alpha", "bravo", "client"):
        _paused(folder, vm, 0.05, 0.15)
        _paused(folder, vm, 92, 92.3)
    _paused(folder, "alpha", 10, 19)
    assert outcome(folder, tmp_path) == {}


@pytest.mark.parametrize(("kind", "verdict"), [("clock-drift", INCONCLUSIVE), ("slow-disk", None)])
def test_a_clock_that_drifts_orders_nothing(
    tmp_path: Path, kind: str, verdict: Verdict | None
) -> None:
    """Its monotonic clock, too: what it was off by at one moment it is not at the next."""
    folder = _handover(late_s=2.0)
    fault = {"fault": kind, "kind": kind, "target": "alpha", "machine": "alpha", "id": "f9"}
    folder.add(12, "host", "fault", "inject", **fault, proof="")
    found = judge_one(folder.save(tmp_path), "dual-primary")
    assert found.verdict is (verdict or Verdict.VALID)
