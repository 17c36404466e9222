"""Daemons beside the VMs: they end with the lab, whatever was done to them before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.errors import HarnessError
from harness.lab.labhost import LabHost
from harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

REAPER = """
import os, time
print("ready", flush=True)
while True:
    try:
        os.wait()
    except ChildProcessError:
        time.sleep(0.05)
"""


class Namespace:
    """A PID namespace whose first process reaps, as the warden does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        command = ["unshare", "--pid", "--fork", "--kill-child=KILL", sys.executable, "-c", REAPER]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        self.first = int(children)

    def inside(self, *command: str) -> list[str]:
        return ["nsenter", "-t", str(self.first), "-p", "--", *command]

    def spawn(self, *command: str) -> None:
        LabHost.spawn(cast("Any", self), list(command), "daemon")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        # The kernel kills the first process for it, a moment later. Who enters before that is
        # killed with it, and leaves no word.
        gone = lambda: "" if not Path(f"/proc/{self.first}").exists() else "its end"  # noqa: E731
        wait_until("the namespace is gone", gone, deadline_s=60)


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Namespace]:
    made = Namespace(tmp_path)
    yield made
    made.end()


def command_lines() -> dict[int, bytes]:
    """By host PID."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit():
                found[int(entry.name)] = (entry / "cmdline").read_bytes()
        except OSError:
            continue
    return found


def begun(words: str) -> list[int]:
    """Processes whose command line begins so."""
    return [pid for pid, line in command_lines().items() if line.startswith(words.encode())]


def running(mark: str) -> list[int]:
    """Whatever has ``mark`` in its command line: the daemon, and who started it."""
    return [pid for pid, line in command_lines().items() if mark.encode() in line]


def test_a_daemon_that_was_stopped_and_went_on_ends_with_its_lab(namespace: Namespace) -> None:
    mark = f"86400.{os.getpid()}"
    namespace.spawn("sleep", mark)
    itself = f"sleep\0{mark}"
    wait_until("the daemon", lambda: "" if begun(itself) else "it", deadline_s=10)
    (daemon,) = begun(itself)
    os.kill(daemon, signal.SIGSTOP)
    wait_until(
        "it stands still",
        lambda: "" if ") T " in Path(f"/proc/{daemon}/stat").read_text() else "it runs",
        deadline_s=10,
    )
    os.kill(daemon, signal.SIGCONT)
    namespace.end()
    left = lambda: ", ".join(map(str, running(mark)))  # noqa: E731
    wait_until("nothing is left", left, deadline_s=10)


def test_a_lab_that_cannot_be_entered_is_named(namespace: Namespace) -> None:
    namespace.end()
    with pytest.raises(HarnessError, match="sleep cannot be started in the lab"):
        namespace.spawn("sleep", "1")
    assert (namespace.folder / "daemon.log").read_text()
