"""Steps that wait for a moment, and steps that heal one thing."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.evidence.timeline import Channel, Event
from harness.faults.clock import ClockJump
from harness.faults.disks import DiskErrors, SlowDisk
from harness.faults.impair import Latency, Loss
from harness.faults.maintenance import Maintenance
from harness.faults.replicas import Invalidated
from harness.faults.replication import ReplicationCut
from harness.lab.topology import RESOURCES, Link
from tests.steps.test_steps_break_things import Run, do, tell

if TYPE_CHECKING:
    from harness.faults.fault import Fault

MISS = ", or 1 s have passed"


def counters(run: Run, lun: str, writes: int, mib: float = 0) -> None:
    data = {"disk": lun, "write_ios": writes, "write_bytes": int(mib * (1 << 20))}
    event = Event(5, "client", Channel.PROGRESS, "io", data)
    run.live.feed(event)
    run.triggers.look(event.t_ns)


def answer(run: Run, disk: str, count: int = 1, **more: object) -> None:
    data = {"disk": disk, "op": "write", "sectors": 8, "error": 0} | more
    for _ in range(count):
        run.live.feed(Event(6, "client", Channel.BLOCK, "complete", data))


def journal(run: Run, message: str, t_ns: int = 10) -> None:
    run.live.feed(Event(t_ns, "alpha", Channel.JOURNAL, "entry", {"message": message}))


def missed(run: Run, text: str) -> bool:
    """Whether a step with patience goes on without what it waits for."""
    run.notes.clear()
    do(run, text + MISS)
    return [kind for kind, _data in run.notes] == ["trigger-missed"]


def test_bytes_are_counted_from_the_step_on_and_of_both_raw_luns() -> None:
    run = Run()
    for lun in ("lun0", "lun1", "lun2"):
        counters(run, lun, 100, 7)

    def later() -> None:
        counters(run, "lun1", 400, 8.5)
        counters(run, "lun2", 400, 8)

    threading.Timer(0.1, later).start()
    do(run, "1 MiB more of each raw LUN were written, or 30 s have passed")
    assert run.notes == []
    assert run.triggers.take() is not None
    threading.Timer(0.1, counters, (run, "lun1", 999, 99)).start()
    assert missed(run, "2 MiB more of each raw LUN were written")


def test_the_nth_answer_of_a_lun_is_exact() -> None:
    run = Run()
    sample = {"what": "disks", "when": "before", "value": {"lun1": "8:16", "lun2": "8:32"}}
    run.live.feed(Event(1, "client", Channel.STATE, "sample", sample))
    answer(run, "8:16", 50)
    assert run.live.answers.of("lun1") == 50

    def later() -> None:
        # None of these is an answer to a write of lun1.
        answer(run, "8:32", 9)
        answer(run, "8:16", 9, op="flush")
        answer(run, "8:16", 9, error=-5)
        answer(run, "8:16", 9, sectors=0)
        answer(run, "8:16", 2)

    threading.Timer(0.1, later).start()
    assert missed(run, "acknowledgement 3 from now of lun1")
    threading.Timer(0.1, answer, (run, "8:16", 3)).start()
    assert not missed(run, "acknowledgement 3 from now of lun1")


def test_a_fencing_counts_since_the_last_injection() -> None:
    run = Run()
    order = " notice: Requesting fencing (reboot) of node {}"
    journal(run, order.format("bravo"), 10)
    run.live.feed(Event(11, "host", Channel.FAULT, "inject", {}))
    assert missed(run, "a fencing of the active node was ordered")
    journal(run, order.format("bravo"), 12)
    assert not missed(run, "a fencing of the active node was ordered")
    assert missed(run, "a fencing of the passive node was ordered")


def test_between_promote_and_lun_start() -> None:
    run = Run()
    text = "the passive node has promoted all resources and started no LUN yet"
    for resource in RESOURCES:
        tell(run, "alpha", f"exists resource name:{resource} role:Secondary suspended:no")
    assert missed(run, text)
    for resource in RESOURCES:
        tell(run, "alpha", f"change resource name:{resource} role:Primary")
    journal(run, " notice: Initiating start operation tgt_start_0 locally on alpha")
    journal(run, " notice: Initiating start operation lun0_start_0 locally on bravo")
    assert not missed(run, text)
    journal(run, " notice: Initiating start operation lun0_start_0 locally on alpha")
    assert missed(run, text), "too late"


def test_a_resync_is_asked_for_its_percentage() -> None:
    run = Run()
    printed = [
        " 0: cs:Connected",
        " 1: cs:SyncTarget ro:Secondary/Primary ds:Inconsistent/UpToDate",
    ]
    progress = ["20.0", "64.9", "65.1"]

    def asked(_command: str, timeout_s: float) -> SimpleNamespace:
        assert timeout_s > 1
        done = progress.pop(0)
        text = "\n".join([*printed, f"\t[==>...] sync'ed: {done}% (52224/65404)K", "  oos:1"])
        return SimpleNamespace(stdout=text)

    run.lab.machines["alpha"].guest = SimpleNamespace(run=asked)
    do(run, "r1 of the passive node is copied to 65 %, or 30 s have passed")
    assert progress == []
    assert run.notes == []


def test_a_resync_that_is_over_is_far_enough() -> None:
    run = Run()
    guest = SimpleNamespace(run=lambda _c, timeout_s: SimpleNamespace(stdout=" 1: cs:Connected"))
    run.lab.machines["alpha"].guest = guest
    text = "r1 of the passive node is copied to 65 %"
    assert missed(run, text), "it may begin yet"
    tell(run, "alpha", "exists device name:r1 volume:0 minor:1 disk:UpToDate")
    assert not missed(run, text)


@pytest.mark.parametrize(
    "text",
    [
        "Pacemaker has begun to empty the active node",
        "r1 of the passive node is Diskless",
        "all resources of the passive node are Primary",
    ],
)
def test_any_wait_may_be_given_patience(text: str) -> None:
    assert missed(Run(), text)


HEALS: list[tuple[str, Fault]] = [
    ("the replication of r1 is whole again", ReplicationCut("r1")),
    ("the drbd link of the active node works well again", Latency("bravo", Link.DRBD, 100)),
    ("the data link of the initiator works well again", Latency("client", Link.DATA, 50)),
    ("the disks of the active node work well again", SlowDisk("bravo", 20)),
    ("the disks of the passive node work well again", DiskErrors("alpha", ("r1",))),
    ("the clock of the active node is right again", ClockJump("bravo", 3600)),
    ("the passive node has copied all its data", Invalidated("alpha", 1024)),
    ("maintenance mode ends", Maintenance()),
]


@pytest.mark.parametrize(("text", "fault"), HEALS)
def test_one_thing_is_healed_and_nothing_else(text: str, fault: Fault) -> None:
    run = Run()
    others = [other for _text, other in HEALS if other != fault]
    for one in (*others, fault, ReplicationCut("r2"), Loss("alpha", Link.DRBD, 5)):
        run.inject(one)
    mine = f"f{len(others) + 1}"
    do(run, text)
    assert run.faults.healed == [(mine,)]
    with pytest.raises(HarnessError, match="nothing to heal"):
        do(run, text)
