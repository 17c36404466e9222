"""What a kernel says because of what was done to it, and what it says besides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.checks import judge_one
from tests.checks.build import healthy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.checks.build import Folder

FAULTS: dict[str, dict[str, Any]] = {
    "disk-errors": {"machine": "bravo", "target": "disks of r0 on bravo", "resources": "r0",
                    "disks": "vdb"},
    "memory-exhausted": {"machine": "bravo", "target": "bravo"},
    "kernel-panic": {"machine": "bravo", "target": "bravo"},
    "daemon-frozen": {"machine": "bravo", "target": "pacemaker-controld of bravo"},
    "daemon-killed": {"machine": "bravo", "target": "pacemaker-controld of bravo"},
}  # fmt: skip
DISK = "I/O error, dev vdb, sector 133104 op 0x1:(WRITE) flags 0x8800 phys_seg 1 prio class 2"
BUFFER = "Buffer I/O error on dev vdb, logical block 16639, async page read"
DETACH = "block drbd0: Local IO failed in drbd_endio_write_sec_final. Detaching..."
FAILED = "block drbd0: disk( UpToDate -> Failed ) "
DEADLOCK = "Kernel panic - not syncing: System is deadlocked on memory"
PANIC = "Kernel panic - not syncing: sysrq triggered crash"
OOPS = "BUG: unable to handle page fault for address: ffffc90000a4a000"
MEDIUM = DISK.replace("I/O", "critical medium")
KILLED = "Out of memory: Killed process 812 (pacemaker-contr) total-vm:61000kB, anon-rss:9000kB"
SEGFAULT = "pacemaker-contr[771]: segfault at 0 ip 00007f1c4b2a1b90 sp 00007ffd1 error 4 in libc.so"
WARNED = "WARNING: CPU: 0 PID: 1 at arch/x86/kernel/smp.c:128 native_smp_send_reschedule+0x34/0x40"
LOCKUP = "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [python3:812]"


def broken(kind: str, *, healed: bool = True) -> Folder:
    """bravo is broken from 62 to 70 s."""
    folder = healthy()
    fault = {"fault": kind, "kind": kind, "id": f"f2-{kind}", **FAULTS[kind]}
    stages = [(62, "inject"), (62.5, "bitten"), (69.9, "still-bitten"), (70, "heal")]
    for t_s, stage in [*stages, *([(71, "healed")] if healed else [])]:
        folder.add(t_s, "host", "fault", stage, **fault, proof="seen")
    return folder


@pytest.mark.parametrize(
    ("kind", "t_s", "node", "text", "verdict"),
    [
        ("disk-errors", 63, "bravo", DISK, "VALID"),
        ("disk-errors", 63, "bravo", MEDIUM, "VALID"),
        ("disk-errors", 63, "bravo", BUFFER, "VALID"),
        ("disk-errors", 63, "bravo", DETACH, "VALID"),
        ("disk-errors", 63, "bravo", FAILED, "VALID"),
        ("disk-errors", 63, "bravo", FAILED.replace("block drbd0", "drbd r0"), "VALID"),
        ("disk-errors", 75, "bravo", DISK, "VALID"),  # told a little late
        ("disk-errors", 78, "bravo", DISK, "INVALID"),
        ("disk-errors", 61, "bravo", DISK, "INVALID"),
        ("disk-errors", 63, "alpha", DISK, "INVALID"),
        ("disk-errors", 63, "client", DISK, "INVALID"),
        ("disk-errors", 63, "bravo", DISK.replace("vdb", "vdc"), "INVALID"),
        ("disk-errors", 63, "bravo", MEDIUM.replace("vdb", "vdc"), "INVALID"),
        ("disk-errors", 63, "bravo", DISK.replace("vdb", "drbd0"), "INVALID"),
        ("disk-errors", 63, "bravo", FAILED.replace("drbd0", "drbd1"), "INVALID"),
        ("disk-errors", 63, "bravo", "drbd r0: fence-peer helper broken, returned 0", "INVALID"),
        ("disk-errors", 63, "bravo", "EXT4-fs error (device vdb): bad block", "INVALID"),
        ("memory-exhausted", 63, "bravo", DEADLOCK, "VALID"),
        ("memory-exhausted", 63, "bravo", LOCKUP, "VALID"),
        ("memory-exhausted", 63, "bravo", KILLED, "VALID"),
        ("memory-exhausted", 63, "bravo", SEGFAULT, "VALID"),
        ("memory-exhausted", 80, "bravo", KILLED, "INVALID"),
        ("memory-exhausted", 63, "client", KILLED, "INVALID"),
        ("memory-exhausted", 80, "bravo", LOCKUP, "INCONCLUSIVE"),
        ("memory-exhausted", 63, "client", LOCKUP, "INCONCLUSIVE"),
        ("memory-exhausted", 63, "bravo", PANIC, "INVALID"),
        ("memory-exhausted", 63, "bravo", OOPS, "INVALID"),
        ("memory-exhausted", 63, "bravo", DISK, "INVALID"),
        ("kernel-panic", 63, "bravo", PANIC, "VALID"),
        ("kernel-panic", 63, "bravo", OOPS, "VALID"),
        ("kernel-panic", 63, "bravo", WARNED, "VALID"),
        ("kernel-panic", 61, "bravo", OOPS, "INVALID"),
        ("kernel-panic", 63, "alpha", PANIC, "INVALID"),
        ("kernel-panic", 63, "bravo", DISK, "INVALID"),
        ("daemon-frozen", 63, "bravo", SEGFAULT, "VALID"),
        ("daemon-frozen", 80, "bravo", SEGFAULT, "INVALID"),
        ("daemon-frozen", 63, "bravo", SEGFAULT.replace("contr", "fence"), "INVALID"),
        ("daemon-killed", 63, "bravo", SEGFAULT, "INVALID"),
    ],
)
def test_only_what_the_fault_explains_is_excused(
    tmp_path: Path, kind: str, t_s: float, node: str, text: str, verdict: str
) -> None:
    folder = broken(kind)
    folder.kernel(t_s, node, text, boot="2" if node == "alpha" else "1")
    result = judge_one(folder.save(tmp_path), "kernel-alarms")
    assert str(result.verdict) == verdict, result.seen


def test_a_fault_that_never_healed_excuses_until_the_end(tmp_path: Path) -> None:
    folder = broken("disk-errors", healed=False)
    folder.kernel(85, "bravo", DISK)
    assert str(judge_one(folder.save(tmp_path), "kernel-alarms").verdict) == "VALID"


def test_what_failed_on_purpose_does_not_make_a_planned_stop_an_alarm(tmp_path: Path) -> None:
    """Pacemaker stops another resource later: its disk goes as DRBD detaches it."""
    folder = broken("disk-errors")
    folder.kernel(63, "bravo", DETACH)
    text = " notice: Initiating stop operation d1_stop_0 on bravo"
    folder.journal(79, "alpha", text, identifier="pacemaker-controld", boot="2")
    folder.kernel(80, "bravo", FAILED.replace("drbd0", "drbd1"))
    assert str(judge_one(folder.save(tmp_path), "kernel-alarms").verdict) == "VALID"


@pytest.mark.parametrize("told", ["banner", "libvirt"])
def test_a_panic_that_was_provoked_excuses_nothing_of_the_next_boot(
    tmp_path: Path, told: str
) -> None:
    """alpha is made to panic at 20 s, is started at 27 s and speaks again at 32 s."""
    folder = healthy()
    for event in folder.events:
        if event.channel == "fault":
            event.data |= {"fault": "kernel-panic", "kind": "kernel-panic", "machine": "alpha"}
    if told == "libvirt":
        folder.drop(lambda e: "Linux version" in str(e.data.get("text")))
    folder.kernel(20.2, "alpha", PANIC)
    folder.kernel(26, "alpha", OOPS)
    assert str(judge_one(folder.save(tmp_path / "a"), "kernel-alarms").verdict) == "VALID"
    folder.kernel(82, "alpha", OOPS, boot="2")
    result = judge_one(folder.save(tmp_path / "b"), "kernel-alarms")
    assert (str(result.verdict), result.details["failures"]) == ("INVALID", 1)


def test_a_panic_ends_the_primary_s_time(tmp_path: Path) -> None:
    """Deadly as a power cut: its kernel is gone, though its power is not."""
    folder = healthy()
    for event in folder.events:
        if event.channel == "fault":
            event.data |= {"fault": "kernel-panic", "kind": "kernel-panic", "machine": "alpha"}
        elif event.channel == "domain" and event.data["event"] == "stopped":
            event.t_s = 27.0  # by the fence device, not before
    folder.kernel(20.2, "alpha", PANIC)
    for slug in ("dual-primary", "machines", "faults", "kernel-alarms", "fencings", "witnesses"):
        result = judge_one(folder.save(tmp_path), slug)
        assert str(result.verdict) == "VALID", f"{slug}: {result.seen}"
