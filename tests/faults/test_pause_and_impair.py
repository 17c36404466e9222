"""Pauses, a fence device that fails, links that are bad: what each does, and what proves it."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.errors import HarnessError
from harness.faults.fence_device import FenceBlocked, FenceHangs
from harness.faults.impair import Latency, WrongMtu
from harness.faults.journal import UndoJournal
from harness.faults.pause import Pause
from harness.faults.undo import undo_open_faults
from harness.lab.topology import MTU, Link, Topology

if TYPE_CHECKING:
    from pathlib import Path

    from harness.faults.fault import Fault
    from harness.lab.lab import Lab


class Guest:
    """A guest whose card has an MTU and a queueing discipline."""

    def __init__(self) -> None:
        self.now = "old"
        self.delay_ms = 0
        self.mtu = MTU[Link.DRBD]
        self.cut = False
        self.answers = True

    def boot_id(self) -> str:
        return self.now

    def run(self, command: str, *, check: bool = True, **_options: Any) -> SimpleNamespace:
        if not self.answers:
            raise HarnessError("alpha does not answer")
        words = command.split()
        match words[:3]:
            case ["tc", "qdisc", "replace"]:
                self.delay_ms = int(words[words.index("delay") + 1].removesuffix("ms"))
            case ["tc", "qdisc", "del"]:
                self.delay_ms = 0
            case ["tc", "qdisc", "show"]:
                return done("qdisc netem 8001: root" if self.delay_ms else "qdisc pfifo_fast 0:")
            case ["ip", "link", "set"]:
                self.mtu = int(words[-1])
            case ["ping", "-M", "do"]:
                return done("", self.cut or int(words[4]) + 28 > self.mtu)
            case ["ping", "-c", "3"]:
                rtt = self.delay_ms + 0.4
                return done(f"rtt min/avg/max/mdev = {rtt}/{rtt}/{rtt}/0.1 ms" * (not self.cut))
            case ["ping", "-c", "1"]:
                return done("", self.cut)
            case _:
                raise AssertionError(command)
        return done("")


def done(stdout: str, failed: bool = False) -> SimpleNamespace:
    return SimpleNamespace(stdout=stdout, exit_code=int(failed))


class Machine:
    def __init__(self) -> None:
        self.guest = Guest()
        self.state = "running"

    def running(self) -> bool:
        return self.state != "off"

    def paused(self) -> bool:
        return self.state == "paused"

    def pause(self) -> None:
        self.state = "paused"

    def resume(self) -> None:
        assert self.state == "paused"
        self.state = "running"

    def power_on(self) -> None:
        if self.state == "off":
            self.state, self.guest.now = "running", "new"


class Host:
    """Rules of nftables by table, and a process that stands for fence_virtd."""

    def __init__(self, folder: Path) -> None:
        self.lab_path = str(folder)
        self.tables: list[str] = []

    def run(self, *command: str, input_text: str | None = None) -> str:
        if command == ("nft", "-f", "-"):
            self.tables.append(str(input_text).split()[2])
        elif command == ("nft", "list", "tables"):
            return "".join(f"table bridge {name}\n" for name in self.tables)
        elif command[:2] == ("nft", "delete"):
            self.tables.remove(command[-1])
        else:
            assert command[:2] == ("sh", "-c")
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return ""


class FakeLab:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.topology = Topology()
        self.machines = {"alpha": Machine(), "bravo": Machine()}
        self.host = Host(folder)


@pytest.fixture
def fake(tmp_path: Path) -> FakeLab:
    return FakeLab(tmp_path)


def lab(fake: FakeLab) -> Lab:
    return cast("Lab", fake)


def test_a_pause_from_begin_to_end(fake: FakeLab) -> None:
    fault, alpha = Pause("alpha"), fake.machines["alpha"]
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
    fault.inject(lab(fake))
    alpha.state, alpha.guest.now = state, "new"
    assert fault.bitten(lab(fake)) == ""
    fault.heal(lab(fake))
    assert alpha.state == "running"
    assert "started anew: boot id new, before old" in fault.healed(lab(fake))


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
    process = subprocess.Popen(["sleep", "60"])
    try:
        (tmp_path / "fence_virtd.pid").write_text(f"{process.pid}\n")
        fault = FenceHangs()
        assert fault.bitten(lab(fake)) == ""
        fault.inject(lab(fake))
        assert fault.bitten(lab(fake)) == "fence_virtd is in state T (stopped)"
        assert fault.healed(lab(fake)) == ""
        fault.heal(lab(fake))
        assert fault.healed(lab(fake)).startswith("fence_virtd is in state S")
    finally:
        process.kill()
        process.wait()
    assert fault.healed(lab(fake)) == "", "it does not run"


def test_latency_is_proved_by_a_ping(fake: FakeLab) -> None:
    fault, guest = Latency("alpha", Link.DRBD, 200), fake.machines["alpha"].guest
    assert fault.bitten(lab(fake)) == ""
    fault.inject(lab(fake))
    assert fault.bitten(lab(fake)) == "a ping takes 200 ms"
    assert fault.healed(lab(fake)) == ""
    fault.heal(lab(fake))
    assert "no netem on drbd of alpha" in fault.healed(lab(fake))
    guest.cut = True
    assert fault.healed(lab(fake)) == ""
    assert fault.bitten(lab(fake)) == ""
    assert fault.target == "drbd link of alpha, 200 ms"


def test_a_wrong_mtu_lets_small_frames_pass(fake: FakeLab) -> None:
    fault, guest = WrongMtu("alpha", Link.DRBD, 1500), fake.machines["alpha"].guest
    assert fault.bitten(lab(fake)) == ""
    fault.inject(lab(fake))
    assert guest.mtu == 1500
    assert fault.bitten(lab(fake)) == "a full frame does not pass, a small one does"
    guest.cut = True
    assert fault.bitten(lab(fake)) == "", "nothing passes: that is another fault"
    guest.cut = False
    assert fault.healed(lab(fake)) == ""
    fault.heal(lab(fake))
    assert fault.healed(lab(fake)) == "8972 bytes pass"


def test_every_undo_survives_the_journal(fake: FakeLab, tmp_path: Path) -> None:
    process = subprocess.Popen(["sleep", "60"])
    (tmp_path / "fence_virtd.pid").write_text(f"{process.pid}\n")
    try:
        faults: list[Fault] = [
            Pause("alpha"),
            FenceBlocked(("alpha",)),
            FenceHangs(),
            Latency("bravo", Link.DATA, 50),
            WrongMtu("bravo", Link.DRBD, 1500),
        ]
        for number, fault in enumerate(faults):
            UndoJournal(tmp_path / "undo.jsonl").plan(f"f{number}", fault.undo())
            fault.inject(lab(fake))
        assert undo_open_faults(lab(fake)) == [f"f{number}" for number in range(5)]
        assert fake.machines["alpha"].state == "running"
        assert fake.host.tables == []
        assert FenceHangs().bitten(lab(fake)) == ""
        bravo = fake.machines["bravo"].guest
        assert (bravo.delay_ms, bravo.mtu) == (0, MTU[Link.DRBD])
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
