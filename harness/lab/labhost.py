"""What the rest of the harness knows of the host that a lab's VMs run on.

Two kinds: the private one (harness.lab.host), which is the default, and an existing libvirt
daemon's (harness.lab.shared, ``--connect``).
"""

from __future__ import annotations

import subprocess
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import libvirt

from harness.errors import HarnessError
from harness.lab import netns

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from harness.lab.topology import Topology

_event_loop: threading.Thread | None = None


def ensure_event_loop() -> None:
    """libvirt's default event loop, in its own thread; must run before the first connect."""
    global _event_loop
    if _event_loop is not None:
        return
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    libvirt.virEventRegisterDefaultImpl()

    def loop() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    _event_loop = threading.Thread(target=loop, name="libvirt-events", daemon=True)
    _event_loop.start()


class LabHost(ABC):
    """A libvirt daemon, the network its VMs are on, and the lab's folder.

    Attributes:
        folder: the lab's folder as this process sees it.
        topology: names, MACs and subnets of the lab.
        connection: to the daemon.
        lab_path, cache_path: the lab's folder and the cache root as the daemon sees them.
        fence_uri: the daemon's URI as fence_virtd, which runs beside it, sees it.
    """

    folder: Path
    topology: Topology
    connection: libvirt.virConnect
    lab_path: str
    cache_path: str
    fence_uri: str

    @property
    @abstractmethod
    def pid(self) -> int:
        """A process in the network and PID namespaces that the VMs are in."""

    @property
    @abstractmethod
    def uri(self) -> str:
        """libvirt URI of the daemon, as this process sees it."""

    @property
    @abstractmethod
    def qemu_logs(self) -> str:
        """Where QEMU's own words are."""

    @abstractmethod
    def inside(self, *command: str) -> list[str]:
        """``command`` as an argument list that runs where the VMs' network is."""

    @abstractmethod
    def stop(self) -> None:
        """End the lab and everything in it; its folder stays for whoever wants to look."""

    def run(self, *command: str, input_text: str | None = None) -> str:
        """Run a command where the VMs' network is and return its standard output.

        Raises:
            HarnessError: it failed; with its exit code and what it said.
        """
        done = subprocess.run(
            self.inside(*command), input=input_text, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise HarnessError(
                f"{command[0]} failed in the lab with exit code {done.returncode}: "
                f"{(done.stderr or done.stdout).strip()[-400:]}"
            )
        return done.stdout

    def spawn(self, command: list[str], log_name: str) -> None:
        """Start a daemon beside the VMs; its output goes to ``<lab>/<log_name>.log``.

        ``setsid --fork``, so that it is the warden's child and nobody waits for it. nsenter(1)
        would: it stops itself whenever its child is stopped (SIGSTOP), does not go on with it,
        and then outlives the lab.

        Raises:
            HarnessError: the lab cannot be entered.
        """
        with (self.folder / f"{log_name}.log").open("ab") as log:
            done = subprocess.run(
                self.inside("setsid", "--fork", *command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
            )
        if done.returncode != 0:
            raise HarnessError(
                f"{command[0]} cannot be started in the lab", hint=f"see {log_name}.log there"
            )

    def socket_to(self, address: str, port: int, timeout_s: float) -> socket.socket:
        """A TCP connection to an address of the lab.

        Raises:
            OSError: no answer within ``timeout_s`` seconds.
        """
        return netns.connect(self.pid, address, port, timeout_s)
