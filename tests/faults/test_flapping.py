"""A link that flaps: how often the guests saw it, and how it is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.evidence.timeline import Channel, TimelineWriter, read_timeline
from harness.faults.fault import FaultRunner
from harness.faults.flapping import Flapping
from harness.faults.journal import UndoJournal
from harness.faults.undo import undo_open_faults
from harness.lab.topology import Link
from tests.faults.fakes import FakeLab, lab

if TYPE_CHECKING:
    from pathlib import Path

NODES = ("alpha", "bravo")


@pytest.fixture
def fake(tmp_path: Path) -> FakeLab:
    return FakeLab(tmp_path)


@pytest.fixture
def slept(fake: FakeLab, monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, float]]:
    """Each sleep: whether alpha's cable was in, and for how long."""
    times: list[tuple[bool, float]] = []

    def sleep(seconds: float) -> None:
        times.append((fake.card("alpha", Link.DRBD).carrier, seconds))

    monkeypatch.setattr("harness.faults.flapping.time.sleep", sleep)
    return times


def test_so_often_so_long(fake: FakeLab, slept: list[tuple[bool, float]]) -> None:
    fault = Flapping(NODES, Link.DRBD, 3, 5, 2)
    assert fault.target == "drbd link of alpha and bravo, 3 times, 5 s down, 2 s up"
    fault.prepare(lab(fake))
    assert fault.bitten(lab(fake)) == ""
    fault.inject(lab(fake))
    assert slept == [(False, 5), (True, 2), (False, 5), (True, 2), (False, 5)]
    assert fault.bitten(lab(fake)) == "changes of the carrier on drbd: alpha: 6, bravo: 6"
    assert fake.card("bravo", Link.DRBD).carrier, "it is left with the cables in"
    assert fake.card("bravo", Link.MGMT).carrier_changes == 2
    assert "alpha pings 10.77.2.12 over drbd" in fault.healed(lab(fake))


def test_a_guest_that_missed_one_has_not_seen_it(
    fake: FakeLab, slept: list[tuple[bool, float]]
) -> None:
    fault = Flapping(NODES, Link.DRBD, 3, 1, 1)
    fault.prepare(lab(fake))
    fault.inject(lab(fake))
    fake.card("bravo", Link.DRBD).carrier_changes -= 2
    assert fault.bitten(lab(fake)) == ""


def test_a_guest_that_booted_meanwhile_counts_anew(
    fake: FakeLab, slept: list[tuple[bool, float]]
) -> None:
    fault = Flapping(NODES, Link.DRBD, 3, 1, 1)
    fault.prepare(lab(fake))
    fault.inject(lab(fake))
    fake.card("bravo", Link.DRBD).carrier_changes = 2
    assert fault.bitten(lab(fake)) == ""


def test_healing_leaves_the_link_up_whatever_happened(fake: FakeLab) -> None:
    fault = Flapping(NODES, Link.DRBD, 3, 1, 1)
    fake.card("bravo", Link.DRBD).plug(up=False)
    assert fault.healed(lab(fake)) == ""
    fault.heal(lab(fake))
    assert fault.healed(lab(fake))
    for machine in fake.machines.values():
        machine.guest.cut = True
    assert fault.healed(lab(fake)) == "", "nobody answers yet"


def test_ctrl_c_ends_it_at_once_and_the_journal_plugs_the_cables_in(
    fake: FakeLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = TimelineWriter(tmp_path / "timeline.jsonl")
    runner = FaultRunner(lab(fake), writer, bite_deadline_s=0.1, heal_deadline_s=0.1)

    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.faults.flapping.time.sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runner.inject(Flapping(NODES, Link.DRBD, 20, 5, 5))
    assert not fake.card("alpha", Link.DRBD).carrier
    assert fake.card("alpha", Link.DRBD).carrier_changes == 3
    assert list(UndoJournal(tmp_path / "undo.jsonl").open_faults()) == ["f1-flapping"]
    assert undo_open_faults(lab(fake)) == ["f1-flapping"]
    assert all(fake.card(name, Link.DRBD).carrier for name in NODES)


def test_all_of_it_is_told(fake: FakeLab, tmp_path: Path, slept: list[tuple[bool, float]]) -> None:
    writer = TimelineWriter(tmp_path / "timeline.jsonl")
    runner = FaultRunner(lab(fake), writer, bite_deadline_s=0.1, heal_deadline_s=0.1)
    runner.heal(runner.inject(Flapping(NODES, Link.DRBD, 2, 1, 1)))
    kinds = [e.kind for e in read_timeline(writer.path) if e.channel is Channel.FAULT]
    assert kinds == ["plan", "inject", "bitten", "still-bitten", "heal", "healed"]
