"""The operations on one LUN, as arrays sorted by block and time of issue.

One operation touches one block: whoever builds a history splits larger I/O. A retry by the
initiator's kernel is no operation of its own: an operation lasts from its first issue to its last
acknowledgement. Times are of one clock, so that an operation *precedes* another where it was done
before the other was issued; everything else is concurrent.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

NEVER = np.int64(2**62)
"""``done_ns`` of an operation that was never answered."""

INITIAL = -1
"""``wrote`` of a read that found what was there before the first write."""

FOREIGN = -2
"""``wrote`` of a read that found what no write of the history wrote."""

# Blocks are judged in groups of about so many operations: their arrays fit the CPU's cache, and
# block and time fit one 64-bit key.
_CHUNK = 1 << 18


class Kind(IntEnum):
    """What an operation does."""

    READ = 0
    WRITE = 1


class Outcome(IntEnum):
    """How an operation ended, as the initiator saw it.

    A failed write and an unknown one may both have reached the disk, or may do so later.
    """

    ACKNOWLEDGED = 0
    FAILED = 1
    UNKNOWN = 2


class Flag(IntEnum):
    """Bits of ``flags``."""

    FUA = 1


class HistoryError(ValueError):
    """Arrays that are no history; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Flushes:
    """Flushes of the whole LUN, sorted by issue; all shape (m,).

    Attributes:
        issue_ns, done_ns: as of operations.
        outcome: Outcome.
    """

    issue_ns: npt.NDArray[np.int64]
    done_ns: npt.NDArray[np.int64]
    outcome: npt.NDArray[np.uint8]

    @classmethod
    def none(cls) -> Flushes:
        """No flush at all."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint8))


@dataclass(frozen=True)
class History:
    """Operations of one LUN, sorted by (block, issue_ns); all arrays have shape (n,).

    Attributes:
        block: number of the block.
        kind: Kind.
        outcome: Outcome.
        flags: Flag bits.
        wrote: of a read, the index (into these arrays) of the write whose data it returned, or
            INITIAL or FOREIGN; of a write, its own index.
        issue_ns: when it was issued, ns on the history's clock.
        done_ns: when it was answered; NEVER where it was not.
        flushes: the flushes.
        block_size: bytes per block.
        uncertainty_ns: how far a time may be off against others of the history. Precedence that
            rests on less than twice this is not believed.
    """

    block: npt.NDArray[np.uint32]
    kind: npt.NDArray[np.uint8]
    outcome: npt.NDArray[np.uint8]
    flags: npt.NDArray[np.uint8]
    wrote: npt.NDArray[np.int32]
    issue_ns: npt.NDArray[np.int64]
    done_ns: npt.NDArray[np.int64]
    flushes: Flushes = field(default_factory=Flushes.none)
    block_size: int = 4096
    uncertainty_ns: int = 0

    @classmethod
    def build(
        cls,
        *,
        block: npt.ArrayLike,
        kind: npt.ArrayLike,
        outcome: npt.ArrayLike,
        wrote: npt.ArrayLike,
        issue_ns: npt.ArrayLike,
        done_ns: npt.ArrayLike,
        flags: npt.ArrayLike | None = None,
        flushes: Flushes | None = None,
        block_size: int = 4096,
        uncertainty_ns: int = 0,
    ) -> History:
        """A history from operations in any order; ``wrote`` of a read is an index in that order.

        ``wrote`` of a write is of no account.

        Raises:
            HistoryError: as ``check`` does.
        """
        blocks = np.asarray(block, dtype=np.uint32)
        issue = np.asarray(issue_ns, dtype=np.int64)
        order = np.lexsort((issue, blocks))
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        kinds = np.asarray(kind, dtype=np.uint8)[order]
        named = np.asarray(wrote, dtype=np.int64)[order]
        if named.size and int(named.max()) >= len(order):
            raise HistoryError(f"a read names operation {int(named.max())} of {len(order)}")
        found = np.where(named >= 0, place[np.maximum(named, 0)], named) if len(order) else named
        flag = np.zeros(len(order), np.uint8) if flags is None else np.asarray(flags, np.uint8)
        history = cls(
            block=blocks[order],
            kind=kinds,
            outcome=np.asarray(outcome, dtype=np.uint8)[order],
            flags=flag[order],
            wrote=np.where(kinds == Kind.WRITE, np.arange(len(order)), found).astype(np.int32),
            issue_ns=issue[order],
            done_ns=np.asarray(done_ns, dtype=np.int64)[order],
            flushes=Flushes.none() if flushes is None else flushes,
            block_size=block_size,
            uncertainty_ns=uncertainty_ns,
        )
        history.check()
        return history

    def __len__(self) -> int:
        return len(self.block)

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """Where each touched block's operations begin, and the end: shape (blocks + 1,)."""
        change = np.flatnonzero(self.block[1:] != self.block[:-1]) + 1
        inner = change.astype(np.int64)
        return np.concatenate([[0], inner, [len(self)]]) if len(self) else np.zeros(1, np.int64)

    @cached_property
    def span(self) -> tuple[int, int]:
        """The earliest issue and the latest answer (plus the margin), in ns."""
        if not len(self):
            return 0, 0
        answered = self.done_ns[self.done_ns < NEVER]
        last = max(int(answered.max(initial=0)), int(self.issue_ns.max()))
        return int(self.issue_ns.min()), last + self.margin_ns

    @property
    def margin_ns(self) -> int:
        """One operation precedes another if it was done more than this before the other's issue."""
        return 2 * self.uncertainty_ns

    def chunks(self, size: int = _CHUNK) -> Iterator[slice]:
        """Slices of whole blocks, of about ``size`` operations each (more for a busy block)."""
        starts = self.starts
        first, last = self.span
        # (block's ordinal in the chunk, time) has to fit 62 bits: see harness.history.part.
        size = max(1, min(size, 2**62 // (last - first + 4)))
        at = 0
        while at < len(starts) - 1:
            # At least one block; as many as fit.
            end = int(np.searchsorted(starts, starts[at] + size, side="right")) - 1
            end = max(end, at + 1)
            yield slice(int(starts[at]), int(starts[end]))
            at = end

    def check(self) -> None:
        """Whether these arrays are a history.

        Raises:
            HistoryError: shapes differ, operations are out of order, an operation is answered
                before it was issued, a read names something that is no write of its block, ...
        """
        n = len(self)
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, np.ndarray) and value.shape != (n,):
                raise HistoryError(f"{one.name} has shape {value.shape}, block has {n} operations")
        for part in self.chunks():
            self._check_part(part)
        flushes = self.flushes
        if np.any(flushes.issue_ns[1:] < flushes.issue_ns[:-1]):
            raise HistoryError("flushes are not sorted by time of issue")
        _check_times(flushes.issue_ns, flushes.done_ns, flushes.outcome, "flush")

    def _check_part(self, part: slice) -> None:
        block, issue = self.block[part], self.issue_ns[part]
        same = block[1:] == block[:-1]
        if np.any(block[1:] < block[:-1]) or np.any(same & (issue[1:] < issue[:-1])):
            raise HistoryError("operations are not sorted by block and time of issue")
        _check_times(issue, self.done_ns[part], self.outcome[part], "operation")
        kind, wrote = self.kind[part], self.wrote[part].astype(np.int64)
        if kind.size and int(kind.max()) > Kind.WRITE:
            raise HistoryError(f"kind {int(kind.max())} of an operation is not defined")
        write = kind == Kind.WRITE
        own = np.arange(part.start, part.stop)
        if np.any(wrote[write] != own[write]):
            raise HistoryError("a write's own index is not its place")
        if wrote.size and int(wrote.min()) < FOREIGN:
            raise HistoryError(f"a read names {int(wrote.min())}, which is not defined")
        names = wrote >= 0
        target = wrote[names] - part.start
        # A block is never split between parts, so what a read names is in its own part.
        if np.any((target < 0) | (target >= len(block))):
            raise HistoryError("a read names an operation of another block")
        if np.any(~write[target] | (block[target] != block[names])):
            raise HistoryError("a read names an operation that is no write of its block")
        answered = self.outcome[part] == Outcome.ACKNOWLEDGED
        if np.any(~answered & ~write):
            raise HistoryError("a read that was not acknowledged returns nothing: leave it out")


def _check_times(
    issue: npt.NDArray[np.int64],
    done: npt.NDArray[np.int64],
    outcome: npt.NDArray[np.uint8],
    what: str,
) -> None:
    if not issue.size:
        return
    if int(outcome.max()) > Outcome.UNKNOWN:
        raise HistoryError(f"outcome {int(outcome.max())} of a {what} is not defined")
    if int(issue.min()) < 0 or int(issue.max()) >= NEVER or int(done.max()) > NEVER:
        raise HistoryError(f"a time of a {what} is out of range")
    if np.any(done < issue):
        raise HistoryError(f"a {what} is answered before it was issued")
    if np.any((outcome == Outcome.UNKNOWN) != (done == NEVER)):
        raise HistoryError(f"a {what} is unknown and answered, or neither")
