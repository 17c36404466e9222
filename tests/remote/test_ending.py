"""A lab that ends takes the commands in its guests with it: nobody waits for who is gone.

The guests are paramiko's own server at the other end of a socket, which takes a command and never
ends it, or says nothing at all: what a machine does whose QEMU was killed.
"""

from __future__ import annotations

import io
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import paramiko
import pytest
from paramiko.common import AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from harness.errors import HarnessError
from harness.lab.lab import Lab
from harness.lab.paths import PROJECT
from harness.remote.ssh import Guest, GuestClosedError
from harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

AT_ONCE_S = 5.0


class Silent(paramiko.ServerInterface):
    """Takes everything, answers nothing."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return AUTH_SUCCESSFUL

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.asked.set()
        return True


def ed25519() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    ).decode()


HOST_KEY, OWN_KEY = ed25519(), ed25519()


def guest_and_server(*, speaks: bool = True) -> tuple[Guest, Silent]:
    """A guest whose sshd never ends a command, or never says who it is."""
    server, host = Silent(), paramiko.Ed25519Key.from_private_key(io.StringIO(HOST_KEY))
    kept: list[Any] = []

    def dial(_timeout_s: float) -> socket.socket:
        ours, theirs = socket.socketpair()
        kept.append(theirs)
        if speaks:
            transport = paramiko.Transport(theirs)
            transport.add_server_key(host)
            transport.start_server(event=threading.Event(), server=server)
            kept.append(transport)
        else:
            server.asked.set()
        return ours

    return Guest("alpha", dial, OWN_KEY, f"ssh-ed25519 {host.get_base64()}"), server


class Running:
    """Something that runs in a thread which the process has to wait for, as in_parallel's do."""

    def __init__(self, action: Callable[[], object]) -> None:
        self.error: BaseException | None = None

        def guarded() -> None:
            try:
                action()
            except BaseException as error:
                self.error = error

        self.thread = threading.Thread(target=guarded)
        self.thread.start()

    def ended(self) -> BaseException | None:
        self.thread.join(AT_ONCE_S)
        assert not self.thread.is_alive(), "it still waits"
        return self.error


def test_a_command_in_a_guest_that_is_gone_ends_at_once() -> None:
    guest, server = guest_and_server()
    running = Running(lambda: guest.run("crm_mon -1rf"))
    assert server.asked.wait(20)
    guest.close()
    error = running.ended()
    assert isinstance(error, HarnessError)
    assert "crm_mon" in error.message


def test_one_that_is_just_connecting_ends_as_well_and_does_not_hold_up_who_closes() -> None:
    guest, server = guest_and_server(speaks=False)
    running = Running(lambda: guest.run("true"))
    assert server.asked.wait(20)
    began = time.monotonic()
    guest.close()
    assert time.monotonic() - began < 1.0
    assert isinstance(running.ended(), HarnessError)


@pytest.mark.parametrize("speaks", [True, False])
def test_nobody_tries_again_with_one_that_was_closed(speaks: bool) -> None:
    """wait_ready() would, for minutes."""
    guest, server = guest_and_server(speaks=speaks)
    running = Running(lambda: guest.wait_ready(600))
    assert server.asked.wait(20)
    guest.close()
    assert isinstance(running.ended(), HarnessError)
    with pytest.raises(GuestClosedError):
        guest.run("true")
    with pytest.raises(GuestClosedError):
        guest.clock_offset(time.monotonic_ns)


def test_forgetting_is_not_closing() -> None:
    """A reverted guest is asked again."""
    guest, server = guest_and_server()
    running = Running(lambda: guest.run("sleep 600"))
    assert server.asked.wait(20)
    guest.forget()
    assert isinstance(running.ended(), HarnessError)
    server.asked.clear()
    again = Running(lambda: guest.run("true"))
    assert server.asked.wait(20)
    guest.close()
    assert again.ended() is not None


@pytest.mark.parametrize("end", ["destroy", "keep"])
def test_a_lab_that_ends_closes_its_guests_before_they_are_gone(end: str, tmp_path: Any) -> None:
    order: list[str] = []
    lab = object.__new__(Lab)
    host: Any = type("Host", (), {"stop": lambda _self: order.append("stop"), "uri": "x"})()
    lease: Any = type("Lease", (), {"release": lambda _self: order.append("release")})()
    lab.folder, lab.host, lab._lease = tmp_path, host, lease
    machine: Any = type("Machine", (), {})()
    machine.guest = type("Guest", (), {"close": lambda _self: order.append("close")})()
    lab.machines = {"alpha": machine}
    lab.destroy() if end == "destroy" else lab.keep("why")
    assert order == (["close", "stop", "release"] if end == "destroy" else ["close", "release"])


PROCESS = """
import signal, sys
sys.path.insert(0, {project!r})
from functools import partial
from harness.lab.machine import in_parallel
from tests.remote.test_ending import guest_and_server
signal.signal(signal.SIGTERM, signal.default_int_handler)
guests = [guest_and_server(speaks=speaks)[0] for speaks in (True, False)]
print("ready", flush=True)
try:
    in_parallel({{str(n): partial(g.run, "sleep 600") for n, g in enumerate(guests)}})
except KeyboardInterrupt:
    print("reported", flush=True)
finally:
    for guest in guests:
        guest.close()
"""


def test_a_process_that_is_told_to_end_does(tmp_path: Any) -> None:
    """Threads that wait for a guest are waited for when Python ends: it stayed over a minute."""
    script = tmp_path / "script.py"
    script.write_text(PROCESS.format(project=str(PROJECT)))
    process = subprocess.Popen(
        [sys.executable, "-B", str(script)], stdout=subprocess.PIPE, text=True, cwd=PROJECT
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(1.0)  # both wait by now
        process.send_signal(signal.SIGTERM)
        wait_until(
            "its end",
            lambda: "" if process.poll() is not None else "it",
            deadline_s=20,
        )
        assert "reported" in process.stdout.read()
    finally:
        process.kill()
        process.wait()
