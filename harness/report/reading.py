"""Reads a timeline as far as it can be read, and quickly where it is long.

The block layer's requests are most of a long timeline, two lines for each write, and no page shows
single ones: they are counted, not parsed. One that a check refers to is read when it is asked for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from harness.evidence.model import Seen
from harness.evidence.timeline import Channel, Event

if TYPE_CHECKING:
    from pathlib import Path

# Beyond this (year 2200) a stamp is damage, not a time.
_LAST_NS = 7_258_118_400_000_000_000
# As TimelineWriter writes them. Within a string the quotes would be escaped.
_REQUESTS = (b'"channel":"block","kind":"issue"', b'"channel":"block","kind":"complete"')
_HEAD = 160  # bytes in which they have to be found


@dataclass(frozen=True, slots=True)
class Read:
    """What could be read of a timeline.

    Attributes:
        events: all of them but single block requests.
        requests: how many of those there are.
        bad: lines that are no events.
        torn: the last line has no end.
        last_ns: the latest stamp of all, requests included as far as the last one tells.
    """

    events: tuple[Seen, ...]
    requests: int
    bad: int
    torn: bool
    last_ns: int


def read_events(path: Path) -> Read | None:
    """The events of a ``timeline.jsonl``; None where there is no such file."""
    found: list[Seen] = []
    requests = bad = 0
    torn = False
    last_request = b""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    torn = True
                    break
                if _is_request(line):
                    requests += 1
                    last_request = line
                    continue
                event = parse_event(line)
                if event is None:
                    bad += 1
                else:
                    found.append(Seen(event, number))
    except OSError:
        return None
    last = parse_event(last_request)
    last_ns = max([seen.t_ns for seen in found[-1:]] + ([last.t_ns] if last else []), default=0)
    return Read(tuple(found), requests, bad, torn, last_ns)


def events_at(path: Path, numbers: set[int]) -> dict[int, Seen]:
    """The events in these lines (from 1), as far as there are any that can be read."""
    found: dict[int, Seen] = {}
    if not numbers:
        return found
    try:
        with path.open("rb") as file:
            for number, line in enumerate(islice(file, max(numbers)), start=1):
                event = parse_event(line) if number in numbers and line.endswith(b"\n") else None
                if event is not None:
                    found[number] = Seen(event, number)
    except OSError:
        pass
    return found


def parse_event(line: bytes) -> Event | None:
    """The event of a line; None where it is none."""
    try:
        raw = json.loads(line)
        t_ns, data = raw["t_ns"], raw["data"]
        if not isinstance(t_ns, int) or not 0 <= t_ns <= _LAST_NS or not isinstance(data, dict):
            return None
        return Event(t_ns, str(raw["source"]), Channel(raw["channel"]), str(raw["kind"]), data)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _is_request(line: bytes) -> bool:
    return line.endswith(b"}\n") and any(line.find(mark, 0, _HEAD) >= 0 for mark in _REQUESTS)
