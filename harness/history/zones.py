"""Zones: linearizability of blocks whose writes overlap, and zombie writes after a fence.

Gibbons and Korach, "Testing Shared Memories" (SIAM J. Comput. 26(4), 1997), section 4: where every
write is unique, a register's history can be tested in n log n time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.history.part import BEFORE_ALL, parts
from harness.history.violation import Collector, Judgement, Rule

if TYPE_CHECKING:
    from harness.history.model import History
    from harness.history.part import Longs, Mask, Part


def zones(history: History) -> Judgement:
    """Judge every block, however its writes overlap.

    A cluster is a write with the reads that returned it. Its zone lies between the first end of
    its operations, f, and the last begin, s. Where f < s, the value was surely the newest from f
    to s (a forward zone); else it was the newest at some instant from s to f, and need not have
    been longer (a backward zone). The history is linearizable iff no read ended before its write
    was issued, no two forward zones overlap, and no backward zone lies inside a forward one.

    Why: clusters cannot interleave in a linearization, as a value that was overwritten does not
    come back. So a forward zone belongs to its value alone: two of them that overlap, or a
    backward one inside, forbid every order. And if there is no such pair, order the forward zones
    by time, and put each backward zone's instant where it sticks out of them: there is room, as
    it is inside none.

    A write that was not acknowledged has no end of its own, and no part at all before it is read.
    """
    found = Collector()
    for part in parts(history):
        found.judged(len(part.issue), part.blocks)
        found.add(Rule.FOREIGN, history, part.foreign() + part.offset)
        found.add(Rule.FUTURE, history, part.from_the_future() + part.offset)
        clusters = _clusters(part)
        for rule, first, second in _conflicts(part, clusters):
            _tell(found, history, part, clusters, rule, first, second)
    return found.judgement()


def zombies(history: History, fence_ns: int) -> Judgement:
    """Writes that the node had in flight when it was fenced, and that appeared only afterwards.

    Strict linearizability (Aguilera and Frolund, "Strict Linearizability and the Power of
    Aborting", HPL-2003-241): such a write took effect before the fence or never does. So one that
    was not acknowledged ends at the fence at the latest, once it is read at all. Blocks that are
    linearizable, but not under this bound, hold a zombie. So do blocks where a write that spans the
    fence is read although a write issued after the fence, and after that one was acknowledged,
    was acknowledged before the read: what a retry had written came back over its successor.

    Args:
        history: the operations.
        fence_ns: when fencing was known to have succeeded, on the history's clock.
    """
    found = Collector()
    for part in parts(history):
        fence = part.relative(fence_ns + history.margin_ns)
        open_then = part.write & (part.issue < fence) & (part.done > fence)
        touched = np.zeros(part.blocks, dtype=bool)
        touched[part.ordinal[open_then]] = True
        found.judged(int(touched[part.ordinal].sum()), int(touched.sum()))
        plain, strict = _clusters(part), _clusters(part, fence)
        right = np.ones(part.blocks, dtype=bool)
        for _rule, first, _second in _conflicts(part, plain):
            right[plain.ordinal[first]] = False
        seen = np.zeros(part.blocks, dtype=bool)
        for _rule, first, second in _conflicts(part, strict):
            fresh = right[strict.ordinal[first]] & ~seen[strict.ordinal[first]]
            seen[strict.ordinal[first]] = True
            _tell(found, history, part, strict, Rule.ZOMBIE, first[fresh], second[fresh])
        found.add(Rule.ZOMBIE, history, _came_back(part, open_then, fence) + part.offset)
    return found.judgement()


@dataclass(frozen=True, slots=True)
class _Clusters:
    """Clusters sorted by block, then by f; all shape (c,).

    Attributes:
        ordinal: the block.
        first_end, last_begin: f and s.
        write: the cluster's write; -1 for what was there at first.
    """

    ordinal: Longs
    first_end: Longs
    last_begin: Longs
    write: Longs


def _clusters(part: Part, fence: int | None = None) -> _Clusters:
    end, begin = part.first_known(), part.issue.copy()
    real = part.target >= 0
    was_read = np.zeros(len(begin), dtype=bool)
    was_read[part.target[real]] = True
    np.maximum.at(begin, part.target[real], part.issue[part.reads[real]])
    if fence is not None:
        bounded = was_read & (part.done == part.never) & (part.issue < fence)
        end = np.where(bounded, np.minimum(end, fence), end)
    write = np.flatnonzero(part.write & ((part.done < part.never) | was_read))
    initial = part.initial()
    first_begin = np.full(part.blocks, -1)
    np.maximum.at(first_begin, part.ordinal[initial], part.issue[initial])
    at_first = np.flatnonzero(first_begin >= 0)
    ordinal = np.concatenate([at_first, part.ordinal[write]])
    first_end = np.concatenate([np.full(len(at_first), BEFORE_ALL), end[write]])
    order = np.argsort(part.key(ordinal, first_end), kind="stable")
    return _Clusters(
        ordinal=ordinal[order],
        first_end=first_end[order],
        last_begin=np.concatenate([first_begin[at_first], begin[write]])[order],
        write=np.concatenate([np.full(len(at_first), -1), write])[order],
    )


def _conflicts(part: Part, clusters: _Clusters) -> list[tuple[Rule, Longs, Longs]]:
    """Pairs of clusters that forbid every order, by rule."""
    forward = np.flatnonzero(clusters.first_end < clusters.last_begin)
    backward = np.flatnonzero(clusters.first_end >= clusters.last_begin)
    ordinal, begin, end = (
        clusters.ordinal[forward],
        clusters.first_end[forward],
        clusters.last_begin[forward],
    )
    # Sorted by f: if any two overlap, two neighbours do.
    over = np.flatnonzero((ordinal[1:] == ordinal[:-1]) & (end[:-1] > begin[1:]))
    keys = part.key(ordinal, begin)
    wanted = part.key(clusters.ordinal[backward], clusters.last_begin[backward])
    # The last forward zone that began before the backward one; others ended before that began.
    around = np.searchsorted(keys, wanted, side="left") - 1
    there = around >= 0
    there[there] = ordinal[around[there]] == clusters.ordinal[backward[there]]
    there[there] = end[around[there]] > clusters.first_end[backward[there]]
    return [
        (Rule.OVERLAP, forward[over], forward[over + 1]),
        (Rule.ENCLOSED, backward[there], forward[around[there]]),
    ]


def _tell(
    found: Collector,
    history: History,
    part: Part,
    clusters: _Clusters,
    rule: Rule,
    first: Longs,
    second: Longs,
) -> None:
    """Count pairs of clusters that break ``rule``, and describe some of them."""
    heads = part.offset + part.starts[clusters.ordinal[first]]
    count = found.wants(rule, history, heads)
    for head, one, other in zip(heads[:count], first[:count], second[:count], strict=True):
        told = _explain(part, clusters, int(one), int(other))
        found.list(rule, int(history.block[head]), (part.offset + at for at in told))


def _explain(part: Part, clusters: _Clusters, one: int, other: int) -> list[int]:
    """Of both clusters: the write, the operation that ended first and the one that began last."""
    told: dict[int, None] = {}
    for cluster in (one, other):
        write, ordinal = int(clusters.write[cluster]), int(clusters.ordinal[cluster])
        if write >= 0:
            members = np.concatenate([[write], part.reads[part.target == write]])
        else:
            initial = part.initial()
            members = initial[part.ordinal[initial] == ordinal]
        picked = [members[np.argmin(part.done[members])], members[np.argmax(part.issue[members])]]
        told |= dict.fromkeys(int(at) for at in (members[0], *picked))
    return list(told)


def _came_back(part: Part, open_then: Mask, fence: int) -> Longs:
    """Rows (read, write that spans the fence, acknowledged successor issued after the fence)."""
    real = np.flatnonzero(part.target >= 0)
    real = real[open_then[part.target[real]] & (part.done[part.target[real]] < part.never)]
    rows = []
    for at in real:
        read, old = int(part.reads[at]), int(part.target[at])
        own = part.members(int(part.ordinal[read]))
        issue, done = part.issue[own], part.done[own]
        newer = part.write[own] & (issue > max(fence, int(part.done[old])))
        newer &= done < part.issue[read]
        if newer.any():
            rows.append([read, old, own.start + int(np.argmax(newer))])
    return np.array(rows, dtype=np.int64).reshape(-1, 3)
