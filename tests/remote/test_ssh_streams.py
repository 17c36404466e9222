"""What a guest's command printed arrives whole, however packets and the end are timed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from harness.remote.ssh import Guest, GuestCommandError, GuestUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable


class Channel:
    """paramiko's channel as far as it is used; packets arrive when somebody looks away.

    ``late`` arrives when the end is asked for: as if the transport's thread had put it into the
    buffer, and the end behind it, just after the buffers were looked at.
    """

    def __init__(self, early: bytes, late: bytes, *, error: bool = False, code: int | None = 0):
        self.buffers = {"out": b"" if error else early, "err": early if error else b""}
        self.late = ("err" if error else "out", late)
        self.code = code
        self.eof_received = self.closed = False
        self.status_event = threading.Event()

    def _arrive(self) -> None:
        name, late = self.late
        self.buffers[name] += late
        self.late = (name, b"")
        self.eof_received = True
        self.closed = self.code is None

    def exit_status_ready(self) -> bool:
        if not self.buffers["out"] and not self.buffers["err"]:
            self._arrive()
        return self.eof_received and self.code is not None

    def recv_exit_status(self) -> int:
        assert self.code is not None
        return self.code

    def recv_ready(self) -> bool:
        return bool(self.buffers["out"])

    def recv_stderr_ready(self) -> bool:
        return bool(self.buffers["err"])

    def _take(self, name: str, size: int) -> bytes:
        taken, self.buffers[name] = self.buffers[name][:size], self.buffers[name][size:]
        return taken

    def recv(self, size: int) -> bytes:
        return self._take("out", size)

    def recv_stderr(self, size: int) -> bytes:
        return self._take("err", size)

    def __getattr__(self, name: str) -> Callable[..., None]:
        assert name in ("exec_command", "shutdown_write", "settimeout", "close", "sendall")
        return lambda *_: None


def guest(monkeypatch: pytest.MonkeyPatch, channel: Channel) -> Guest:
    client: Any = type("", (), {"open_session": lambda _self, timeout: channel})()
    monkeypatch.setattr(Guest, "_connected", lambda _self, _timeout_s: client)
    made = object.__new__(Guest)
    made.name = "client"
    monkeypatch.setattr(Guest, "forget", lambda _self: None)
    return made


def test_what_comes_just_before_the_end_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: a log of 257,831 bytes was cut at 6 packets of 32 KiB; at a line's end it would have
    looked like a whole one with fewer acknowledged writes."""
    early, late = b"x" * 196_608, b"y" * 61_223
    channel = Channel(early, late)
    assert guest(monkeypatch, channel).read_binary("cat log") == early + late


def test_errors_are_whole_too(monkeypatch: pytest.MonkeyPatch) -> None:
    channel = Channel(b"cat: ", b"no such file", error=True, code=1)
    with pytest.raises(GuestCommandError, match="cat: no such file"):
        guest(monkeypatch, channel).read_binary("cat log")


def test_a_connection_that_broke_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    channel = Channel(b"half", b"", code=None)
    with pytest.raises(GuestUnreachableError, match="connection lost"):
        guest(monkeypatch, channel).read_binary("cat log")
