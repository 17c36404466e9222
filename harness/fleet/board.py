"""What every worker does, on the controller's terminal: a line for each that stays."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.text import Text

from harness.fleet.parts import parts_of
from harness.progress import console
from harness.report.live.terminal import LiveRun, one_log_line
from harness.report.text import duration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.fleet.parts import Part
    from harness.report.live.status import Status

_LOOK_S = 1.0
_REPEAT_S = 60.0  # in a log


class Workers:
    """The workers of a run that goes on, and what each of them does."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._followed: dict[str, LiveRun] = {}

    def status(self) -> list[tuple[Part, Status | None]]:
        """Each worker that is there, with its scenario; None before the first."""
        found = []
        with contextlib.suppress(OSError):
            # A part may be taken in while it is looked at.
            for part in parts_of(self._run):
                live = self._followed.setdefault(part.name, LiveRun(part.folder))
                found.append((part, live.status()))
        return found

    def lines(self) -> list[Text]:
        """A row for each worker, cut at the terminal's edge."""
        return [
            Text(_line(part, status), no_wrap=True, overflow="ellipsis")
            for part, status in self.status()
        ]

    def log_lines(self) -> list[str]:
        """The same with faults and I/O, for a log; nothing of those that do nothing."""
        return [
            f"{_line(part, status)}: {one_log_line(status)}"
            for part, status in self.status()
            if status is not None and not status.ended and status.step
        ]


def _line(part: Part, status: Status | None) -> str:
    if status is None:
        return f"{part.worker:<5} its lab is being made"
    if status.ended:
        return f"{part.worker:<5} between two scenarios"
    took = duration(max(status.now_ns - status.started_ns, 0) / 1e9)
    step = f" · {status.step}" if status.step else ""
    return f"{part.worker:<5} {took:<12} {status.name}{step}"


@contextlib.contextmanager
def shown_workers(run: Path) -> Iterator[None]:
    """Show what the workers of a run do until the block ends.

    On a terminal as lines that stay below all others; in a log, and on a terminal that cannot take
    lines back, as one line for each worker every minute.
    """
    workers, done = Workers(run), threading.Event()
    live: Live | None = None
    if console.is_terminal and not console.is_dumb_terminal:
        live = Live(
            Group(), console=console, auto_refresh=False, transient=True,
            # What goes to a file or a pipe must still get there.
            redirect_stdout=sys.stdout.isatty(),
        )  # fmt: skip
        live.start()

    def tell() -> None:
        while not done.wait(_REPEAT_S if live is None else _LOOK_S):
            if live is not None:
                live.update(Group(*workers.lines()), refresh=True)
                continue
            for line in workers.log_lines():
                console.print(f"  · {line}", markup=False)

    ticker = threading.Thread(target=tell, name="workers", daemon=True)
    ticker.start()
    try:
        yield
    finally:
        done.set()
        ticker.join()
        if live is not None:
            live.stop()
