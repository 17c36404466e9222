"""Disks that are slow or fail, replicas that are worth nothing, and the cluster that looks away."""

from __future__ import annotations

import shutil
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.cluster.operator import on_any_node
from harness.errors import HarnessError
from harness.faults.disks import DiskErrors, SlowDisk
from harness.faults.journal import UndoJournal
from harness.faults.maintenance import Maintenance
from harness.faults.replicas import DamagedMetadata, Invalidated
from harness.faults.undo import undo_open_faults
from tests.faults.answering import FakeLab, proc_drbd

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def fake(tmp_path: Path) -> FakeLab:
    return FakeLab(tmp_path)


class Domain:
    """A domain as far as its disks' limits go."""

    def __init__(self) -> None:
        self.limits: dict[str, int] = {}

    def setBlockIoTune(self, disk: str, limit: dict[str, int], _flags: int) -> None:
        self.limits[disk] = limit["total_iops_sec"]

    def blockIoTune(self, disk: str, _flags: int) -> dict[str, int]:
        return {"total_iops_sec": self.limits.get(disk, 0), "total_bytes_sec": 0}


def test_slow_disks_are_proved_by_their_limit_and_by_a_measurement(fake: FakeLab) -> None:
    fault, alpha = SlowDisk("alpha", 10), fake.machines["alpha"]
    alpha.domain = Domain()
    alpha.guest.answer("dd if=/dev/disk/by-id/virtio-r2", "took 14 ms\n")
    assert fault.bitten(fake.as_lab) == ""
    fault.inject(fake.as_lab)
    assert alpha.domain.limits == {"vdb": 10, "vdc": 10, "vdd": 10}
    assert fault.bitten(fake.as_lab) == "", "it is limited, and not slow"
    alpha.guest.answer("dd if=/dev/disk/by-id/virtio-r2", "took 1904 ms\n")
    assert fault.bitten(fake.as_lab) == "10 requests a second each; reading 20 blocks took 1904 ms"
    UndoJournal(fake.folder / "undo.jsonl").plan("f1", fault.undo())
    assert undo_open_faults(fake.as_lab) == ["f1"]
    assert fault.healed(fake.as_lab) == "", "it is not limited, and still slow"
    alpha.guest.answer("dd if=/dev/disk/by-id/virtio-r2", "took 14 ms\n")
    assert fault.healed(fake.as_lab) == "no limit; reading 20 blocks took 14 ms"
    alpha.guest.answer("dd if=/dev/disk/by-id/virtio-r2", "")
    with pytest.raises(HarnessError, match="was not measured"):
        fault.healed(fake.as_lab)
    alpha.state, alpha.domain = "off", None
    fault.heal(fake.as_lab)


class Disks:
    """Stands for FailingDisks."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.used = True

    def attach(self) -> None:
        self.did.append("attach")

    def switch(self, *, on: bool) -> None:
        self.did.append("on" if on else "off")

    def in_use(self) -> bool:
        return self.used

    def detach(self) -> None:
        self.did.append("detach")
        self.used = False


def failing(monkeypatch: pytest.MonkeyPatch, *resources: str) -> tuple[DiskErrors, Disks]:
    disks = Disks()
    monkeypatch.setattr("harness.faults.disks.FailingDisks", lambda *_: disks)
    return DiskErrors("alpha", resources), disks


def test_a_failing_disk_is_given_up_and_attached_again(
    fake: FakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault, disks = failing(monkeypatch, "r1")
    fault.prepare(fake.as_lab)
    assert disks.did == ["attach"], "the injection itself takes no time"
    assert fault.bitten(fake.as_lab) == "", "it can be read"
    fault.inject(fake.as_lab)
    fake.alpha.answer("virtio-r1", ("dd: error reading '/dev/vdc': Input/output error\n", 1))
    assert fault.bitten(fake.as_lab) == "alpha cannot read the disks of r1 on alpha"
    fake.alpha.answer("/proc/drbd", proc_drbd(r1="Diskless"))
    assert fault.healed(fake.as_lab) == ""
    fault.heal(fake.as_lab)
    assert disks.did == ["attach", "on", "detach"]
    assert fake.alpha.ran[-1] == "drbdadm attach r1"
    fake.alpha.answer("virtio-r1", 0)
    assert fault.healed(fake.as_lab) == "", "DRBD does not use it yet"
    fake.alpha.answer("/proc/drbd", proc_drbd(r1="Inconsistent"))
    assert "DRBD uses them" in fault.healed(fake.as_lab)


def test_what_drbd_has_not_configured_is_not_attached(
    fake: FakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pacemaker stopped it, and will start it: not a task for the heal."""
    fault, _disks = failing(monkeypatch, "r0", "r1", "r2")
    fault.prepare(fake.as_lab)
    fake.alpha.answer("/proc/drbd", proc_drbd(r0="none", r1="none", r2="Diskless"))
    fault.heal(fake.as_lab)
    assert [c for c in fake.alpha.ran if "attach" in c] == ["drbdadm attach r2"]
    fake.alpha.answer("/proc/drbd", proc_drbd(r0="none", r1="none", r2="UpToDate"))
    assert fault.healed(fake.as_lab) != ""


def test_a_machine_that_was_fenced_has_sound_disks(
    fake: FakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault, disks = failing(monkeypatch, "r1")
    fault.prepare(fake.as_lab)
    fake.alpha.answer("virtio-r1", 1)
    disks.used = False
    assert fault.bitten(fake.as_lab) == "", "whatever keeps it from reading now is not this fault"
    fake.machines["alpha"].state = "off"
    fault.heal(fake.as_lab)
    assert "drbd" not in "".join(fake.alpha.ran), "nobody to attach it"


def test_the_judge_is_told_whose_errors_they_are() -> None:
    assert DiskErrors("alpha", ("r0", "r2")).facts() == {
        "machine": "alpha", "resources": "r0 r2", "disks": "vdb vdd",
    }  # fmt: skip


def test_what_a_killed_run_left_of_failing_disks_is_dropped(fake: FakeLab) -> None:
    (fake.folder / "disks").mkdir()
    process = subprocess.Popen(["sleep", "60"])

    def run(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    alpha = cast("Any", fake.machines["alpha"])
    alpha.host = SimpleNamespace(folder=fake.folder, lab_path=str(fake.folder), run=run)
    journal = UndoJournal(fake.folder / "undo.jsonl")
    journal.plan("f1", DiskErrors("alpha", ("r1",)).undo())
    assert undo_open_faults(fake.as_lab) == ["f1"]
    assert alpha.did == [], "it had none"
    (fake.folder / "disks" / "alpha-r1.errors-nbd-pid").write_text(f"{process.pid}\n")
    (fake.folder / "disks" / "alpha-r1.errors").touch()
    journal.plan("f2", DiskErrors("alpha", ("r1",)).undo())
    assert undo_open_faults(fake.as_lab) == ["f2"]
    assert process.wait(10) == -9
    assert alpha.did == ["kill"], "its disks are gone: it cannot go on"
    assert list((fake.folder / "disks").iterdir()) == []


def test_invalidated_data_stays_proved_when_it_is_good_again(fake: FakeLab) -> None:
    fault = Invalidated("bravo", 512)
    fake.bravo.answer("/proc/drbd", proc_drbd(r0="Inconsistent", r1="Inconsistent"))
    fault.prepare(fake.as_lab)
    fault.inject(fake.as_lab)
    script = fake.bravo.ran[-1]
    assert script.index("--resync-rate=512K") < script.index("drbdadm invalidate")
    assert script.count("--c-plan-ahead=0") == 3
    assert fault.bitten(fake.as_lab) == "", "r2 is not, yet"
    fake.bravo.answer("/proc/drbd", proc_drbd(r0="Inconsistent", r1="Inconsistent",
                                              r2="Inconsistent"))  # fmt: skip
    proof = "bravo: r0, r1, r2 Inconsistent"
    assert fault.bitten(fake.as_lab) == proof
    assert fault.healed(fake.as_lab) == ""
    fake.bravo.answer("/proc/drbd", proc_drbd())
    assert fault.bitten(fake.as_lab) == proof
    assert fault.healed(fake.as_lab) == "bravo: r0, r1, r2 UpToDate"
    fake.bravo.hang()
    assert fault.bitten(fake.as_lab) == proof


def test_the_rate_is_given_back_to_what_is_up(fake: FakeLab) -> None:
    """``adjust`` of what is down would be a start, behind Pacemaker's back."""
    fault = Invalidated("bravo", 512)
    fault.prepare(fake.as_lab)
    fake.bravo.answer("/proc/drbd", proc_drbd(r1="none"))
    fault.heal(fake.as_lab)
    assert fake.bravo.ran[-1] == "for r in r0 r2; do drbdadm adjust $r; done"
    fake.bravo.answer("/proc/drbd", proc_drbd(r0="none", r1="none", r2="none"))
    UndoJournal(fake.folder / "undo.jsonl").plan("f1", fault.undo())
    asked = len(fake.bravo.ran)
    assert undo_open_faults(fake.as_lab) == ["f1"]
    fake.machines["bravo"].boots()
    fault.heal(fake.as_lab)
    assert not any("adjust" in c for c in fake.bravo.ran[asked:]), "a boot has given it back"


def test_metadata_is_damaged_on_a_disk_that_is_not_in_use(fake: FakeLab) -> None:
    fault = DamagedMetadata("bravo", "r1")
    fake.bravo.answer("/proc/drbd", proc_drbd())
    with pytest.raises(HarnessError, match="r1 is up on bravo") as error:
        fault.inject(fake.as_lab)
    assert "standby" in error.value.hint
    fake.bravo.answer("/proc/drbd", proc_drbd(r0="none", r1="none", r2="none"))
    fault.inject(fake.as_lab)
    assert "of=$d" in fake.bravo.ran[-1]
    assert fault.bitten(fake.as_lab) == "", "there still is some"
    fake.bravo.answer("dump-md", ("No valid meta data found\nCommand terminated\n", 1))
    assert fault.bitten(fake.as_lab) == "No valid meta data found"
    assert fault.healed(fake.as_lab) == ""
    assert fault.facts() == {"machine": "bravo", "resource": "r1"}
    UndoJournal(fake.folder / "undo.jsonl").plan("f1", fault.undo())
    assert undo_open_faults(fake.as_lab) == ["f1"]
    assert fake.bravo.ran[-1] == "drbdadm create-md --force r1"
    fake.bravo.answer("dump-md", "version 08;\n")
    assert fault.healed(fake.as_lab) == "r1 has metadata on bravo"
    asked = len(fake.bravo.ran)
    fault.heal(fake.as_lab)
    assert not any("create-md" in c for c in fake.bravo.ran[asked:]), "it would be lost again"
    fake.bravo.answer("/proc/drbd", proc_drbd(r1="Diskless"))
    assert fault.healed(fake.as_lab) == "", "its attach was refused"
    fake.bravo.answer("/proc/drbd", proc_drbd(r1="Inconsistent"))
    assert fault.healed(fake.as_lab) == "r1 is Inconsistent on bravo"


def test_damaged_metadata_is_none_to_drbd_s_own_tool(tmp_path: Path) -> None:
    """The damage for real, on an image with metadata that drbdmeta made."""
    if shutil.which("drbdmeta") is None:
        pytest.skip("drbdmeta is not installed")
    image = tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(65 << 20)

    def drbdmeta(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["drbdmeta", "--force", "0", "v08", str(image), "internal", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert drbdmeta("create-md").returncode == 0
    assert drbdmeta("dump-md").returncode == 0
    fake = FakeLab(tmp_path)
    fake.bravo.answer("/proc/drbd", proc_drbd(r1="none"))
    DamagedMetadata("bravo", "r1").inject(fake.as_lab)
    script = fake.bravo.ran[-1].replace("/dev/disk/by-id/virtio-r1", str(image))
    script = script.replace("blockdev --getsize64", "stat -c %s").replace("oflag=direct ", "")
    subprocess.run(["sh", "-ec", script], check=True)
    refused = drbdmeta("dump-md")
    assert refused.returncode != 0
    assert "No valid meta data found" in refused.stdout + refused.stderr
    assert image.stat().st_size == 65 << 20


def test_maintenance_mode_is_a_property_of_the_cluster(fake: FakeLab) -> None:
    fault = Maintenance()
    question = "-n maintenance-mode -G"
    fake.alpha.answer(question, "false\n")
    assert fault.bitten(fake.as_lab) == ""
    fault.inject(fake.as_lab)
    assert fake.alpha.ran[-1] == "crm_attribute -t crm_config -n maintenance-mode -v true"
    fake.alpha.answer(question, "true\n")
    assert fault.bitten(fake.as_lab) == "maintenance-mode is true"
    assert fault.healed(fake.as_lab) == ""
    UndoJournal(fake.folder / "undo.jsonl").plan("f1", fault.undo())
    assert undo_open_faults(fake.as_lab) == ["f1"]
    assert fake.alpha.ran[-1] == "crm_attribute -t crm_config -n maintenance-mode -D"
    fake.alpha.answer(question, "false\n")
    assert fault.healed(fake.as_lab) == "maintenance-mode is not set"


def test_the_cluster_is_told_by_the_first_node_that_can(fake: FakeLab) -> None:
    fake.alpha.hang()
    fake.bravo.answer("crm_resource", "done")
    assert on_any_node(fake.as_lab, "crm_resource --cleanup") == "done"
    fake.machines["bravo"].state = "off"
    with pytest.raises(HarnessError, match="does not answer"):
        on_any_node(fake.as_lab, "crm_resource --cleanup")
    fake.machines["alpha"].state = "off"
    with pytest.raises(HarnessError, match="no node runs"):
        on_any_node(fake.as_lab, "crm_resource --cleanup")
