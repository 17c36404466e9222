"""The undo journal: on disk before anything is broken, readable after any kill, undone in order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.faults.cuts import CarrierCut, SilentCut
from harness.faults.journal import Undo, UndoJournal
from harness.faults.power import PowerOff, Reset
from harness.faults.undo import undo_open_faults
from harness.lab.topology import Link, Topology

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab.lab import Lab

POWER_ON = Undo("power-on", {"machine": "alpha"})
CABLE = Undo("carrier-up", {"machine": "bravo", "link": "drbd"})


@pytest.fixture
def journal(tmp_path: Path) -> UndoJournal:
    return UndoJournal(tmp_path / "undo.jsonl")


def test_what_is_planned_is_open_until_it_is_done(journal: UndoJournal) -> None:
    assert journal.open_faults() == {}
    journal.plan("f1", [POWER_ON])
    journal.plan("f2", [CABLE, POWER_ON])
    journal.plan("f3", [])
    journal.done("f2")
    assert list(journal.open_faults().items()) == [("f1", [POWER_ON]), ("f3", [])]
    # Another object, as another process would have, sees the same.
    assert UndoJournal(journal.path).open_faults() == journal.open_faults()
    journal.done("f1")
    journal.done("f3")
    journal.done("f9")
    assert journal.open_faults() == {}


def test_an_id_may_be_planned_again_after_it_was_undone(journal: UndoJournal) -> None:
    """Every scenario on one lab counts from f1."""
    journal.plan("f1", [POWER_ON])
    journal.done("f1")
    journal.plan("f2", [CABLE])
    journal.plan("f1", [CABLE])
    assert list(journal.open_faults().items()) == [("f2", [CABLE]), ("f1", [CABLE])]


@pytest.mark.parametrize("last", ["plan", "done"])
def test_a_torn_last_line_counts_as_not_written(journal: UndoJournal, last: str) -> None:
    journal.plan("f1", [POWER_ON])
    before = journal.path.read_bytes()
    open_before = journal.open_faults()
    if last == "plan":
        journal.plan("f2", [CABLE])
    else:
        journal.done("f1")
    whole = journal.path.read_bytes()
    for size in range(len(before), len(whole)):
        journal.path.write_bytes(whole[:size])
        assert journal.open_faults() == open_before, whole[:size]
    journal.path.write_bytes(whole)
    assert journal.open_faults() != open_before


STEPS = st.lists(
    st.tuples(st.sampled_from(["plan", "done"]), st.sampled_from(["f1", "f2", "f3"])), max_size=12
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_the_open_faults_are_those_planned_and_not_done_since(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    journal = UndoJournal(tmp_path_factory.mktemp("j") / "undo.jsonl")
    model: dict[str, list[Undo]] = {}
    for number, (step, fault_id) in enumerate(steps):
        if step == "plan":
            undo = [Undo("power-on", {"machine": f"m{number}"})]
            journal.plan(fault_id, undo)
            model[fault_id] = undo
        else:
            journal.done(fault_id)
            model.pop(fault_id, None)
    assert list(journal.open_faults().items()) == list(model.items())


def test_the_journal_survives_kill_9_at_once(journal: UndoJournal) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from harness.faults.journal import Undo, UndoJournal
journal = UndoJournal(Path(sys.argv[1]))
journal.plan("f1", [Undo("power-on", {"machine": "alpha"})])
journal.plan("f2", [Undo("drop-table", {"table": "cut_alpha"})])
journal.done("f1")
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script, str(journal.path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert journal.open_faults() == {"f2": [Undo("drop-table", {"table": "cut_alpha"})]}
    assert journal.path.stat().st_mode & 0o777 == 0o600


def test_each_entry_is_synced_before_plan_returns(
    journal: UndoJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def fsync(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        assert json.loads(journal.path.read_text().splitlines()[-1])["id"] == "f1"

    monkeypatch.setattr(os, "fsync", fsync)
    journal.plan("f1", [POWER_ON])
    journal.done("f1")
    assert synced == [str(journal.path)] * 2


# ----------------------------------------------------------------------------------- undo


class FakeMachine:
    def __init__(self, name: str, log: list[str], *, on: bool) -> None:
        self.name, self.log, self.on = name, log, on

    def running(self) -> bool:
        return self.on

    def set_carrier(self, link: Link, up: bool) -> None:
        assert isinstance(link, Link)
        self.log.append(f"{self.name} {link} {'up' if up else 'down'}")

    def power_on(self) -> None:
        self.log.append(f"{self.name} on")


class FakeLab:
    """What ``undo_open_faults`` uses of a lab: machines and nft, with a log of what was done."""

    def __init__(
        self, folder: Path, tables: tuple[str, ...] = (), off: tuple[str, ...] = ()
    ) -> None:
        self.folder = folder
        self.topology = Topology(2)
        self.log: list[str] = []
        self.tables = list(tables)
        self.machines = {
            name: FakeMachine(name, self.log, on=name not in off)
            for name in ("alpha", "bravo", "client")
        }
        self.host = SimpleNamespace(run=self._run)

    def _run(self, *command: str) -> str:
        if command == ("nft", "list", "tables"):
            return "".join(f"table bridge fh2_{name}\n" for name in self.tables)
        assert command[:4] == ("nft", "delete", "table", "bridge"), command
        assert command[4].startswith("fh2_"), "another lab's table"
        name = command[4].removeprefix("fh2_")
        self.tables.remove(name)
        self.log.append(f"dropped {name}")
        return ""

    def undo(self) -> list[str]:
        return undo_open_faults(cast("Lab", self))


def test_only_open_faults_are_undone_oldest_first_and_once(tmp_path: Path) -> None:
    lab = FakeLab(tmp_path, tables=("cut_a", "cut_ab"))
    journal = UndoJournal(tmp_path / "undo.jsonl")
    journal.plan("f1", [CABLE])
    journal.plan("f2", [Undo("drop-table", {"table": "cut_a"})])
    journal.plan("f3", [POWER_ON])
    journal.done("f1")
    assert lab.undo() == ["f2", "f3"]
    assert lab.log == ["dropped cut_a", "alpha on"]
    assert lab.tables == ["cut_ab"], "a table whose name begins alike is another one"
    assert lab.undo() == []
    assert journal.open_faults() == {}
    assert len(lab.log) == 2


def test_steps_of_a_fault_are_undone_last_first(tmp_path: Path) -> None:
    lab = FakeLab(tmp_path)
    undo = CarrierCut(("alpha", "bravo"), Link.MGMT).undo()
    UndoJournal(tmp_path / "undo.jsonl").plan("f1", undo)
    assert lab.undo() == ["f1"]
    assert lab.log == ["bravo mgmt up", "alpha mgmt up"]


def test_what_is_undone_already_is_left_alone(tmp_path: Path) -> None:
    lab = FakeLab(tmp_path, tables=("cut_ab",))
    journal = UndoJournal(tmp_path / "undo.jsonl")
    journal.plan("f1", [Undo("drop-table", {"table": "cut_a"})])
    assert lab.undo() == ["f1"]
    # The table is gone: it was dropped before the kill, or the lab's namespace was made anew.
    assert (lab.log, lab.tables) == ([], ["cut_ab"])
    assert journal.open_faults() == {}


def test_the_cable_of_a_machine_that_is_off_is_plugged_in_too(tmp_path: Path) -> None:
    """Its definition says that the cable is out: it would start without its carrier."""
    lab = FakeLab(tmp_path, off=("bravo",))
    journal = UndoJournal(tmp_path / "undo.jsonl")
    journal.plan("f1", [CABLE])
    assert lab.undo() == ["f1"]
    assert lab.log == ["bravo drbd up"]
    assert journal.open_faults() == {}


def test_an_unknown_operation_is_an_error_and_stays_open(tmp_path: Path) -> None:
    lab = FakeLab(tmp_path)
    journal = UndoJournal(tmp_path / "undo.jsonl")
    journal.plan("f1", [Undo("unplug-everything", {})])
    with pytest.raises(HarnessError, match="unknown operation: unplug-everything"):
        lab.undo()
    assert list(journal.open_faults()) == ["f1"]


@pytest.mark.parametrize(
    ("fault", "log"),
    [
        (CarrierCut(("bravo",), Link.DATA), ["bravo data up"]),
        (PowerOff("bravo"), ["bravo on"]),
        (Reset("alpha"), ["alpha on"]),
        (
            SilentCut(("alpha", "bravo"), (Link.DRBD, Link.MGMT)),
            ["dropped cut_alpha_bravo_drbd_mgmt_both"],
        ),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_the_undo_of_every_fault_survives_the_journal(
    tmp_path: Path, fault: Any, log: list[str]
) -> None:
    tables = tuple(u.arguments["table"] for u in fault.undo() if u.op == "drop-table")
    lab = FakeLab(tmp_path, tables=tables)
    UndoJournal(tmp_path / "undo.jsonl").plan("f1", fault.undo())
    assert lab.undo() == ["f1"]
    assert lab.log == log
