"""A private libvirt host: the warden's namespaces with libvirtd and fence_virtd inside.

Created with ``PrivateHost.start``; everything inside ends with ``stop`` (or a kill of the warden).
``PrivateHost.attach`` finds a lab that an earlier process left running on purpose.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import libvirt
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from harness.errors import HarnessError, MissingEnvironmentError
from harness.lab.labhost import LabHost, ensure_event_loop
from harness.lab.paths import PROJECT
from harness.lab.processes import stat_of
from harness.lab.topology import Topology
from harness.lab.warden import INSIDE

if TYPE_CHECKING:
    from harness.lab.paths import Cache

# Measured reasons for each line: docs/architecture.md, "The private daemon".
_QEMU_CONF = """\
user = "root"
group = "root"
security_driver = "none"
remember_owner = 0
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
"""
_LIBVIRTD_CONF = """\
auth_unix_rw = "none"
auth_unix_ro = "none"
unix_sock_rw_perms = "0700"
unix_sock_ro_perms = "0700"
unix_sock_admin_perms = "0700"
"""
_START_DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Warden:
    """PID 1 of a lab as the host sees it; the start time tells it from a reused PID."""

    pid: int
    start_ticks: int

    def alive(self) -> bool:
        """Whether this very process still runs."""
        now = stat_of(self.pid)
        return now is not None and now.start_ticks == self.start_ticks and now.state != "Z"


def read_warden(folder: Path) -> Warden | None:
    """The warden recorded in a lab's folder, if it got that far."""
    try:
        raw = json.loads((folder / "warden.json").read_text(encoding="utf-8"))
        return Warden(int(raw["pid"]), int(raw["start_ticks"]))
    except (FileNotFoundError, ValueError, KeyError):
        return None


class PrivateHost(LabHost):
    """One private libvirt host and the folder it lives in.

    Slot 0 of the topology, in a network of its own: every private lab can start from the same
    formed cluster.
    """

    lab_path = str(INSIDE)
    cache_path = "/run/cache"
    fence_uri = "qemu:///system"

    def __init__(self, folder: Path, warden: Warden) -> None:
        self.folder = folder
        self.topology = Topology(0)
        self.warden = warden
        ensure_event_loop()
        self.connection = self._connect()

    @classmethod
    def start(cls, folder: Path, cache: Cache) -> PrivateHost:
        """Start the namespaces and libvirtd in the existing, empty ``folder``.

        Raises:
            MissingEnvironmentError: not root, or a tool is missing.
            HarnessError: the daemon did not come up; its last words are in the message.
        """
        if os.geteuid() != 0:
            raise MissingEnvironmentError(
                "the private lab needs root for namespaces and taps",
                hint="run through sudo, or with --rootless (docs/rootless.md)",
            )
        for tool in ("libvirtd", "unshare", "nsenter", "qemu-system-x86_64", "nft"):
            if shutil.which(tool) is None:
                raise MissingEnvironmentError(
                    f"{tool} is not installed", hint="run: make install (or harness doctor)"
                )
        conf = folder / "etc-libvirt"
        conf.mkdir()
        (conf / "qemu.conf").write_text(_QEMU_CONF, encoding="utf-8")
        (conf / "libvirtd.conf").write_text(_LIBVIRTD_CONF, encoding="utf-8")
        for sub in ("disks", "ch", "console"):
            (folder / sub).mkdir(exist_ok=True)
        command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child=KILL"]
        command += ["--propagation", "private", sys.executable, "-m", "harness.lab.warden"]
        command += [str(folder), str(cache.root)]
        log_path = folder / "warden.log"
        with log_path.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                env={**os.environ, "PYTHONPATH": str(PROJECT)},
            )
        (folder / "unshare.pid").write_text(str(process.pid), encoding="ascii")
        deadline = time.monotonic() + _START_DEADLINE_S
        while (warden := read_warden(folder)) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                raise HarnessError(
                    "the private lab's namespaces did not start: "
                    + _last_words(log_path, folder / "libvirtd.log"),
                    hint="harness doctor checks what they need",
                )
            time.sleep(0.05)
        try:
            return cls(folder, warden)
        except BaseException:
            process.kill()
            process.wait()
            raise

    @classmethod
    def attach(cls, folder: Path) -> PrivateHost:
        """The running lab in ``folder``.

        Raises:
            HarnessError: nothing runs there.
        """
        warden = read_warden(folder)
        if warden is None or not warden.alive():
            raise HarnessError(f"no lab runs in {folder}", hint="start one with: harness up")
        return cls(folder, warden)

    @property
    def pid(self) -> int:
        """The warden's."""
        return self.warden.pid

    @property
    def qemu_logs(self) -> str:
        """Below the lab's folder."""
        return f"{self.folder}/var-log-libvirt/qemu/"

    @property
    def uri(self) -> str:
        """libvirt URI of the private daemon, as seen from outside its namespaces."""
        return f"qemu+unix:///system?socket={self.folder}/sockets/libvirt-sock"

    def _connect(self) -> libvirt.virConnect:
        try:
            for attempt in Retrying(
                stop=stop_after_delay(_START_DEADLINE_S),
                wait=wait_fixed(0.1),
                retry=retry_if_exception_type(libvirt.libvirtError),
                reraise=True,
            ):
                with attempt:
                    if not self.warden.alive():
                        raise HarnessError(
                            "the lab's libvirtd ended: " + _last_words(self.folder / "libvirtd.log")
                        )
                    return libvirt.open(self.uri)
        except libvirt.libvirtError as error:
            raise HarnessError(
                f"the private libvirtd refuses: {error}",
                hint=f"its log: {self.folder}/libvirtd.log",
            ) from error
        raise AssertionError("unreachable")

    def inside(self, *command: str) -> list[str]:
        """``command`` as an argument list that runs in the lab's namespaces."""
        return ["nsenter", "-t", str(self.warden.pid), "-m", "-n", "-p", "--", *command]

    def stop(self) -> None:
        """End the lab and everything in it; its folder stays for whoever wants to look."""
        # The event loop may be in a callback: closing is best effort, the daemon goes anyway.
        with contextlib.suppress(libvirt.libvirtError):
            self.connection.close()
        kill_warden(self.folder)


def kill_warden(folder: Path) -> None:
    """End the namespaces of the lab in ``folder`` and wait until the last process is gone."""
    warden = read_warden(folder)
    pids = [warden.pid] if warden is not None and warden.alive() else []
    launcher = folder / "unshare.pid"
    noted = launcher.read_text(encoding="ascii") if launcher.exists() else ""
    if noted.isdigit():
        pids += [int(noted)] if _is_launcher(int(noted), folder) else []
    elif not pids:
        # Killed before it could note the launcher: find it by its command line.
        pids += [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and _is_launcher(int(entry.name), folder)
        ]
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + 30
    while any(_running(pid) for pid in pids) and time.monotonic() < deadline:
        # Our own child, if we started it: reap it, else it stays a zombie.
        for pid in pids:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue
        time.sleep(0.02)


def _is_launcher(pid: int, folder: Path) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return os.fsencode(folder) in command and b"harness.lab.warden" in command


def _running(pid: int) -> bool:
    now = stat_of(pid)
    return now is not None and now.state not in "ZX"


def _last_words(*logs: Path) -> str:
    for log in logs:
        if log.exists():
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            if lines:
                return lines[-1][:300]
    return "no output"
