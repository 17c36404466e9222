"""Named points at which a test makes the harness kill -9 itself.

That nothing stays behind "whatever happens" is only worth what was tried: the tests set
``FAILOVER_HARNESS_DIE_AT`` to each name in turn, then look at what ``harness gc`` leaves.
"""

from __future__ import annotations

import os
import signal

POINTS = (
    "image",
    "boot",
    "forming",
    "snapshot",
    "journal",
    "fault",
    "heal",
    "revert",
    "report",
    "gc",
)


def die_here_if_asked(point: str) -> None:
    """kill -9 this process if the environment names this point."""
    assert point in POINTS
    if os.environ.get("FAILOVER_HARNESS_DIE_AT") == point:
        os.kill(os.getpid(), signal.SIGKILL)
