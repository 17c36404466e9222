"""The flush floor: what must have survived where the write cache was volatile."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from harness.history.model import NEVER, Flag, Kind, Outcome
from harness.history.part import BEFORE_ALL, parts
from harness.history.violation import Collector, Judgement, Rule

if TYPE_CHECKING:
    from harness.history.model import History
    from harness.history.part import Mask, Part


def durable_until(history: History, cut_ns: int) -> int:
    """Writes acknowledged before this time (ns) are durable, by a flush acknowledged by ``cut_ns``.

    It is the time of issue of the last such flush; 0 where there was none.
    """
    flushes = history.flushes
    good = (flushes.outcome == Outcome.ACKNOWLEDGED) & (flushes.done_ns <= cut_ns)
    return int(flushes.issue_ns[good].max(initial=0))


def forget_unflushed(history: History, cut_ns: int) -> History:
    """The history in which only durable writes of before ``cut_ns`` count as acknowledged.

    What was acknowledged by then and is not durable may be there or not: as if it had never been
    answered. All other operations stay as they are.
    """
    until = durable_until(history, cut_ns)
    fua = (history.flags & Flag.FUA) != 0
    before = (
        (history.kind == Kind.WRITE)
        & (history.outcome == Outcome.ACKNOWLEDGED)
        & (history.done_ns <= cut_ns)
    )
    loose = before & ~((history.done_ns < until) | fua)
    return replace(
        history,
        outcome=np.where(loose, Outcome.UNKNOWN, history.outcome).astype(np.uint8),
        done_ns=np.where(loose, NEVER, history.done_ns),
    )


def flush_floor(history: History, cut_ns: int) -> Judgement:
    """Reads after a power cut must return nothing older than what was durable at the cut.

    A write is durable once a flush that was issued after its acknowledgement is acknowledged
    itself, or, written with FUA, by its own acknowledgement (SBC-3, SYNCHRONIZE CACHE and FUA). A
    read of s violates this iff some durable write of the block was issued after s was done: such a
    write surely replaced s. What was never acknowledged is never done, so finding it is always
    allowed. Linear: one maximum per block, one comparison per read.

    Args:
        history: the operations; reads issued after ``cut_ns`` are judged.
        cut_ns: when power was cut, on the history's clock.
    """
    found = Collector()
    until = durable_until(history, cut_ns)
    for part in parts(history):
        late = np.flatnonzero(part.issue[part.reads] > part.relative(cut_ns))
        late = late[part.target[late] >= -1]
        touched = np.unique(part.ordinal[part.reads[late]])
        durable = _durable(history, part, until, cut_ns)
        found.judged(len(late) + int(durable.sum()), len(touched))
        floor = np.full(part.blocks, -1)
        np.maximum.at(floor, part.ordinal[durable], part.issue[durable])
        target = part.target[late]
        done = np.where(target >= 0, part.done[np.maximum(target, 0)], BEFORE_ALL)
        bad = late[floor[part.ordinal[part.reads[late]]] > done]
        for at in bad[: found.wants(Rule.FLOOR, history, part.offset + part.reads[bad])]:
            read, old = int(part.reads[at]), int(part.target[at])
            own = part.members(int(part.ordinal[read]))
            newest = own.start + int(np.argmax(np.where(durable[own], part.issue[own], -1)))
            told = [newest, read] if old < 0 else [newest, read, old]
            block = int(history.block[part.offset + read])
            found.list(Rule.FLOOR, block, (part.offset + index for index in told))
    return found.judgement()


def _durable(history: History, part: Part, until: int, cut_ns: int) -> Mask:
    """Which operations of the part are durable writes; shape (n,)."""
    piece = slice(part.offset, part.offset + len(part.issue))
    fua = (history.flags[piece] & Flag.FUA) != 0
    by_flush = part.done < part.relative(until)
    by_itself = fua & (part.done <= part.relative(cut_ns))
    durable: Mask = part.write & (part.done < part.never) & (by_flush | by_itself)
    return durable
