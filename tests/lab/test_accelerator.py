"""The KVM probe, with shell scripts in QEMU's place; no guest is started here."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from harness.lab import accelerator
from harness.lab.accelerator import boot_sector, kernel_booted, probe_kvm

# From a real boot (Debian 12's cloud kernel, no root): first and last of its 345 lines.
BOOTED = (
    "[    0.000000] Linux version 6.1.0-56-cloud-amd64 (debian-kernel@lists.debian.org)\\r\\n"
    "[    1.339915] Kernel panic - not syncing: VFS: Unable to mount root fs on "
    "unknown-block(0,0)\\r\\n"
)
# From a real hang: the kernel's set-up code ran, the kernel never spoke.
HUNG = "Probing EDD (edd=off to disable)... ok\\r\\n"
# From a host where QEMU cannot set the vCPU up.
ABORTED = (
    "qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69\\n"
    "qemu-system-x86_64: ../../target/i386/kvm/kvm.c:3183: kvm_buf_set_msrs: Assertion "
    "failed.\\n"
)


class FakeQemu:
    """A script that logs its arguments and then does as told."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "qemu"
        self.calls_path = folder / "calls"
        self.device = folder / "kvm"
        self.device.touch()
        self.kernel = folder / "vmlinuz"
        self.kernel.write_bytes(b"kernel")
        self.does("exit 0")

    def does(self, body: str, version: str = "7.2.22") -> None:
        self.path.write_text(
            f'#!/bin/sh\n[ "$1" = --version ] && {{ echo "QEMU version {version}"; exit 0; }}\n'
            f'echo "$*" >>{self.calls_path}\n{body}\n'
        )
        self.path.chmod(0o755)

    def calls(self) -> list[str]:
        return self.calls_path.read_text().splitlines() if self.calls_path.exists() else []


@pytest.fixture
def qemu(tmp_path: Path) -> FakeQemu:
    return FakeQemu(tmp_path)


def probe(
    qemu: FakeQemu,
    *,
    kernel: bool = True,
    cache: Path | None = None,
    deadline_s: float = 5.0,
    fresh: bool = False,
) -> accelerator.Accelerator:
    return probe_kvm(
        deadline_s,
        kernel=qemu.kernel if kernel else None,
        cache=cache,
        fresh=fresh,
        qemu=str(qemu.path),
        device=qemu.device,
    )


def test_a_kernel_that_boots_proves_kvm_without_waiting_for_the_end(qemu: FakeQemu) -> None:
    qemu.does(f"printf '{BOOTED}'; sleep 60")
    found = probe(qemu)
    assert (found.kind, found.proof, found.weak) == ("kvm", "kernel", False)
    assert found.seconds < 3
    arguments = qemu.calls()[0]
    assert "-accel kvm -cpu host" in arguments
    assert f"-kernel {qemu.kernel}" in arguments


def test_a_kernel_that_hangs_is_emulation_and_its_group_is_killed(qemu: FakeQemu) -> None:
    pid_file = qemu.path.with_name("child")
    qemu.does(f"printf '{HUNG}'; sleep 60 & echo $! >{pid_file}; wait")
    found = probe(qemu, deadline_s=0.5)
    assert found.kind == "tcg"
    assert "hangs under it" in found.reason
    assert '"Probing EDD (edd=off to disable)... ok"' in found.reason
    assert 0.4 < found.seconds < 3
    child = Path(f"/proc/{int(pid_file.read_text())}/stat")
    deadline = time.monotonic() + 5
    while child.exists() and child.read_text().rsplit(")", 1)[1].split()[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_silent_guest_is_emulation(qemu: FakeQemu) -> None:
    qemu.does("exec sleep 60")
    assert "its last words were nothing at all" in probe(qemu, deadline_s=0.3).reason


def test_output_closed_early_does_not_outlast_the_deadline(qemu: FakeQemu) -> None:
    qemu.does("exec >/dev/null 2>&1; exec sleep 60")
    assert "hangs under it" in probe(qemu, deadline_s=0.4).reason


def test_qemu_that_aborts_is_quoted(qemu: FakeQemu) -> None:
    qemu.does(f"printf '{ABORTED}' >&2; kill -ABRT $$")
    found = probe(qemu)
    assert found.kind == "tcg"
    assert "SIGABRT" in found.reason
    assert "failed to set MSR 0x10a to 0x69" in found.reason
    assert found.seconds < 3


def test_what_the_guest_says_is_made_printable(qemu: FakeQemu) -> None:
    qemu.does("printf '\\033[31mred\\007\\n'; exit 3")
    assert '"?[31mred?"' in probe(qemu).reason


def test_a_babbling_guest_ends_the_probe(qemu: FakeQemu) -> None:
    qemu.does("exec yes x")
    assert "babbles" in probe(qemu).reason


def test_without_a_kernel_a_boot_sector_is_a_weaker_proof(qemu: FakeQemu) -> None:
    qemu.does("printf 'KVM-EXECUTES'; sleep 60")
    found = probe(qemu, kernel=False)
    assert (found.kind, found.proof, found.weak) == ("kvm", "boot sector", True)
    assert "weaker proof" in found.reason
    assert "-debugcon stdio" in qemu.calls()[0]


@pytest.mark.parametrize(
    ("lacks", "reason"), [("path", "is not installed"), ("device", "does not exist")]
)
def test_what_is_missing_is_said(qemu: FakeQemu, lacks: str, reason: str) -> None:
    getattr(qemu, lacks).unlink()
    found = probe(qemu)
    assert (found.kind, found.seconds) == ("tcg", 0.0)
    assert reason in found.reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_device_closed_to_this_user_is_said(qemu: FakeQemu) -> None:
    qemu.device.chmod(0)
    assert "cannot be opened" in probe(qemu).reason


def test_an_unusable_qemu_is_no_crash(qemu: FakeQemu) -> None:
    qemu.path.write_bytes(b"\x7fELF not really")
    assert probe(qemu).kind == "tcg"


def test_the_answer_is_kept_per_kernel_and_qemu(qemu: FakeQemu, tmp_path: Path) -> None:
    cache = tmp_path / "new" / "cache"
    qemu.does(f"printf '{BOOTED}'")
    first = probe(qemu, cache=cache)
    assert probe(qemu, cache=cache) == first
    assert len(qemu.calls()) == 1
    qemu.kernel.write_bytes(b"another kernel")
    probe(qemu, cache=cache)
    assert len(qemu.calls()) == 2
    qemu.does(f"printf '{BOOTED}'", version="8.0.0")
    probe(qemu, cache=cache)
    assert len(qemu.calls()) == 3
    probe(qemu, cache=cache, fresh=True)
    assert len(qemu.calls()) == 4


def test_another_boot_of_the_host_probes_again(
    qemu: FakeQemu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot_id = tmp_path / "boot_id"
    monkeypatch.setattr(accelerator, "_BOOT_ID", boot_id)
    for boot in ("one", "two"):
        boot_id.write_text(boot)
        probe(qemu, cache=tmp_path)
    assert len(qemu.calls()) == 2
    kept = json.loads((tmp_path / "kvm-probe.json").read_text())
    assert [key.split("/")[0] for key in kept] == ["two"]


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"KEY": 3}', '{"KEY": {"kind": "xen", "reason": "", "seconds": 0}}']
)
def test_a_damaged_cache_probes_again(qemu: FakeQemu, tmp_path: Path, content: str) -> None:
    qemu.does(f"printf '{BOOTED}'")
    probe(qemu, cache=tmp_path)
    kept = tmp_path / "kvm-probe.json"
    key = next(iter(json.loads(kept.read_text())))
    kept.write_text(content.replace("KEY", key))
    assert probe(qemu, cache=tmp_path).kind == "kvm"
    assert len(qemu.calls()) == 2


@pytest.mark.parametrize(
    ("serial", "booted"),
    [
        (b"", False),
        (b"Linux version 6.1", False),
        (b"Kernel panic\nLinux version 6.1", False),
        (b"Linux version 6.1\nRun /init as init process", True),
        (b"Linux version 6.1\nRun /sbin/init as init process", True),
        (b"Linux version 6.1\n\xff\x00Kernel panic - not syncing", True),
    ],
)
def test_only_a_kernel_that_got_somewhere_counts(serial: bytes, booted: bool) -> None:
    assert kernel_booted(serial) is booted


def test_the_boot_sector_is_one() -> None:
    sector = boot_sector()
    assert len(sector) == 512
    assert sector[510:] == b"\x55\xaa"
    # mov si, imm16 points at the marker, where the BIOS loads it.
    assert sector[4] == 0xBE
    assert sector[int.from_bytes(sector[5:7], "little") - 0x7C00 :].startswith(b"KVM-EXECUTES\0")
