"""What runs beside the VMs of a lab on another host: the witnesses that cannot see it from here.

It is sent there as text and needs nothing but Python 3 (3.8 or later): no import of the harness's
own. It holds the VMs' witness sockets, follows logs, and asks and listens for ARP on the data
bridge; what it sees goes to its standard output at once, in frames. Nothing is written there.

A frame is a header (type, number of the source, length; ``HEADER``) and so many bytes. It ends when
nobody reads it any more, which a heartbeat finds out within seconds.

Usage: python3 -c SOURCE JSON; the JSON is what ``watch`` takes.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import time
from typing import Any, BinaryIO

HEADER = struct.Struct("!cHI")
OPEN, LOST, DATA, LOG, ARP, BEAT = b"o", b"l", b"d", b"f", b"a", b"b"
RETRY_S = 0.2
BEAT_S = 1.0
PROBE_S = 1.0
_CHUNK = 1 << 16
_ETH_P_ARP = 0x0806


def watch(plan: dict[str, Any], out: BinaryIO) -> None:
    """Watch until the output is closed.

    Args:
        plan: ``sockets`` (paths of unix sockets), ``logs`` (path and offset of each), and ``arp``
            (bridge, and the request to send each second, in hex) or None.
        out: where the frames go.

    Raises:
        OSError: nobody reads any more, or there is no such bridge.
    """
    sockets: dict[int, socket.socket | None] = dict.fromkeys(range(len(plan["sockets"])))
    logs = [[path, offset] for path, offset in plan["logs"]]
    listener, request = _listener(plan["arp"])
    next_try = next_beat = next_probe = 0.0
    while True:
        now = time.monotonic()
        if now >= next_beat:
            next_beat = now + BEAT_S
            _send(out, BEAT, 0, b"")
        if listener is not None and now >= next_probe:
            next_probe = now + PROBE_S
            listener.send(request)
        if now >= next_try:
            next_try = now + RETRY_S
            for number, sock in sockets.items():
                if sock is None and (made := _connected(plan["sockets"][number])) is not None:
                    sockets[number] = made
                    _send(out, OPEN, number, b"")
            for number in range(len(logs)):
                _follow(out, number, logs[number])
        there = {sock: number for number, sock in sockets.items() if sock is not None}
        waiting = list(there) + ([listener] if listener is not None else [])
        for sock in select.select(waiting, [], [], RETRY_S / 2)[0]:
            if sock is listener:
                _send(out, ARP, 0, sock.recv(128))
                continue
            try:
                chunk = sock.recv(_CHUNK)
            except OSError:
                chunk = b""
            if chunk:
                _send(out, DATA, there[sock], chunk)
            else:
                sock.close()
                sockets[there[sock]] = None
                _send(out, LOST, there[sock], b"")


def _send(out: BinaryIO, kind: bytes, number: int, body: bytes) -> None:
    out.write(HEADER.pack(kind, number, len(body)) + body)
    out.flush()


def _connected(path: str) -> socket.socket | None:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        return None
    return sock


def _listener(arp: list[str] | None) -> tuple[socket.socket | None, bytes]:
    if arp is None:
        return None, b""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ARP))
    sock.bind((arp[0], _ETH_P_ARP))
    mac = sock.getsockname()[4]
    # The request was made without knowing the bridge's address, which is in it twice.
    request = bytearray(bytes.fromhex(arp[1]))
    request[6:12] = request[22:28] = mac
    return sock, bytes(request)


def _follow(out: BinaryIO, number: int, log: list[Any]) -> None:
    try:
        size = os.stat(log[0]).st_size
        if size < log[1]:
            log[1] = 0  # made anew
        if size == log[1]:
            return
        with open(log[0], "rb") as file:
            file.seek(log[1])
            chunk = file.read(1 << 20)
    except OSError:
        return
    log[1] += len(chunk)
    _send(out, LOG, number, chunk)


if __name__ == "__main__":
    try:
        watch(json.loads(sys.argv[1]), sys.stdout.buffer)
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(0)
