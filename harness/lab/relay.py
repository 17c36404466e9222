"""What the outpost (harness.lab.outpost) sees beside the VMs on another host, as it is used here.

Its streams are sockets of this process, its logs are files in the lab's folder, its ARP frames go
to whoever watches the address. Events are stamped when they arrive here, as all others are: they
are later by the way from there, which is milliseconds, and never earlier than they were.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.lab import outpost
from harness.lab.arp import arp_request

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence

    from harness.remote.shell import HostShell

_START_S = 30.0
# Of a heartbeat each second: then the host or the way to it is gone, or its witnesses are starved.
SILENCE_S = 30.0
_STUCK_S = 30.0
_CHUNK = 1 << 18
_KEPT = 4 << 20
_UNKNOWN_MAC = b"\0" * 6


class Relay:
    """The outpost of one lab, from its start until ``close``.

    Args:
        shell: to the host.
        sockets: paths of the witness sockets there, by name.
        logs: paths of logs there, and of the files here that get what is added to them.
        arp: the bridge, the lab's own address on it, and the address to ask for.
        words: a file here for what the outpost has to say if it fails.

    Raises:
        HarnessError: it does not start there.
    """

    def __init__(
        self,
        shell: HostShell,
        sockets: dict[str, str],
        logs: Sequence[tuple[str, Path]],
        arp: tuple[str, str, str],
        words: Path,
    ) -> None:
        self._numbers = {name: number for number, name in enumerate(sockets)}
        self._logs = [path for _theirs, path in logs]
        self._lock = threading.Lock()
        self._open: dict[int, bytearray] = {}  # with what came since, and nobody took
        self._sinks: dict[int, socket.socket] = {}
        self._wake, self._waker = socket.socketpair()
        self._claims: Callable[[bytes], None] = lambda _frame: None
        self._when_lost: list[Callable[[str], None]] = []
        self._beat = threading.Event()
        self._closing = False
        self.lost = ""
        """Why nothing is seen any more; empty as long as something is."""
        bridge, own, asked = arp
        plan = {
            "sockets": list(sockets.values()),
            "logs": [[theirs, _size(path)] for theirs, path in logs],
            "arp": [bridge, arp_request(_UNKNOWN_MAC, own, asked).hex()],
        }
        source = Path(outpost.__file__).read_text(encoding="utf-8")
        with words.open("ab") as file:
            self._process = shell.start("python3", "-c", source, json.dumps(plan), words=file)
        self._thread = threading.Thread(target=self._loop, name="relay", daemon=True)
        self._thread.start()
        if not self._beat.wait(_START_S) or self.lost:
            self.close()
            said = words.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise HarnessError(
                f"no witnesses on {shell.name}: {said[-1] if said else 'no words'}",
                hint="python3 (3.8 or later) has to be there: harness doctor --connect URI",
            )

    def dial(self, name: str) -> socket.socket:
        """A witness stream.

        Raises:
            OSError: its VM does not run, or nothing is seen of that host any more.
        """
        number = self._numbers[name]
        with self._lock:
            if self.lost or number not in self._open:
                raise ConnectionRefusedError(self.lost or f"{name} is not open")
            ours, theirs = socket.socketpair()
            ours.settimeout(_STUCK_S)
            self._drop(number)
            self._sinks[number] = ours
        # What came already is sent by the thread that reads: whoever dials does not read yet.
        self._waker.send(b"\0")
        return theirs

    def watch_arp(self, seen: Callable[[bytes], None]) -> None:
        """Tell ``seen`` every ARP frame from now on."""
        self._claims = seen

    def when_lost(self, told: Callable[[str], None]) -> None:
        """Tell ``told``, once, why nothing is seen any more; not at ``close``."""
        self._when_lost.append(told)

    def close(self) -> None:
        """End it, there and here."""
        self._closing = True
        self._process.kill()
        self._thread.join()
        self._wake.close()
        self._waker.close()

    # ----------------------------------------------------------------- reading

    def _loop(self) -> None:
        try:
            reason = self._read_all(self._process)
        except (OSError, ValueError) as error:
            reason = repr(error)
        self._process.kill()
        self._process.wait()
        with self._lock:
            self.lost = reason
            self._open.clear()
            for number in tuple(self._sinks):
                self._drop(number)
        self._beat.set()  # whoever waits for the start learns that there is none
        if not self._closing:
            for told in self._when_lost:
                told(reason)

    def _read_all(self, process: subprocess.Popen[bytes]) -> str:
        """Read until there is nothing more; why not."""
        assert process.stdout is not None
        fd = process.stdout.fileno()
        buffer = bytearray()
        last = time.monotonic()
        with selectors.DefaultSelector() as selector, process.stdout:
            selector.register(fd, selectors.EVENT_READ)
            selector.register(self._wake, selectors.EVENT_READ)
            while time.monotonic() - last < SILENCE_S:
                ready = [key.fileobj for key, _events in selector.select(1.0)]
                if self._wake in ready:
                    self._wake.recv(_CHUNK)
                    self._hand_over()
                if fd not in ready:
                    continue
                chunk = os.read(fd, _CHUNK)
                if not chunk:
                    return "the connection to its host ended"
                last = time.monotonic()
                buffer += chunk
                del buffer[: self._frames(bytes(buffer))]
        return f"nothing was heard from its host for {SILENCE_S:.0f} s"

    def _frames(self, buffer: bytes) -> int:
        """Deal with every whole frame; how many bytes they were."""
        done, size = 0, outpost.HEADER.size
        while len(buffer) >= done + size:
            kind, number, length = outpost.HEADER.unpack_from(buffer, done)
            if len(buffer) < done + size + length:
                break
            self._frame(kind, number, buffer[done + size : done + size + length])
            done += size + length
        return done

    def _frame(self, kind: bytes, number: int, body: bytes) -> None:
        if kind == outpost.BEAT:
            self._beat.set()
        elif kind == outpost.LOG:
            with self._logs[number].open("ab") as file:
                file.write(body)
        elif kind == outpost.ARP:
            self._claims(body)
        else:
            self._stream(kind, number, body)

    def _stream(self, kind: bytes, number: int, body: bytes) -> None:
        with self._lock:
            if kind == outpost.OPEN:
                self._open[number] = bytearray()
                return
            if kind == outpost.LOST:
                self._open.pop(number, None)
                self._drop(number)
                return
            kept = self._open[number]
            kept += body
            if number not in self._sinks:
                # Nobody listens yet, or any more. It is read all the same, so that no guest waits;
                # only what is too much for anybody to come back to is let go of.
                if len(kept) > _KEPT:
                    kept.clear()
                return
        self._hand_over()

    def _hand_over(self) -> None:
        """Send what is kept to those who listen."""
        with self._lock:
            waiting = [
                (number, sink, bytes(self._open[number]))
                for number, sink in self._sinks.items()
                if self._open.get(number)
            ]
            for number, _sink, _kept in waiting:
                self._open[number].clear()
        for number, sink, kept in waiting:
            try:
                sink.sendall(kept)
            except OSError:
                with self._lock:
                    self._drop(number, sink)

    def _drop(self, number: int, only: socket.socket | None = None) -> None:
        """Close a stream's end; call it with the lock held."""
        sink = self._sinks.get(number)
        if sink is not None and only in (None, sink):
            del self._sinks[number]
            with contextlib.suppress(OSError):
                sink.close()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
