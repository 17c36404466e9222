"""Order fidelity: how many acknowledged writes were lost, over which window, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.history.model import NEVER
from harness.history.part import BEFORE_ALL, parts
from harness.history.violation import Collector, Judgement, Rule

if TYPE_CHECKING:
    from harness.history.model import History
    from harness.history.part import Longs, Part


@dataclass(frozen=True, slots=True)
class Fidelity:
    """What a disaster took.

    Attributes:
        lost: acknowledged writes whose block holds an older one, by index into the history, in
            order of acknowledgement.
        lost_blocks: how many blocks they were of.
        first_lost_ns, last_lost_ns: when the first and the last of them were acknowledged; None
            where nothing is lost.
        rpo_ns: from ``first_lost_ns`` to the disaster: how far back the disk stands; 0 where
            nothing is lost.
        judgement: violations of Rule.ORDER: the survivors are no consistent cut.
    """

    lost: Longs
    lost_blocks: int
    first_lost_ns: int | None
    last_lost_ns: int | None
    rpo_ns: int
    judgement: Judgement


def fidelity(history: History, cut_ns: int) -> Fidelity:
    """What the reads after a disaster say of the writes before it.

    The last read of each block after ``cut_ns`` tells which write survived there. An acknowledged
    write is lost iff it was issued after the survivor was done: then it surely replaced it.

    The survivors are a consistent cut, as protocols A and B promise, iff no lost write was done
    before a surviving one, of any block, was issued: then those that survived are a prefix of an
    order that respects precedence. It is enough to look at the survivor issued last.

    Args:
        history: the operations.
        cut_ns: when the disaster struck, on the history's clock.
    """
    found = Collector()
    lost: list[Longs] = []
    blocks, newest, newest_at = 0, -1, -1
    for part in parts(history):
        reads, target = _last_reads(part, part.relative(cut_ns))
        found.judged(len(reads) + int(part.write.sum()), len(reads))
        survivor_done = np.full(part.blocks, part.never)
        known = target >= 0
        survivor_done[part.ordinal[reads]] = np.where(
            known, part.done[np.maximum(target, 0)], BEFORE_ALL
        )
        gone = np.flatnonzero(
            part.write & (part.done < part.never) & (part.issue > survivor_done[part.ordinal])
        )
        lost.append(gone + part.offset)
        blocks += len(np.unique(part.ordinal[gone]))
        if known.any():
            last = int(target[known][np.argmax(part.issue[target[known]])])
            issued = int(part.issue[last]) + part.epoch_ns
            if issued > newest:
                newest, newest_at = issued, last + part.offset
    everything = np.concatenate(lost) if lost else np.empty(0, dtype=np.int64)
    everything = everything[np.argsort(history.done_ns[everything], kind="stable")]
    done = history.done_ns[everything]
    early = everything[done + history.margin_ns < newest]
    for index in early[: found.wants(Rule.ORDER, history, early)]:
        found.list(Rule.ORDER, int(history.block[index]), (int(index), newest_at))
    first = int(done[0]) if len(done) else None
    return Fidelity(
        lost=everything,
        lost_blocks=blocks,
        first_lost_ns=first,
        last_lost_ns=int(done[-1]) if len(done) else None,
        rpo_ns=max(0, min(cut_ns, int(NEVER)) - first) if first is not None else 0,
        judgement=found.judgement(),
    )


def _last_reads(part: Part, cut: int) -> tuple[Longs, Longs]:
    """The last read of each block that began after ``cut``, and what it returned.

    Reads of foreign data tell nothing of a write and are left out; ``sweep`` and ``zones`` name
    them.
    """
    late = np.flatnonzero((part.issue[part.reads] > cut) & (part.target >= -1))
    ordinal = part.ordinal[part.reads[late]]
    final = np.flatnonzero(np.append(ordinal[1:] != ordinal[:-1], True)) if len(late) else late
    chosen = late[final]
    return part.reads[chosen], part.target[chosen]
