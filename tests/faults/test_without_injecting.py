"""No proof is found where nothing was injected: of every kind of fault there is."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import harness.faults
from harness.errors import InconclusiveError
from harness.evidence.timeline import Channel, TimelineWriter, read_timeline
from harness.faults.clock import ClockJump
from harness.faults.cuts import CarrierCut, SilentCut
from harness.faults.daemons import DaemonFrozen, DaemonKilled, DaemonStopped
from harness.faults.disks import DiskErrors, SlowDisk
from harness.faults.drift import ClockDrift
from harness.faults.fault import Fault, FaultRunner
from harness.faults.fence_device import FenceBlocked, FenceDown, FenceHangs, FenceUnreachable
from harness.faults.filling import FileSystemFull
from harness.faults.flapping import Flapping
from harness.faults.impair import Corruption, Duplication, Latency, Loss, Rate, Reordering
from harness.faults.interface import InterfaceDown
from harness.faults.journal import UndoJournal
from harness.faults.maintenance import Maintenance
from harness.faults.mtu import SmallPort, WrongMtu
from harness.faults.panic import KernelPanic, MemoryExhausted
from harness.faults.pause import Pause
from harness.faults.power import PowerOff, Reset
from harness.faults.replicas import DamagedMetadata, Invalidated
from harness.faults.replication import ReplicationCut
from harness.faults.split_brain import ForcedSplitBrain
from harness.faults.standby import Standby
from harness.faults.target import TargetDeleted
from harness.faults.volatile_cache import VolatileCache
from harness.lab.topology import Link
from tests.faults import answering, fakes
from tests.faults.answering import proc_drbd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.lab.lab import Lab

CRM_MON = Path("tests/cluster/fixtures/crm_mon-healthy.xml").read_text(encoding="utf-8")
IDENTIFIERS = "".join(f"{r} 1111111111111111:0:0:0:1:1\n" for r in ("r0", "r1", "r2"))

ON_LINKS: list[Fault] = [
    CarrierCut(("alpha", "bravo"), Link.DRBD),
    SilentCut(("alpha",), (Link.DRBD, Link.MGMT)),
    ReplicationCut("r1"),
    FenceBlocked(("alpha", "bravo")),
    FenceHangs(),
    Flapping(("alpha", "bravo"), Link.DRBD, 2, 1, 1),
    Latency("alpha", Link.DRBD, 200),
    Loss("alpha", Link.DRBD, 5),
    Duplication("alpha", Link.DRBD, 10),
    Reordering("alpha", Link.DRBD, 25),
    Corruption("alpha", Link.DRBD, 5),
    Rate("alpha", Link.DRBD, 1),
    SmallPort("alpha", Link.DRBD, 1500),
    WrongMtu("alpha", Link.DRBD, 1500),
    Pause("alpha"),
]
IN_NODES: list[Fault] = [
    PowerOff("alpha"),
    Reset("alpha"),
    KernelPanic("alpha"),
    MemoryExhausted("alpha"),
    ClockJump("alpha", 3600),
    ClockDrift("alpha", 5),
    FileSystemFull("alpha", "/var"),
    DaemonKilled("alpha", "corosync"),
    DaemonFrozen("alpha", "corosync"),
    DaemonStopped("alpha", "corosync"),
    TargetDeleted("alpha"),
    SlowDisk("alpha", 10),
    DiskErrors("alpha", ("r1",)),
    VolatileCache("alpha"),
    Invalidated("alpha", 512),
    DamagedMetadata("alpha", "r1"),
    FenceDown(("alpha", "bravo")),
    FenceUnreachable(("alpha", "bravo")),
    InterfaceDown("alpha", Link.MGMT),
    Maintenance(),
    Standby("alpha"),
    ForcedSplitBrain("bravo", "r1", 16),
]


def every_kind() -> set[type[Fault]]:
    """Every class of faults that can be made."""
    for module in pkgutil.iter_modules(harness.faults.__path__):
        importlib.import_module(f"harness.faults.{module.name}")
    found, left = set(), [Fault]
    while left:
        kind = left.pop()
        left += kind.__subclasses__()
        if not kind.__abstractmethods__ and kind.__module__.startswith("harness.faults."):
            # By name: of one with slots, dataclass makes a second class, and the first is a
            # subclass as well until it is collected as garbage.
            found.add(getattr(sys.modules[kind.__module__], kind.__name__))
    return found


def test_every_kind_of_fault_is_tried_here() -> None:
    assert {type(fault) for fault in (*ON_LINKS, *IN_NODES)} == every_kind()


def unproved(there: Lab, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run a fault without injecting it, heal it, and tell its stages."""

    def inject(_fault: Fault, _lab: Lab) -> None:
        raise AssertionError("it was injected")

    monkeypatch.setattr(type(fault), "inject", inject)
    monkeypatch.setattr("harness.faults.fault._NEVER_BITTEN_S", 0.0)
    writer = TimelineWriter(there.folder / "timeline.jsonl")
    runner = FaultRunner(there, writer, bite_deadline_s=0.3, injecting=False)
    with pytest.raises(InconclusiveError, match="did not bite: "):
        runner.inject(fault)
    assert list(UndoJournal(there.folder / "undo.jsonl").open_faults()) == [f"f1-{fault.kind}"]
    runner.heal_all()
    assert runner.active == {}
    events = read_timeline(writer.path)
    return [event.kind for event in events if event.channel is Channel.FAULT]


@pytest.fixture
def links(tmp_path: Path) -> Iterator[fakes.FakeLab]:
    """A lab whose links are well and whose fence device runs."""
    fence = fakes.fence_virtd(tmp_path)
    yield fakes.FakeLab(tmp_path)
    fence.kill()
    fence.wait()


@pytest.mark.parametrize("fault", ON_LINKS, ids=lambda fault: str(fault.kind))
def test_links_that_are_well_prove_nothing(
    links: fakes.FakeLab, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = unproved(fakes.lab(links), fault, monkeypatch)
    assert said[:3] == ["plan", "inject", "not-bitten"]
    assert "still-bitten" not in said


class Domain:
    def blockIoTune(self, _disk: str, _flags: int) -> dict[str, int]:
        return {"total_iops_sec": 0}

    def setBlockIoTune(self, _disk: str, _limit: dict[str, int], _flags: int) -> None: ...


class Disks:
    """Stands for failing disks and for volatile caches that nobody put there."""

    def __init__(self) -> None:
        self.lost: dict[str, Any] = {}

    def attach(self) -> None: ...

    def in_use(self) -> bool:
        return True

    def attached(self) -> bool:
        return False

    def detach(self) -> None: ...


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> answering.FakeLab:
    """A lab whose nodes are well."""
    there = answering.FakeLab(tmp_path)
    process = subprocess.Popen(["true"])
    process.wait()
    for machine in there.machines.values():
        machine.domain, guest = Domain(), machine.guest
        guest.answer("pidof", "650 S\n")
        guest.answer("crm_mon", CRM_MON)
        guest.answer("maintenance-mode -G", "false\n")
        guest.answer("get-gi", IDENTIFIERS)
        guest.answer("/proc/drbd", proc_drbd())
        guest.answer("dd if=/dev/disk/by-id/virtio-r2", "took 14 ms\n")
        guest.answer("stat -c", "31077 /sys/kernel/config/target/iscsi/iqn.2026-11.com.example:x\n")
        guest.answer("dump-md", 'version "v08";\n')
        guest.answer("@class='stonith'", '<nvpair name="ipaddr" value="10.77.4.1"/>')
        guest.answer("ip -o link show", "2: mgmt: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500\n")
        # A process that is gone, while the machine runs: a kill that was never made.
        machine.pid = process.pid
    there.host = SimpleNamespace(lab_path=str(tmp_path), run=lambda *_: "State:\tS (sleeping)\n")
    monkeypatch.setattr("harness.faults.disks.FailingDisks", lambda *_: Disks())
    monkeypatch.setattr("harness.faults.volatile_cache.VolatileDisks", lambda *_: Disks())
    return there


@pytest.mark.parametrize("fault", IN_NODES, ids=lambda fault: str(fault.kind))
def test_nodes_that_are_well_prove_nothing(
    nodes: answering.FakeLab, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = unproved(nodes.as_lab, fault, monkeypatch)
    assert said[:3] == ["plan", "inject", "not-bitten"]
    assert "still-bitten" not in said


def test_a_split_that_was_there_before_is_not_the_forced_one(nodes: answering.FakeLab) -> None:
    """The peer has gone on alone since the cut: that alone are two generations, not three."""
    fault = ForcedSplitBrain("bravo", "r1", 16)
    nodes.alpha.answer("get-gi", IDENTIFIERS.replace("1111111111111111", "2222222222222223"))
    fault.prepare(nodes.as_lab)
    assert fault.bitten(nodes.as_lab) == ""
