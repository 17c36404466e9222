"""The linear sweep: linearizability where writes of a block follow one another.

fio's ``serialize_overlap=1`` keeps at most one write of a block outstanding, so the order of a
block's writes is the order of their issue, and nothing has to be searched for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.history.part import parts
from harness.history.violation import Collector, Judgement, Rule

if TYPE_CHECKING:
    from harness.history.model import History
    from harness.history.part import Longs, Mask, Part


def sweep(history: History) -> Judgement:
    """Judge every block whose writes follow one another; others are left to ``zones``.

    A read returning write s needs: every write acknowledged, or returned by a read that ended,
    before the read began is not newer than s; and s was issued before the read ended.

    Why this is enough: let the writes of a block be w1, w2, … in order of issue, each done before
    the next is issued. Any linearization has them in this order. Put each read right behind the
    write that it returned, reads of one write by time of issue. This order respects precedence
    unless (a) a read of ws began after some later wt was done, (b) a read of ws ended before ws
    was issued, or (c) a read of ws began after a read of a later wt had ended: what is asked for
    above, and each of them alone forbids every order. A write that was not acknowledged counts
    only once it was read, which (c) covers.

    Linear: ``first_known`` is one pass over reads, its suffix minimum one over writes, and each
    read then is one comparison.
    """
    found = Collector()
    for part in parts(history):
        good = sequential(part)
        judged = good[part.ordinal]
        found.judged(int(judged.sum()), int(good.sum()))
        for rule, reads in (
            (Rule.FOREIGN, part.foreign()),
            (Rule.FUTURE, part.from_the_future()),
        ):
            found.add(rule, history, reads[judged[reads]] + part.offset)
        after, initial_after = _known_after(part)
        stale = _stale(part, after, initial_after)
        stale = stale[judged[part.reads[stale]]]
        for at in stale[: found.wants(Rule.STALE, history, part.offset + part.reads[stale])]:
            read, target = int(part.reads[at]), int(part.target[at])
            found.list(
                Rule.STALE,
                int(history.block[part.offset + read]),
                (index + part.offset for index in _explain(part, read, target)),
            )
    return found.judgement()


def sequential(part: Part) -> Mask:
    """Blocks in which each write was done before the next one was issued; shape (blocks,)."""
    writes = np.flatnonzero(part.write)
    same = part.ordinal[writes[1:]] == part.ordinal[writes[:-1]]
    crowded = same & (part.done[writes[:-1]] >= part.issue[writes[1:]])
    good = np.ones(part.blocks, dtype=bool)
    good[part.ordinal[writes[1:][crowded]]] = False
    return good


def _known_after(part: Part) -> tuple[Longs, Longs]:
    """When a later write of the block was first known.

    Returns:
        For each operation that is a write, when the first of its successors was known, shape (n,);
        for each block, when the first of all its writes was, shape (blocks,).
    """
    writes = np.flatnonzero(part.write)
    ordinal = part.ordinal[writes]
    keys = part.key(ordinal, part.first_known()[writes])
    # From the last write to the first: keys of an earlier block are smaller, so the minimum
    # starts anew with each block.
    least = np.minimum.accumulate(keys[::-1])[::-1]
    after = np.full(len(part.issue), part.never)
    follows = ordinal[1:] == ordinal[:-1]
    after[writes[:-1][follows]] = part.time_of(least[1:][follows])
    whole = np.full(part.blocks, part.never)
    heads = np.flatnonzero(np.concatenate([[True], ~follows])) if len(writes) else writes
    whole[ordinal[heads]] = part.time_of(least[heads])
    return after, whole


def _stale(part: Part, after: Longs, initial_after: Longs) -> Longs:
    """Places (in ``reads``) of the reads that began after a newer write was known."""
    target = part.target
    known = np.where(
        target >= 0, after[np.maximum(target, 0)], initial_after[part.ordinal[part.reads]]
    )
    return np.flatnonzero((known < part.issue[part.reads]) & (target >= -1))


def _explain(part: Part, read: int, target: int) -> list[int]:
    """The stale read, the write it returned, and what proves that a newer one was there."""
    own = part.members(int(part.ordinal[read]))
    newer = own.start + np.flatnonzero(part.write[own])
    newer = newer[newer > target]
    proof = newer[part.done[newer] < part.issue[read]]
    told = [read] + ([target] if target >= 0 else [])
    if len(proof):
        return [*told, int(proof[np.argmin(part.done[proof])])]
    readers = part.reads[np.isin(part.target, newer)]
    earliest = int(readers[np.argmin(part.done[readers])])
    return [*told, int(part.target[np.searchsorted(part.reads, earliest)]), earliest]
