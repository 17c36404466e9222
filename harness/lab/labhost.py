"""What the rest of the harness knows of the host that a lab's VMs run on.

Three kinds: the private one (harness.lab.host), which is the default, an existing libvirt
daemon's (harness.lab.shared, ``--connect``), and one on another host (harness.lab.remote).
What can be done where the VMs are by this process itself is done so here; the last kind overrides
it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import libvirt

from harness.errors import HarnessError
from harness.lab import disks, netns, vcpus
from harness.lab.arp import VipWatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.lab.elsewhere import Elsewhere
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


class Watch(Protocol):
    """Something that watches until it is closed."""

    def close(self) -> None:
        """Stop watching."""


class LabHost(ABC):
    """A libvirt daemon, the network its VMs are on, and the lab's folder.

    Attributes:
        folder: the lab's folder as this process sees it.
        topology: names, MACs and subnets of the lab.
        connection: to the daemon.
        lab_path, cache_path: the lab's folder and the cache root as the daemon sees them.
        fence_uri: the daemon's URI as fence_virtd, which runs beside it, sees it.
        private: whether all there is beside the VMs is the lab's.
        elsewhere: the other host that all of it is on; None if it is this one.
    """

    private = True
    elsewhere: Elsewhere | None = None

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

    def answers(self) -> bool:
        """Whether the host does what it is asked; this one does."""
        return True

    # ------------------------------------------------------------------ files

    def publish(self, name: str) -> None:  # noqa: B027  (it has)
        """See to it that the host has a file that was written into the lab's folder."""

    def provide(self, image: Path, key: str) -> None:  # noqa: B027  (it has)
        """See to it that the host has a guest image, below ``cache_path``."""

    def keep_disks(self, entry: Path, building: Path) -> None:
        """Keep the lab's disks with the formed cluster that is to be ``entry``.

        Args:
            building: where that lies until it is whole; its keys are there already.
        """
        disks.copy(self.folder / "disks", building / "disks")

    def has_disks(self, entry: Path) -> bool:
        """Whether the host has the disks of a formed cluster."""
        return True

    def restore_disks(self, entry: Path) -> None:
        """Give the lab the disks of a formed cluster."""
        disks.copy(entry / "disks", self.folder / "disks")

    def read_disk(self, name: str, target: Path) -> None:
        """A disk's image as raw bytes, while its VM is paused.

        Raises:
            HarnessError: it cannot be read.
        """
        disks.to_raw(self.folder / "disks" / name, target)

    # -------------------------------------------------------------- processes

    def qemu_pid(self, domain: str) -> int | None:
        """PID of a domain's QEMU, as the host knows it; None if it does not run."""
        inside = os.readlink(f"/proc/{self.pid}/ns/pid")
        mark = f"guest={domain},".encode()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if (
                    mark in (entry / "cmdline").read_bytes()
                    and os.readlink(entry / "ns/pid") == inside
                ):
                    return int(entry.name)
            except OSError:
                continue
        return None

    def kill(self, pid: int) -> None:
        """kill -9 of one of the host's processes.

        Raises:
            OSError: there is none.
        """
        os.kill(pid, signal.SIGKILL)

    def runs(self, pid: int) -> bool:
        """Whether one of the host's processes has not ended."""
        return Path(f"/proc/{pid}/root").exists()

    def threads_of(self, pid: int) -> dict[str, tuple[int, int, str]]:
        """As harness.lab.vcpus tells it.

        Raises:
            OSError: there is no such process.
        """
        return vcpus.threads_of(pid)

    # -------------------------------------------------------------- witnesses

    def dial(self, stream: str) -> socket.socket:
        """A witness stream of a VM, by its socket's name.

        Raises:
            OSError: its VM does not run.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(str(self.folder / "ch" / stream))
        except OSError:
            sock.close()
            raise
        return sock

    def watch_vip(self, claim: Callable[[str, str], None], died: Callable[[str], None]) -> Watch:
        """Tell ``claim`` who claims the portal's address, and ``died`` why no more is told."""
        return VipWatch(self, self.topology, claim, died)

    def when_cut_off(self, told: Callable[[str], None]) -> None:  # noqa: B027  (never)
        """Tell ``told`` why nothing is seen of the host any more; never, if it is this one."""

    def shell_in(self, address: str) -> list[str]:
        """An argument list that becomes ssh(1) to a guest; more arguments are a command."""
        return [
            # The key as it is seen there: the cache's own path may be covered in a private lab.
            *self.inside("ssh", "-q", "-i", f"{self.lab_path}/ssh_key"),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
            f"root@{address}",
        ]
