"""A tool that fails is no answer: neither that something is gone, nor that it is whole again."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.cluster.observe import ObservationError, drbd_state
from harness.errors import HarnessError
from harness.faults.cuts import SilentCut
from harness.faults.daemons import DaemonKilled, DaemonStopped
from harness.faults.disks import DiskErrors
from harness.faults.fence_device import FenceBlocked
from harness.faults.filling import FileSystemFull
from harness.faults.impair import Latency
from harness.faults.maintenance import Maintenance
from harness.faults.mtu import SmallPort
from harness.faults.panic import MemoryExhausted
from harness.faults.replicas import DamagedMetadata, create_metadata, metadata_is_missing
from harness.faults.split_brain import ForcedSplitBrain
from harness.faults.target import TargetDeleted
from harness.faults.volatile_cache import VolatileCache
from harness.lab.topology import Link
from tests.faults import fakes
from tests.faults.answering import FakeLab, proc_drbd

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def fake(tmp_path: Path) -> FakeLab:
    return FakeLab(tmp_path)


@pytest.fixture
def wired(tmp_path: Path) -> fakes.FakeLab:
    return fakes.FakeLab(tmp_path)


def shell(script: str, path: Path) -> subprocess.CompletedProcess[str]:
    """A guest's script for real, with this folder's tools before the others."""
    return subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, check=False,
        env={"PATH": f"{path}:/usr/bin:/bin"},
    )  # fmt: skip


def tool(path: Path, name: str, text: str) -> None:
    (path / name).write_text(f"#!/bin/sh\n{text}\n")
    (path / name).chmod(0o755)


@pytest.mark.parametrize("code", [2, 127])
def test_a_ping_that_did_not_ask_is_no_blocked_fence_device(
    wired: fakes.FakeLab, code: int
) -> None:
    fault = FenceBlocked(("alpha", "bravo"))
    fault.inject(fakes.lab(wired))
    for machine in wired.machines.values():
        machine.guest.ping_code = code
    with pytest.raises(HarnessError, match=f"exit code {code}"):
        fault.bitten(fakes.lab(wired))
    for machine in wired.machines.values():
        machine.guest.ping_code = 1
    assert fault.bitten(fakes.lab(wired)).startswith("alpha and bravo cannot reach")


def test_a_ping_that_did_not_ask_is_no_small_port(wired: fakes.FakeLab) -> None:
    fault = SmallPort("bravo", Link.DRBD, 1500)
    fault.inject(fakes.lab(wired))
    assert fault.bitten(fakes.lab(wired))
    wired.machines["alpha"].guest.ping_code = 2
    with pytest.raises(HarnessError, match="exit code 2"):
        fault.bitten(fakes.lab(wired))


def test_an_nft_that_fails_heals_nothing(
    wired: fakes.FakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = SilentCut(("alpha",), (Link.DRBD,))
    fault.inject(fakes.lab(wired))

    def refuses(*_command: str, input_text: str | None = None) -> str:
        raise HarnessError("nft failed in the lab with exit code 1")

    monkeypatch.setattr(wired.host, "run", refuses)
    with pytest.raises(HarnessError, match="nft failed"):
        fault.healed(fakes.lab(wired))


@pytest.mark.parametrize(
    "said",
    ["", "Cannot find device\n", "qdisc netem 8001: root limit 1000 delay 200ms\n Sent nothing\n"],
)
def test_a_discipline_that_tc_does_not_tell_is_not_gone(
    wired: fakes.FakeLab, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    fault = Latency("alpha", Link.DRBD, 200)
    card = wired.card("alpha", Link.DRBD)
    assert "no netem" in fault.healed(fakes.lab(wired))
    monkeypatch.setattr(card, "qdisc", lambda: said)
    with pytest.raises(ObservationError, match="tc does not tell the discipline of drbd"):
        fault.healed(fakes.lab(wired))


def daemon_script(fake: FakeLab) -> str:
    fake.alpha.answer("pidof", "")
    assert DaemonStopped("alpha", "corosync").bitten(fake.as_lab)
    return fake.alpha.ran[-1]


def test_a_pidof_that_fails_is_no_stopped_daemon(fake: FakeLab, tmp_path: Path) -> None:
    """The script for real: 1 is "none", everything else is trouble."""
    script = daemon_script(fake)
    tool(tmp_path, "pidof", "exit 1")
    none = shell(script, tmp_path)
    assert (none.returncode, none.stdout) == (0, "")
    for code in (2, 127):
        tool(tmp_path, "pidof", f"exit {code}")
        assert shell(script, tmp_path).returncode == 3
    tool(tmp_path, "pidof", f"echo {1 << 30}")
    ended = shell(script, tmp_path)
    assert (ended.returncode, ended.stdout) == (0, ""), "it ended meanwhile"
    # No room for another process: sed(1) and the like cannot be started.
    for name in ("sed", "cut", "cat"):
        tool(tmp_path, name, "exit 126")
    with subprocess.Popen(["sleep", "60"]) as process:
        tool(tmp_path, "pidof", f"echo {process.pid}")
        told = shell(script, tmp_path)
        process.kill()
    assert (told.returncode, told.stdout) == (0, f"{process.pid} S\n")


def test_what_is_no_process_is_refused(fake: FakeLab) -> None:
    fault = DaemonKilled("alpha", "corosync")
    fake.alpha.answer("pidof", "687 S\n")
    fault.prepare(fake.as_lab)
    fake.alpha.answer("pidof", "687 \n")
    with pytest.raises(ObservationError, match="these are no processes"):
        fault.bitten(fake.as_lab)


def test_a_configfs_that_is_not_there_tells_of_no_target(fake: FakeLab, tmp_path: Path) -> None:
    fake.alpha.answer("stat -c", "71 /sys/kernel/config/target/iscsi/iqn.x\n")
    TargetDeleted("alpha").prepare(fake.as_lab)
    script = fake.alpha.ran[-1].replace("/sys/kernel/config", str(tmp_path / "config"))
    assert shell(script, tmp_path).returncode == 3
    (tmp_path / "config/target/iscsi").mkdir(parents=True)
    none = shell(script, tmp_path)
    assert (none.returncode, none.stdout) == (0, "")
    (tmp_path / "config/target/iscsi/iqn.2026-11.x:y").mkdir()
    assert shell(script, tmp_path).stdout.endswith("/iscsi/iqn.2026-11.x:y\n")
    tool(tmp_path, "stat", "exit 1")
    assert shell(script, tmp_path).returncode == 4


def test_a_file_system_that_takes_no_byte_for_another_reason_has_no_space(fake: FakeLab) -> None:
    fault = FileSystemFull("alpha", "/var")
    for said, code in (("dd: failed to open '/var/x': Read-only file system\n", 1), ("", 127)):
        fake.alpha.answer("/var/.lab-filler.probe", (said, code))
        with pytest.raises(ObservationError, match="/var of alpha takes no byte"):
            fault.healed(fake.as_lab)


@pytest.mark.parametrize(
    ("said", "code"), [("", 1), ("deactivating\n", 3), ("active\n", 0), ("activating\n", 3)]
)
def test_memory_is_not_back_while_nobody_says_so(fake: FakeLab, said: str, code: int) -> None:
    fault = MemoryExhausted("alpha")
    fault.prepare(fake.as_lab)
    fake.alpha.answer("is-active", (said, code))
    assert fault.healed(fake.as_lab) == ""


def test_a_disk_that_is_not_there_is_no_failing_one(fake: FakeLab) -> None:
    fault = DiskErrors("alpha", ("r1",))
    fault._disks = cast("Any", type("Disks", (), {"in_use": lambda _self: True})())
    fake.alpha.answer("virtio-r1", ("dd: error reading '/dev/vdc': Input/output error\n", 1))
    assert fault.bitten(fake.as_lab)
    for said in ("blockdev: cannot open /dev/disk/by-id/virtio-r1: No such file\n", ""):
        fake.alpha.answer("virtio-r1", (said, 2))
        with pytest.raises(ObservationError, match="alpha cannot ask the disk of r1"):
            fault.bitten(fake.as_lab)


def test_a_drbdadm_that_fails_finds_no_metadata(fake: FakeLab) -> None:
    fault = DamagedMetadata("alpha", "r1")
    fake.alpha.answer("/proc/drbd", proc_drbd(r1="none"))
    for said, code in (("drbdadm: command not found\n", 127), ("open(/dev/vdc) failed\n", 20)):
        fake.alpha.answer("dump-md", (said, code))
        for ask in (fault.bitten, fault.healed):
            with pytest.raises(ObservationError, match="metadata of r1"):
                ask(fake.as_lab)
        with pytest.raises(ObservationError):
            create_metadata(fake.as_lab, "alpha", "r1")
    unclean = 'Found meta data is "unclean", please apply-al first\n'
    fake.alpha.answer("dump-md", (unclean, 1))
    assert not metadata_is_missing(fake.as_lab, "alpha", "r1")


def test_a_proc_drbd_that_cannot_be_read_is_not_a_missing_module(tmp_path: Path) -> None:
    fake = FakeLab(tmp_path)
    fake.alpha.answer("/proc/drbd", "")
    assert drbd_state(cast("Any", fake.alpha)) == {}
    script = fake.alpha.ran[-1]
    there = tmp_path / "drbd"
    assert shell(script.replace("/proc/drbd", str(there)), tmp_path).returncode == 0
    there.mkdir()  # cat(1) fails, even for root
    assert shell(script.replace("/proc/drbd", str(there)), tmp_path).returncode != 0


@pytest.mark.parametrize("unset", ["0000000000000000", "0000000000000004", "0000000000000001"])
def test_an_unset_generation_is_none_to_go_on_from(fake: FakeLab, unset: str) -> None:
    """A resource that is down or new tells zeros: not a generation of its own."""
    fault = ForcedSplitBrain("bravo", "r1", 4)
    fake.bravo.answer("get-gi", f"r1 {unset}:{unset}:{unset}:{unset}:0:0:0:0:0:0\n")
    with pytest.raises(ObservationError, match="no generation of r1"):
        fault.prepare(fake.as_lab)


def test_a_qemu_that_does_not_say_has_no_plain_disks(
    fake: FakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_asked: object) -> None:
        raise HarnessError("QEMU does not answer")

    monkeypatch.setattr("harness.lab.volatile.ask", silent)
    fault = VolatileCache("alpha")
    fault.prepare(fake.as_lab)
    with pytest.raises(HarnessError, match="QEMU does not answer"):
        fault.healed(fake.as_lab)
    fake.machines["alpha"].state = "off"
    assert fault.healed(fake.as_lab) == "the disks are the plain ones"


@pytest.mark.parametrize("said", ["", "\n", "(null)"])
def test_a_property_that_is_not_told_is_not_unset(fake: FakeLab, said: str) -> None:
    fake.alpha.answer("maintenance-mode -G", said)
    with pytest.raises(HarnessError, match="tells no maintenance-mode"):
        Maintenance().healed(fake.as_lab)
