"""What is broken inside of a node: its kernel, memory, clock, disk space, daemons and target."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.faults.clock import ClockJump
from harness.faults.daemons import DaemonFrozen, DaemonKilled, DaemonStopped
from harness.faults.filling import _KEEP, _RESERVE, _WRITE, FileSystemFull
from harness.faults.journal import UndoJournal
from harness.faults.panic import _SCRIPT, KernelPanic, MemoryExhausted
from harness.faults.target import TargetDeleted
from harness.faults.undo import undo_open_faults
from tests.faults.answering import FakeGuest, FakeLab

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.faults.fault import Fault

PANIC = "[  812.700145] Kernel panic - not syncing: sysrq triggered crash"


@pytest.fixture
def fake(tmp_path: Path) -> FakeLab:
    return FakeLab(tmp_path)


def test_a_panic_is_proved_by_the_console_and_healed_by_the_next_boot(fake: FakeLab) -> None:
    fake.console("alpha", PANIC + " of an earlier scenario")
    fault, alpha = KernelPanic("alpha"), fake.machines["alpha"]
    fault.prepare(fake.as_lab)
    assert fault.bitten(fake.as_lab) == "", "what it said before counts for nothing"
    fault.inject(fake.as_lab)
    assert "/proc/sysrq-trigger" in fake.alpha.ran[-1]
    assert fake.alpha.ran[-1].startswith("setsid"), "nobody would answer the command itself"
    fake.console("alpha", PANIC)
    assert fault.bitten(fake.as_lab) == PANIC
    assert fault.facts() == {"machine": "alpha"}
    assert fault.healed(fake.as_lab) == ""
    alpha.boots()
    fault.heal(fake.as_lab)
    assert alpha.did == ["power on"], "it was fenced and answers: nothing more to do"
    assert "booted again: boot id new, before old" in fault.healed(fake.as_lab)


def test_a_panicked_machine_that_nobody_fenced_is_reset(fake: FakeLab) -> None:
    fault, alpha = KernelPanic("alpha"), fake.machines["alpha"]
    fault.prepare(fake.as_lab)
    fake.alpha.hang()
    fault.heal(fake.as_lab)
    assert alpha.did == ["reset", "power on"]
    alpha.state = "off"
    fault.heal(fake.as_lab)
    assert alpha.did[2:] == ["power on"]


@pytest.mark.parametrize(
    "said",
    [
        "[  90.1] corosync invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE), order=0",
        "[  90.2] Out of memory: Killed process 650 (corosync) total-vm:567752kB",
        "[  90.3] Kernel panic - not syncing: System is deadlocked on memory",
    ],
)
def test_used_up_memory_is_proved_by_the_out_of_memory_killer(fake: FakeLab, said: str) -> None:
    fault = MemoryExhausted("alpha")
    fault.prepare(fake.as_lab)
    fault.inject(fake.as_lab)
    assert "OOMScoreAdjust=-1000" in fake.alpha.ran[-1]
    fake.console("alpha", "[  89.0] lab: nothing")
    assert fault.bitten(fake.as_lab) == ""
    fake.console("alpha", said)
    assert fault.bitten(fake.as_lab) == said


def test_memory_is_given_back_or_the_machine_has_booted(fake: FakeLab) -> None:
    fault, alpha = MemoryExhausted("alpha"), fake.machines["alpha"]
    fault.prepare(fake.as_lab)
    assert fault.healed(fake.as_lab) == "", "the process is still active"
    fault.heal(fake.as_lab)
    assert "systemctl kill" in fake.alpha.ran[-1]
    fake.alpha.answer("is-active", ("inactive\n", 3))
    assert fault.healed(fake.as_lab) == "alpha has its memory back"
    fake.alpha.hang()
    fault.heal(fake.as_lab)
    assert alpha.did == ["power on", "reset", "power on"]
    assert "booted again" in fault.healed(fake.as_lab)


def test_the_process_that_uses_memory_up_never_ends_by_itself() -> None:
    """Run for real, with an address space of 64 MiB: it holds what it gets and asks for more."""
    process = subprocess.Popen(
        ["prlimit", f"--as={64 << 20}", "python3", "-c", _SCRIPT], stderr=subprocess.PIPE
    )
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.0)
    finally:
        process.kill()
        assert process.communicate()[1] == b""


def clock(guest: FakeGuest) -> Callable[[str], str]:
    """A guest's shell as far as its clock goes: the jump, and the note that undoes it."""
    note: list[int] = []

    def run(command: str) -> str:
        planned = re.match(
            r"echo (-?\d+) > (\S+); date -s @\$\(\(\$\(date \+%s\) \+ (-?\d+)", command
        )
        if planned:
            note.append(int(planned[1]))
            guest.offset_ns += int(planned[3]) * 10**9
        elif command.startswith("if [ -e") and note:
            guest.offset_ns += note.pop() * 10**9
        return ""

    return run


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_clock_jumps_and_jumps_back(fake: FakeLab, seconds: int) -> None:
    fault = ClockJump("alpha", seconds)
    fake.alpha.offset_ns = -832 * 10**9
    fake.alpha.answer("", clock(fake.alpha))
    fault.prepare(fake.as_lab)
    assert fault.bitten(fake.as_lab) == ""
    fault.inject(fake.as_lab)
    assert fault.bitten(fake.as_lab) == f"jumped by {seconds:+.1f} s"
    assert fault.healed(fake.as_lab) == ""
    UndoJournal(fake.folder / "undo.jsonl").plan("f1", fault.undo())
    assert undo_open_faults(fake.as_lab) == ["f1"]
    assert fault.healed(fake.as_lab) == "+0.0 s from where it was"
    fault.heal(fake.as_lab)
    assert fake.alpha.offset_ns == -832 * 10**9, "undoing twice is harmless"


def test_the_clock_s_own_words(tmp_path: Path) -> None:
    """The script for real, with a ``date`` that only notes what it is told to set."""
    (tmp_path / "date").write_text(
        '#!/bin/sh\n[ "$1" = +%s ] && echo 1000000 || echo "$@" >> $SAID\n'
    )
    (tmp_path / "date").chmod(0o755)
    fake = FakeLab(tmp_path)
    fault = ClockJump("alpha", -3600)
    fault.inject(fake.as_lab)
    fault.heal(fake.as_lab)
    fault.heal(fake.as_lab)
    note = tmp_path / "note"
    for script in fake.alpha.ran:
        command = script.replace("/run/lab-clock-jump", str(note))
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SAID": str(tmp_path / "said")}
        subprocess.run(["sh", "-ec", command], env=environment, check=True)
    assert (tmp_path / "said").read_text().splitlines() == ["-s @996400", "-s @1003600"]
    assert not note.exists()


def test_a_full_file_system_takes_no_byte(fake: FakeLab) -> None:
    fault = FileSystemFull("alpha", "/var")
    assert fault.bitten(fake.as_lab) == ""
    assert fault.healed(fake.as_lab) == "/var of alpha has space"
    fault.inject(fake.as_lab)
    assert "fallocate" in fake.alpha.ran[-1]
    probe = "/var/.lab-filler.probe"
    fake.alpha.answer(probe, (f"dd: error writing '{probe}': No space left on device\n", 1))
    assert fault.bitten(fake.as_lab) == "not a byte can be written to /var of alpha"
    assert fault.healed(fake.as_lab) == ""
    fake.alpha.answer(probe, ("dd: failed to open: Read-only file system\n", 1))
    with pytest.raises(HarnessError, match="Read-only file system"):
        fault.bitten(fake.as_lab)  # that is another trouble
    assert FileSystemFull("client", "/srv/lun0", written=True).target == "/srv/lun0 of client"


@pytest.mark.parametrize("script", [_RESERVE, _WRITE])
def test_filling_ends_when_nothing_more_fits(tmp_path: Path, script: str) -> None:
    """The scripts for real, with tools that have room for 2,500 KiB."""
    room = tmp_path / "room"
    room.write_text("2500")
    (tmp_path / "fallocate").write_text(
        "#!/bin/sh\nread room < $ROOM; kib=$(($2 / 1024)); echo $kib >> $SAID\n"
        "[ $kib -le $room ] && echo $((room - kib)) > $ROOM && touch $3\n"
    )
    (tmp_path / "dd").write_text(
        '#!/bin/sh\nread room < $ROOM; case "$*" in *bs=1M*) unit=1024;; *) unit=1;; esac\n'
        "while [ $room -ge $unit ]; do room=$((room - unit)); done; echo $room > $ROOM; false\n"
    )
    (tmp_path / "sync").write_text("#!/bin/sh\n")
    for tool in ("fallocate", "dd", "sync"):
        (tmp_path / tool).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "ROOM": str(room),
                   "SAID": str(tmp_path / "said")}  # fmt: skip
    command = script.format(path=tmp_path / ".lab-filler")
    subprocess.run(["sh", "-c", command], env=environment, check=False, timeout=30)
    assert room.read_text().strip() == "0"


def test_what_is_freed_meanwhile_is_taken_as_well(tmp_path: Path) -> None:
    """The script for real, with tools: room for three more blocks, and a sleep that ends it."""
    room = tmp_path / "room"
    room.write_text("3")
    tools = {
        "systemd-run": 'while [ "$1" != sh ]; do echo "$1" >> $SAID; shift; done; exec "$@"',
        "fallocate": "read room < $ROOM; [ $room -gt 0 ] && echo $((room - 1)) > $ROOM && touch $3",
        "sleep": "[ ! -e $ROOM.slept ] && touch $ROOM.slept",
    }
    for tool, script in tools.items():
        (tmp_path / tool).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / tool).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "ROOM": str(room),
                   "SAID": str(tmp_path / "said")}  # fmt: skip
    command = _KEEP.format(path=tmp_path / ".lab-filler", unit="lab-filler-var.service")
    subprocess.run(["sh", "-c", command], env=environment, check=False, timeout=30)
    assert room.read_text().strip() == "0"
    assert len(list(tmp_path.glob(".lab-filler.kept*"))) == 3
    assert "--unit=lab-filler-var.service" in (tmp_path / "said").read_text()


def test_a_disk_that_was_written_full_is_not_watched(fake: FakeLab) -> None:
    FileSystemFull("client", "/srv/lun0", written=True).inject(fake.as_lab)
    assert "systemd-run" not in "".join(fake.machines["client"].guest.ran)
    FileSystemFull("alpha", "/var").inject(fake.as_lab)
    assert "--unit=lab-filler-var.service" in fake.alpha.ran[-1]


TARGET = "/sys/kernel/config/target/iscsi/iqn.2026-11.com.example:x"


def test_a_deleted_target_is_gone_though_another_one_was_started(fake: FakeLab) -> None:
    fault = TargetDeleted("alpha")
    fake.alpha.answer("stat", "")
    with pytest.raises(HarnessError, match="alpha has no iSCSI target"):
        fault.prepare(fake.as_lab)
    fake.alpha.answer("stat", f"31077 {TARGET}\n")
    fault.prepare(fake.as_lab)
    fault.inject(fake.as_lab)
    assert "clearconfig" in fake.alpha.ran[-1]
    assert fault.bitten(fake.as_lab) == "", "it is still there"
    fake.alpha.answer("stat", "")
    assert fault.bitten(fake.as_lab) == f"31077 {TARGET} is gone from alpha; there is none"
    fake.alpha.answer("stat", f"31455 {TARGET}\n")
    proof = f"31077 {TARGET} is gone from alpha; there is 31455 {TARGET}"
    assert fault.bitten(fake.as_lab) == proof, "Pacemaker has put it back meanwhile"
    for guest in (fake.alpha, fake.bravo):
        guest.answer("ls -d", 2)
    assert fault.healed(fake.as_lab) == ""
    fault.heal(fake.as_lab)
    assert fake.alpha.ran[-1] == "crm_resource --cleanup"
    fake.bravo.answer("ls -d", 0)
    assert fault.healed(fake.as_lab) == "the kernel of bravo has a target"
    asked = len(fake.alpha.ran)
    fault.heal(fake.as_lab)
    assert "crm_resource" not in "".join(fake.alpha.ran[asked:]), "Pacemaker has put it back"
    assert fault.bitten(fake.as_lab) == proof
    fake.machines["alpha"].boots()
    assert "booted anew" in fault.bitten(fake.as_lab), "it was fenced for what failed there"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (KernelPanic("bravo"), ""),
        (MemoryExhausted("bravo"), "systemctl kill -s KILL lab-hog"),
        (ClockJump("bravo", 60), "if [ -e /run/lab-clock-jump ]"),
        (
            FileSystemFull("bravo", "/var"),
            "systemctl stop lab-filler-var.service 2> /dev/null; rm -f /var/.lab-filler.*",
        ),
        (DaemonKilled("bravo", "corosync"), "systemctl start corosync pacemaker"),
        (DaemonFrozen("bravo", "corosync"), "kill -CONT"),
        (DaemonStopped("bravo", "iscsid"), "systemctl start iscsid"),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_the_undo_of_every_fault_survives_the_journal(
    fake: FakeLab, fault: Fault, said: str
) -> None:
    journal = UndoJournal(fake.folder / "undo.jsonl")
    journal.plan("f1", fault.undo())
    assert undo_open_faults(fake.as_lab) == ["f1"]
    assert journal.open_faults() == {}
    bravo = fake.machines["bravo"]
    if said:
        assert said in bravo.guest.ran[-1]
    else:
        assert bravo.did == ["power on"]


def test_a_guest_that_does_not_answer_is_undone_by_what_comes_next(fake: FakeLab) -> None:
    journal = UndoJournal(fake.folder / "undo.jsonl")
    journal.plan("f1", MemoryExhausted("bravo").undo())
    journal.plan("f2", ClockJump("alpha", 60).undo())
    fake.bravo.hang()
    fake.machines["alpha"].state = "off"
    assert undo_open_faults(fake.as_lab) == ["f1", "f2"]
    assert fake.alpha.ran == []
