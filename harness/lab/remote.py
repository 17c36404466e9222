"""A lab on another host (``--connect qemu+ssh://host/system``), with no shared file system.

Machines and the names of its links are made through that host's libvirt, guest images come through
its storage (harness.lab.elsewhere), commands go through SSH, and so do connections to guests: the
host makes them (ssh(1), -W). What has to be seen there is seen by harness.lab.outpost. As on an
existing daemon of this machine (harness.lab.shared), every object is the lab's own: bridges are
known by their MAC, domains by their disks, rules by their table's name, fence_virtd by its
configuration; and the slot is noted before anything is made.
"""

from __future__ import annotations

import gzip
import json
import shlex
import threading
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.lab import vcpus
from harness.lab.arp import claimed_by
from harness.lab.disks import COPY
from harness.lab.elsewhere import ROOT, Elsewhere
from harness.lab.labhost import LabHost
from harness.lab.relay import Relay
from harness.lab.remote_links import make_links
from harness.lab.remote_objects import (
    FACTS,
    Facts,
    kept_at,
    make_folders,
    name_of,
    processes,
    remove_all,
    taken,
)
from harness.lab.shared import mac_of
from harness.lab.topology import SLOTS, Link, Topology

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from harness.lab.labhost import Watch
    from harness.lab.paths import Cache

_STREAMS = ("console", "journal", "events2", "progress", "block")


class RemoteHost(LabHost):
    """A lab on another host. Use ``start`` or ``attach``, and ``stop`` at the end."""

    private = False

    def __init__(self, folder: Path, facts: Facts, there: Elsewhere) -> None:
        self.folder = folder
        self.topology = Topology(facts.slot)
        self.elsewhere: Elsewhere = there
        self.connection = there.connection
        self.lab_path = facts.place
        self.cache_path = ROOT
        self.fence_uri = there.shell.address.driver
        self._relay: Relay | None = None
        self._starting = threading.Lock()

    @classmethod
    def start(cls, folder: Path, cache: Cache, uri: str) -> RemoteHost:
        """Take a free slot there and make its links, for the lab in the existing, empty ``folder``.

        Raises:
            BadInputError: the URI is none of another host.
            MissingEnvironmentError: that host or its libvirt refuses.
            HarnessError: no slot is free.
        """
        for name in ("disks", "ch", "console"):
            (folder / name).mkdir(exist_ok=True, mode=0o700)
        there = Elsewhere.open(uri, folder / "ssh")
        place = f"{ROOT}/labs/{name_of(folder, uri)}"
        try:
            for slot in range(SLOTS):
                topology = Topology(slot)
                if taken(there, topology):
                    continue
                facts = Facts(uri, slot, place)
                # Noted before anything is made: whoever finds the folder can undo it.
                facts.save(folder)
                make_folders(there, place)
                if make_links(there, topology, mac_of(folder)):
                    return cls(folder, facts, there)
        except BaseException:
            there.close()
            raise
        there.close()
        raise HarnessError(
            f"no free slot on {there.shell.name}: of fh0 to fh{SLOTS - 1} each has a name or a "
            "subnet that is in use",
            hint="harness status lists the labs; harness gc removes abandoned ones",
        )

    @classmethod
    def attach(cls, folder: Path) -> RemoteHost:
        """The lab in ``folder``.

        Raises:
            MissingEnvironmentError: its host refuses.
        """
        facts = Facts.load(folder)
        return cls(folder, facts, Elsewhere.open(facts.uri, folder / "ssh"))

    @property
    def pid(self) -> int:
        """None of this machine's is beside the VMs.

        Raises:
            HarnessError: always.
        """
        raise HarnessError(f"the lab's processes are on {self.elsewhere.shell.name}")

    @property
    def uri(self) -> str:
        """The daemon's, from here."""
        return self.elsewhere.uri

    @property
    def qemu_logs(self) -> str:
        """Where a system daemon keeps them."""
        return f"/var/log/libvirt/qemu/ on {self.elsewhere.shell.name}"

    def inside(self, *command: str) -> list[str]:
        """Through SSH."""
        return self.elsewhere.shell.command(*command)

    def run(self, *command: str, input_text: str | None = None) -> str:
        """Run a command there and return its standard output.

        Raises:
            HarnessError: it failed; with its exit code and what it said.
        """
        return self.elsewhere.shell.run(*command, stdin=(input_text or "").encode())

    def spawn(self, command: list[str], log_name: str) -> None:
        """Start a daemon there; its log there is followed into the lab's folder.

        Raises:
            HarnessError: it cannot be started.
        """
        log = shlex.quote(f"{self.lab_path}/{log_name}.log")
        self.run("sh", "-c", f'exec setsid --fork "$@" < /dev/null >> {log} 2>&1', "sh", *command)

    def socket_to(self, address: str, port: int, timeout_s: float) -> socket.socket:
        """A TCP connection that the host makes; what does not answer shows as its end.

        Raises:
            OSError: ssh does not run.
        """
        made = self.elsewhere.shell.connect(address, port)
        made.settimeout(timeout_s)
        return made

    def answers(self) -> bool:
        """Whether a command runs there."""
        try:
            self.run("true")
        except HarnessError:
            return False
        return True

    def stop(self) -> None:
        """Remove what the lab has there, and end the connections."""
        if self._relay is not None:
            self._relay.close()
        try:
            remove_all(self.folder, self.elsewhere)
        finally:
            self.elsewhere.close()

    # ------------------------------------------------------------------ files

    def publish(self, name: str) -> None:
        """Bring a file of the lab's folder there; nobody but root may read it."""
        target = f"{self.lab_path}/{name}"
        data = (self.folder / name).read_bytes()
        self.elsewhere.shell.run("install", "-m", "0600", "/dev/stdin", target, stdin=data)

    def provide(self, image: Path, key: str) -> None:
        """Bring a guest image there, through libvirt."""
        self.elsewhere.provide(image, key, self.folder.parent.parent / "leases" / f"there-{key}")

    def keep_disks(self, entry: Path, building: Path) -> None:
        """Keep the lab's disks there; they are known by the keys that belong to them."""
        (building / FACTS).write_text(json.dumps({"uri": self.uri}), encoding="utf-8")
        target = kept_at(entry.name, building)
        quoted = f"{ROOT}/clusters/{shlex.quote(entry.name)}-*"
        copy = shlex.join([*COPY, "-r", f"{self.lab_path}/disks", f"{target}.new"])
        self.run(
            "sh", "-c", f"mkdir -p -m 0711 {ROOT}/clusters && rm -rf {quoted} && {copy} "
            f"&& mv {target}.new {target}",
        )  # fmt: skip

    def has_disks(self, entry: Path) -> bool:
        """Whether the disks that belong to these keys are there."""
        return self.elsewhere.has(kept_at(entry.name, entry))

    def restore_disks(self, entry: Path) -> None:
        """Give the lab the disks of a formed cluster."""
        source, target = kept_at(entry.name, entry), f"{self.lab_path}/disks"
        self.run("sh", "-c", f"rm -rf {target} && {shlex.join([*COPY, '-r', source, target])}")

    def read_disk(self, name: str, target: Path) -> None:
        """Raw bytes of a paused VM's disk; zeros are not sent.

        Raises:
            HarnessError: it cannot be read.
        """
        source, raw = f"{self.lab_path}/disks/{name}", f"{self.lab_path}/raw-{name}"
        convert = shlex.join(["qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", source, raw])
        packed = self.elsewhere.shell.read(
            "sh", "-c", f"trap 'rm -f {raw}' EXIT; {convert} && gzip -1 -c {raw}"
        )
        target.write_bytes(gzip.decompress(packed))

    # -------------------------------------------------------------- processes

    def qemu_pid(self, domain: str) -> int | None:
        """PID of a domain's QEMU there; None if it does not run."""
        found = processes(self.elsewhere, f"guest={domain},")
        return found[0] if found else None

    def kill(self, pid: int) -> None:
        """kill -9 there.

        Raises:
            HarnessError: there is none.
        """
        self.run("kill", "-9", str(pid))

    def runs(self, pid: int) -> bool:
        """Whether that process has not ended."""
        return self.elsewhere.has(f"/proc/{pid}/root")

    def threads_of(self, pid: int) -> dict[str, tuple[int, int, str]]:
        """As harness.lab.vcpus tells it.

        Raises:
            OSError: there is no such process, or no answer.
        """
        script = f"cd /proc/{pid}/task && head -n 1 */comm */schedstat */stat"
        try:
            return vcpus.parse_heads(self.run("sh", "-c", f"{script} 2> /dev/null"))
        except HarnessError as error:
            raise ProcessLookupError(error.message) from error

    # -------------------------------------------------------------- witnesses

    @property
    def relay(self) -> Relay:
        """What is seen there; the first who asks starts it.

        Raises:
            HarnessError: it does not start.
        """
        with self._starting:
            if self._relay is None:
                plans = self.topology.machines
                names = [f"{plan.name}-{stream}" for plan in plans for stream in _STREAMS]
                logs = ["fence.log", *(f"console/{plan.name}.log" for plan in plans)]
                self._relay = Relay(
                    self.elsewhere.shell,
                    {name: f"{self.lab_path}/ch/{name}" for name in names},
                    [(f"{self.lab_path}/{log}", self.folder / log) for log in logs],
                    (
                        self.topology.bridge(Link.DATA),
                        self.topology.host_address(Link.DATA),
                        self.topology.vip,
                    ),
                    self.folder / "outpost.log",
                )
            return self._relay

    def dial(self, stream: str) -> socket.socket:
        """A witness stream of a VM.

        Raises:
            OSError: its VM does not run, or nothing is seen of the host any more.
        """
        return self.relay.dial(stream)

    def watch_vip(self, claim: Callable[[str, str], None], died: Callable[[str], None]) -> Watch:
        """Tell ``claim`` who claims the portal's address; the outpost asks and listens."""
        vip, relay = self.topology.vip, self.relay

        def seen(frame: bytes) -> None:
            if mac := claimed_by(frame, vip):
                claim(vip, mac)

        relay.watch_arp(seen)
        relay.when_lost(died)
        return _Silence(relay)

    def when_cut_off(self, told: Callable[[str], None]) -> None:
        """Tell ``told`` why nothing is seen of the host any more."""
        self.relay.when_lost(told)

    def shell_in(self, address: str) -> list[str]:
        """ssh(1) here, through that host."""
        through = shlex.join(self.elsewhere.shell.forward("%h:%p"))
        return [
            *("ssh", "-q", "-i", str(self.folder / "ssh_key"), "-o", f"ProxyCommand={through}"),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
            f"root@{address}",
        ]

    def follow(self, log: str, lines: int) -> list[str]:
        """tail(1) there: the log is followed here only while a run goes on."""
        return self.inside("tail", "-n", str(lines), "-F", f"{self.lab_path}/{log}")


class _Silence:
    """A watch of a relay's that nobody listens to once it is closed."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def close(self) -> None:
        self._relay.watch_arp(lambda _frame: None)
