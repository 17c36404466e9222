"""A failover's phases: where each one ends, and what makes the story doubtful."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from harness.checks import Verdict, judge_one
from harness.checks.phases import Phase, failovers_of
from harness.evidence.model import Evidence
from tests.checks.build import Folder, healthy
from tests.checks.fio_files import stamp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SLUG = "failover-phases"


def move(folder: Folder, text: str, t_s: float) -> None:
    """Tell the journal entries with this text at another time."""
    for event in folder.events:
        if text in str(event.data.get("message")):
            event.t_s = t_s
            event.data["monotonic_us"] = int((t_s + 100) * 1e6)


def test_the_phases_of_a_power_cut(tmp_path: Path) -> None:
    result = judge_one(healthy().save(tmp_path), SLUG)
    assert result.verdict is Verdict.VALID
    (told,) = result.details["failovers"]
    phases = told["phases"]
    assert list(phases) == [str(phase) for phase in Phase]
    assert phases["detected"] == pytest.approx(4, abs=0.1)
    assert phases["fenced"] == pytest.approx(4, abs=0.1)
    assert phases["promoted"] == pytest.approx(3, abs=0.3)
    assert phases["target and LUNs up"] == pytest.approx(3.6, abs=0.3)
    assert phases["session back"] == pytest.approx(0.3, abs=0.3)
    assert sum(phases.values()) == pytest.approx(
        (told["end_ns"] - told["start_ns"]) / 1e9, abs=0.01
    )
    assert "alpha to bravo: before the fault" in result.seen
    assert len(result.evidence) == 5


@pytest.mark.parametrize("other", ["fence_alpha", "ping", "d1", "pu"])
def test_what_is_started_besides_serves_nothing(tmp_path: Path, other: str) -> None:
    folder = healthy()
    before = judge_one(folder.save(tmp_path / "before"), "failover-phases").seen
    said = f" notice: Result of start operation for {other} on bravo: ok"
    folder.journal(34.9, "bravo", said, identifier="pacemaker-controld")
    assert judge_one(folder.save(tmp_path / "after"), "failover-phases").seen == before


def test_the_blackout_is_the_longest_standstill_around_the_promotion(tmp_path: Path) -> None:
    (told,) = failovers_of(Evidence(healthy().save(tmp_path)))
    start, end = told.blackout_ns
    assert stamp(19) < start < stamp(20)
    assert stamp(35) < end < stamp(35.6)
    assert told.fault_ns == stamp(20)
    assert [moment.phase for moment in told.moments] == list(Phase)[1:-1]


def test_without_fencing_there_is_no_such_phase(tmp_path: Path) -> None:
    folder = healthy()
    folder.drop(lambda e: "Operation 'reboot'" in str(e.data.get("message")))
    (told,) = failovers_of(Evidence(folder.save(tmp_path)))
    assert Phase.FENCED not in told.seconds()
    assert told.missing == ()


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        ("state is now lost|will be fenced", "detected"),
        ("Result of start", "target and LUNs up"),
        ("is operational", "session back"),
    ],
)
def test_a_phase_that_nobody_told_of(tmp_path: Path, text: str, phase: str) -> None:
    folder = healthy()
    folder.drop(lambda e: re.search(text, str(e.data.get("message"))) is not None)
    result = judge_one(folder.save(tmp_path), SLUG)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert f"nobody told of {phase}" in result.seen


@pytest.mark.parametrize(
    ("text", "t_s", "says"),
    [
        ("Operation 'reboot'", 20.1, "fenced was 3.9 s before detected"),
        ("state is now lost", 30.9, ""),
        ("is operational", 37.5, ""),
        ("is operational", 31.2, "session back was 3.4 s before target and LUNs up"),
    ],
)
def test_an_order_that_cannot_be(tmp_path: Path, text: str, t_s: float, says: str) -> None:
    folder = healthy()
    move(folder, text, t_s)
    result = judge_one(folder.save(tmp_path), SLUG)
    assert result.verdict is (Verdict.INCONCLUSIVE if says else Verdict.VALID), result.seen
    assert says in result.seen


def test_a_node_may_be_called_unclean_without_having_been_lost(tmp_path: Path) -> None:
    """Its controller died, and Corosync still has it."""
    folder = healthy()
    folder.drop(lambda e: "state is now lost" in str(e.data.get("message")))
    result = judge_one(folder.save(tmp_path), SLUG)
    assert result.verdict is Verdict.VALID
    assert result.details["failovers"][0]["phases"]["detected"] == pytest.approx(6, abs=0.1)


@pytest.mark.parametrize("t_s", [24.5, 26.5, 29])
def test_a_fault_that_is_injected_while_the_cluster_acts_is_not_what_it_acts_on(
    tmp_path: Path, t_s: float
) -> None:
    """The node was lost at 24 s, called unclean at 26 s, and fenced at 28 s."""
    folder = healthy()
    for kind in ("inject", "bitten", "heal", "healed"):
        folder.add(t_s, "host", "fault", kind, id="f9", fault="latency", kind="latency", proof="")
    (told,) = failovers_of(Evidence(folder.save(tmp_path)))
    # Called unclean again after the injection, and fenced after that: then it may be due to it.
    assert told.fault_ns == stamp(t_s if t_s < 25 else 20)
    assert told.missing == ()
    assert judge_one(tmp_path, SLUG).verdict is Verdict.VALID


def both_down(folder: Folder) -> None:
    """bravo lost its power with alpha, and has booted when it is promoted."""
    unseen = ("state is now lost", "will be fenced", "Operation 'reboot'")
    folder.drop(lambda e: any(text in str(e.data.get("message")) for text in unseen))
    folder.add(20.3, "bravo", "domain", "lifecycle", event="stopped", detail="failed")
    folder.add(25, "bravo", "domain", "lifecycle", event="started", detail="booted")


def test_a_node_that_was_down_itself_detected_nothing(tmp_path: Path) -> None:
    folder = healthy()
    both_down(folder)
    (told,) = failovers_of(Evidence(folder.save(tmp_path)))
    assert told.missing == ()
    assert Phase.DETECTED not in told.seconds()
    assert judge_one(tmp_path, SLUG).verdict is Verdict.VALID
    folder.drop(lambda e: e.channel == "domain" and e.source == "bravo")
    assert "nobody told of detected" in judge_one(folder.save(tmp_path / "b"), SLUG).seen


@pytest.mark.parametrize(
    ("fewer", "verdict"), [(True, Verdict.VALID), (False, Verdict.INCONCLUSIVE)]
)
def test_no_failover_is_right_where_there_may_be_fewer(
    tmp_path: Path, fewer: bool, verdict: Verdict
) -> None:
    folder = healthy()
    folder.scenario["expect"]["fewer_failovers"] = fewer
    folder.drop(lambda e: "role(" in str(e.data) or (e.channel, e.kind) == ("events2", "change"))
    for when in ("before", "after"):
        for node in ("alpha", "bravo"):
            for state in folder.value("drbd", when, node).values():
                state["role"] = "Primary" if node == "alpha" else "Secondary"
    result = judge_one(folder.save(tmp_path), SLUG)
    assert result.verdict is verdict, result.seen
    assert ("no failover, as may be" in result.seen) == fewer


def no_roles(folder: Folder) -> None:
    folder.drop(lambda e: "role(" in str(e.data) or e.channel == "events2")


def no_clock(folder: Folder) -> None:
    folder.drop(lambda e: e.channel == "clock")


@pytest.mark.parametrize("spoil", [no_roles, no_clock])
def test_without_roles_or_clock_nothing_can_be_said(
    tmp_path: Path, spoil: Callable[[Folder], None]
) -> None:
    folder = healthy()
    spoil(folder)
    assert judge_one(folder.save(tmp_path), SLUG).verdict is Verdict.INCONCLUSIVE


def test_it_is_asked_of_failovers_only(tmp_path: Path) -> None:
    folder = healthy()
    folder.scenario["expect"]["failovers"] = 0
    assert "does not apply" in judge_one(folder.save(tmp_path), SLUG).seen
