"""What an operator does to a cluster, rightly or not: standby, a split-brain, doubtful disks."""

from __future__ import annotations

import re
import subprocess
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.errors import DeadlineError, HarnessError
from harness.faults.journal import UndoJournal
from harness.faults.split_brain import ForcedSplitBrain, take_down
from harness.faults.standby import Standby, left_by, on_standby, still_running
from harness.faults.undo import undo_open_faults
from harness.faults.volatile_cache import VolatileCache, drop_caches
from harness.lab.topology import RESOURCES, Topology
from harness.lab.volatile import Traffic, parse_traffic
from tests.faults.answering import proc_drbd

if TYPE_CHECKING:
    from harness.lab.lab import Lab

CRM_MON = Path("tests/cluster/fixtures/crm_mon-healthy.xml").read_text(encoding="utf-8")
LOG = Path("tests/lab/fixtures/nbdkit-1.32-log-filter.txt").read_text(encoding="utf-8")


class Guest:
    """A node: its cluster's view of standby, and DRBD's identifiers and connection of r1."""

    def __init__(self, name: str, cluster: dict[str, Any]) -> None:
        self.name, self.cluster = name, cluster
        self.current, self.cs = "1111111111111111", "Connected"
        self.ran: list[str] = []

    def run(self, command: str, **_options: Any) -> SimpleNamespace:
        self.ran.append(command)
        text = ""
        if match := re.match(r"crm_standby -N (\w+) (-v on|-D)", command):
            self.cluster["standby"] = match[1] if match[2] == "-v on" else None
        elif command.startswith("crm_mon"):
            name = self.cluster["standby"]
            text = re.sub(rf'(<node name="{name}"[^>]*standby=)"false"', r'\1"true"', CRM_MON)
        elif "get-gi" in command:
            text = "".join(f"{r} {self.current}:0:0:0:1:1\n" for r in RESOURCES)
        elif "/proc/drbd" in command:
            text = "".join(
                f" {n}: cs:{self.cs} ro:Secondary/Primary ds:UpToDate/UpToDate C r-----\n"
                "    ns:0 nr:0 dw:0 dr:0 al:0 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:0\n"
                for n in range(3)
            )
        elif "drbdadm connect" in command:
            self.cs = "Connected"
        return SimpleNamespace(stdout=text, exit_code=0)


class FakeLab:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.topology = Topology()
        cluster: dict[str, Any] = {"standby": None}
        self.machines = {
            name: SimpleNamespace(name=name, guest=Guest(name, cluster), running=lambda: True)
            for name in ("alpha", "bravo")
        }
        self.nodes = list(self.machines.values())


@pytest.fixture
def fake(tmp_path: Path) -> FakeLab:
    return FakeLab(tmp_path)


def lab(fake: Any) -> Lab:
    return cast("Lab", fake)


def test_standby_is_seen_by_the_peer(fake: FakeLab) -> None:
    fault = Standby("alpha")
    assert fault.bitten(lab(fake)) == ""
    fault.inject(lab(fake))
    assert fault.bitten(lab(fake)) == "bravo sees alpha standby"
    assert fault.healed(lab(fake)) == ""
    assert fake.machines["alpha"].guest.ran == [], "a node on its way out may not answer"
    UndoJournal(fake.folder / "undo.jsonl").plan("f1", fault.undo())
    assert undo_open_faults(lab(fake)) == ["f1"]
    assert fault.healed(lab(fake)) == "bravo sees alpha online"


def test_what_has_not_left_a_node_is_named(fake: FakeLab) -> None:
    assert left_by(lab(fake), "bravo") == "r0, r1, r2 still on bravo"
    assert left_by(lab(fake), "alpha") == "r0, r1, r2 still on alpha"
    healthy = Path("tests/cluster/fixtures/crm_mon-healthy.xml").read_text(encoding="utf-8")
    guest = fake.machines["bravo"].guest
    without = re.sub(r'<node name="alpha" id="1" cached="true"/>', "", healthy)
    guest.run = lambda *_args, **_options: SimpleNamespace(stdout=without, exit_code=0)
    assert left_by(lab(fake), "alpha") == ""
    guest.run = lambda *_args, **_options: SimpleNamespace(stdout="not XML", exit_code=0)
    assert "no XML" in left_by(lab(fake), "alpha")


def test_a_split_brain_is_two_generations_from_one(fake: FakeLab) -> None:
    fault = ForcedSplitBrain("bravo", "r1", 2)
    alpha, bravo = (fake.machines[name].guest for name in ("alpha", "bravo"))
    alpha.current = "2222222222222223"
    fault.prepare(lab(fake))
    fault.inject(lab(fake))
    assert fault.bitten(lab(fake)) == "", "bravo wrote nothing that made a generation"
    bravo.current = "3333333333333333"
    assert fault.bitten(lab(fake)) == (
        "from 1111111111111110 bravo went on to 3333333333333332 and wrote 2 blocks, "
        "alpha to 2222222222222222"
    )
    alpha.current = "1111111111111110"
    assert fault.bitten(lab(fake)) == "", "alpha did not go on: nothing diverged"
    assert fault.facts() == {"machine": "bravo", "resource": "r1"}


def test_the_fencing_policy_comes_back_whatever_happens(fake: FakeLab) -> None:
    ForcedSplitBrain("bravo", "r1", 2).inject(lab(fake))
    script = fake.machines["bravo"].guest.ran[-1]
    steps = ("trap", "set -e", "crm_resource --wait", "--fencing=dont-care", "primary r1", "dd of")
    at = [script.rindex(step) for step in steps]
    assert at == sorted(at)
    trap = script[script.index("trap") : script.index("EXIT")]
    assert "drbdadm adjust r1" in trap
    assert "maintenance-mode -D" in trap


def test_the_clean_up_goes_on_where_one_part_of_it_fails(tmp_path: Path) -> None:
    """Run for real, with tools that only say that they were called, and fail at first."""
    said = tmp_path / "said"
    for tool in ("drbdadm", "drbdsetup", "crm_attribute", "crm_resource", "dd", "sleep"):
        path = tmp_path / tool
        path.write_text(f'#!/bin/sh\necho {tool} "$@" >> $SAID\n{"! :" if tool == "dd" else ":"}\n')
        path.chmod(0o755)
    there: Any = SimpleNamespace(nodes=[], machines={}, topology=None)
    scripts: list[str] = []
    guest = SimpleNamespace(run=lambda script, **_options: scripts.append(script))
    there.machines["bravo"] = SimpleNamespace(guest=guest)
    ForcedSplitBrain("bravo", "r1", 2).inject(there)
    (tmp_path / "drbdadm").write_text(
        '#!/bin/sh\necho drbdadm "$@" >> $SAID\n[ "$1" != secondary ] || '
        "[ $(grep -c secondary $SAID) = 3 ]\n"
    )
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SAID": str(said)}
    done = subprocess.run(["sh", "-c", scripts[0]], env=environment, check=False)
    assert done.returncode != 0, "dd failed"
    told = said.read_text().splitlines()
    after = told[told.index(next(line for line in told if line.startswith("dd "))) :]
    assert after[1:] == [
        "drbdadm secondary r1", "sleep 1", "drbdadm secondary r1", "sleep 1",
        "drbdadm secondary r1", "drbdadm adjust r1",
        "crm_attribute -t crm_config -n maintenance-mode -D", "crm_resource --wait --timeout 60",
    ]  # fmt: skip


def test_what_is_written_is_what_is_noted(tmp_path: Path) -> None:
    fault = ForcedSplitBrain("bravo", "r1", 3)
    path = tmp_path / "disk"
    command = f"yes '{fault.line}' | head -c {3 * 4096} > {path}"
    subprocess.run(["sh", "-c", command], check=True)
    data = path.read_bytes()
    assert fault.written() == [
        {"block": 8192 + n, "crc32": f"{zlib.crc32(data[n * 4096 : (n + 1) * 4096]):08x}"}
        for n in range(3)
    ]


@pytest.mark.parametrize(
    ("victim", "survivor", "asked"),
    [
        ("StandAlone", "StandAlone", (True, True)),
        ("WFConnection", "StandAlone", (True, True)),
        ("StandAlone", "WFConnection", (True, False)),
        ("Connected", "Connected", (False, False)),
        ("SyncTarget", "SyncSource", (False, False)),
    ],
)
def test_the_recovery_asks_only_who_stands_alone(
    fake: FakeLab, victim: str, survivor: str, asked: tuple[bool, bool]
) -> None:
    fault = ForcedSplitBrain("bravo", "r1", 2)
    alpha, bravo = (fake.machines[name].guest for name in ("alpha", "bravo"))
    bravo.cs, alpha.cs = victim, survivor
    fault.heal(lab(fake))
    said = [any("drbdadm connect" in c for c in guest.ran) for guest in (bravo, alpha)]
    assert tuple(said) == asked
    assert any("--discard-my-data" in c for c in bravo.ran) == asked[0]
    assert not any("--discard-my-data" in c for c in alpha.ran)
    alpha.cs = bravo.cs = "Connected"
    assert fault.healed(lab(fake)).startswith("alpha: r1 Connected, UpToDate")


class Offline:
    """Both nodes are on standby: who has r1, and what is done to it, in order."""

    def __init__(self, folder: Path, constraints: int = 0) -> None:
        self.folder, self.topology = folder, Topology()
        self.did: list[str] = []
        self.up = {"alpha": False, "bravo": False}
        self.constraints = constraints
        self.machines = {
            name: SimpleNamespace(
                name=name,
                running=lambda: True,
                guest=SimpleNamespace(run=lambda c, name=name, **_o: self.run(name, c)),
            )
            for name in self.up
        }
        self.nodes = list(self.machines.values())

    def run(self, node: str, command: str) -> SimpleNamespace:
        text = ""
        if command.startswith("crm_mon"):
            text = re.sub(r'standby="false"', 'standby="true"', CRM_MON)
        elif "/proc/drbd" in command:
            text = proc_drbd(r1="UpToDate" if self.up[node] else "none")
        elif "constraints" in command:
            self.constraints -= 1
            left = '<rsc_location id="drbd-fence-by-handler-r1-msg"/>'
            text = f"<constraints>{left if self.constraints > 0 else ''}</constraints>"
            self.did.append("constraints?")
        else:
            self.did.append(f"{node}: {command}")
            self.up[node] = "drbdadm down" not in command
        return SimpleNamespace(stdout=text, exit_code=0)


def test_with_both_nodes_offline_the_victim_waits_with_its_mind_made_up(tmp_path: Path) -> None:
    """The post's procedure. The survivor comes second: nobody refuses a second time."""
    there = Offline(tmp_path)
    ForcedSplitBrain("bravo", "r1", 2).heal(lab(there))
    assert there.did == [
        "bravo: set -e; drbdadm up r1; drbdadm disconnect r1; drbdadm connect --discard-my-data r1",
        "alpha: drbdadm up r1",
    ]


def test_nothing_is_brought_up_before_pacemaker_has_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Offline(tmp_path)
    there.up["alpha"] = True

    def wait(_what: str, missing: Any, **_options: Any) -> None:
        assert missing() == "alpha still has r1"
        raise DeadlineError("alpha still has r1")

    monkeypatch.setattr("harness.faults.split_brain.wait_until", wait)
    with pytest.raises(DeadlineError):
        ForcedSplitBrain("bravo", "r1", 2).heal(lab(there))
    assert there.did == []


def test_the_resource_goes_down_after_its_constraint_and_the_victim_first(tmp_path: Path) -> None:
    there = Offline(tmp_path, constraints=2)
    there.up = {"alpha": True, "bravo": True}
    take_down(lab(there), "bravo", "r1", 30)
    assert there.did == [
        "constraints?", "constraints?", "bravo: drbdadm down r1", "alpha: drbdadm down r1",
    ]  # fmt: skip
    assert there.up == {"alpha": False, "bravo": False}


def test_a_constraint_that_stays_is_left_to_the_check(tmp_path: Path) -> None:
    there = Offline(tmp_path, constraints=1000)
    take_down(lab(there), "bravo", "r1", 0)
    assert there.did[-1] == "alpha: drbdadm down r1"


def test_who_is_on_standby_and_what_still_runs(tmp_path: Path, fake: FakeLab) -> None:
    assert on_standby(lab(fake)) == set()
    assert on_standby(lab(Offline(tmp_path))) == {"alpha", "bravo"}
    assert still_running(lab(fake)).startswith("r0, r1, r2, ")
    stopped = re.sub(r"<node name=[^>]*cached=[^>]*/>", "", CRM_MON)
    fake.machines["alpha"].guest.run = lambda *_a, **_o: SimpleNamespace(
        stdout=stopped, exit_code=0
    )
    assert still_running(lab(fake)) == ""
    fake.machines["alpha"].guest.run = lambda *_a, **_o: SimpleNamespace(
        stdout="no XML", exit_code=0
    )
    assert "no XML" in still_running(lab(fake))


def test_the_log_of_a_volatile_cache() -> None:
    """Captured from nbdkit 1.32.5 and qemu-io 7.2: three writes, all written through."""
    assert parse_traffic(LOG) == Traffic(writes=3, flushes=2, unflushed=0)
    back = LOG.replace("fua=1", "fua=0")
    assert parse_traffic(back) == Traffic(writes=3, flushes=2, unflushed=0)
    cut = back[: back.rindex("2026-11-26 02:59:04.126649")]
    assert parse_traffic(cut) == Traffic(writes=3, flushes=1, unflushed=1)
    through = LOG[: LOG.rindex("2026-11-26 02:59:04.126649")]
    assert parse_traffic(through) == Traffic(writes=3, flushes=1, unflushed=0)
    assert parse_traffic("") == Traffic(0, 0, 0)


class Disks:
    """Stands for VolatileDisks."""

    def __init__(self, *, attached: bool = True) -> None:
        self.lost: dict[str, Traffic] = {}
        self.is_attached = attached
        self.merged = False

    def attached(self) -> bool:
        return self.is_attached

    def detach(self) -> None:
        self.merged, self.is_attached = True, False


def cached(pid: int = 7) -> tuple[VolatileCache, Disks, Any]:
    fault, disks = VolatileCache("bravo"), Disks()
    fault._disks, fault._pid = cast("Any", disks), 7
    machine = SimpleNamespace(running=lambda: True, qemu_pid=lambda: pid, volatile=disks)
    return fault, disks, SimpleNamespace(machines={"bravo": machine})


def test_a_cache_that_lost_its_power() -> None:
    fault, disks, there = cached()
    assert fault.bitten(there) == "the disks are overlays behind nbdkit"
    assert fault.healed(there) == ""
    disks.lost = {"r1": Traffic(40, 3, 12)}
    disks.is_attached = False
    assert fault.bitten(there) == "r1: 40 writes and 3 flushes, 12 writes lost"
    fault.heal(there)
    assert not disks.merged, "there is nothing left to merge"
    assert fault.healed(there) == "the disks are the plain ones"
    disks.lost = {"r1": Traffic(300, 250, 0)}
    assert fault.bitten(there) == "", "nothing was lost"


def test_a_cache_that_kept_its_power_is_merged() -> None:
    fault, disks, there = cached()
    fault.heal(there)
    assert disks.merged
    assert there.machines["bravo"].volatile is None


def test_a_cache_whose_machine_was_fenced_is_trouble() -> None:
    fault, _disks, there = cached(pid=8)
    with pytest.raises(HarnessError, match="powered off by something else"):
        fault.heal(there)


def test_what_a_killed_run_left_of_a_cache_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "disks").mkdir()
    process = subprocess.Popen(["sleep", "60"])
    said: list[str] = []

    def run(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    host = SimpleNamespace(folder=tmp_path, lab_path=str(tmp_path), run=run)
    machine = SimpleNamespace(
        name="bravo", host=host, running=lambda: True, volatile=object(),
        kill=lambda: said.append("kill"), wait_off=lambda: said.append("off"),
    )  # fmt: skip
    there: Any = SimpleNamespace(machines={"bravo": machine})
    drop_caches(there, "bravo")
    assert said == [], "it had none"
    (tmp_path / "disks" / "bravo-r1.nbd-pid").write_text(f"{process.pid}\n")
    (tmp_path / "disks" / "bravo-r1.volatile.qcow2").write_text("")
    (tmp_path / "disks" / "bravo-r1.qcow2").write_text("")
    drop_caches(there, "bravo")
    assert process.wait() == -9
    assert said == ["kill", "off"], "its disks are gone: it cannot go on"
    assert [path.name for path in (tmp_path / "disks").iterdir()] == ["bravo-r1.qcow2"]
    assert machine.volatile is None
