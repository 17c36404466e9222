"""What a step about nodes and disks breaks, heals or waits for: from its words to the fault."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.errors import DeadlineError, HarnessError
from harness.evidence.livestate import Live
from harness.evidence.timeline import Channel, Event
from harness.evidence.witness import parse_line
from harness.faults.clock import ClockJump
from harness.faults.daemons import DaemonFrozen, DaemonKilled, DaemonStopped
from harness.faults.disks import DiskErrors, SlowDisk
from harness.faults.drift import ClockDrift
from harness.faults.fence_device import FenceDown, FenceUnreachable
from harness.faults.filling import FileSystemFull
from harness.faults.interface import InterfaceDown
from harness.faults.maintenance import Maintenance
from harness.faults.panic import KernelPanic, MemoryExhausted
from harness.faults.pause import Pause
from harness.faults.power import PowerOff
from harness.faults.replicas import DamagedMetadata, Invalidated
from harness.faults.replication import ReplicationCut
from harness.faults.standby import Standby
from harness.faults.target import TargetDeleted
from harness.lab.topology import RESOURCES, Link, Topology
from harness.scenario import Scenario
from harness.timing import TCG
from harness.triggers import Triggers
from tests.steps.test_vocabulary import contexts

if TYPE_CHECKING:
    from harness.faults.fault import Fault


class Faults:
    """Stands for the runner: what is injected, and in which order it is healed."""

    def __init__(self) -> None:
        self.active: dict[str, Fault] = {}
        self.healed: list[tuple[str, ...]] = []

    def heal(self, fault_id: str) -> None:
        self.heal_together([fault_id])

    def heal_together(self, ids: list[str]) -> None:
        self.healed.append(tuple(ids))
        for fault_id in ids:
            del self.active[fault_id]

    def heal_kind(self, kind: type[Fault]) -> int:
        own = [i for i, fault in self.active.items() if isinstance(fault, kind)]
        for fault_id in own:
            self.heal(fault_id)
        return len(own)


class Run:
    """A scenario whose active node is bravo."""

    def __init__(self) -> None:
        topology = Topology()
        machines = {plan.name: SimpleNamespace(name=plan.name) for plan in topology.machines}
        self.lab = SimpleNamespace(
            topology=topology,
            machines=machines,
            nodes=[machines["alpha"], machines["bravo"]],
            initiator=machines["client"],
        )
        self.faults = Faults()
        self.live = Live()
        self.expected: dict[str, Any] = {}
        self.expect = SimpleNamespace(max_stall_s=0.0)
        self.timing = SimpleNamespace(settle_deadline_s=0.05)
        self.notes: list[tuple[str, dict[str, Any]]] = []
        writer = SimpleNamespace(add=lambda _s, _c, kind, data: self.notes.append((kind, data)))
        self.triggers = Triggers(cast("Any", writer))
        self.workload = None

    def node(self, word: str) -> str:
        return {"active": "bravo", "passive": "alpha"}.get(word, word)

    def inject(self, fault: Fault) -> str:
        fault_id = f"f{len(self.faults.active) + 1}"
        self.faults.active[fault_id] = fault
        return fault_id

    def inject_together(self, faults: list[Fault]) -> list[str]:
        return [self.inject(fault) for fault in faults]

    def expectations(self, *numbers: float, **more: bool) -> None:
        self.expected = {"numbers": numbers, **more}

    def wait_for(
        self, what: str, missing: Any, _deadline_s: float, _interval_s: float = 0.2
    ) -> None:
        if text := missing():
            raise DeadlineError(f"{what}: {text}")

    def wait_streamed(self, what: str, missing: Any, most_s: float | None = None) -> None:
        Scenario.wait_streamed(cast("Scenario", self), what, missing, most_s)

    wait_written = Scenario.wait_written
    wait_asking = Scenario.wait_asking


def do(run: Run, text: str) -> None:
    """Carry a step out, as pytest-bdd would."""
    (context,) = [c for _module, c in contexts() if c.parser.is_matching(text)]
    arguments = dict(context.parser.parse_arguments(text) or {})
    for name, convert in context.converters.items():
        arguments[name] = convert(arguments[name])
    context.step_func(run, **arguments)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("the active node panics", KernelPanic("bravo")),
        ("alpha runs out of memory", MemoryExhausted("alpha")),
        ("the clock of the active node jumps forward by 60 min until healed",
         ClockJump("bravo", 3600)),
        ("the clock of the passive node jumps back by 5 min until healed",
         ClockJump("alpha", -300)),
        ("/var of the active node is full until healed", FileSystemFull("bravo", "/var")),
        ("the file system on lun0 is filled to the last byte until healed",
         FileSystemFull("client", "/srv/lun0", written=True)),
        ("corosync of the active node is killed", DaemonKilled("bravo", "corosync")),
        ("pacemaker-controld of alpha is killed", DaemonKilled("alpha", "pacemaker-controld")),
        ("iscsid of the initiator is killed", DaemonKilled("client", "iscsid")),
        ("corosync of the active node stands still until healed",
         DaemonFrozen("bravo", "corosync")),
        ("iscsid of the initiator is stopped until healed", DaemonStopped("client", "iscsid")),
        ("the iSCSI target of the active node is deleted behind the cluster's back",
         TargetDeleted("bravo")),
        ("the disks of the active node do 10 requests a second until healed",
         SlowDisk("bravo", 10)),
        ("the disk of r1 on the active node returns errors until healed",
         DiskErrors("bravo", ("r1",))),
        ("all disks on the passive node return errors until healed",
         DiskErrors("alpha", RESOURCES)),
        ("the passive node has to copy all its data anew, at 512 KiB a second for each resource",
         Invalidated("alpha", 512)),
        ("DRBD's metadata of r2 on the passive node is damaged", DamagedMetadata("alpha", "r2")),
        ("the replication of r1 is cut silently until healed", ReplicationCut("r1")),
        ("the cluster is put into maintenance mode until healed", Maintenance()),
        ("the active node is paused until healed", Pause("bravo")),
    ],
)  # fmt: skip
def test_a_step_injects_its_fault(text: str, fault: Fault) -> None:
    run = Run()
    do(run, text)
    assert list(run.faults.active.values()) == [fault]


@pytest.mark.parametrize(
    "text",
    [
        "corosync of the initiator is killed",
        "iscsid of the active node is killed",
        "sshd of the active node is killed",
        "pacemaker-attd of the active node is killed",
        "the disk of r3 on the active node returns errors until healed",
        "the clock of the active node jumps sideways by 60 min until healed",
        "r1 of the active node is UptoDate",
        "all resources of the initiator are Primary",
        "the replication of r7 is cut silently until healed",
    ],
)
def test_a_misspelt_step_is_an_unknown_one(text: str) -> None:
    assert not [c for _module, c in contexts() if c.parser.is_matching(text)]


def test_only_what_is_named_is_healed() -> None:
    run = Run()
    for fault in (
        Standby("alpha"), Pause("bravo"), DaemonKilled("bravo", "corosync"), PowerOff("alpha"),
        ReplicationCut("r1"),
    ):  # fmt: skip
        run.inject(fault)
    do(run, "the passive node is taken off standby")
    do(run, "the active node goes on")
    do(run, "every daemon runs again")
    do(run, "the links are whole again")
    assert run.faults.healed == [("f1",), ("f2",), ("f3",), ("f5",)]
    assert list(run.faults.active) == ["f4"]
    for text in ("the active node is taken off standby", "the passive node goes on",
                 "every daemon runs again", "both nodes are powered on again",
                 "the links are whole again"):  # fmt: skip
        with pytest.raises(HarnessError):
            do(run, text)


def test_both_nodes_are_powered_on_at_the_same_moment() -> None:
    run = Run()
    for fault in (ReplicationCut("r1"), PowerOff("alpha"), PowerOff("bravo")):
        run.inject(fault)
    do(run, "both nodes are powered on again")
    assert run.faults.healed == [("f2", "f3")]
    assert list(run.faults.active) == ["f1"]


def test_both_nodes_go_on_standby_and_come_back_at_the_same_moment() -> None:
    run = Run()
    do(run, "both nodes are put on standby until healed")
    assert list(run.faults.active.values()) == [Standby("alpha"), Standby("bravo")]
    do(run, "both nodes are taken off standby")
    assert run.faults.healed == [("f1", "f2")]
    do(run, "the passive node is put on standby until healed")
    with pytest.raises(HarnessError, match="was not put on standby"):
        do(run, "both nodes are taken off standby")


def test_that_all_has_stopped_is_asked_of_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    said = ["vip still running", ""]
    monkeypatch.setattr("harness.steps.standby.still_running", lambda _lab: said.pop(0))
    run = Run()
    with pytest.raises(AssertionError, match="vip still running"):
        do(run, "everything has stopped on both nodes")
    do(run, "everything has stopped on both nodes")


@pytest.mark.parametrize(
    ("text", "few_failovers", "few_fencings"),
    [
        ("1 failover, 1 fencing and no stall above 180 s (45 s with KVM) are expected", 0, 0),
        ("at most 1 failover, 0 fencings and no stall above 180 s (45 s with KVM) are expected",
         1, 0),
        ("at most 1 failover, at most 1 fencing and no stall above 9 s (4 s with KVM) are expected",
         1, 1),
        ("0 failovers, at most 2 fencings and no stall above 9 s (4 s with KVM) are expected",
         0, 1),
    ],
)  # fmt: skip
def test_at_most_is_said_of_each_by_itself(
    text: str, few_failovers: int, few_fencings: int
) -> None:
    run = Run()
    do(run, text)
    assert run.expected["fewer_failovers"] == bool(few_failovers)
    assert run.expected["fewer_fencings"] == bool(few_fencings)
    assert len(run.expected["numbers"]) == 4


def test_a_dead_fence_device_is_waited_for_until_somebody_has_asked_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Run()
    run.timing = TCG  # type: ignore[assignment]
    waited: list[float] = []

    def wait(what: str, missing: Any, deadline_s: float, **_more: Any) -> None:
        waited.append(deadline_s)
        if text := missing():
            raise AssertionError(f"{what}: {text}")

    monkeypatch.setattr(run.triggers, "wait", wait)
    with pytest.raises(AssertionError, match="nobody found a fence device failed"):
        do(run, "Pacemaker has found the fence device failed")
    assert waited == [TCG.fence_asked_s + 120]
    said = " notice: Result of monitor operation for fence_alpha on bravo: error"
    run.live.feed(Event(1, "bravo", Channel.JOURNAL, "entry", {"message": said}))
    do(run, "Pacemaker has found the fence device failed")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("the fence device is down until healed", FenceDown(("alpha", "bravo"))),
        ("both nodes have no way to the fence device until healed",
         FenceUnreachable(("alpha", "bravo"))),
        ("the passive node has no way to the fence device until healed",
         FenceUnreachable(("alpha",))),
        ("the clock of the active node gains 5 % until healed", ClockDrift("bravo", 5)),
        ("the clock of alpha loses 10 % until healed", ClockDrift("alpha", -10)),
        ("the drbd link of the passive node is taken down with ifdown until healed",
         InterfaceDown("alpha", Link.DRBD)),
    ],
)  # fmt: skip
def test_what_is_gone_and_what_drifts(text: str, fault: Fault) -> None:
    run = Run()
    do(run, text)
    assert list(run.faults.active.values()) == [fault]


def test_a_card_that_was_taken_down_is_taken_up() -> None:
    run = Run()
    do(run, "the mgmt link of alpha is taken down with ifdown until healed")
    with pytest.raises(HarnessError, match="not taken down before"):
        do(run, "the drbd link of alpha is taken up with ifup")
    do(run, "the mgmt link of alpha is taken up with ifup")
    assert run.faults.healed == [("f1",)]


def test_only_what_stands_alone_is_connected_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    states = {"r0": {"cs": "StandAlone"}, "r1": {"cs": "Connected"}, "r2": {"cs": "StandAlone"}}
    monkeypatch.setattr("harness.steps.disks.drbd_state", lambda _guest: states)
    run = Run()
    ran: list[str] = []
    guest = SimpleNamespace(run=lambda command, **_options: ran.append(command))
    run.lab.machines["alpha"].guest = guest
    do(run, "DRBD is connected again by hand on the passive node")
    assert ran == ["drbdadm connect r0", "drbdadm connect r2"]


def test_an_operator_s_clean_up(monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned: list[object] = []
    monkeypatch.setattr("harness.steps.cluster.clean_up", cleaned.append)
    run = Run()
    do(run, "the failed actions are cleaned up")
    assert cleaned == [run.lab]


def tell(run: Run, node: str, line: str) -> None:
    ((kind, data),) = parse_line(Channel.EVENTS2, line.encode())
    run.live.feed(Event(1, node, Channel.EVENTS2, kind, data))


def test_a_state_is_waited_for_as_it_is_streamed() -> None:
    run = Run()
    for resource in RESOURCES:
        tell(run, "alpha", f"exists resource name:{resource} role:Secondary suspended:no")
        tell(run, "alpha", f"exists device name:{resource} volume:0 minor:0 disk:UpToDate")
    do(run, "all resources of the passive node are UpToDate")
    do(run, "r0 and r2 of alpha are Secondary")
    with pytest.raises(AssertionError, match="alpha: r1 is UpToDate"):
        do(run, "r1 of the passive node is Diskless")
    tell(run, "alpha", "change device name:r1 volume:0 minor:1 disk:Diskless")
    do(run, "r1 of the passive node is Diskless")
    with pytest.raises(AssertionError, match="bravo: r0 is down"):
        do(run, "all resources of the active node are Primary")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Pacemaker has begun to empty the active node",
         "notice: Initiating stop operation pu_stop_0 locally on bravo"),
        ("a start of r1 has failed on the active node",
         "notice: Result of start operation for d1 on bravo: error (failed to attach)"),
        ("the active node has complained of a full disk",
         "error: Could not write CIB to /x: No space left on device"),
    ],
)  # fmt: skip
def test_a_sign_is_waited_for_since_the_last_injection(text: str, message: str) -> None:
    run = Run()
    entry = {"message": message}
    run.live.feed(Event(5, "bravo", Channel.JOURNAL, "entry", entry))
    run.live.feed(Event(6, "host", Channel.FAULT, "inject", {}))
    with pytest.raises(AssertionError, match="bravo"):
        do(run, text)
    run.live.feed(Event(7, "bravo", Channel.JOURNAL, "entry", entry))
    do(run, text)
