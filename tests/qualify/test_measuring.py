"""What took how long, from evidence that says so; and what is no measure of a host."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from harness.evidence.model import Evidence
from harness.qualify import measuring
from tests.checks.fio_files import stamp
from tests.qualify.build import BOOT_S, saved, timed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.qualify.measuring import Took
    from tests.checks.build import Folder

COROSYNC = "corosync"
LATE = "  [TOTEM ] Token has not been received in 2251 ms"
TIMED_OUT = (
    "  [TOTEM ] A processor failed, forming new configuration: token timed out (3000ms), "
    "waiting 3600ms for consensus."
)
PAUSED = (
    "  [MAIN  ] Corosync main process was not scheduled (@1764) for 2612.5 ms (threshold is "
    "2400.0 ms). Consider token timeout increase."
)
PING = "drbd r0: PingAck did not arrive in time."


def measured(
    folder: Folder, path: Path, measure: Callable[[Evidence], list[Took]]
) -> list[tuple[float, bool]]:
    found = measure(Evidence(saved(folder, path)))
    return [(round(one.seconds, 3), one.over) for one in found]


@pytest.mark.parametrize(
    ("measure", "seconds"),
    [
        pytest.param(partial(measuring.operations, names=("promote",)), [4.0], id="promote"),
        pytest.param(partial(measuring.operations, names=("start",)), [3.0, 15.0], id="start"),
        pytest.param(
            partial(measuring.operations, names=("start",), but=r"d\d+"),
            [3.0],
            id="start-but-disks",
        ),
        pytest.param(
            partial(measuring.operations, names=("stop", "demote")), [7.0], id="stop-demote"
        ),
        pytest.param(partial(measuring.operations, names=("monitor",)), [1.0], id="monitor"),
        pytest.param(measuring.handlers, [2.0], id="handlers"),
        pytest.param(measuring.sessions, [13.0], id="sessions"),
        pytest.param(measuring.boots, [BOOT_S], id="boots"),
        pytest.param(measuring.reverts, [7.0], id="reverts"),
        pytest.param(measuring.settling, [7.0], id="settling"),
        pytest.param(measuring.standstills, [16.0], id="standstills"),
        pytest.param(measuring.stalls, [16.0], id="stalls"),
        pytest.param(measuring.reboots, [], id="reboots"),
        pytest.param(measuring.late_tokens, [], id="late_tokens"),
        pytest.param(measuring.late_pings, [], id="late_pings"),
    ],
)
def test_what_took_how_long(
    tmp_path: Path, measure: Callable[[Evidence], list[Took]], seconds: list[float]
) -> None:
    assert measured(timed(), tmp_path / "s", measure) == [(one, False) for one in seconds]


def test_where_it_can_be_looked_up(tmp_path: Path) -> None:
    (promote,) = measuring.operations(Evidence(saved(timed(), tmp_path / "s")), ("promote",))
    folder, _, line = promote.where.rpartition(":")
    assert folder == "s/timeline.jsonl"
    text = (tmp_path / "s/timeline.jsonl").read_text().splitlines()[int(line) - 1]
    assert "Result of promote operation for d0" in text


def test_an_operation_that_timed_out_is_over(tmp_path: Path) -> None:
    folder = timed()
    for event in folder.events:
        if "Result of stop operation for lun0" in str(event.data.get("message")):
            event.data["message"] = (
                " notice: Result of stop operation for lun0 on bravo: Timed Out after 1m30s "
                "(Resource agent did not complete in time)"
            )
    stops = measured(folder, tmp_path, partial(measuring.operations, names=("stop",)))
    assert stops == [(7.0, True)]


def test_an_operation_that_was_cut_off_by_a_boot_has_no_length(tmp_path: Path) -> None:
    folder = timed()
    for event in folder.events:
        if "Result of promote" in str(event.data.get("message")):
            event.data["boot_id"] = "bravo-boot-2"
    assert measured(folder, tmp_path, partial(measuring.operations, names=("promote",))) == []


@pytest.mark.parametrize("measure", [measuring.handlers, measuring.sessions])
def test_who_waits_for_a_slow_fence_device_waits_for_the_scenario(
    tmp_path: Path, measure: Callable[[Evidence], list[Took]]
) -> None:
    folder = timed()
    assert measured(folder, tmp_path / "quick", measure)
    fault = {"fault": "slow", "kind": "fence-hangs", "target": "fencing", "id": "f2", "proof": ""}
    folder.add(26, "host", "fault", "inject", **fault)
    folder.add(33, "host", "fault", "healed", **fault)
    assert measured(folder, tmp_path / "slow", measure) == []


def test_a_session_that_was_given_up_is_over(tmp_path: Path) -> None:
    folder = timed()
    text = " session1: session recovery timed out after 10 secs"
    folder.journal(31.9, "client", text, identifier="kernel", transport="kernel")
    assert measured(folder, tmp_path, measuring.sessions) == [(10.0, True), (13.0, False)]


def test_a_boot_that_was_cut_short_is_none(tmp_path: Path) -> None:
    folder = timed()
    folder.add(40, "alpha", "domain", "lifecycle", event="stopped", detail="failed")
    assert measured(folder, tmp_path, measuring.boots) == []


def test_a_cluster_that_did_not_settle_is_over(tmp_path: Path) -> None:
    folder = timed()
    folder.add(88, "host", "state", "not-settled", text="DRBD is not connected")
    assert measured(folder, tmp_path, measuring.settling) == [(7.0, True)]


def test_clean_reboots_are_told_by_their_samples(tmp_path: Path) -> None:
    folder = timed()
    for seconds in (41.5, None):
        value = {"node": "alpha", "seconds": seconds, "deadline_s": 300.0}
        folder.sample(70, "reboot", "during", "alpha", value)
    assert measured(folder, tmp_path, measuring.reboots) == [(41.5, False), (300.0, True)]


@pytest.mark.parametrize(
    ("t_s", "message", "told"),
    [
        (10, LATE, [(2.251, False)]),
        (10, TIMED_OUT, [(3.0, True)]),
        (10, PAUSED, [(2.612, False)]),
        (22, LATE, []),  # alpha has no power
        (24, TIMED_OUT, []),
        (24, PAUSED, [(2.612, False)]),  # no peer can make bravo's process stand still
        (70, TIMED_OUT, []),  # a membership may still be forming after a heal at 60 s
        (76, TIMED_OUT, [(3.0, True)]),
    ],
)
def test_corosync_says_when_it_was_late(
    tmp_path: Path, t_s: float, message: str, told: list[tuple[float, bool]]
) -> None:
    folder = timed()
    folder.journal(t_s, "bravo", message, identifier=COROSYNC)
    assert measured(folder, tmp_path, measuring.late_tokens) == told


def test_a_node_that_is_paused_on_purpose_says_nothing_of_the_host(tmp_path: Path) -> None:
    folder = timed()
    fault = {"fault": "p", "kind": "pause", "target": "bravo", "machine": "bravo", "id": "f2"}
    folder.add(5, "host", "fault", "inject", **fault, proof="")
    folder.add(7, "host", "fault", "healed", **fault, proof="seen")
    folder.journal(70, "bravo", PAUSED, identifier=COROSYNC)
    assert measured(folder, tmp_path, measuring.late_tokens) == []


def test_a_corosync_that_starts_is_waited_for_by_nobody(tmp_path: Path) -> None:
    folder = timed()
    for t_s, text in (
        (70.0, "  [MAIN  ] Corosync Cluster Engine 3.1.7 starting up"),
        (71.0, PAUSED),
        (72.0, "  [TOTEM ] A new membership (1.e) was formed. Members joined: 1"),
    ):
        folder.journal(t_s, "alpha", text, identifier=COROSYNC, boot="2")
    assert measured(folder, tmp_path / "starting", measuring.late_tokens) == []
    folder.journal(73, "alpha", PAUSED, identifier=COROSYNC, boot="2")
    assert measured(folder, tmp_path / "member", measuring.late_tokens) == [(2.612, False)]


def test_a_node_that_was_fenced_leaves_its_peer_without_a_token(tmp_path: Path) -> None:
    folder = timed()
    folder.journal(79, "bravo", TIMED_OUT, identifier=COROSYNC)
    folder.journal(79, "bravo", PING, identifier="kernel", transport="kernel")
    assert measured(folder, tmp_path / "alone", measuring.late_tokens) == [(3.0, True)]
    folder.add(76, "alpha", "domain", "lifecycle", event="stopped", detail="failed")
    assert measured(folder, tmp_path / "fenced", measuring.late_tokens) == []
    assert measured(folder, tmp_path / "fenced", measuring.late_pings) == []


@pytest.mark.parametrize(("t_s", "told"), [(10, [(0.0, True)]), (24, [])])
def test_drbd_gives_its_peer_up(tmp_path: Path, t_s: float, told: list[tuple[float, bool]]) -> None:
    folder = timed()
    folder.journal(t_s, "bravo", PING, identifier="kernel", transport="kernel")
    assert measured(folder, tmp_path, measuring.late_pings) == told


def test_how_long_nothing_was_broken(tmp_path: Path) -> None:
    # From the nonces at 0 s to 20 s, and from 15 s after the heal at 60 s to the end at 95 s.
    evidence = Evidence(saved(timed(), tmp_path))
    after_s = (evidence.end_ns - stamp(75)) / 1e9
    assert measuring.unbroken_s(evidence) == pytest.approx(20 + after_s)


def test_without_a_verdict_there_is_no_stall_and_no_phase(tmp_path: Path) -> None:
    evidence = Evidence(timed().save(tmp_path))
    assert measuring.standstills(evidence) == measuring.stalls(evidence) == []
    assert measuring.failovers(evidence) == []
    (tmp_path / "verdict.json").write_text("{")
    assert measuring.standstills(evidence) == []


def test_the_phases_of_a_failover_are_those_of_its_check(tmp_path: Path) -> None:
    evidence = Evidence(saved(timed(), tmp_path))
    assert measuring.failovers(evidence) == [{"detected": 6.5, "promoted": 3.0}]
