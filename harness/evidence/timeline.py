"""The timeline: what every witness saw, as JSON lines, in order of arrival on the host.

Each line of ``timeline.jsonl`` is one object::

    {"n": 1, "t_ns": 1764076800000000000, "source": "alpha", "channel": "console", "kind": "line",
     "data": {"text": "drbd r0: role( Secondary -> Primary )"}}

``n`` counts the lines from 1, so that one that is lost is missed. ``t_ns`` is nanoseconds since the
Unix epoch on the run's clock (harness.evidence.clock), stamped on the host when the event arrived.
Lines are flushed one by one, so that a kill -9 of the harness costs at most the line being
written; the reader tolerates exactly that, a torn last line.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from harness.evidence.clock import now_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Channel(StrEnum):
    """By which way an event reached the timeline."""

    CONSOLE = "console"  # kernel console of a guest, over a virtio console
    JOURNAL = "journal"  # journalctl -o json of a guest, over virtio-serial
    EVENTS2 = "events2"  # drbdsetup events2 of a node, over virtio-serial
    PROGRESS = "progress"  # I/O counters of the initiator, over virtio-serial
    BLOCK = "block"  # block requests of the initiator's kernel, over virtio-serial
    DOMAIN = "domain"  # libvirt lifecycle events, seen on the host
    FENCE = "fence"  # what fence_virtd logged on the host
    ARP = "arp"  # who claims the VIP, seen on the data bridge
    FAULT = "fault"  # what the harness broke and healed, with proof
    WORKLOAD = "workload"  # start and end of fio jobs
    STEP = "step"  # the Gherkin steps
    PHASE = "phase"  # what the harness is doing, where steps and faults do not tell
    CLOCK = "clock"  # measured offsets of the guests' clocks
    HOST = "host"  # what the host gave the VMs: run and wait times of QEMU's threads
    STATE = "state"  # states sampled before the fault and after the heal


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that was seen.

    Attributes:
        t_ns: nanoseconds since the Unix epoch, on the run's clock, at arrival on the host.
        source: which machine: a VM's role name (``alpha``, ``bravo``, ``client``) or ``host``.
        channel: by which way it arrived.
        kind: what it is within the channel (docs/evidence.md lists them all).
        data: the content; guest output in it is untrusted.
        number: of its line in the file, from 1; 0 where the file does not say.
    """

    t_ns: int
    source: str
    channel: Channel
    kind: str
    data: dict[str, Any] = field(default_factory=dict)
    number: int = 0


class TimelineWriter:
    """Appends events to one ``timeline.jsonl``; safe to call from several threads."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.written = len(path.read_bytes().splitlines()) if path.exists() else 0
        """How many events are in the file."""
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()
        self._listeners: list[Callable[[Event], None]] = []

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call ``listener`` with every further event; returns what ends the subscription."""
        with self._lock:
            self._listeners.append(listener)

        def cancel() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return cancel

    def add(
        self,
        source: str,
        channel: Channel,
        kind: str,
        data: dict[str, Any] | None = None,
        *,
        t_ns: int | None = None,
    ) -> Event:
        """Write one event to disk and hand it to the subscribers; returns it."""
        with self._lock:
            # Stamped under the lock: the file's order is the clock's order.
            event = Event(
                now_ns() if t_ns is None else t_ns, source, channel, kind, data or {},
                0 if self._file.closed else self.written + 1,
            )  # fmt: skip
            if not self._file.closed:
                self._file.write(
                    json.dumps(
                        {
                            "n": event.number,
                            "t_ns": event.t_ns,
                            "source": source,
                            "channel": str(channel),
                            "kind": kind,
                            "data": event.data,
                        },
                        ensure_ascii=True,
                        separators=(",", ":"),
                    )
                    + "\n"
                )
                self.written += 1
            listeners = list(self._listeners)
        for listener in listeners:
            listener(event)
        return event

    def close(self) -> None:
        """Close the file; later events still reach subscribers but are not written."""
        with self._lock:
            self._file.close()


class TimelineError(ValueError):
    """A line that is not an event, with file, line number and what is wrong."""


def read_timeline(path: Path) -> list[Event]:
    """All events of a ``timeline.jsonl``, in file order.

    Raises:
        TimelineError: a line that is not an event; a torn last line (no newline) is dropped.
        FileNotFoundError: there is no such file.
    """
    return list(_iter_events(path))


def _iter_events(path: Path) -> Iterator[Event]:
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith("\n"):
                return
            try:
                raw = json.loads(line)
                yield Event(
                    t_ns=int(raw["t_ns"]),
                    source=str(raw["source"]),
                    channel=Channel(raw["channel"]),
                    kind=str(raw["kind"]),
                    data=dict(raw["data"]),
                    number=int(raw.get("n", 0)),
                )
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
                raise TimelineError(f"{path}:{number}: not an event: {error}") from error
