"""Every write of a scenario in a few bytes each, for the page's script.

A completion is placed to the millisecond, as fio tells it; a latency is kept as the nearest power
of 1.01 ns, at most half a percent off. Four planes follow each other, one byte per write: time
since the write before in ms (255: the next of ``gaps`` instead), job, and the latency's exponent,
high and low byte; deflated (RFC 1950) and in base64. The longest writes are told exactly as well.
"""

from __future__ import annotations

import base64
import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from harness.report.writes import Writes

STEP = 1.01
_ESCAPE = 255
_MOST_EXACT = 500
_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Packed:
    """Writes for a page.

    Attributes:
        blob: the planes, deflated, in base64.
        head: what it takes to read them, as JSON takes it: ``n``, ``first_ms`` (of the first
            completion after zero), ``gaps`` in ms, ``step``, ``jobs``, and ``exact``: completion in
            ms after zero, latency in ns and job of the longest writes.
    """

    blob: str
    head: dict[str, Any]


def pack(writes: Writes, zero_ns: int) -> Packed | None:
    """The writes, with times from ``zero_ns``; None where there are none."""
    if not writes.logged:
        return None
    done_ms = np.rint((writes.done_ns - zero_ns) / _MS).astype(np.int64)
    delta = np.diff(done_ms, prepend=done_ms[:1])
    wide = delta >= _ESCAPE
    exponent = np.rint(np.log(np.maximum(writes.latency_ns, 1)) / math.log(STEP)).astype(np.uint16)
    planes = (
        np.where(wide, _ESCAPE, delta).astype(np.uint8),
        writes.job,
        (exponent >> 8).astype(np.uint8),
        (exponent & 0xFF).astype(np.uint8),
    )
    deflated = zlib.compress(b"".join(plane.tobytes() for plane in planes), 6)
    longest = np.argsort(writes.latency_ns, kind="stable")[::-1][:_MOST_EXACT]
    exact = [
        [round((int(writes.done_ns[at]) - zero_ns) / _MS, 3), int(writes.latency_ns[at]),
         int(writes.job[at])]
        for at in np.sort(longest)
    ]  # fmt: skip
    head = {
        "n": len(done_ms),
        "first_ms": int(done_ms[0]),
        "gaps": delta[wide].tolist(),
        "step": STEP,
        "jobs": list(writes.jobs),
        "exact": exact,
    }
    return Packed(base64.b64encode(deflated).decode("ascii"), head)
