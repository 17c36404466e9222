"""A fault's life: journal first, then the fault, then its proof; each stage in the timeline."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.errors import HarnessError, InconclusiveError
from harness.evidence.timeline import Channel, TimelineWriter, read_timeline
from harness.faults.cuts import CarrierCut
from harness.faults.fault import Fault, FaultRunner
from harness.faults.journal import Undo, UndoJournal
from harness.faults.power import PowerOff, Reset
from harness.lab.shared import SharedHost
from harness.lab.topology import Link, Topology
from harness.remote.ssh import GuestUnreachableError

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab.lab import Lab


class FakeFault(Fault):
    """A fault whose proofs are given in advance, one for each time it is asked."""

    def __init__(self, name: str, log: list[str], bites: list[object], heals: list[object]) -> None:
        self.kind = name
        self._log, self._bites, self._heals = log, bites, heals

    @property
    def target(self) -> str:
        return f"target of {self.kind}"

    def undo(self) -> list[Undo]:
        return [Undo("power-on", {"machine": self.kind})]

    def inject(self, lab: Lab) -> None:
        open_faults = UndoJournal(lab.folder / "undo.jsonl").open_faults()
        assert self.undo() in open_faults.values(), "broken before the journal knew how to undo it"
        self._log.append(f"inject {self.kind}")

    def heal(self, lab: Lab) -> None:
        self._log.append(f"heal {self.kind}")

    def bitten(self, lab: Lab) -> str:
        return self._next(self._bites)

    def healed(self, lab: Lab) -> str:
        return self._next(self._heals)

    @staticmethod
    def _next(proofs: list[object]) -> str:
        proof = proofs.pop(0) if proofs else ""
        if isinstance(proof, Exception):
            raise proof
        return str(proof)

    def facts(self) -> dict[str, str]:
        return {"machine": self.kind}


class Bench:
    """A runner on a lab that is only a folder."""

    def __init__(self, folder: Path, *, injecting: bool = True) -> None:
        self.writer = TimelineWriter(folder / "timeline.jsonl")
        self.journal = UndoJournal(folder / "undo.jsonl")
        self.log: list[str] = []
        self.runner = FaultRunner(
            cast("Lab", SimpleNamespace(folder=folder)),
            self.writer,
            bite_deadline_s=0.3,
            heal_deadline_s=0.3,
            injecting=injecting,
        )

    def fault(
        self, name: str, bites: tuple[object, ...] = ("bit",), heals: tuple[object, ...] = ("ok",)
    ) -> FakeFault:
        return FakeFault(name, self.log, list(bites), list(heals))

    def said(self) -> list[tuple[str, str, str]]:
        events = [e for e in read_timeline(self.writer.path) if e.channel is Channel.FAULT]
        return [(e.kind, e.data["id"], e.data["proof"]) for e in events]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_an_injection_that_fails_says_so_of_each(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    class Fails(FakeFault):
        def inject(self, lab: Lab) -> None:
            raise HarnessError("no such thing")

    with pytest.raises(HarnessError, match="no such thing"):
        bench.runner.inject_together([Fails("a", bench.log, [], []), bench.fault("b")])
    last = [(kind, fault_id, proof) for kind, fault_id, proof in bench.said()][-2:]
    said = "the injection failed: no such thing"
    assert last == [("not-bitten", "f1-a", said), ("not-bitten", "f2-b", said)]
    assert list(bench.journal.open_faults()) == ["f1-a", "f2-b"], "whatever it did has to be undone"


def test_several_are_injected_before_any_proof_is_looked_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    faults = [bench.fault("a", bites=("", "bit late")), bench.fault("b", bites=())]
    with pytest.raises(InconclusiveError, match="did not bite: b of target of b"):
        bench.runner.inject_together(faults)
    assert sorted(bench.log) == ["inject a", "inject b"]
    assert list(bench.runner.active) == ["f1-a", "f2-b"], "whatever there is has to be healed"
    bench.writer.close()
    told = [(e.kind, e.data["id"]) for e in read_timeline(tmp_path / "timeline.jsonl")]
    assert sorted(told[:2]) == [("plan", "f1-a"), ("plan", "f2-b")]
    assert sorted(told[2:4]) == [("inject", "f1-a"), ("inject", "f2-b")]
    assert told[4:] == [("bitten", "f1-a"), ("not-bitten", "f2-b")]


def test_several_are_healed_before_any_proof_is_looked_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    faults = [bench.fault("a", ("bit",), ("", "late")), bench.fault("b", ("bit",), ())]
    ids = bench.runner.inject_together(faults)
    other = bench.runner.inject(bench.fault("c"))
    bench.runner.heal_together(ids)
    assert sorted(bench.log[-2:]) == ["heal a", "heal b"]
    assert [(kind, fault_id) for kind, fault_id, _ in bench.said()][-6:] == [
        ("no-longer-bitten", "f1-a"), ("no-longer-bitten", "f2-b"),
        ("heal", "f1-a"), ("heal", "f2-b"),
        ("healed", "f1-a"), ("not-healed", "f2-b"),
    ]  # fmt: skip
    assert list(bench.runner.active) == [other]
    assert list(bench.journal.open_faults()) == ["f2-b", other]


def test_a_heal_that_fails_can_be_tried_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    class Stubborn(FakeFault):
        def heal(self, lab: Lab) -> None:
            self._log.append("try")
            if self._log.count("try") == 1:
                raise HarnessError("not yet")

    fault_id = bench.runner.inject(Stubborn("a", bench.log, ["bit"], ["ok"]))
    with pytest.raises(HarnessError, match="not yet"):
        bench.runner.heal(fault_id)
    assert list(bench.runner.active) == [fault_id]
    bench.runner.heal(fault_id)
    assert bench.runner.active == {}


def test_a_fault_from_plan_to_healed(bench: Bench) -> None:
    bites = ("it bit", "it still bites")
    fault_id = bench.runner.inject(bench.fault("x", bites, ("it healed",)))
    assert list(bench.runner.active) == [fault_id] == list(bench.journal.open_faults())
    bench.runner.heal(fault_id)
    assert bench.said() == [
        ("plan", fault_id, ""),
        ("inject", fault_id, ""),
        ("bitten", fault_id, "it bit"),
        ("still-bitten", fault_id, "it still bites"),
        ("heal", fault_id, ""),
        ("healed", fault_id, "it healed"),
    ]
    assert bench.runner.active == {}
    assert bench.journal.open_faults() == {}
    (event,) = [e for e in read_timeline(bench.writer.path) if e.kind == "bitten"]
    assert (event.source, event.data["fault"], event.data["target"], event.data["machine"]) == (
        "host", "x", "target of x", "x",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("at_the_end", "kind", "proof"),
    [
        ("no carrier still", "still-bitten", "no carrier still"),
        # It ended by itself: the cut was shorter than the scenario says.
        ("", "no-longer-bitten", ""),
        (GuestUnreachableError("alpha does not answer"), "still-unknown", "alpha does not answer"),
        (HarnessError("it failed", hint="do this"), "still-unknown", "it failed"),
    ],
    ids=["yes", "no", "unreachable", "unknown"],
)
def test_whether_it_bit_until_the_end_is_told_before_it_is_healed(
    bench: Bench, at_the_end: object, kind: str, proof: str
) -> None:
    fault_id = bench.runner.inject(bench.fault("x", ("bit", at_the_end, "asked too often")))
    bench.runner.heal(fault_id)
    assert bench.said()[2:] == [
        ("bitten", fault_id, "bit"),
        (kind, fault_id, proof),
        ("heal", fault_id, ""),
        ("healed", fault_id, "ok"),
    ]
    assert bench.log == ["inject x", "heal x"], "it is healed whatever was found"
    assert bench.journal.open_faults() == {}
    (event,) = [e for e in read_timeline(bench.writer.path) if e.kind == kind]
    assert (event.channel, event.data["fault"], event.data["machine"]) == (Channel.FAULT, "x", "x")


def test_looking_whether_it_still_bites_is_a_part_of_the_fault(bench: Bench) -> None:
    bench.runner.heal(bench.runner.inject(bench.fault("x", ("bit", "bites"))))
    told = [(e.channel, e.kind) for e in read_timeline(bench.writer.path)]
    at = told.index((Channel.FAULT, "still-bitten"))
    assert told[at - 1 : at + 3] == [
        (Channel.PHASE, "begin"), (Channel.FAULT, "still-bitten"), (Channel.PHASE, "end"),
        (Channel.FAULT, "heal"),
    ]  # fmt: skip


def test_a_proof_that_comes_late_is_not_waited_for_at_the_end(bench: Bench) -> None:
    """Asked once: looking until it bites again would make the fault longer."""
    fault_id = bench.runner.inject(bench.fault("x", ("bit", "", "again")))
    bench.runner.heal(fault_id)
    kinds = [kind for kind, _id, _proof in bench.said()]
    assert "no-longer-bitten" in kinds
    assert "still-bitten" not in kinds


def test_every_fault_is_looked_at_when_all_are_healed(bench: Bench) -> None:
    first = bench.runner.inject(bench.fault("a", ("bit", GuestUnreachableError("gone"))))
    second = bench.runner.inject(bench.fault("b", ("bit", "bites")))
    bench.runner.heal_all()
    told = [(kind, fault_id) for kind, fault_id, _proof in bench.said() if "still" in kind]
    assert told == [("still-bitten", second), ("still-unknown", first)]


def test_a_fault_that_does_not_bite_ends_the_scenario_and_is_healed(bench: Bench) -> None:
    with pytest.raises(InconclusiveError, match="did not bite: x of target of x"):
        bench.runner.inject(bench.fault("x", bites=()))
    (fault_id,) = bench.runner.active
    assert bench.said()[-1] == ("not-bitten", fault_id, "no proof found")
    bench.runner.heal_all()
    assert bench.said()[-1] == ("healed", fault_id, "ok")
    assert bench.log == ["inject x", "heal x"]


def test_what_never_bit_may_have_nothing_to_heal(bench: Bench) -> None:
    class Absent(FakeFault):
        def heal(self, lab: Lab) -> None:
            raise HarnessError("no such table")

    with pytest.raises(InconclusiveError):
        bench.runner.inject(Absent("x", bench.log, [], []))
    bench.runner.heal_all()
    assert bench.runner.active == {}
    assert [kind for kind, _id, _proof in bench.said()][-2:] == ["heal", "not-healed"]
    assert list(bench.journal.open_faults()) == ["f1-x"], "the next fork undoes what there was"


def test_without_injecting_all_else_is_done_and_the_proof_is_not_told(tmp_path: Path) -> None:
    """The fault would bite if it were there; nobody tells it that it is not."""
    bench, broken = Bench(tmp_path, injecting=False), tmp_path / "broken"

    class Real(FakeFault):
        def prepare(self, lab: Lab) -> None:
            self._log.append("prepare")

        def inject(self, lab: Lab) -> None:
            broken.touch()

        def bitten(self, lab: Lab) -> str:
            self._log.append("look")
            return "broken" if broken.exists() else ""

    faults = [Real(name, bench.log, [], ["ok"]) for name in ("a", "b")]
    with pytest.raises(InconclusiveError, match="did not bite: a of target of a; b of"):
        bench.runner.inject_together(faults)
    assert not broken.exists()
    assert bench.log[:2] == ["prepare", "prepare"]
    assert bench.log.count("look") > 2, "it is looked for until the deadline, as ever"
    assert list(bench.journal.open_faults()) == ["f1-a", "f2-b"]
    bench.runner.heal_all()
    kinds = [kind for kind, _id, _proof in bench.said()]
    assert kinds[:6] == ["plan", "plan", "inject", "inject", "not-bitten", "not-bitten"]
    assert bench.journal.open_faults() == {}


def test_a_proof_may_take_time_and_a_guest_that_does_not_answer_is_no_proof(bench: Bench) -> None:
    fault_id = bench.runner.inject(bench.fault("x", ("", "bit at last"), ()))
    assert bench.said()[-1] == ("bitten", fault_id, "bit at last")
    other = bench.runner.inject(bench.fault("y", (HarnessError("no answer"), "bit"), ()))
    assert bench.said()[-1] == ("bitten", other, "bit")


def test_without_proof_of_healing_the_journal_stays_open(bench: Bench) -> None:
    fault_id = bench.runner.inject(bench.fault("x", heals=(HarnessError("no answer"),)))
    bench.runner.heal(fault_id)
    assert bench.said()[-1] == ("not-healed", fault_id, "no proof found")
    assert bench.runner.active == {}
    assert list(bench.journal.open_faults()) == [fault_id], "the next fork has to undo it"


def test_a_fault_that_fails_half_way_is_healed_with_the_rest_last_first(bench: Bench) -> None:
    class Half(FakeFault):
        def inject(self, lab: Lab) -> None:
            super().inject(lab)
            raise HarnessError("half of it is broken")

    bench.runner.inject(bench.fault("a"))
    with pytest.raises(HarnessError, match="half of it"):
        bench.runner.inject(Half("b", bench.log, ["bit"], ["ok"]))
    bench.runner.inject(bench.fault("c"))
    bench.runner.heal_all()
    assert bench.log == [
        "inject a", "inject b", "inject c", "heal c", "heal b", "heal a",
    ]  # fmt: skip
    assert bench.journal.open_faults() == {}
    assert bench.runner.active == {}


def test_the_same_kind_of_fault_twice_has_two_ids(bench: Bench) -> None:
    first = bench.runner.inject(bench.fault("x"))
    second = bench.runner.inject(bench.fault("x"))
    assert first != second
    bench.runner.heal(first)
    assert list(bench.runner.active) == [second] == list(bench.journal.open_faults())


SCRIPT = """
import sys
from pathlib import Path
from types import SimpleNamespace
from harness.evidence.timeline import TimelineWriter
from harness.faults.fault import Fault, FaultRunner
from harness.faults.journal import Undo

folder = Path(sys.argv[1])

class Real(Fault):
    kind, target = "x", "y"
    def undo(self): return [Undo("power-on", {"machine": "alpha"})]
    def inject(self, lab): (folder / "broken").write_text("")
    def bitten(self, lab): return "bit"
    def heal(self, lab): (folder / "broken").unlink()
    def healed(self, lab): return "ok"

runner = FaultRunner(SimpleNamespace(folder=folder), TimelineWriter(folder / "timeline.jsonl"))
runner.heal(runner.inject(Real()))
"""


@pytest.mark.parametrize(
    ("point", "broken", "said"),
    [
        ("journal", False, ["plan"]),
        ("fault", True, ["plan", "inject", "bitten"]),
        ("heal", True, ["plan", "inject", "bitten", "still-bitten", "heal"]),
        ("", False, ["plan", "inject", "bitten", "still-bitten", "heal", "healed"]),
    ],
)
def test_killed_at_any_point_the_journal_knows_what_may_be_broken(
    tmp_path: Path, point: str, broken: bool, said: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env={**os.environ, "FAILOVER_HARNESS_DIE_AT": point},
        check=False,
    )
    assert done.returncode == (-signal.SIGKILL if point else 0)
    assert (tmp_path / "broken").exists() == broken
    expected = {"f1-x": [Undo("power-on", {"machine": "alpha"})]} if point else {}
    assert UndoJournal(tmp_path / "undo.jsonl").open_faults() == expected
    events = read_timeline(tmp_path / "timeline.jsonl")
    assert [e.kind for e in events if e.channel is Channel.FAULT] == said


# ------------------------------------------------------------------- the faults' own proofs


class FakeGuest:
    """A guest that answers with a boot id, or not at all, and with what files contain."""

    def __init__(self, boot_id: str | Exception = "old", carrier: str = "1") -> None:
        self.now = boot_id
        self.carrier = carrier
        self.pings = True

    def boot_id(self) -> str:
        if isinstance(self.now, Exception):
            raise self.now
        return self.now

    def run(self, command: str, **_options: Any) -> SimpleNamespace:
        if command.startswith("ping"):
            return SimpleNamespace(stdout="", exit_code=0 if self.pings else 1)
        assert command.startswith("cat /sys/class/net/"), command
        return SimpleNamespace(stdout=f"{self.carrier}\n", exit_code=0)


class FakeMachine:
    def __init__(self) -> None:
        self.guest = FakeGuest()
        self.host = SharedHost.__new__(SharedHost)  # its processes are this machine's
        self.on = True
        self.pid = 0
        self.carrier: list[tuple[Link, bool]] = []

    def running(self) -> bool:
        return self.on

    def qemu_pid(self) -> int:
        return self.pid

    def kill(self) -> int:
        return self.pid

    def reset(self) -> None:
        self.guest.now = GuestUnreachableError("alpha does not answer")

    def set_carrier(self, link: Link, up: bool) -> None:
        self.carrier.append((link, up))


def lab_of(machine: FakeMachine, folder: Path | None = None) -> Lab:
    machines = {"alpha": machine, "bravo": machine}
    there = SimpleNamespace(machines=machines, topology=Topology(), folder=folder)
    return cast("Lab", there)


def test_power_is_off_when_the_process_is_gone_and_libvirt_knows_it() -> None:
    machine = FakeMachine()
    process = subprocess.Popen(["sleep", "60"])
    machine.pid = process.pid
    fault, lab = PowerOff("alpha"), lab_of(machine)
    fault.prepare(lab)
    fault.inject(lab)
    machine.on = False
    assert fault.bitten(lab) == "", "the process still runs"
    process.kill()
    process.wait()
    machine.on = True
    assert fault.bitten(lab) == "", "libvirt does not know yet"
    machine.on = False
    assert str(process.pid) in fault.bitten(lab)
    assert fault.facts() == {"machine": "alpha"}


@pytest.mark.parametrize("fault", [PowerOff("alpha"), Reset("alpha")], ids=["off", "reset"])
def test_a_machine_is_healed_when_it_runs_another_boot(
    fault: PowerOff | Reset, tmp_path: Path
) -> None:
    machine = FakeMachine()
    lab = lab_of(machine, tmp_path)
    fault.prepare(lab)
    fault.inject(lab)
    machine.guest.now = "old"
    assert fault.healed(lab) == "", "it never went down"
    machine.guest.now = ""
    assert fault.healed(lab) == ""
    machine.guest.now = "new"
    proof = fault.healed(lab)
    assert "new" in proof
    assert "old" in proof


BANNER = "[    0.000000] Linux version 6.1.0-56-cloud-amd64 (debian-kernel@lists.debian.org)"


def test_a_reset_is_proved_by_the_console_or_by_another_boot(tmp_path: Path) -> None:
    console = tmp_path / "console" / "alpha.log"
    console.parent.mkdir()
    console.write_text(f"{BANNER}\r\n[    1.1] something\r\n")
    machine = FakeMachine()
    fault, lab = Reset("alpha"), lab_of(machine, tmp_path)
    fault.prepare(lab)
    fault.inject(lab)
    with pytest.raises(GuestUnreachableError):
        fault.bitten(lab)  # that it does not answer proves nothing: it may be busy
    machine.guest.now = "old"
    assert fault.bitten(lab) == ""
    machine.guest.now = "new"
    assert "boot id new" in fault.bitten(lab)
    machine.guest.now = "old"
    with console.open("a") as log:
        log.write(f"{BANNER}\r\n")
    assert fault.bitten(lab) == BANNER


def test_a_cable_is_pulled_when_every_guest_sees_no_carrier() -> None:
    machine = FakeMachine()
    fault, lab = CarrierCut(("alpha", "bravo"), Link.DRBD), lab_of(machine)
    fault.inject(lab)
    assert machine.carrier == [(Link.DRBD, False)] * 2
    assert fault.bitten(lab) == ""
    machine.guest.carrier = "0"
    proof = fault.bitten(lab)
    assert proof.count("/sys/class/net/drbd/carrier is 0") == 2
    machine.carrier.clear()
    fault.heal(lab)
    assert machine.carrier == [(Link.DRBD, True)] * 2
    assert fault.healed(lab) == "", "the guests see no carrier yet"
    machine.guest.carrier, machine.guest.pings = "1", False
    assert fault.healed(lab) == "", "nobody answers yet"
    machine.guest.pings = True
    assert "alpha pings 10.77.2.12 over drbd; bravo pings 10.77.2.11" in fault.healed(lab)
    assert fault.target == "drbd link of alpha and bravo"
