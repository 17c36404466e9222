"""Waiting for states: a deadline, and what was still missing when it expired."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from harness.errors import DeadlineError

if TYPE_CHECKING:
    from collections.abc import Callable


def wait_until(
    what: str,
    missing: Callable[[], str],
    *,
    deadline_s: float,
    interval_s: float = 1.0,
    hint: str = "",
    note: Callable[[str], None] | None = None,
) -> float:
    """Ask ``missing`` until it answers with an empty string; returns the seconds it took.

    Args:
        what: the state that is waited for, for the message.
        missing: what is still missing, in words; empty when the state is reached.
        note: told every answer, for progress.

    Raises:
        DeadlineError: after ``deadline_s`` seconds; names what was missing last.
    """
    started = time.monotonic()
    last = ""

    def ask() -> str:
        nonlocal last
        last = missing()
        if note is not None and last:
            note(last)
        return last

    retrying = Retrying(
        stop=stop_after_delay(deadline_s),
        wait=wait_fixed(interval_s),
        retry=retry_if_result(bool),
        retry_error_callback=lambda _state: last,
    )
    if retrying(ask):
        raise DeadlineError(
            f"{what}: not within {deadline_s:.0f} s; still missing: {last}", hint=hint
        )
    return time.monotonic() - started
