"""The one clock of a run: the host's monotonic clock, expressed as nanoseconds since the epoch.

CLOCK_REALTIME may be stepped by NTP in the middle of a scenario; CLOCK_MONOTONIC may not. So the
wall clock is read once, and every later stamp adds what the monotonic clock has counted since.
"""

from __future__ import annotations

import time

_EPOCH_OF_MONOTONIC_NS = time.time_ns() - time.monotonic_ns()


def now_ns() -> int:
    """Nanoseconds since the Unix epoch on the run's clock; never goes back within a process."""
    return _EPOCH_OF_MONOTONIC_NS + time.monotonic_ns()
