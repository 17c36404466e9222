"""Waiting for a cluster to become whole, and when to stop: what cannot come by itself any more.

Some states do not end without an operator. To wait for them until the deadline is over tells
nothing new and costs minutes each time, which counts where many failing schedules are run.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from harness.cluster import sampling
from harness.errors import DeadlineError
from harness.lab.topology import RESOURCES
from harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.evidence.livestate import LiveDrbd
    from harness.lab.lab import Lab
    from harness.timing import Timing

# A handler that has not removed its constraint after so many times its own timeout never will.
_HANDLER_TIMES = 1.5


class Patience:
    """Ends a wait whose state has looked hopeless for so many seconds without a break.

    Args:
        seconds: how long it may look so.
        clock: monotonic seconds; for tests.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._since: float | None = None

    def check(self, why: str) -> None:
        """Note that it looks hopeless, and why; an empty string: it does not.

        Raises:
            DeadlineError: it has, for too long.
        """
        if not why:
            self._since = None
            return
        now = self._clock()
        if self._since is None:
            self._since = now
        if now - self._since > self._seconds:
            raise DeadlineError(f"{why}, for {now - self._since:.0f} s; no more is waited for it")


def wait_whole(lab: Lab, drbd: LiveDrbd, timing: Timing, allowed_s: float) -> None:
    """Wait until DRBD is connected and up to date and the cluster is whole.

    Two things do not come by themselves any more, and are not waited for until the deadline:
    connections that were given up, and constraints whose handler is over.

    Raises:
        DeadlineError: not within ``allowed_s`` seconds, or never; with what was missing.
    """
    nodes = [machine.name for machine in lab.nodes]
    patience = Patience(_HANDLER_TIMES * timing.fence_handler_timeout_s)

    def drbd_missing() -> str:
        missing = drbd.missing(nodes, RESOURCES)
        given_up = drbd.cut_off(nodes, RESOURCES)
        patience.check(f"a connection was given up: {missing}" if given_up else "")
        return missing

    def whole_missing() -> str:
        missing = sampling.settle_missing(lab)
        patience.check(missing if missing.startswith(sampling.CONSTRAINTS_LEFT) else "")
        return missing

    # First by what the nodes stream, then by what they are asked: asking slows them down.
    spent = wait_until(
        "DRBD is connected and up to date", drbd_missing, deadline_s=allowed_s, interval_s=0.3
    )
    wait_until(
        "the cluster is whole",
        whole_missing,
        deadline_s=max(60.0, allowed_s - spent),
        interval_s=5,
    )
