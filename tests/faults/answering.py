"""Guests, machines and labs that answer as told, for tests of faults."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from harness.errors import HarnessError
from harness.lab.shared import SharedHost
from harness.lab.topology import RESOURCES, Topology
from harness.remote.ssh import GuestUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.lab.lab import Lab

# What a command prints, its exit code, both, an exception, or what makes one of the command.
Answer = Any


def proc_drbd(**disks: str) -> str:
    """/proc/drbd with these disks by resource; ``none`` for a minor that is not configured."""
    lines = []
    for minor, resource in enumerate(RESOURCES):
        disk = disks.get(resource, "UpToDate")
        if disk == "none":
            lines.append(f" {minor}: cs:Unconfigured")
            continue
        lines.append(f" {minor}: cs:Connected ro:Secondary/Primary ds:{disk}/UpToDate C r-----")
        lines.append("    ns:0 nr:0 dw:0 dr:0 al:0 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:0")
    return "\n".join(lines) + "\n"


class FakeGuest:
    """Answers commands by the first text that is in them; what it is not told of succeeds silently.

    Attributes:
        ran: every command, in order.
    """

    def __init__(self) -> None:
        self.now: str | Exception = "old"
        self.offset_ns = 0
        self.ran: list[str] = []
        self._answers: dict[str, Answer] = {}

    def answer(self, text: str, answer: Answer) -> None:
        """From now on, to every command with this text in it."""
        self._answers[text] = answer

    def boot_id(self) -> str:
        if isinstance(self.now, Exception):
            raise self.now
        return self.now

    def clock_offset(self, _now: Callable[[], int]) -> tuple[int, int]:
        return self.offset_ns, 1000

    def run(
        self, command: str, *, check: bool = True, codes: tuple[int, ...] = (0,), **_options: Any
    ) -> SimpleNamespace:
        self.ran.append(command)
        if isinstance(self.now, Exception):
            raise self.now
        answer: Answer = ""
        for text, told in self._answers.items():
            if text in command:
                answer = told
                break
        if callable(answer):
            answer = answer(command)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, int):
            answer = ("", answer)
        text, code = answer if isinstance(answer, tuple) else (answer, 0)
        if check and code not in codes:
            raise HarnessError(f"exit code {code} from: {command}")
        return SimpleNamespace(stdout=text, stderr="", exit_code=code)

    def hang(self) -> None:
        """It answers nobody any more."""
        self.now = GuestUnreachableError("it does not answer")


class FakeMachine:
    def __init__(self, name: str) -> None:
        self.name = name
        self.guest = FakeGuest()
        self.state = "running"
        self.did: list[str] = []
        self.domain: Any = None
        # Its processes are this machine's.
        self.host: Any = SharedHost.__new__(SharedHost)
        self.pid = 7

    def running(self) -> bool:
        return self.state != "off"

    def qemu_pid(self) -> int:
        if self.state == "off":
            raise HarnessError(f"{self.name} has no QEMU process")
        return self.pid

    def power_on(self) -> None:
        self.did.append("power on")
        if self.state == "off":
            self.boots()

    def reset(self) -> None:
        self.did.append("reset")
        self.boots()

    def kill(self) -> None:
        self.did.append("kill")
        self.state = "off"

    def wait_off(self) -> None:
        assert self.state == "off"

    def boots(self) -> None:
        """As after a fencing, a reset or a power cut."""
        self.state, self.guest.now, self.pid = "running", "new", 8


class FakeLab:
    """Two nodes, an initiator, and a folder with consoles."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "console").mkdir(exist_ok=True)
        self.topology = Topology()
        self.machines = {name: FakeMachine(name) for name in ("alpha", "bravo", "client")}
        self.nodes = [self.machines["alpha"], self.machines["bravo"]]
        self.initiator = self.machines["client"]
        self.host: Any = None

    @property
    def alpha(self) -> FakeGuest:
        return self.machines["alpha"].guest

    @property
    def bravo(self) -> FakeGuest:
        return self.machines["bravo"].guest

    def console(self, name: str, text: str) -> None:
        """A machine's kernel says something on its console."""
        with (self.folder / "console" / f"{name}.log").open("a") as log:
            log.write(text + "\r\n")

    @property
    def as_lab(self) -> Lab:
        return cast("Lab", self)
