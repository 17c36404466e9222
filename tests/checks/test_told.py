"""A dead fence device that nobody told of, and an ifdown that did no more than a cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.checks import judge_one
from tests.checks.test_lost_peer import links_alone

if TYPE_CHECKING:
    from pathlib import Path

    from tests.checks.build import Folder

MONITOR = "notice: Result of monitor operation for fence_alpha on bravo: {}"


def gone(kind: str = "fence-down", until_s: float = 49.0) -> Folder:
    folder = links_alone((kind, "the fence device"))
    folder.drop(lambda e: e.channel == "fault" and e.kind in ("heal", "healed"))
    fault = {"fault": kind, "kind": kind, "target": "the fence device", "id": "f0"}
    for t_s, event in ((until_s, "heal"), (until_s + 1, "healed")):
        folder.add(t_s, "host", "fault", event, **fault, proof="seen")
    return folder


@pytest.mark.parametrize("kind", ["fence-down", "fence-unreachable"])
@pytest.mark.parametrize(
    "said",
    [
        MONITOR.format("error (Fence agent exited with error)"),
        MONITOR.format("Timed Out after 60s"),
        "notice: Result of start operation for fence_bravo on alpha: error",
    ],
)
def test_a_monitor_or_a_start_that_failed_tells(tmp_path: Path, kind: str, said: str) -> None:
    folder = gone(kind)
    folder.journal(30, "bravo", said, identifier="pacemaker-controld")
    assert str(judge_one(folder.save(tmp_path), "fence-device-told").verdict) == "VALID"


def test_a_fencing_that_failed_tells(tmp_path: Path) -> None:
    folder = gone()
    said = "Operation 'reboot' targeting alpha by bravo for pacemaker-controld.9@bravo: No route"
    folder.journal(30, "bravo", said, identifier="pacemaker-fenced")
    assert str(judge_one(folder.save(tmp_path), "fence-device-told").verdict) == "VALID"


@pytest.mark.parametrize(
    ("t_s", "said"),
    [
        (30, "nothing"),
        (30, MONITOR.format("ok")),
        (30, MONITOR.format("Cancelled")),
        (30, "notice: Result of monitor operation for lun1 on bravo: error"),
        (10, MONITOR.format("error")),
        (80, MONITOR.format("error")),
    ],
)
def test_silence_of_a_short_outage_says_nothing(tmp_path: Path, t_s: float, said: str) -> None:
    folder = gone()
    folder.journal(t_s, "bravo", said, identifier="pacemaker-controld")
    found = judge_one(folder.save(tmp_path), "fence-device-told")
    assert str(found.verdict) == "INCONCLUSIVE"
    assert found.seen == "the fence device was gone for 29 s, and nobody said so"


def test_silence_of_a_long_outage_is_a_cluster_that_does_not_look(tmp_path: Path) -> None:
    found = judge_one(gone(until_s=270).save(tmp_path), "fence-device-told")
    assert str(found.verdict) == "INVALID"
    assert len(found.when_ns) == 2


def down(link: str = "drbd") -> Folder:
    return links_alone(("ifdown", f"{link} link of bravo"))


@pytest.mark.parametrize(
    "said",
    [
        "drbd r1: bind before listen failed, err = -99",
        "drbd r1: bind before connect failed, err = -99",
        "drbd r1: conn( Disconnecting -> StandAlone )",
    ],
)
def test_ifdown_makes_drbd_give_up(tmp_path: Path, said: str) -> None:
    folder = down()
    folder.kernel(24, "bravo", said)
    found = judge_one(folder.save(tmp_path), "ifdown")
    assert (str(found.verdict), found.seen) == (
        "VALID", "DRBD could not bind, and gave its connections up",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("t_s", "node", "said"),
    [
        (24, "bravo", "drbd r1: conn( Unconnected -> WFConnection )"),
        (24, "alpha", "drbd r1: conn( Disconnecting -> StandAlone )"),
        (60, "bravo", "drbd r1: conn( Disconnecting -> StandAlone )"),
    ],
)
def test_an_ifdown_that_is_like_a_cut(tmp_path: Path, t_s: float, node: str, said: str) -> None:
    folder = down()
    folder.kernel(t_s, node, said)
    found = judge_one(folder.save(tmp_path), "ifdown")
    assert (str(found.verdict), found.seen) == (
        "INVALID", "DRBD on bravo only waited, as it does after a cut",
    )  # fmt: skip


def test_of_other_links_drbd_does_not_speak(tmp_path: Path) -> None:
    assert str(judge_one(down("mgmt").save(tmp_path), "ifdown").verdict) == "VALID"
