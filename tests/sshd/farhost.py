"""A host of its own as far as ssh can tell: OpenSSH's sshd in namespaces of its own.

Its /run, /var/lib and network are not this machine's. sshd(8) serves one connection on its standard
input and output (-i), as it does below inetd; ssh gets there by a ProxyCommand. So nothing listens
anywhere, and what is started there ends with its connection, or with the host.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

_USER = "sshd:x:64057:65534:sshd:/run/sshd:/usr/sbin/nologin"
_FIRST = """
import os, signal, subprocess, sys
subprocess.run(["sh", "-e", sys.argv[1]], check=True)
print("ready", flush=True)
while True:
    try:
        os.wait()
    except ChildProcessError:
        signal.sigtimedwait([signal.SIGCHLD], 0.05)
"""


def sshd() -> str | None:
    """The program; a PATH for users does not have it."""
    return shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")


class FarHost:
    """A host whose sshd accepts one key, and an ssh(1) that knows the way to it."""

    def __init__(self, program: str, folder: Path) -> None:
        self.folder = folder
        self.ssh = folder / "ssh"
        self._program = program
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> FarHost:
        self._keys()
        passwd = Path("/etc/passwd").read_text(encoding="utf-8").rstrip("\n")
        (self.folder / "passwd").write_text(f"{passwd}\n{_USER}\n", encoding="utf-8")
        script = self.folder / "begin.sh"
        script.write_text(
            "mount -t proc proc /proc\n"
            f"mount --bind {self.folder}/passwd /etc/passwd\n"
            "mount -n -t tmpfs run /run\nmount -n -t tmpfs lib /var/lib\nmkdir -m 0755 /run/sshd\n"
            "ip link set dev lo up\n",
            encoding="utf-8",
        )
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child=KILL",
             "--propagation", "private", sys.executable, "-c", _FIRST, str(script)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", "no namespaces here"
        self._way()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @property
    def first(self) -> int:
        """PID of its first process, as this machine knows it."""
        assert self._process is not None
        path = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return int(path.read_text(encoding="ascii"))

    @property
    def uri(self) -> str:
        """As ``--connect`` takes it."""
        return f"qemu+ssh://root@far.example/system?command={self.ssh}"

    def run(self, *command: str) -> str:
        """A command there, not by SSH."""
        done = subprocess.run(
            [*self.enter(), *command], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def enter(self) -> list[str]:
        """What a command line begins with that runs there."""
        return ["nsenter", "-t", str(self.first), "-m", "-n", "-p", "--"]

    def log(self) -> str:
        """What its sshd said."""
        return (self.folder / "sshd.log").read_text(encoding="utf-8", errors="replace")

    def _keys(self) -> None:
        for name in ("host_key", "key", "other_key"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)],
                check=True,
                stdin=subprocess.DEVNULL,
            )
        shutil.copy(self.folder / "key.pub", self.folder / "authorized")

    def _way(self) -> None:
        """ssh(1) with a configuration, in which that host is known."""
        config, folder = self.folder / "sshd_config", self.folder
        config.write_text(
            f"HostKey {folder}/host_key\nAuthorizedKeysFile {folder}/authorized\nStrictModes no\n"
            "UsePAM no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n"
            "PidFile none\n",
            encoding="utf-8",
        )
        known = (folder / "host_key.pub").read_text(encoding="ascii").split()[:2]
        (folder / "known").write_text(f"far.example {' '.join(known)}\n", encoding="ascii")
        through = folder / "through"
        through.write_text(
            f"#!/bin/sh\nexec {' '.join(self.enter())} {self._program} -i -e -f {config} "
            f"2>> {folder}/sshd.log\n",
            encoding="utf-8",
        )
        (folder / "ssh_config").write_text(
            f"Host far.example\n  ProxyCommand {through}\n  UserKnownHostsFile {folder}/known\n"
            f"  IdentityFile {folder}/key\n  IdentitiesOnly yes\n",
            encoding="utf-8",
        )
        self.ssh.write_text(
            f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n', encoding="utf-8"
        )
        for path in (through, self.ssh):
            path.chmod(0o755)


def until(what: str, true: object, deadline_s: float = 20.0) -> None:
    """Wait until a condition holds."""
    assert callable(true)
    deadline = time.monotonic() + deadline_s
    while not true():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process of this machine has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"
