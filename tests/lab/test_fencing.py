"""The fence device is signalled only if it is this lab's: its PID file may be an old one."""

from __future__ import annotations

import shlex
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.errors import HarnessError
from harness.lab.fencing import CONF, fence_device_state, signal_fence_device
from harness.lab.labhost import LabHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Device = Callable[..., subprocess.Popen[bytes]]


class Host:
    """A lab whose daemons are processes of this machine, at a path with a blank in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lab_path = folder, str(folder)

    def inside(self, *command: str) -> list[str]:
        return [*command]

    run = LabHost.run


@pytest.fixture
def host(tmp_path: Path) -> LabHost:
    folder = tmp_path / "a lab"
    folder.mkdir()
    return cast("LabHost", Host(folder))


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """Starts something called so, with these arguments."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, name: str = "fence_virtd") -> subprocess.Popen[bytes]:
        program = tmp_path / name
        program.write_text("#!/bin/sh\nread never\n")
        program.chmod(0o755)
        process = subprocess.Popen([program, *arguments], stdin=subprocess.PIPE)
        started.append(process)
        while Path(f"/proc/{process.pid}/comm").read_text() != f"{name}\n":
            time.sleep(0.01)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def noted(host: LabHost, text: object) -> None:
    (host.folder / "fence_virtd.pid").write_text(f"{text}\n")


def state(process: subprocess.Popen[Any]) -> str:
    time.sleep(0.05)
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]


def own(host: LabHost) -> tuple[str, ...]:
    return "-F", "-d", "5", "-f", f"{host.lab_path}/{CONF}", "-p", f"{host.lab_path}/x"


def test_this_lab_s_is_stopped_and_goes_on(host: LabHost, device: Device) -> None:
    process = device(*own(host))
    noted(host, process.pid)
    assert fence_device_state(host).startswith("S")
    signal_fence_device(host, "STOP")
    assert state(process) == "T"
    assert fence_device_state(host).startswith("T")
    signal_fence_device(host, "CONT")
    assert state(process) == "S"


def test_whoever_has_its_pid_now_is_left_alone(host: LabHost, device: Device) -> None:
    others = [
        device(*own(host), name="other"),  # another program, whatever its arguments
        device("-f", f"{host.lab_path}/other.conf"),  # another configuration
        device("-f", f"{host.lab_path}2/{CONF}"),  # another lab's
        device("-f", shlex.quote(f"{host.lab_path}/{CONF}")),
    ]
    for process in others:
        noted(host, process.pid)
        with pytest.raises(HarnessError, match="the lab's fence_virtd does not run"):
            signal_fence_device(host, "STOP")
        assert state(process) == "S"
        assert fence_device_state(host) == ""


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "1 2", "4194305", "$(touch here)"])
def test_what_is_no_pid_is_nobody(host: LabHost, text: str) -> None:
    """kill(1) takes -1 and 0 for everybody."""
    noted(host, text)
    with pytest.raises(HarnessError, match="the lab's fence_virtd does not run"):
        signal_fence_device(host, "STOP")
    assert fence_device_state(host) == ""
    assert not (host.folder / "here").exists()


def test_without_a_pid_file_it_does_not_run(host: LabHost) -> None:
    with pytest.raises(HarnessError, match="the lab's fence_virtd does not run"):
        signal_fence_device(host, "CONT")
    assert fence_device_state(host) == ""


def test_one_that_has_ended_does_not_run(host: LabHost, device: Device) -> None:
    process = device(*own(host))
    noted(host, process.pid)
    process.kill()
    time.sleep(0.1)  # not waited for: a zombie has a PID, and no command line
    assert fence_device_state(host) == ""
