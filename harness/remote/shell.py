"""Commands and connections on another host, through the same ssh(1) that libvirt uses.

``qemu+ssh`` URIs are libvirt's (https://libvirt.org/uri.html, "SSH transport"): user, port and the
parameters ``keyfile``, ``no_verify`` and ``command`` mean here what they mean there, and so does
whatever ~/.ssh/config says of that host. One connection carries everything (ControlMaster of
ssh_config(5)); it ends by itself a minute after its last use, so a killed harness leaves none.
"""

from __future__ import annotations

import contextlib
import shlex
import socket
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from harness.errors import BadInputError, HarnessError, MissingEnvironmentError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import IO

_PERSIST_S = 60
_CONNECT_S = 15
# ssh(1): "exits with the exit status of the remote command or with 255 if an error occurred".
_SSH_FAILED = 255


@dataclass(frozen=True, slots=True)
class SshAddress:
    """Where ``qemu+ssh`` leads.

    Attributes:
        host: its name or address.
        port: of its sshd; None leaves it to ssh's configuration.
        user: whom to log in as; empty leaves it to ssh's configuration.
        keyfile: a private key; empty leaves it to ssh's configuration.
        verify: whether the host's key has to be known.
        program: ssh(1), or what stands for it.
        driver: the URI that the same daemon has on that host.
    """

    host: str
    port: int | None
    user: str
    keyfile: str
    verify: bool
    program: str
    driver: str


def ssh_address(uri: str) -> SshAddress | None:
    """Where the daemon at a libvirt URI is, if it is on another host; None if it is on this one.

    A port makes it another one, whatever its name: a container, or a tunnel.

    Raises:
        BadInputError: it is on another host, and not to be reached by SSH; or it is no URI.
    """
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadInputError(f"{uri} is no URI: {error}", hint="qemu+ssh://host/system") from error
    if port is None and host in (None, "localhost", socket.gethostname()):
        return None
    driver, _plus, transport = parts.scheme.partition("+")
    if transport != "ssh" or not host:
        raise BadInputError(
            f"{uri} is on another machine, and a lab there needs more than its libvirt",
            hint="qemu+ssh://host/system: bridges, rules and guests are reached by SSH",
        )
    asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    return SshAddress(
        host=host,
        port=port,
        user=parts.username or "",
        keyfile=asked.get("keyfile", ""),
        verify=asked.get("no_verify", "0") == "0",
        program=asked.get("command", "ssh"),
        driver=f"{driver}://{parts.path}",
    )


class HostShell:
    """Runs commands as root on another host.

    Args:
        address: of the host.
        control: path of the socket that all commands share one connection through (unix(7): short).
    """

    def __init__(self, address: SshAddress, control: Path) -> None:
        self.address = address
        self._control = control
        self._sudo: list[str] = []
        self._forwards: list[subprocess.Popen[bytes]] = []

    @property
    def name(self) -> str:
        """The host, for messages."""
        return self.address.host

    def open(self) -> None:
        """Log in, and see that commands run as root there.

        Raises:
            MissingEnvironmentError: no connection, or neither root nor sudo without a password.
        """
        self._sudo = []
        uid = self.run("id", "-u").strip()
        if uid == "0":
            return
        self._sudo = ["sudo", "-n", "--"]
        try:
            self.run("true")
        except MissingEnvironmentError:
            raise
        except HarnessError as error:
            raise MissingEnvironmentError(
                f"on {self.name} user {uid} may not do what a lab needs: {error.message}",
                hint="qemu+ssh://root@host/system, or sudo without a password there",
            ) from error

    def _ssh(self) -> list[str]:
        command = [self.address.program, "-T", "-o", "BatchMode=yes"]
        command += ["-o", f"ConnectTimeout={_CONNECT_S}"]
        # A host that died is noticed within a minute; TCP's own takes a quarter of an hour. A host
        # that is busy with emulated guests may not answer for a while.
        command += ["-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=12"]
        command += ["-o", "ControlMaster=auto", "-o", f"ControlPersist={_PERSIST_S}"]
        command += ["-o", f"ControlPath={self._control}"]
        if not self.address.verify:
            command += ["-o", "StrictHostKeyChecking=no"]
        if self.address.keyfile:
            command += ["-i", self.address.keyfile]
        if self.address.port is not None:
            command += ["-p", str(self.address.port)]
        if self.address.user:
            command += ["-l", self.address.user]
        return command

    def command(self, *command: str) -> list[str]:
        """``command`` as an argument list for this host, which runs it as root over there."""
        return [*self._ssh(), "--", self.address.host, shlex.join([*self._sudo, *command])]

    def forward(self, target: str) -> list[str]:
        """An argument list whose standard input and output are a connection from over there.

        Args:
            target: ``ADDRESS:PORT``, as that host knows it (ssh(1), -W).
        """
        return [*self._ssh(), "-W", target, "--", self.address.host]

    def run(self, *command: str, stdin: bytes = b"") -> str:
        """Run a command there and return its standard output.

        Raises:
            MissingEnvironmentError: no connection.
            HarnessError: it failed; with its exit code and what it said.
        """
        return self.read(*command, stdin=stdin).decode("utf-8", "replace")

    def read(self, *command: str, stdin: bytes = b"") -> bytes:
        """As ``run``, for output that is no text."""
        try:
            done = subprocess.run(
                self.command(*command), input=stdin, capture_output=True, check=False
            )
        except OSError as error:
            raise MissingEnvironmentError(
                f"{self.address.program} does not run: {error}", hint="apt-get install ssh"
            ) from error
        if done.returncode == 0:
            return done.stdout
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()[-400:]
        if done.returncode == _SSH_FAILED:
            raise MissingEnvironmentError(
                f"no SSH to {self.name}: {_last_line(said)}",
                hint=f"does this work without a question? {shlex.join(self._plain())} true",
            )
        raise HarnessError(
            f"{command[0]} failed on {self.name} with exit code {done.returncode}: {said}"
        )

    def connect(self, address: str, port: int) -> socket.socket:
        """A socket whose other end is a TCP connection made by that host.

        It is there at once; what cannot be reached shows as its end.

        Raises:
            OSError: ssh does not run.
        """
        ours, theirs = socket.socketpair()
        self._forwards = [one for one in self._forwards if one.poll() is None]
        try:
            with theirs:
                process = subprocess.Popen(
                    self.forward(f"{address}:{port}"),
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
        except OSError:
            ours.close()
            raise
        self._forwards.append(process)
        return ours

    def start(self, *command: str, words: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a command there whose standard output can be read while it runs.

        Args:
            words: a file that gets its standard error.

        Raises:
            OSError: ssh does not run.
        """
        return subprocess.Popen(
            self.command(*command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=words,
            start_new_session=True,
        )

    def close(self) -> None:
        """End the connection and all that goes through it; never raises."""
        with contextlib.suppress(OSError):
            subprocess.run(
                [*self._ssh(), "-O", "exit", "--", self.address.host],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        for process in self._forwards:
            process.kill()
            process.wait()
        self._forwards = []

    def _plain(self) -> Sequence[str]:
        """What a person would type."""
        told = self.address
        port = ["-p", str(told.port)] if told.port is not None else []
        key = ["-i", told.keyfile] if told.keyfile else []
        return [told.program, *port, *key, f"{told.user}@{told.host}" if told.user else told.host]


def _last_line(text: str) -> str:
    return text.splitlines()[-1] if text else "no words"
