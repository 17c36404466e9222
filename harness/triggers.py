"""Triggers: which event brought about what a step waited for, and how soon a fault followed.

A step that waits names what is missing. It is asked again at every event of the timeline, in the
thread that brings the event, so that the event which completes it is known and not merely the
moment at which somebody looked. The next injection measures its reaction from there.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import DeadlineError
from harness.evidence.clock import now_ns
from harness.evidence.timeline import Channel
from harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.evidence.timeline import TimelineWriter


@dataclass(frozen=True, slots=True)
class Pulled:
    """A trigger that was pulled: what was waited for, and when it came, ns on the run's clock.

    What was there already when the step began came when the step began: nobody waited before.
    """

    what: str
    t_ns: int


class Watch:
    """One state that a step waits for."""

    def __init__(self, what: str, missing: Callable[[], str]) -> None:
        self.what = what
        self.missing = missing
        self.reached_ns: int | None = None
        self._lock = threading.Lock()

    def look(self, t_ns: int) -> str:
        """What is missing now that an event came at ``t_ns``; once nothing was, nothing is."""
        with self._lock:
            if self.reached_ns is not None:
                return ""
            missing = self.missing()
            if not missing:
                self.reached_ns = t_ns
            return missing


class Triggers:
    """The state that is waited for now, and the trigger that was pulled last."""

    def __init__(self, writer: TimelineWriter) -> None:
        self._writer = writer
        self._watch: Watch | None = None
        self._pulled: Pulled | None = None

    def look(self, t_ns: int) -> None:
        """An event came; called after everything else has taken it in."""
        watch = self._watch
        if watch is not None:
            watch.look(t_ns)

    def wait(
        self,
        what: str,
        missing: Callable[[], str],
        deadline_s: float,
        *,
        most_s: float | None = None,
        meanwhile: Callable[[], None] = lambda: None,
        streamed: bool = True,
        interval_s: float = 0.05,
    ) -> None:
        """Wait for what the timeline tells, and note which event brought it.

        Args:
            missing: what has not come yet, in words; empty if nothing.
            most_s: go on after so many seconds even so; the timeline tells that it was missed.
            meanwhile: called again and again while something is missing; may raise.
            streamed: ``missing`` is asked at every event of the timeline, so that the one that
                brought it is known; else only every ``interval_s`` seconds, as it asks a guest.

        Raises:
            AssertionError: not within ``deadline_s`` seconds. The checks say what that means.
        """
        self._pulled = None
        watch = Watch(what, missing)
        self._watch = watch if streamed else None
        began = time.monotonic()

        def left() -> str:
            text = watch.look(now_ns())
            if text:
                meanwhile()
            return text

        limit_s = deadline_s if most_s is None else most_s
        try:
            wait_until(what, left, deadline_s=limit_s, interval_s=interval_s)
        except DeadlineError as error:
            if most_s is None:
                raise AssertionError(error.message) from error
            waited = {"trigger": what, "seconds": round(time.monotonic() - began, 1)}
            self._writer.add("host", Channel.STATE, "trigger-missed", waited)
        finally:
            self._watch = None
        if watch.reached_ns is not None:
            self._pulled = Pulled(what, watch.reached_ns)

    def take(self) -> Pulled | None:
        """The trigger that was pulled, for the fault that follows it; only once."""
        pulled, self._pulled = self._pulled, None
        return pulled

    def forget(self) -> None:
        """Something else was waited for meanwhile: what follows is no reaction."""
        self._pulled = None

    def reacted(self, pulled: Pulled, fault_id: str, inject_ns: int) -> None:
        """Note how soon a fault was injected (ns, run's clock) after its trigger's event."""
        reaction = {
            "trigger": pulled.what,
            "fault": fault_id,
            "seconds": round((inject_ns - pulled.t_ns) / 1e9, 3),
            "trigger_ns": pulled.t_ns,
            "inject_ns": inject_ns,
        }
        self._writer.add("host", Channel.STATE, "reaction", reaction)
