"""fio's latency, bandwidth and IOPS logs, as numpy tables.

Source of the format: "Log File Formats" of fio's HOWTO, flush_samples() in iolog.c, and logs of
fio 3.33. One line per sample, integers separated by commas::

    time (ms), value, ddir, block size (bytes)[, offset (bytes)][, priority][, issue time (ns)]

``value`` is nanoseconds in a latency log, KiB/s in a bandwidth log, I/Os per second in an IOPS
log. fio 2 and early fio 3 have no priority; later ones always print it, as 0 or 1, or with
``log_prio`` as hex (``0x%04x``). ``log_offset`` adds the offset, ``log_issue_time`` (fio 3.38 and
later) the issue time. Nothing in the file says which of them it has.

Of ``log_window_value=both`` (a second value column) nothing is supported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ._table import check_column, encode, first_cells, parse_table, whole_lines
from .errors import FioParseError

if TYPE_CHECKING:
    import os

    import numpy.typing as npt

LOG_DTYPE = np.dtype(
    [
        ("time_ms", "i8"),  # completion, milliseconds since the job's start
        ("value", "i8"),  # ns, KiB/s or I/Os per second, by the kind of log
        ("ddir", "i1"),  # 0 read, 1 write, 2 trim
        ("block_size", "i8"),  # bytes; 0 in a windowed log (log_avg_msec)
        ("offset", "i8"),  # bytes; -1 if the log has none
        ("priority", "i4"),  # -1 if the log has none
        ("issue_ns", "i8"),  # nanoseconds; -1 if the log has none
    ]
)


class _Layout(NamedTuple):
    has_offset: bool
    has_priority: bool
    has_issue_time: bool

    @property
    def columns(self) -> int:
        return 4 + sum(self)

    @property
    def priority_at(self) -> int | None:
        return 4 + self.has_offset if self.has_priority else None


# In order of preference; what fio cannot write (an issue time without a priority) is not here.
_LAYOUTS = (
    _Layout(False, False, False),
    _Layout(False, True, False),
    _Layout(True, False, False),  # fio 2
    _Layout(True, True, False),
    _Layout(False, True, True),
    _Layout(True, True, True),
)


@dataclass(frozen=True, slots=True, eq=False)
class LogTable:
    """A log.

    Attributes:
        rows: shape (lines,), of LOG_DTYPE.
        has_offset, has_priority, has_issue_time: which columns the file has.
        torn: a torn last line was dropped.
        path: the file, if any.
    """

    rows: npt.NDArray[np.void] = field(repr=False)
    has_offset: bool
    has_priority: bool
    has_issue_time: bool
    torn: bool = False
    path: str | None = None

    def __len__(self) -> int:
        return len(self.rows)


def read_log(
    path: str | os.PathLike[str],
    *,
    has_offset: bool | None = None,
    has_issue_time: bool | None = None,
    allow_torn: bool = False,
) -> LogTable:
    """A log from a file; see :func:`parse_log`.

    Raises:
        FioParseError: the file is not such a log.
        OSError: the file cannot be read.
    """
    return parse_log(
        Path(path).read_bytes(),
        path=str(path),
        has_offset=has_offset,
        has_issue_time=has_issue_time,
        allow_torn=allow_torn,
    )


def parse_log(
    text: str | bytes,
    *,
    path: str | None = None,
    has_offset: bool | None = None,
    has_issue_time: bool | None = None,
    allow_torn: bool = False,
) -> LogTable:
    """A log from its text.

    The number of columns leaves two layouts open, which the arguments decide:

    * 5 columns: priority (the default), or with ``has_offset=True`` fio 2's offset;
    * 6 columns: offset and priority (the default), or with ``has_offset=False`` or
      ``has_issue_time=True`` priority and issue time; a hex priority decides it by itself.

    Args:
        text: the log.
        path: the file it came from, for messages.
        has_offset: the job had ``log_offset=1``; None: not known.
        has_issue_time: the job had ``log_issue_time=1``; None: not known.
        allow_torn: drop a last line without newline instead of raising.

    Raises:
        FioParseError: with the line that does not fit.
    """
    data, torn = whole_lines(encode(text), path=path, allow_torn=allow_torn)
    if not data:
        layout = _Layout(bool(has_offset), False, bool(has_issue_time))
        return LogTable(np.empty(0, LOG_DTYPE), *layout, torn=torn, path=path)
    layout = _layout(first_cells(data), has_offset, has_issue_time, path)
    table = parse_table(data, path=path, hex_column=layout.priority_at)
    time, value, ddir, block_size, *more = table.T
    rest = iter(more)
    offset = next(rest) if layout.has_offset else None
    priority = next(rest) if layout.has_priority else None
    issue = next(rest) if layout.has_issue_time else None
    check_column(time, 0, None, "time", path)
    check_column(ddir, 0, 2, "data direction", path)
    check_column(block_size, 0, None, "block size", path)
    rows = np.empty(len(table), LOG_DTYPE)
    rows["time_ms"], rows["value"], rows["ddir"] = time, value, ddir
    rows["block_size"] = block_size
    for name, column, high in (
        ("offset", offset, None),
        ("priority", priority, 0xFFFF),
        ("issue_ns", issue, None),
    ):
        if column is not None:
            check_column(column, 0, high, name, path)
        rows[name] = -1 if column is None else column
    return LogTable(rows, *layout, torn=torn, path=path)


def _layout(
    cells: list[bytes], has_offset: bool | None, has_issue_time: bool | None, path: str | None
) -> _Layout:
    """Which layout the first line has."""
    # Only a priority is ever hex: where the file has it so, it decides by itself.
    hex_at = next((index for index, cell in enumerate(cells) if b"0x" in cell), None)
    for layout in _LAYOUTS:
        if (
            layout.columns == len(cells)
            and hex_at in (None, layout.priority_at)
            and has_offset in (None, layout.has_offset)
            and has_issue_time in (None, layout.has_issue_time)
        ):
            return layout
    asked = f"has_offset={has_offset}, has_issue_time={has_issue_time}"
    reason = f"{len(cells)} columns do not fit {asked}"
    if hex_at is not None:
        reason += f", hex in column {hex_at + 1}"
    raise FioParseError(reason, path=path, line=1)
