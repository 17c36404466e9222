"""One DRBD resource with several volumes: each device is judged, by what is said of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.checks import Verdict, judge, judge_one
from harness.checks.kernel import kernel_messages
from harness.checks.roles import primary_intervals
from harness.evidence.model import Evidence
from tests.checks.build import NODES, RESOURCES, healthy
from tests.checks.planting import INCONCLUSIVE, INVALID, outcome
from tests.checks.test_lost_peer import DRBD, links_alone, lose

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.checks.build import Folder

VOLUMES = {"r0": "r0/0", "r1": "r0/1"}
OTHER_GI = "BBBBBBBBBBBBBBB0:0000000000000000:9999999999999990:8888888888888880:1:1:0:1:0:0:0"


def as_volumes(folder: Folder) -> Folder:
    """The same, as a node tells it whose two devices are volumes of r0.

    The kernel names a device by its minor, and the resource where a connection is meant; events2
    has the resource's role and connection once, and each device with its volume.
    """
    folder.scenario["volumes"] = dict(VOLUMES)
    # Of the connections and roles that two resources have, one is left.
    folder.drop(
        lambda event: (
            event.data.get("object") in ("resource", "connection")
            and event.data["fields"]["name"] == "r1"
        )
    )
    for key in ("text", "message"):
        folder.drop(lambda event, key=key: "drbd r1: " in str(event.data.get(key)))  # type: ignore[misc]
    for event in folder.events:
        fields = event.data.get("fields", {})
        if event.data.get("object") == "device":
            resource, _, volume = VOLUMES[fields["name"]].partition("/")
            event.data["fields"] = fields | {"name": resource, "volume": volume}
    return folder


def test_a_failover_of_all_volumes_is_valid(tmp_path: Path) -> None:
    verdict = judge(as_volumes(healthy()).save(tmp_path))
    bad = [f"{r.check}: {r.seen}" for r in verdict.checks if r.verdict is not Verdict.VALID]
    assert bad == []


def test_without_knowing_of_volumes_it_is_no_failover(tmp_path: Path) -> None:
    folder = as_volumes(healthy())
    del folder.scenario["volumes"]
    assert outcome(folder, tmp_path)["witnesses"] is INCONCLUSIVE


def test_what_a_connection_says_is_said_of_each_volume(tmp_path: Path) -> None:
    folder = as_volumes(healthy())
    folder.kernel(70, "bravo", "drbd r0: conn( Connected -> NetworkFailure )")
    folder.kernel(71, "bravo", "block drbd1: disk( UpToDate -> Failed )")
    told = [
        (message.resource, message.text[:4])
        for message in kernel_messages(Evidence(folder.save(tmp_path)))
        if message.t_ns >= folder.scenario["started_ns"] + 70_000_000_000
    ]
    assert sorted(told) == [("r0", "conn"), ("r1", "conn"), ("r1", "disk")]


def test_a_volume_is_primary_as_soon_as_one_witness_says_so(tmp_path: Path) -> None:
    """events2 tells the resource's role, with its first volume; the kernel that of each."""
    folder = as_volumes(healthy())
    folder.drop(lambda event: "block drbd1: role( Secondary -> Primary )" in str(event.data))
    intervals = primary_intervals(Evidence(folder.save(tmp_path)))
    assert list(intervals) == list(RESOURCES)
    for found in intervals.values():
        assert [one.node for one in found] == list(NODES)


def two_primaries(folder: Folder) -> None:
    """alpha's second volume alone is promoted, by the kernel's word, while bravo has both."""
    folder.kernel(50, "alpha", "block drbd1: role( Secondary -> Primary )", boot="2")
    folder.kernel(58, "alpha", "block drbd1: role( Primary -> Secondary )", boot="2")


def generations_diverged(folder: Folder) -> None:
    folder.value("gi", "after", "alpha")["r1"] = OTHER_GI


def replicas_differ(folder: Folder) -> None:
    folder.crcs["r1", "alpha"][40] ^= 1


def promoted_elsewhere(folder: Folder) -> None:
    folder.value("instances", "after")["r1"] = {"promoted": ["alpha"], "unpromoted": ["bravo"]}


def split_brain_told(folder: Folder) -> None:
    folder.kernel(
        62, "bravo", "block drbd1: Split-Brain detected but unresolved, dropping connection!"
    )


@pytest.mark.parametrize(
    ("plant", "check"),
    [
        (two_primaries, "dual-primary"),
        (generations_diverged, "generation-ids"),
        (replicas_differ, "replica-digests"),
        (promoted_elsewhere, "instances"),
        (split_brain_told, "split-brain-messages"),
    ],
)
def test_what_is_wrong_with_one_volume_is_found(
    plant: Callable[[Folder], None], check: str, tmp_path: Path
) -> None:
    folder = as_volumes(healthy())
    plant(folder)
    result = judge_one(folder.save(tmp_path), check)
    assert result.verdict is INVALID
    assert "r1" in result.seen
    assert "r0:" not in result.seen


def test_events2_has_to_tell_of_every_volume(tmp_path: Path) -> None:
    folder = as_volumes(healthy())
    folder.drop(lambda event: event.source == "bravo" and "'volume': '1'" in str(event.data))
    result = judge_one(folder.save(tmp_path), "witnesses")
    assert result.verdict is INCONCLUSIVE
    assert "events2 of bravo: nothing of r1" in result.seen


def test_one_cut_is_one_loss_of_each_volume(tmp_path: Path) -> None:
    folder = as_volumes(links_alone(("cut-carrier", DRBD)))
    lose(folder, 25, "r0")
    result = judge_one(folder.save(tmp_path / "once"), "lost-peer")
    assert result.verdict is Verdict.VALID
    assert result.details["losses"] == {"alpha r0": 1, "alpha r1": 1}
    lose(folder, 28, "r0")
    assert judge_one(folder.save(tmp_path / "twice"), "lost-peer").verdict is INVALID


def stopped(folder: Folder, primitive: str) -> Folder:
    folder.kernel(65, "alpha", "block drbd1: disk( UpToDate -> Failed )", boot="2")
    folder.journal(
        64.5, "bravo", f" notice: Initiating stop operation {primitive}_stop_0 on alpha",
        identifier="pacemaker-controld",
    )  # fmt: skip
    return folder


@pytest.mark.parametrize(("primitive", "fine"), [("d0", True), ("d1", False)])
def test_the_planned_stop_of_the_resource_detaches_each_volume(
    primitive: str, fine: bool, tmp_path: Path
) -> None:
    folder = stopped(as_volumes(healthy()), primitive)
    verdict = judge_one(folder.save(tmp_path), "kernel-alarms").verdict
    assert verdict is (Verdict.VALID if fine else INVALID)
