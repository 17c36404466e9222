"""A run of whole blocks of a history, with the columns that every checker needs.

Times become small and relative, so that (block, time) fits one 64-bit key: a cumulative minimum
or a sort over that key never mixes blocks, and needs no loop over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.history.model import FOREIGN, INITIAL, NEVER, Kind, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from harness.history.model import History

    Longs = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

BEFORE_ALL = 0
"""Relative time of what was on the disk before the first operation."""


@dataclass(frozen=True, slots=True)
class Part:
    """Whole blocks; times are relative: BEFORE_ALL, then 1 to ``never`` - 1, then ``never``.

    Attributes:
        offset: index of the first operation in the history.
        epoch_ns: add it to a relative time to get the history's.
        never: relative time of what never happened; one more than any other.
        ordinal: which block of the part an operation is of; shape (n,).
        starts: where each block begins; shape (blocks,).
        issue: time of issue; shape (n,).
        done: time of the answer, and the margin that uncertainty asks for: an operation precedes
            another if its ``done`` is less than the other's ``issue``. ``never`` for whatever was
            not acknowledged, as it may still land.
        write: which operations are writes; shape (n,).
        reads: indices of reads; shape (r,).
        target: what each read returned: an index, INITIAL or FOREIGN; shape (r,).
    """

    offset: int
    epoch_ns: int
    never: int
    ordinal: Longs
    starts: Longs
    issue: Longs
    done: Longs
    write: Mask
    reads: Longs
    target: Longs

    @property
    def blocks(self) -> int:
        """How many blocks."""
        return len(self.starts)

    def members(self, ordinal: int) -> slice:
        """The operations of one block."""
        end = self.starts[ordinal + 1] if ordinal + 1 < self.blocks else len(self.issue)
        return slice(int(self.starts[ordinal]), int(end))

    def relative(self, t_ns: int) -> int:
        """A time of the history as a relative one, kept within its range."""
        return min(max(t_ns - self.epoch_ns, BEFORE_ALL), self.never)

    def key(self, ordinal: Longs, time: Longs) -> Longs:
        """Sorts by block, then by time."""
        return ordinal * (self.never + 1) + time

    def time_of(self, key: Longs) -> Longs:
        """The time of a key."""
        return key % (self.never + 1)

    def first_known(self) -> Longs:
        """When each write was first known to be on the disk; shape (n,), ``never`` for reads.

        By its acknowledgement or by the end of the first read that returned it.
        """
        known = np.where(self.write, self.done, self.never)
        real = self.target >= 0
        np.minimum.at(known, self.target[real], self.done[self.reads[real]])
        return known

    def from_the_future(self) -> Longs:
        """Reads that returned a write which had not been issued when they ended."""
        real = self.target >= 0
        reads = self.reads[real]
        early: Longs = reads[self.issue[self.target[real]] > self.done[reads]]
        return early

    def foreign(self) -> Longs:
        """Reads that returned what no write of the history wrote."""
        found: Longs = self.reads[self.target == FOREIGN]
        return found

    def initial(self) -> Longs:
        """Reads that returned what was there before the first write."""
        found: Longs = self.reads[self.target == INITIAL]
        return found


def parts(history: History) -> Iterator[Part]:
    """The history, a run of whole blocks at a time."""
    first, last = history.span
    epoch, never = first - 1, last - first + 2
    starts = history.starts
    for piece in history.chunks():
        low, high = np.searchsorted(starts, [piece.start, piece.stop])
        own = starts[low:high] - piece.start
        count = piece.stop - piece.start
        lengths = np.diff(np.append(own, count))
        done = history.done_ns[piece]
        acknowledged = (history.outcome[piece] == Outcome.ACKNOWLEDGED) & (done < NEVER)
        write = history.kind[piece] == Kind.WRITE
        reads = np.flatnonzero(~write)
        wrote = history.wrote[piece][reads].astype(np.int64)
        yield Part(
            offset=piece.start,
            epoch_ns=epoch,
            never=never,
            ordinal=np.repeat(np.arange(len(own)), lengths),
            starts=own,
            issue=history.issue_ns[piece] - epoch,
            done=np.where(acknowledged, done + (history.margin_ns - epoch), never),
            write=write,
            reads=reads,
            target=np.where(wrote >= 0, wrote - piece.start, wrote),
        )
