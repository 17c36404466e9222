"""SSH to guests with paramiko; results carry everything there is to know about a command."""

from __future__ import annotations

import io
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import paramiko
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from harness.errors import DeadlineError, HarnessError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Result:
    """What a command in a guest did; ``seconds`` as seen from the host."""

    node: str
    command: str
    exit_code: int
    stdout: str
    stderr: str
    seconds: float


class GuestCommandError(HarnessError):
    """A command in a guest failed: node, command, exit code, stdout and stderr."""

    def __init__(self, result: Result) -> None:
        said = (result.stderr.strip() or result.stdout.strip())[-600:]
        super().__init__(
            f"{result.node}: exit code {result.exit_code} from: {result.command[:200]}: {said}"
        )
        self.result = result


class GuestUnreachableError(HarnessError):
    """The guest does not answer on the control link (it may be down on purpose)."""


class GuestClosedError(HarnessError):
    """The lab has ended, or been let go: nothing more is asked of its guests."""


class Guest:
    """One guest's command line. Connects when first used and again after ``forget``.

    Args:
        name: the machine's name, for messages.
        dial: makes a TCP connection to the guest's sshd, given a timeout in seconds.
        private_key: OpenSSH private key that the guest accepts.
        host_key: the guest's public host key, OpenSSH format; any other is refused.
    """

    def __init__(
        self,
        name: str,
        dial: Callable[[float], socket.socket],
        private_key: str,
        host_key: str,
    ) -> None:
        self.name = name
        self._dial = dial
        self._key = paramiko.Ed25519Key.from_private_key(io.StringIO(private_key))
        self._host_key = host_key.split()[1]
        self._transport: paramiko.Transport | None = None
        self._connecting: paramiko.Transport | None = None
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """End every command that still runs, and let nobody begin another; at once.

        For the end of a lab: its machines are gone next, and nothing would tell whoever waits for
        one of them. Unlike ``forget`` it waits for nobody who is just connecting.
        """
        self._closed = True
        for transport in (self._connecting, self._transport):
            if transport is not None:
                transport.close()

    def forget(self) -> None:
        """Drop the connection: the guest was reverted, reset or powered off."""
        with self._lock:
            if self._transport is not None:
                self._transport.close()
                self._transport = None

    def _connected(self, timeout_s: float) -> paramiko.Transport:
        with self._lock:
            if self._transport is not None and self._transport.is_active():
                return self._transport
            self._check_open()
            sock = self._dial(timeout_s)
            transport = self._connecting = paramiko.Transport(sock)
            try:
                self._check_open()  # it may have been closed while we dialled
                transport.banner_timeout = timeout_s
                transport.handshake_timeout = timeout_s
                transport.auth_timeout = timeout_s
                # Only the key type that the seed installs; the cheapest cipher to emulate.
                options = transport.get_security_options()
                options.key_types = ["ssh-ed25519"]
                options.ciphers = ["aes128-ctr"]
                transport.start_client(timeout=timeout_s)
                if transport.get_remote_server_key().get_base64() != self._host_key:
                    raise GuestUnreachableError(f"{self.name}: not the host key of this lab")
                transport.auth_publickey("root", self._key)
            except BaseException:
                transport.close()
                raise
            finally:
                self._connecting = None
            self._transport = transport
            return transport

    def _check_open(self) -> None:
        if self._closed:
            raise GuestClosedError(f"{self.name} is not asked any more: its lab has ended")

    def run(
        self,
        command: str,
        *,
        timeout_s: float = 120.0,
        check: bool = True,
        codes: tuple[int, ...] = (0,),
        stdin: str | bytes | None = None,
    ) -> Result:
        """Run a shell command as root.

        Args:
            codes: exit codes that are an answer, where a command tells something by them: ping's 1
                is "no reply", its 2 that it did not even ask.

        Raises:
            GuestCommandError: any other exit code, unless ``check`` is false.
            GuestUnreachableError: no SSH connection.
            DeadlineError: it did not end within ``timeout_s`` seconds.
            GuestClosedError: the lab has ended.
        """
        result, raw = self._run(command, timeout_s, stdin)
        result = Result(
            result.node,
            result.command,
            result.exit_code,
            raw.decode("utf-8", "replace"),
            result.stderr,
            result.seconds,
        )
        if check and result.exit_code not in codes:
            raise GuestCommandError(result)
        return result

    def read_binary(self, command: str, *, timeout_s: float = 120.0) -> bytes:
        """Run a command and return its standard output as bytes.

        Raises:
            as ``run``.
        """
        result, raw = self._run(command, timeout_s, None)
        if result.exit_code != 0:
            raise GuestCommandError(result)
        return raw

    def _run(
        self, command: str, timeout_s: float, stdin: str | bytes | None
    ) -> tuple[Result, bytes]:
        started = time.monotonic()
        try:
            channel = self._connected(min(timeout_s, 30.0)).open_session(timeout=timeout_s)
        except (OSError, EOFError, paramiko.SSHException) as error:
            self._check_open()
            self.forget()
            raise GuestUnreachableError(f"{self.name} does not answer SSH: {error}") from error
        out, err = bytearray(), bytearray()
        deadline = started + timeout_s
        try:
            channel.exec_command(command)
            if stdin is not None:
                channel.sendall(stdin.encode() if isinstance(stdin, str) else stdin)
            channel.shutdown_write()
            channel.settimeout(0.2)
            while True:
                moved = False
                while channel.recv_ready():
                    out += channel.recv(1 << 16)
                    moved = True
                while channel.recv_stderr_ready():
                    err += channel.recv_stderr(1 << 16)
                    moved = True
                # The end first, then whether anything is left: what came in between the look at
                # the buffers above and the end is in them now.
                ended = (channel.exit_status_ready() and channel.eof_received) or channel.closed
                if ended and not channel.recv_ready() and not channel.recv_stderr_ready():
                    break
                if time.monotonic() > deadline:
                    raise DeadlineError(
                        f"{self.name}: no end after {timeout_s:.0f} s of: {command[:200]}; "
                        f"so far it said: {bytes(out[-200:] or err[-200:])!r}"
                    )
                if not moved:
                    channel.status_event.wait(0.02)
            if not channel.exit_status_ready():
                raise GuestUnreachableError(f"{self.name}: connection lost during: {command[:200]}")
            code = channel.recv_exit_status()
        except (OSError, EOFError, paramiko.SSHException) as error:
            self.forget()
            raise GuestUnreachableError(
                f"{self.name}: {error!r} during: {command[:200]}"
            ) from error
        finally:
            channel.close()
        seconds = time.monotonic() - started
        return Result(self.name, command, code, "", err.decode("utf-8", "replace"), seconds), bytes(
            out
        )

    def wait_ready(self, deadline_s: float) -> None:
        """Wait until the guest runs commands.

        Raises:
            DeadlineError: it did not within ``deadline_s`` seconds; with the last reason.
        """
        try:
            for attempt in Retrying(
                stop=stop_after_delay(deadline_s),
                wait=wait_fixed(0.5),
                retry=retry_if_exception_type((GuestUnreachableError, DeadlineError)),
                reraise=True,
            ):
                with attempt:
                    self.run("true", timeout_s=15)
        except HarnessError as error:
            raise DeadlineError(
                f"{self.name} did not answer SSH within {deadline_s:.0f} s: {error.message}",
                hint=f"harness console {self.name} shows how far it booted",
            ) from error

    def boot_id(self) -> str:
        """The kernel's random id of this boot."""
        return self.run("cat /proc/sys/kernel/random/boot_id").stdout.strip()

    def clock_offset(self, now_ns: Callable[[], int], samples: int = 7) -> tuple[int, int]:
        """Guest CLOCK_REALTIME minus ``now_ns``, and its uncertainty, both in nanoseconds.

        The guest's clock is asked ``samples`` times over one channel; the quickest answer counts,
        and half its round trip is the uncertainty (Cristian's algorithm).

        Raises:
            GuestUnreachableError: no SSH connection, or no answer.
            GuestClosedError: the lab has ended.
        """
        try:
            channel = self._connected(20).open_session(timeout=20)
            channel.settimeout(20)
            channel.exec_command("/usr/local/lib/lab/clock")
            best: tuple[int, int] | None = None
            for _ in range(samples):
                before = now_ns()
                channel.sendall(b"\n")
                answer = b""
                while not answer.endswith(b"\n"):
                    chunk = channel.recv(64)
                    if not chunk:
                        raise GuestUnreachableError(f"{self.name}: no answer from its clock")
                    answer += chunk
                after = now_ns()
                seconds, _dot, micros = answer.strip().decode().partition(".")
                guest_ns = int(seconds) * 10**9 + int(micros.ljust(6, "0")) * 1000
                half = (after - before) // 2
                if best is None or half < best[1]:
                    best = (guest_ns - before - half, half)
            channel.close()
        except (OSError, EOFError, ValueError, paramiko.SSHException) as error:
            self.forget()
            raise GuestUnreachableError(f"{self.name}: clock not measured: {error!r}") from error
        assert best is not None
        return best
