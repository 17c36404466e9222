"""Maintenance mode: Pacemaker watches, and does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.checks import judge_one
from tests.checks.build import healthy
from tests.checks.planting import outcome

if TYPE_CHECKING:
    from pathlib import Path

    from tests.checks.build import Folder


def in_maintenance() -> Folder:
    """From 62 to 75 s, after the failover; alpha's controller is killed meanwhile."""
    folder = healthy()
    fault = {"fault": "maintenance", "kind": "maintenance", "target": "the cluster", "id": "f2"}
    for t_s, kind in ((62, "inject"), (62.5, "bitten"), (75, "heal"), (76, "healed")):
        folder.add(t_s, "host", "fault", kind, **fault, proof="maintenance-mode is true")
    folder.journal(
        66, "bravo", "notice: No fencing will be done until there are resources to manage",
        identifier="pacemaker-schedulerd",
    )  # fmt: skip
    text = "notice: Initiating monitor operation d0_monitor_23000 on alpha"
    folder.journal(68, "bravo", text, identifier="pacemaker-controld")
    return folder


def test_nothing_is_done_in_maintenance_mode(tmp_path: Path) -> None:
    assert outcome(in_maintenance(), tmp_path) == {}
    result = judge_one(tmp_path, "maintenance")
    assert result.seen == "no action for 12 s, in 2 entries of the journals"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("notice: Initiating stop operation pu_stop_0 locally on bravo", "pu_stop_0, by bravo"),
        ("notice: Initiating demote operation d0_demote_0 on alpha", "d0_demote_0, by bravo"),
        ("notice: Requesting fencing (reboot) of node alpha", "fencing (reboot) of node alpha"),
    ],
)
@pytest.mark.parametrize(
    ("t_s", "identifier", "verdict"),
    [
        (70, "pacemaker-controld", "INVALID"),
        (61, "pacemaker-controld", "VALID"),
        (75.5, "pacemaker-controld", "VALID"),
        (70, "logger", "VALID"),
    ],
)
def test_an_action_in_it_is_told(
    tmp_path: Path, text: str, says: str, t_s: float, identifier: str, verdict: str
) -> None:
    folder = in_maintenance()
    folder.journal(t_s, "bravo", text, identifier=identifier)
    result = judge_one(folder.save(tmp_path), "maintenance")
    assert str(result.verdict) == verdict
    assert (says in result.seen) == (verdict == "INVALID")


@pytest.mark.parametrize("kind", ["bitten", "heal"])
def test_without_its_begin_or_end_nothing_can_be_said(tmp_path: Path, kind: str) -> None:
    folder = in_maintenance()
    folder.drop(lambda e: e.kind == kind and e.data.get("id") == "f2")
    result = judge_one(folder.save(tmp_path), "maintenance")
    assert str(result.verdict) == "INCONCLUSIVE"
    assert "no proof" in result.seen


def test_silent_journals_prove_nothing(tmp_path: Path) -> None:
    folder = in_maintenance()
    folder.drop(lambda e: e.channel == "journal" and 63 < e.t_s < 75)
    assert str(judge_one(folder.save(tmp_path), "maintenance").verdict) == "INCONCLUSIVE"


def test_it_is_asked_of_maintenance_only(tmp_path: Path) -> None:
    assert "does not apply" in judge_one(healthy().save(tmp_path), "maintenance").seen
