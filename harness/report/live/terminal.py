"""The scenario that runs, on the terminal: below what is being done, a few lines that stay."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live as RichLive
from rich.text import Text

from harness.evidence.clock import now_ns
from harness.progress import console
from harness.report.fleet import WORKERS
from harness.report.live.status import LiveScenario, Status
from harness.report.text import duration, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOOK_S = 1.0
_REPEAT_S = 30.0  # in a log
_MOST_FAULTS = 4  # lines of them


class LiveRun:
    """The scenario of a run that was begun last, whichever that is at the moment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._scenario: LiveScenario | None = None
        self._inode = 0

    def status(self) -> Status | None:
        """What is known of it now; None before the first."""
        newest = self._newest()
        if newest is None:
            return None
        # One that is tried again has the same path, and another folder.
        inode = _inode(newest)
        if self._scenario is None or (self._scenario.folder, self._inode) != (newest, inode):
            self._scenario, self._inode = LiveScenario(newest), inode
        self._scenario.update()
        return self._scenario.status(now_ns())

    def _newest(self) -> Path | None:
        found: list[tuple[int, Path]] = []
        with contextlib.suppress(OSError):
            # A folder may be set aside while it is looked at.
            for path in self._begun():
                found.append((path.stat().st_ctime_ns, path))
        begun = [one for one in found if (one[1] / "timeline.jsonl").exists()]
        current = self._scenario.folder if self._scenario else None
        # The folder that changed last; on a tie the one that is shown stays.
        return max(begun, key=lambda one: (one[0], one[1] == current), default=(0, None))[1]

    def _begun(self) -> list[Path]:
        """Evidence that is being written: of a run with workers, what was not taken in yet."""
        own = sorted((self.folder / WORKERS).glob("*/evidence/*"))
        return own or list((self.folder / "evidence").iterdir())


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def lines(status: Status) -> list[Text]:
    """A few lines, of one row each; what may have come from guests is text and nothing else."""
    took = duration(max(status.now_ns - status.started_ns, 0) / 1e9)
    # The time comes first: names are often longer than a terminal is wide.
    first = _row(f"{took:<6}  ", (status.name, "bold"))
    second = _row(f"step    {status.step or 'not begun'}")
    told = _faults(status)
    if len(told) > _MOST_FAULTS:
        told[_MOST_FAULTS - 1 :] = [f"and {len(told) - _MOST_FAULTS + 1} more"]
    faults = [
        _row(f"{'' if n else 'fault':<8}{one}", style="yellow") for n, one in enumerate(told)
    ] or [_row("fault   none is active")]
    io = _row(f"I/O     {_io(status)}", style="red" if status.standstill_s else "")
    return [first, second, *faults, io, _row(f"nodes   {_nodes(status)}")]


def one_log_line(status: Status) -> str:
    """Faults, I/O and nodes in one line, for a log."""
    return "; ".join(
        (", ".join(_faults(status)) or "no fault is active", _io(status), _nodes(status))
    )


def _row(*parts: str | tuple[str, str], style: str = "") -> Text:
    """A line that says so where it is cut at the terminal's edge; it is never wrapped."""
    return Text.assemble(*parts, style=style, no_wrap=True, overflow="ellipsis")


def _faults(status: Status) -> list[str]:
    return [
        f"{f.name} of {f.target} for {duration(max(status.now_ns - f.since_ns, 0) / 1e9)}"
        + ("" if f.bitten else " (not proved yet)")
        for f in status.faults
    ]


def _io(status: Status) -> str:
    rate = "no I/O" if status.writes_per_s is None else f"{status.writes_per_s:,.0f} writes/s"
    stall = f"longest stall {seconds(status.longest_stall_s)}"
    if status.standstill_s:
        stall += f", standing still for {seconds(status.standstill_s)}"
    return f"{rate}, {stall}"


def _nodes(status: Status) -> str:
    return "; ".join(f"{node}: {role}" for node, role in status.roles.items())


class _Board:
    """What rich draws anew; the run is looked at once a second."""

    def __init__(self, run: LiveRun) -> None:
        self._run = run
        self._drawn: list[Text] = []
        self._looked = 0.0

    def __rich__(self) -> Group:
        if time.monotonic() - self._looked >= _LOOK_S:
            status = self._run.status()
            self._drawn = [] if status is None or status.ended else lines(status)
            self._looked = time.monotonic()
        return Group(*self._drawn)


@contextlib.contextmanager
def shown_live(folder: Path) -> Iterator[None]:
    """Show the scenario that runs in ``folder`` until the block ends.

    On a terminal as lines that stay below all others; in a log, and on a terminal that cannot take
    lines back, as one line every 30 seconds.
    """
    run = LiveRun(folder)
    if console.is_terminal and not console.is_dumb_terminal:
        # What goes to a file or a pipe must still get there.
        to_terminal = sys.stdout.isatty()
        board = RichLive(
            # What a stage says of itself is drawn with these lines, and it ticks twice a second.
            _Board(run), console=console, refresh_per_second=2, transient=True,
            redirect_stdout=to_terminal,
        )  # fmt: skip
        with board:
            yield
        return
    done = threading.Event()
    ticker = threading.Thread(target=_tell, args=(run, done), name="live", daemon=True)
    ticker.start()
    try:
        yield
    finally:
        done.set()
        ticker.join()


def _tell(run: LiveRun, done: threading.Event) -> None:
    while not done.wait(_REPEAT_S):
        status = run.status()
        if status is not None and not status.ended and status.step:
            console.print(f"  · {one_log_line(status)}", markup=False)
