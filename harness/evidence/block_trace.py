"""Lines of the initiator kernel's block tracepoints (``trace_pipe``), as events.

Formats: TP_printk of include/trace/events/block.h (6.1, and 6.5 and later with the I/O priority),
after the head that kernel/trace/trace_output.c prints with the option irq-info off.
"""

from __future__ import annotations

import re
from typing import Any

TRACE_INSTANCE = "/sys/kernel/tracing/instances/lab"
"""Where the guest's ``lab-block`` service traces; what is written to its trace_marker is told."""

STARTED = "lab-block-started"
"""The line that ``lab-block`` sends whenever it starts."""

_HEAD = re.compile(
    r"^\s*(?P<task>.{1,32}?)-(?P<pid>\d{1,10})\s+\[\d{1,5}\]\s+(?:[^\s:]{1,8}\s+)?"
    r"(?P<seconds>\d{1,12})\.(?P<micros>\d{6}): (?P<event>\w{1,40}): (?P<rest>.*)$"
)
_LOST = re.compile(r"^CPU:\d+ \[LOST (\d{1,18}) EVENTS\]$")
# issue: dev rwbs bytes (cmd) sector + sectors [task]; requeue and complete: … [error].
_REQUEST = re.compile(
    r"^(?P<disk>\d{1,4},\d{1,7}) (?P<rwbs>[A-Z]{1,8}) (?:\d{1,10} )?\([0-9a-f ]*\) "
    r"(?P<sector>\d{1,20}) \+ (?P<sectors>\d{1,10}) "
    r"(?:[a-z-]{1,8},\d{1,5},\d{1,5} )?\[(?P<last>.*)\]$"
)
_ERROR = re.compile(r"^-?\d{1,6}$")
_KINDS = {
    "block_rq_issue": "issue",
    "block_rq_complete": "complete",
    "block_rq_requeue": "requeue",
}
_NO_SECTOR = (1 << 64) - 1
_MARK = "tracing_mark_write"


def parse_block_trace(text: str) -> tuple[str, dict[str, Any]]:
    """One line as (kind, data); never raises.

    Kinds: ``issue``, ``complete``, ``requeue``, ``mark`` (what somebody wrote to trace_marker),
    ``lost-events`` (by the tracer, with their ``count``), ``restarted`` (the guest's service: what
    happened since the last line before is lost), ``garbled``. The first three have ``disk``
    ("8:16"), ``op`` ("read", "write", "flush" or "other"), ``fua``, ``sector`` and ``sectors`` (of
    512 bytes), ``guest_ns`` (CLOCK_TAI of the initiator) and, when complete, ``error`` (0 or a
    negative errno).
    """
    if text.strip() == STARTED:
        return "restarted", {}
    if lost := _LOST.match(text.strip()):
        return "lost-events", {"count": int(lost[1])}
    head = _HEAD.match(text)
    if head is None:
        return "garbled", {"text": text[:500]}
    if head["event"] == _MARK:
        return "mark", {"text": head["rest"][:500]}
    kind, request = _KINDS.get(head["event"]), _REQUEST.match(head["rest"])
    if kind is None or request is None:
        return "garbled", {"text": text[:500]}
    operation, fua = _operation(request["rwbs"])
    sector = int(request["sector"])
    data: dict[str, Any] = {
        "disk": request["disk"].replace(",", ":"),
        "op": operation,
        "fua": fua,
        # A flush has none: its issue tells 0, its completion the largest number there is.
        "sector": 0 if sector == _NO_SECTOR else sector,
        "sectors": int(request["sectors"]),
        "guest_ns": int(head["seconds"]) * 1_000_000_000 + int(head["micros"]) * 1_000,
    }
    if kind == "complete":
        if not _ERROR.match(request["last"]):
            return "garbled", {"text": text[:500]}
        data["error"] = int(request["last"])
    return kind, data


def _operation(rwbs: str) -> tuple[str, bool]:
    """Operation and FUA of blk_fill_rwbs() (kernel/trace/blktrace.c).

    A preflush comes as F before the operation, FUA as F behind it; a flush alone is FF.
    """
    body = rwbs[1:] if rwbs[0] == "F" and len(rwbs) > 1 else rwbs
    names = {"W": "write", "R": "read", "F": "flush"}
    return names.get(body[0], "other"), "F" in body[1:]
