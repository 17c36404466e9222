"""Pauses and a fence device that fails: what each does, and what proves it; and every undo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.faults.fence_device import FenceBlocked, FenceHangs
from harness.faults.flapping import Flapping
from harness.faults.impair import Latency
from harness.faults.journal import UndoJournal
from harness.faults.mtu import SmallPort, WrongMtu
from harness.faults.pause import Pause
from harness.faults.undo import undo_open_faults
from harness.lab.topology import MTU, Link
from harness.waiting import wait_until
from tests.faults.fakes import FakeLab, fence_virtd, lab

if TYPE_CHECKING:
    from pathlib import Path

    from harness.faults.fault import Fault


@pytest.fixture
def fake(tmp_path: Path) -> FakeLab:
    return FakeLab(tmp_path)


def test_a_pause_from_begin_to_end(fake: FakeLab) -> None:
    fault, alpha = Pause("alpha"), fake.machines["alpha"]
    fault.prepare(lab(fake))
    assert fault.bitten(lab(fake)) == ""
    fault.inject(lab(fake))
    assert fault.bitten(lab(fake)) == "the CPUs of alpha are paused"
    assert fault.healed(lab(fake)) == ""
    fault.heal(lab(fake))
    assert alpha.state == "running"
    assert "went on, boot id old as before" in fault.healed(lab(fake))
    assert fault.facts() == {"machine": "alpha"}


@pytest.mark.parametrize("state", ["off", "running"])
def test_a_paused_machine_that_was_fenced(fake: FakeLab, state: str) -> None:
    fault, alpha = Pause("alpha"), fake.machines["alpha"]
    fault.prepare(lab(fake))
    assert fault.bitten(lab(fake)) == ""
    fault.inject(lab(fake))
    alpha.state, alpha.guest.now, alpha.pid = state, "new", 8
    assert fault.bitten(lab(fake)) == "QEMU process 7 of alpha ended while it was paused"
    fault.heal(lab(fake))
    assert alpha.state == "running"
    assert "started anew: boot id new, before old" in fault.healed(lab(fake))


def test_a_pause_that_ended_by_itself(fake: FakeLab) -> None:
    fault = Pause("alpha")
    fault.prepare(lab(fake))
    fault.inject(lab(fake))
    fake.machines["alpha"].resume()
    assert fault.bitten(lab(fake)) == ""


def test_the_fence_device_is_blocked_when_no_running_node_reaches_it(fake: FakeLab) -> None:
    fault = FenceBlocked(("alpha", "bravo"))
    for machine in fake.machines.values():
        machine.guest.cut = True
    assert fault.bitten(lab(fake)) == "", "no rule is there yet"
    fault.inject(lab(fake))
    assert fault.bitten(lab(fake)) == "alpha and bravo cannot reach 10.77.4.1 over fence"
    fake.machines["bravo"].guest.cut = False
    assert fault.bitten(lab(fake)) == ""
    fake.machines["bravo"].state = "off"
    assert fault.bitten(lab(fake)).startswith("alpha cannot reach")
    fake.machines["alpha"].state = "off"
    assert fault.bitten(lab(fake)) == "", "nobody was there to try"
    fault.heal(lab(fake))
    assert fake.host.tables == []


def test_the_fence_device_hangs_and_goes_on(fake: FakeLab, tmp_path: Path) -> None:
    process = fence_virtd(tmp_path)
    try:
        fault = FenceHangs()
        assert fault.bitten(lab(fake)) == ""
        fault.inject(lab(fake))
        # Signals are obeyed when the process gets the processor next.
        wait_until("it stops", lambda: "" if fault.bitten(lab(fake)) else "that", deadline_s=60)
        assert fault.bitten(lab(fake)) == "fence_virtd is in state T (stopped)"
        assert fault.healed(lab(fake)) == ""
        fault.heal(lab(fake))
        sleeps = lambda: "" if " S " in fault.healed(lab(fake)) else "its sleep"  # noqa: E731
        wait_until("it sleeps again", sleeps, deadline_s=60)
        assert fault.healed(lab(fake)).startswith("fence_virtd is in state S")
    finally:
        process.kill()
        process.wait()
    assert fault.healed(lab(fake)) == "", "it does not run"


def test_every_undo_survives_the_journal(fake: FakeLab, tmp_path: Path) -> None:
    process = fence_virtd(tmp_path)
    try:
        faults: list[Fault] = [
            Pause("alpha"),
            FenceBlocked(("alpha",)),
            FenceHangs(),
            Latency("bravo", Link.DATA, 50),
            WrongMtu("bravo", Link.DRBD, 1500),
            SmallPort("alpha", Link.DATA, 1500),
            Flapping(("alpha", "bravo"), Link.MGMT, 1, 0, 0),
        ]
        for number, fault in enumerate(faults):
            UndoJournal(tmp_path / "undo.jsonl").plan(f"f{number}", fault.undo())
            fault.inject(lab(fake))
        fake.card("alpha", Link.MGMT).plug(up=False)  # killed in the middle of it
        assert undo_open_faults(lab(fake)) == [f"f{number}" for number in range(7)]
        assert fake.machines["alpha"].state == "running"
        assert fake.host.tables == []
        assert FenceHangs().bitten(lab(fake)) == ""
        assert fake.card("bravo", Link.DATA).netem is None
        assert fake.card("bravo", Link.DRBD).mtu == MTU[Link.DRBD]
        assert fake.port_mtu["fh0b-drbd"] == MTU[Link.DRBD]
        assert fake.port_mtu["fh0a-data"] == MTU[Link.DATA]
        assert fake.card("alpha", Link.MGMT).carrier
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("gone", ["off", "silent"])
def test_what_was_done_in_a_guest_that_is_gone_is_undone(
    fake: FakeLab, tmp_path: Path, gone: str
) -> None:
    journal = UndoJournal(tmp_path / "undo.jsonl")
    journal.plan("f1", Latency("bravo", Link.DATA, 50).undo())
    if gone == "off":
        fake.machines["bravo"].state = "off"
    fake.machines["bravo"].guest.answers = False
    assert undo_open_faults(lab(fake)) == ["f1"]
    assert journal.open_faults() == {}
