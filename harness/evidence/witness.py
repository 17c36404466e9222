"""Witnesses: streams that reach the host over virtio-serial, stamped when they arrive.

One thread reads all unix sockets of all machines and turns lines into timeline events. A stream
that ends (its VM died) is said to be lost, and taken up again when its socket answers.
"""

from __future__ import annotations

import json
import re
import selectors
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.evidence.block_trace import parse_block_trace
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    Add = Callable[[str, Channel, str, dict[str, Any]], object]

_RETRY_S = 0.2
# A line longer than this is not a log line any more; what exceeds it is cut.
_LONGEST_LINE = 1 << 16

_JOURNAL_FIELDS = {
    "message": "MESSAGE",
    "identifier": "SYSLOG_IDENTIFIER",
    "unit": "_SYSTEMD_UNIT",
    "transport": "_TRANSPORT",
    "boot_id": "_BOOT_ID",
}
NONCE_MARK = "lab-nonce:"
_NUMBER = re.compile(r"[0-9]{1,19}")
# print_notifications() of drbd-utils (drbdsetup.c): this event's number less the expected one. Two
# events that overtook each other are told as 2, -3, 1: what is lost is the sum.
_SKIPPED = re.compile(r"- skipped (-?\d{1,10})")


@dataclass(slots=True)
class Stream:
    """One witness stream of one machine.

    Attributes:
        dial: makes the connection; raises OSError where its VM does not run.
    """

    source: str
    channel: Channel
    dial: Callable[[], socket.socket]
    sock: socket.socket | None = None
    pending: bytes = b""
    next_try: float = 0.0


class Witnesses:
    """Reads the streams of all machines until ``close``.

    Args:
        add: takes every event: source, channel, kind, data; called from the reading thread.
    """

    def __init__(self, streams: list[Stream], add: Add) -> None:
        self._streams = streams
        self._add = add
        self._selector = selectors.DefaultSelector()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="witnesses", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading and close the sockets."""
        self._stop.set()
        self._thread.join()
        for stream in self._streams:
            if stream.sock is not None:
                stream.sock.close()
        self._selector.close()

    def _loop(self) -> None:
        try:
            self._read_all()
        except Exception as error:
            # A witness that died must not look like one that had nothing to tell.
            self._add("host", Channel.CONSOLE, "witness-died", {"reason": repr(error)})
            raise

    def _read_all(self) -> None:
        while not self._stop.is_set():
            for stream in self._streams:
                if stream.sock is None and time.monotonic() >= stream.next_try:
                    self._connect(stream)
            for key, _events in self._selector.select(timeout=_RETRY_S):
                self._read(key.data)

    def _connect(self, stream: Stream) -> None:
        stream.next_try = time.monotonic() + _RETRY_S
        try:
            sock = stream.dial()
        except OSError:
            return  # QEMU is not there (yet); the loss was announced when it went
        sock.setblocking(False)
        stream.sock, stream.pending = sock, b""
        self._selector.register(sock, selectors.EVENT_READ, stream)
        self._add(stream.source, stream.channel, "open", {})

    def _read(self, stream: Stream) -> None:
        assert stream.sock is not None
        try:
            chunk = stream.sock.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._selector.unregister(stream.sock)
            stream.sock.close()
            stream.sock = None
            self._add(stream.source, stream.channel, "lost", {"reason": "end of stream"})
            return
        *lines, stream.pending = (stream.pending + chunk).split(b"\n")
        if len(stream.pending) > _LONGEST_LINE:
            lines.append(stream.pending)
            stream.pending = b""
        for line in lines:
            for kind, data in parse_line(stream.channel, line[:_LONGEST_LINE]):
                self._add(stream.source, stream.channel, kind, data)


def parse_line(channel: Channel, line: bytes) -> list[tuple[str, dict[str, Any]]]:
    """A line of a stream as events (kind, data). Never raises: what a guest sends is untrusted."""
    text = line.decode("utf-8", "replace").rstrip("\r\n").strip("\0")
    if not text.strip():
        return []
    match channel:
        case Channel.CONSOLE:
            return [_nonce(text) or ("line", {"text": text})]
        case Channel.JOURNAL:
            return [_journal(text)]
        case Channel.EVENTS2:
            return [_events2(text)]
        case Channel.PROGRESS:
            return _progress(text)
        case Channel.BLOCK:
            return [_block(text)]
        case _:
            return [("line", {"text": text})]


def _nonce(text: str) -> tuple[str, dict[str, Any]] | None:
    if NONCE_MARK in text:
        return _nonce_event("".join(text.split(NONCE_MARK, 1)[1].split()[:1]))
    return None


def _nonce_event(nonce: str) -> tuple[str, dict[str, Any]]:
    """A stream that still carries the last nonce was told everything until then."""
    return ("end-nonce" if nonce.startswith("end-") else "nonce"), {"nonce": nonce}


def _journal(text: str) -> tuple[str, dict[str, Any]]:
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        return "garbled", {"text": text[:500]}
    if not isinstance(raw, dict):
        return "garbled", {"text": text[:500]}
    data: dict[str, Any] = {name: _plain(raw.get(key)) for name, key in _JOURNAL_FIELDS.items()}
    if nonce := _nonce(str(data["message"])):
        return nonce
    for name, key in (
        ("priority", "PRIORITY"),
        ("realtime_us", "__REALTIME_TIMESTAMP"),
        ("monotonic_us", "__MONOTONIC_TIMESTAMP"),
    ):
        value = raw.get(key)
        data[name] = int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None
    return "entry", data


def _block(text: str) -> tuple[str, dict[str, Any]]:
    kind, data = parse_block_trace(text)
    if kind == "mark":
        return _nonce(data["text"]) or ("line", data)
    return kind, data


def _plain(value: object) -> str:
    """A journal field as text: journalctl prints non-UTF-8 as a list of byte values."""
    if isinstance(value, list):
        if all(isinstance(part, int) and 0 <= part < 256 for part in value):
            return bytes(value).decode("utf-8", "replace")
        return " ".join(str(part) for part in value)
    return "" if value is None else str(value)


def _events2(text: str) -> tuple[str, dict[str, Any]]:
    """A line of ``drbdsetup events2 --timestamps`` (drbdsetup(8)); see tests/evidence/fixtures."""
    words = text.split()
    if words[0] == "nonce":
        return _nonce_event(words[1] if len(words) > 1 else "")
    if gap := _SKIPPED.fullmatch(text):
        return "skipped", {"count": int(gap[1])}
    # 2026-11-25T13:45:01.123456+00:00 change resource name:r0 role:Primary
    stamp = words.pop(0) if words[0][:1].isdigit() else ""
    kind = words[0] if words else "line"
    known = ("exists", "change", "create", "destroy", "call", "response", "rename")
    if kind not in known:
        return "garbled", {"text": text[:500]}
    object_ = words[1] if len(words) > 1 else "-"
    fields = dict(word.split(":", 1) for word in words[2:] if ":" in word)
    if kind == "exists" and object_ == "-":
        kind = "dump-end"
    return kind, {"object": object_, "fields": fields, "guest_stamp": stamp, "raw": text}


def _progress(text: str) -> list[tuple[str, dict[str, Any]]]:
    """``guest_ns name:write_ios:write_sectors:in_flight …`` (vagrant/image, ``progress``)."""
    words = text.split()
    try:
        guest_ns = int(words[0])
        return [
            (
                "io",
                {
                    "disk": name,
                    "write_ios": int(ios),
                    "write_bytes": int(sectors) * 512,
                    "in_flight": int(busy),
                    "guest_ns": guest_ns,
                },
            )
            for name, ios, sectors, busy in (word.split(":") for word in words[1:])
        ]
    except ValueError:
        return [("garbled", {"text": text[:500]})]
