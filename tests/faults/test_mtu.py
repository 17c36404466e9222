"""Ends of a link that take no large frames: a card, and the switch port before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.faults.journal import UndoJournal
from harness.faults.mtu import SmallPort, WrongMtu
from harness.faults.undo import undo_open_faults
from harness.lab.topology import MTU, Link
from tests.faults.fakes import FakeLab, lab

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def fake(tmp_path: Path) -> FakeLab:
    return FakeLab(tmp_path)


BOTH = [WrongMtu("bravo", Link.DRBD, 1500), SmallPort("bravo", Link.DRBD, 1500)]


@pytest.mark.parametrize("fault", BOTH, ids=lambda f: f.kind)
def test_small_frames_pass_and_large_ones_do_not(fake: FakeLab, fault: SmallPort) -> None:
    alpha, card = fake.machines["alpha"], fake.card("bravo", Link.DRBD)
    assert fault.target == "drbd link of bravo, 1500 bytes"
    assert fault.bitten(lab(fake)) == ""
    fault.inject(lab(fake))
    assert fake.port_mtu["fh0b-drbd"] == 1500
    assert card.mtu == (1500 if fault.kind == "wrong-mtu" else 9000)
    assert fault.bitten(lab(fake)) == (
        "from alpha to bravo a full frame does not pass, a small one does"
    )
    alpha.guest.cut = True
    assert fault.bitten(lab(fake)) == "", "nothing passes: that is another fault"
    alpha.guest.cut = False
    assert fault.healed(lab(fake)) == ""
    fault.heal(lab(fake))
    assert (card.mtu, fake.port_mtu["fh0b-drbd"]) == (9000, 9000)
    assert fault.healed(lab(fake)) == "8972 bytes pass between alpha and bravo"


def test_it_is_not_healed_until_full_frames_pass_both_ways(fake: FakeLab) -> None:
    """A virtio card takes what it could not send: one direction alone may pass."""
    fault = WrongMtu("bravo", Link.DRBD, 1500)
    fault.inject(lab(fake))
    fake.port_mtu["fh0b-drbd"] = 9000
    assert fault.bitten(lab(fake)) == "", "the card alone holds nothing up that it gets"
    assert fault.healed(lab(fake)) == ""


@pytest.mark.parametrize(
    ("machine", "source"), [("alpha", "bravo"), ("bravo", "alpha"), ("client", "alpha")]
)
def test_another_machine_of_the_link_sends_the_frames(
    fake: FakeLab, machine: str, source: str
) -> None:
    fault = SmallPort(machine, Link.DATA, 1500)
    fault.inject(lab(fake))
    assert fault.bitten(lab(fake)).startswith(f"from {source} to {machine} ")
    commands = fake.machines[source].guest.commands
    address = fake.topology.machine(machine).card(Link.DATA).address
    assert all(command.endswith(f"-I data {address}") for command in commands)
    assert all(command.startswith("ping -M do") for command in commands)


@pytest.mark.parametrize("fault", BOTH, ids=lambda f: f.kind)
@pytest.mark.parametrize("gone", ["", "off", "silent"])
def test_the_journal_undoes_it_as_far_as_it_is_there(
    fake: FakeLab, tmp_path: Path, fault: SmallPort, gone: str
) -> None:
    journal = UndoJournal(tmp_path / "undo.jsonl")
    journal.plan("f1", fault.undo())
    fault.inject(lab(fake))
    if gone:
        fake.machines["bravo"].guest.answers = False
    if gone == "off":
        fake.machines["bravo"].state = "off"
        del fake.port_mtu["fh0b-drbd"]  # its tap went with its QEMU
    assert undo_open_faults(lab(fake)) == ["f1"]
    assert journal.open_faults() == {}
    if gone != "off":
        assert fake.port_mtu["fh0b-drbd"] == MTU[Link.DRBD]
    if not gone:
        assert fake.card("bravo", Link.DRBD).mtu == MTU[Link.DRBD]


def test_a_journal_of_an_older_harness_is_undone(fake: FakeLab, tmp_path: Path) -> None:
    """It knew of the card only."""
    line = '{"id": "f1", "state": "planned", "undo": [{"op": "mtu", "arguments": {"machine": '
    (tmp_path / "undo.jsonl").write_text(line + '"bravo", "link": "drbd"}}]}\n')
    fake.card("bravo", Link.DRBD).mtu = 1500
    assert undo_open_faults(lab(fake)) == ["f1"]
    assert fake.card("bravo", Link.DRBD).mtu == 9000
