"""fio's completion latency histograms over time: ``write_hist_log``, ``*_clat_hist.N.log``.

Source of the format: flush_hist_samples() in iolog.c and logs of fio 3.33. One line per interval
(``log_hist_msec``) and data direction, integers separated by commas: time (ms), data direction,
block size (bytes), then one count per latency bin. fio 3 has 1856 bins, halved
``log_hist_coarseness`` times; a count is of the interval alone, not cumulative.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ._table import check_column, encode, parse_table, whole_lines
from .errors import FioParseError

if TYPE_CHECKING:
    import os

    import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class HistTable:
    """A histogram log of n lines.

    Attributes:
        time_ms: shape (n,), int64: the interval's end, milliseconds since the job's start.
        ddir: shape (n,), int8: 0 read, 1 write, 2 trim.
        block_size: shape (n,), int64, bytes.
        bins: shape (n, n_bins), int64: I/Os per latency bin.
        torn: a torn last line was dropped.
        path: the file, if any.
    """

    time_ms: npt.NDArray[np.int64] = field(repr=False)
    ddir: npt.NDArray[np.int8] = field(repr=False)
    block_size: npt.NDArray[np.int64] = field(repr=False)
    bins: npt.NDArray[np.int64] = field(repr=False)
    torn: bool = False
    path: str | None = None

    def __len__(self) -> int:
        return len(self.time_ms)


def read_hist_log(path: str | os.PathLike[str], *, allow_torn: bool = False) -> HistTable:
    """A histogram log from a file.

    Raises:
        FioParseError: with the line that does not fit.
        OSError: the file cannot be read.
    """
    return parse_hist_log(Path(path).read_bytes(), path=str(path), allow_torn=allow_torn)


def parse_hist_log(
    text: str | bytes, *, path: str | None = None, allow_torn: bool = False
) -> HistTable:
    """A histogram log from its text; raises like :func:`read_hist_log`."""
    data, torn = whole_lines(encode(text), path=path, allow_torn=allow_torn)
    table = parse_table(data, path=path)
    if not len(table):
        table = np.empty((0, 3), np.int64)
    if len(table) and table.shape[1] < 4:
        raise FioParseError(f"{table.shape[1]} columns: no bins", path=path, line=1)
    check_column(table[:, 0], 0, None, "time", path)
    check_column(table[:, 1], 0, 2, "data direction", path)
    check_column(table[:, 2], 0, None, "block size", path)
    bins = table[:, 3:]
    if bins.size:
        check_column(bins.min(axis=1), 0, None, "count", path)
    return HistTable(
        table[:, 0].copy(), table[:, 1].astype(np.int8), table[:, 2].copy(), bins.copy(), torn, path
    )
