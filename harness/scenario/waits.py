"""Waits of a scenario: each has a deadline, and says what was still missing when it expired."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from harness.errors import DeadlineError
from harness.evidence.timeline import Channel
from harness.scenario.core import Core
from harness.settling import wait_whole
from harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

# How often the initiator is asked whether fio still lives, while writes stand still, in seconds.
_ASK_FIO_S = 15.0
# A cluster that was not whole in time once is INVALID for it; so long it is given the next time.
_AGAIN_S = 60.0


class Waits(Core):
    """Waits for what the timeline tells."""

    def wait_for(self, what: str, missing: Any, deadline_s: float, interval_s: float = 0.2) -> None:
        """Wait for a state of the timeline; ``missing`` says what is still missing.

        Raises:
            DeadlineError: with what was missing.
        """
        wait_until(what, missing, deadline_s=deadline_s, interval_s=interval_s)

    def wait_writes_resume(self, deadline_s: float, writes: int = 100) -> None:
        """Wait until ``writes`` more writes of every raw LUN are done than were done now.

        Seen by the initiator's counters, which stream to the host: no node is asked. Writes that do
        not go on are a finding about the cluster, which the checks explain, not trouble of ours.

        Raises:
            AssertionError: they did not within ``deadline_s`` seconds, or fio ended by itself.
        """
        begun = self.live.progress.raw()

        def missing() -> str:
            now = self.live.progress.raw()
            late = [
                f"{lun} {done - begun.get(lun, (0, 0))[0]}/{writes}"
                for lun, (done, _bytes) in now.items()
                if done - begun.get(lun, (0, 0))[0] < writes
            ]
            return "writes of " + ", ".join(late) if late or not now else ""

        self.wait_written("the writes go on", missing, deadline_s)

    def wait_written(
        self,
        what: str,
        missing: Callable[[], str],
        deadline_s: float,
        most_s: float | None = None,
    ) -> None:
        """Wait for writes of the workload; ``missing`` says which have not come yet.

        Args:
            most_s: go on after so many seconds even if they have not come.

        Raises:
            AssertionError: not within ``deadline_s`` seconds, or fio ended by itself.
        """
        ask_again_at = time.monotonic() + _ASK_FIO_S

        def ask_fio() -> None:
            nonlocal ask_again_at
            if self.workload is not None and time.monotonic() > ask_again_at:
                # The initiator only: it is not under test, and a dead fio never writes again.
                ask_again_at = time.monotonic() + _ASK_FIO_S
                if ended := self.workload.ended():
                    raise AssertionError(ended)

        self.triggers.wait(
            what, missing, deadline_s, most_s=most_s, meanwhile=ask_fio, interval_s=0.2
        )

    def wait_met(self, resource: str, deadline_s: float) -> None:
        """Wait until the replicas of ``resource`` met: connected, or one refused and stands alone.

        Neither is trouble of ours, nor is that it takes too long: the checks say what it means.
        """
        nodes = [m.name for m in self.lab.nodes]

        def missing() -> str:
            states = {self.live.drbd.connection(node, resource) for node in nodes}
            met = "StandAlone" in states or states == {"Connected"}
            return "" if met else f"{resource} is {' and '.join(sorted(states))}"

        with contextlib.suppress(DeadlineError):
            self.wait_for(f"the replicas of {resource} met", missing, deadline_s)

    def wait_streamed(
        self, what: str, missing: Callable[[], str], most_s: float | None = None
    ) -> None:
        """Wait for what the nodes stream; ``missing`` says what has not been told yet.

        What never comes is a finding about the cluster, or a trigger that was not pulled; the
        checks judge what there is all the same.

        Args:
            most_s: go on after so many seconds even if it has not come.

        Raises:
            AssertionError: not within the stall's bound and the time to become whole again.
        """
        deadline_s = self.expect.max_stall_s + self.timing.settle_deadline_s
        self.triggers.wait(what, missing, deadline_s, most_s=most_s)

    def wait_asking(
        self, what: str, missing: Callable[[], str], most_s: float | None = None
    ) -> None:
        """As ``wait_streamed``, for what no stream tells: ``missing`` asks, twice a second."""
        deadline_s = self.expect.max_stall_s + self.timing.settle_deadline_s
        self.triggers.wait(what, missing, deadline_s, most_s=most_s, streamed=False, interval_s=0.5)

    def settle(self) -> str:
        """Wait until the cluster is whole again; returns what was missing at the deadline.

        The wait may begin before the cluster has noticed what was done to it, so that the stall,
        which has a bound of its own, comes on top of the time to become whole.
        """
        whole_s = self.expect.max_stall_s + self.timing.settle_deadline_s
        allowed_s = _AGAIN_S if self._unsettled else whole_s
        self.triggers.forget()
        try:
            wait_whole(self.lab, self.live.drbd, self.timing, allowed_s)
        except DeadlineError as error:
            # A finding for the judge, not trouble of the harness.
            self._unsettled = True
            self.writer.add("host", Channel.STATE, "not-settled", {"text": error.message})
            return error.message
        return ""
