"""Progress on long work: what is being done now, and for how long so far.

On a terminal one line is kept up to date; in a log (CI) the stage is announced, then repeated
every 15 seconds, so that a long stage is never mistaken for a hang.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

_REPEAT_S = 15.0

console = Console(stderr=True, highlight=False, soft_wrap=True)


class Stage:
    """One stage that is going on; ``note`` changes what it says it does now."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.detail = ""
        self.started = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the stage began."""
        return time.monotonic() - self.started

    def note(self, detail: str) -> None:
        """Say what within the stage is being done now."""
        self.detail = detail

    def line(self) -> str:
        """The stage as one line of text, with its seconds."""
        detail = f": {self.detail}" if self.detail else ""
        return f"{self.title}{detail} ({self.elapsed_s:.0f} s)"


@contextmanager
def stage(title: str) -> Iterator[Stage]:
    """Show ``title`` with its elapsed seconds until the block ends, then say how long it took."""
    current = Stage(title)
    done = threading.Event()
    if console.is_terminal:
        status = console.status(escape(current.line()))

        def tick() -> None:
            while not done.wait(0.5):
                status.update(escape(current.line()))

        status.start()
    else:
        status = None
        console.print(f"… {title}", markup=False)

        def tick() -> None:
            while not done.wait(_REPEAT_S):
                console.print(f"… {current.line()}", markup=False)

    ticker = threading.Thread(target=tick, name="progress", daemon=True)
    ticker.start()
    ok = False
    try:
        yield current
        ok = True
    finally:
        done.set()
        ticker.join()
        if status is not None:
            status.stop()
        mark = "✓" if ok else "✗"
        console.print(f"{mark} {title} ({current.elapsed_s:.1f} s)", markup=False)
