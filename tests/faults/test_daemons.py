"""Single daemons: killed, standing still, stopped, and running again."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.faults.daemons import UNITS, DaemonFrozen, DaemonKilled, DaemonStopped
from harness.waiting import wait_until
from tests.faults.answering import FakeLab

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.faults.fault import Fault

CRM_MON = Path("tests/cluster/fixtures/crm_mon-healthy.xml").read_text(encoding="utf-8")


@pytest.fixture
def fake(tmp_path: Path) -> FakeLab:
    return FakeLab(tmp_path)


def processes(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


def test_a_killed_daemon_is_gone_though_another_one_was_started(fake: FakeLab) -> None:
    fault = DaemonKilled("alpha", "pacemaker-controld")
    fake.alpha.answer("pidof", processes("687 S"))
    fault.prepare(fake.as_lab)
    assert fault.bitten(fake.as_lab) == ""
    fault.inject(fake.as_lab)
    assert fake.alpha.ran[-1] == "kill -KILL 687"
    fake.alpha.answer("pidof", "")
    gone = "the processes 687 of pacemaker-controld of alpha are gone"
    assert fault.bitten(fake.as_lab) == gone
    fake.alpha.answer("pidof", processes("3021 S"))
    assert fault.bitten(fake.as_lab) == gone
    fake.alpha.answer("pidof", processes("687 S"))
    assert fault.bitten(fake.as_lab) == ""
    # The same PID in the next boot is another process: emulated guests boot alike.
    fake.machines["alpha"].boots()
    assert fault.bitten(fake.as_lab) == gone
    assert fault.facts() == {"machine": "alpha"}


def test_a_daemon_runs_again_when_both_nodes_have_its_node_online(fake: FakeLab) -> None:
    fault = DaemonKilled("alpha", "corosync")
    assert fault.healed(fake.as_lab) == "", "it does not run"
    fault.heal(fake.as_lab)
    assert "systemctl start corosync pacemaker" in fake.alpha.ran[-1]
    fake.alpha.answer("pidof", processes("650 S"))
    fake.alpha.answer("crm_mon", CRM_MON)
    offline = re.sub(r'(<node name="alpha"[^>]*online=)"true"', r'\1"false"', CRM_MON)
    fake.bravo.answer("crm_mon", offline)
    assert fault.healed(fake.as_lab) == ""
    fake.bravo.answer("crm_mon", CRM_MON)
    assert fault.healed(fake.as_lab) == "corosync of alpha runs as 650, and alpha is online"


def test_a_frozen_daemon_is_stopped_by_a_signal(fake: FakeLab) -> None:
    fault = DaemonFrozen("client", "iscsid")
    client = fake.initiator.guest
    client.answer("pidof", processes("431 S", "432 S"))
    fault.prepare(fake.as_lab)
    fault.inject(fake.as_lab)
    assert client.ran[-1] == "kill -STOP 431 432"
    client.answer("pidof", processes("431 T", "432 S"))
    assert fault.bitten(fake.as_lab) == "", "one of them still runs"
    client.answer("pidof", processes("431 T", "432 T"))
    assert fault.bitten(fake.as_lab) == "the processes 431, 432 of iscsid of client are stopped"
    assert fault.healed(fake.as_lab) == ""
    fault.heal(fake.as_lab)
    assert "kill -CONT" in client.ran[-1]
    client.answer("pidof", processes("431 S", "432 S"))
    assert fault.healed(fake.as_lab) == "iscsid of client runs as 431, 432"


def test_a_stopped_daemon_has_no_process(fake: FakeLab) -> None:
    fault = DaemonStopped("alpha", "corosync")
    fake.alpha.answer("pidof", processes("650 S"))
    fault.prepare(fake.as_lab)
    assert fault.bitten(fake.as_lab) == ""
    fault.inject(fake.as_lab)
    assert fake.alpha.ran[-1].startswith("for u in pacemaker corosync; do"), "the last one first"
    fake.alpha.answer("pidof", "")
    assert fault.bitten(fake.as_lab) == "corosync of alpha has no process"


@pytest.mark.parametrize("fault", [DaemonKilled, DaemonFrozen, DaemonStopped])
def test_what_does_not_run_cannot_be_broken(
    fake: FakeLab, fault: Callable[[str, str], Fault]
) -> None:
    with pytest.raises(HarnessError, match="iscsid of client does not run"):
        fault("client", "iscsid").prepare(fake.as_lab)


def test_the_states_of_processes_are_the_kernel_s(tmp_path: Path) -> None:
    """The question for real: a process that sleeps, then the same one stopped."""
    process = subprocess.Popen(["sleep", "60"])
    try:
        fake = FakeLab(tmp_path)

        def shell(command: str) -> str:
            assert "pidof sleep" in command
            command = command.replace("$(pidof sleep)", str(process.pid))
            done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
            return done.stdout

        fake.alpha.answer("pidof", shell)
        fault = DaemonFrozen("alpha", "sleep")
        fault.prepare(fake.as_lab)
        assert fault.bitten(fake.as_lab) == ""
        subprocess.run(["kill", "-STOP", str(process.pid)], check=True)
        wait_until(
            "the process is stopped",
            lambda: "" if fault.bitten(fake.as_lab) else "its state",
            deadline_s=10,
            interval_s=0.02,
        )
    finally:
        process.kill()
        process.wait()


def test_every_daemon_has_units_that_start_it() -> None:
    assert set(UNITS["corosync"].split()) == {"corosync", "pacemaker"}
    assert UNITS["pacemaker-based"] == UNITS["pacemakerd"] == "pacemaker"
