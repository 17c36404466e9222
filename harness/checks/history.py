"""What happened to each block of a LUN: fio's log against the headers on the disk. Pure arrays.

fio logs each acknowledged write (completion, latency, offset) and stamps each block it writes
with the issue time and sequence number of the write. Issue time = completion - latency, so log
and header name the same instant on two clocks that differ by one constant per job: measured
within 1 ms on fio 3.33, which logs completions in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.checks.registry import CannotJudgeError
from harness.evidence.blocks import BLOCK_SIZE, STATUS_NO_HEADER, Headers
from harness.fio_parser import parse_headers

if TYPE_CHECKING:
    import numpy.typing as npt

TOLERANCE_NS = 5_000_000
# fio takes the latency first and the completion time a moment later. On a busy emulated CPU it
# is preempted in between: 12 of 13,572 writes were logged 5 to 55 ms late (docs/measurements.md),
# so a header may be that much earlier than completion - latency says; never later.
LATE_NS = 250_000_000
_RESOLUTION_NS = 1_000_000  # of the log's completion times
_AGREE = 0.9
_SHARP = 5  # a peak this much above the next one is the constant, whatever did not join it
_FEW = 8


@dataclass(frozen=True, slots=True)
class Writes:
    """Acknowledged writes of one job, sorted by block, then by issue time; all shape (n,).

    Attributes:
        block: block number.
        issue_ns, done_ns: guest wall clock, ns since the epoch.
        rank_low, rank_high: places in the job's order of issue (from 0, high excluded) that the
            write may have, as far as the log's resolution tells.
    """

    block: npt.NDArray[np.int64]
    issue_ns: npt.NDArray[np.int64]
    done_ns: npt.NDArray[np.int64]
    rank_low: npt.NDArray[np.int64]
    rank_high: npt.NDArray[np.int64]

    @property
    def starts(self) -> npt.NDArray[np.intp]:
        """Where each block's writes begin."""
        if not len(self.block):
            return np.empty(0, dtype=np.intp)
        return np.concatenate([[0], np.flatnonzero(np.diff(self.block)) + 1]).astype(np.intp)

    def only(self, index: npt.NDArray[np.intp]) -> Writes:
        """Some of the writes: all of each block that is among them, in the same order."""
        return Writes(
            block=self.block[index],
            issue_ns=self.issue_ns[index],
            done_ns=self.done_ns[index],
            rank_low=self.rank_low[index],
            rank_high=self.rank_high[index],
        )


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of the blocks that a job wrote; arrays have one entry per written block.

    Attributes:
        block: block number.
        last: index (into Writes) of the last acknowledged write.
        found: index of the write that the header on disk belongs to; -1 none of them.
        lost: how many acknowledged writes are lost; 0 for a block that is as it should be.
        no_header, foreign: the block has no (whole) header; one of no write of this job.
        pending: the header belongs to a later write that was never acknowledged.
        ambiguous: the last two writes are too close to tell apart.
        constant_ns: header clock minus guest wall clock; None where no header was left.
        agreeing: share of blocks with a header whose header is one of the block's writes.
        worst_ns: largest deviation of a matched header from the constant.
    """

    block: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    found: npt.NDArray[np.int64]
    lost: npt.NDArray[np.int64]
    no_header: npt.NDArray[np.bool_]
    foreign: npt.NDArray[np.bool_]
    pending: npt.NDArray[np.bool_]
    ambiguous: npt.NDArray[np.bool_]
    constant_ns: int | None
    agreeing: float
    worst_ns: int


def acknowledged(rows: npt.NDArray[np.void], block_size: int, blocks: int) -> Writes:
    """The writes in a latency log's rows (LOG_DTYPE of harness.fio_parser).

    Raises:
        CannotJudgeError: a row that cannot be: another block size, outside of the LUN, negative.
    """
    rows = rows[rows["ddir"] == 1]
    if block_size != BLOCK_SIZE or np.any(rows["block_size"] != BLOCK_SIZE):
        raise CannotJudgeError(f"not all writes are of {BLOCK_SIZE} bytes: one header per block")
    offset = rows["offset"].astype(np.int64)
    if np.any(offset < 0) or np.any(offset % BLOCK_SIZE) or np.any(offset >= blocks * BLOCK_SIZE):
        raise CannotJudgeError(
            "the log has writes without offset, unaligned, or outside of the LUN"
        )
    done = rows["time_ms"].astype(np.int64) * 1_000_000
    issue = done - rows["value"].astype(np.int64)
    if np.any(rows["value"] < 0) or np.any(issue <= 0):
        raise CannotJudgeError("the log has negative times")
    order = np.lexsort((issue, offset))
    issue, in_time = issue[order], np.sort(issue)
    return Writes(
        block=offset[order] // BLOCK_SIZE,
        issue_ns=issue,
        done_ns=done[order],
        rank_low=np.searchsorted(in_time, issue - 2 * _RESOLUTION_NS, side="left"),
        rank_high=np.searchsorted(in_time, issue + 2 * _RESOLUTION_NS, side="right"),
    )


def fates(writes: Writes, headers: Headers, *, unacknowledged: bool) -> Fate:
    """Compare each written block's header with the block's acknowledged writes.

    Args:
        writes: the history.
        headers: what is on the disk.
        unacknowledged: the job may have issued writes that were never acknowledged.

    Raises:
        CannotJudgeError: the header's clock cannot be mapped on the log's.
    """
    table = parse_headers(
        headers.records.tobytes(),
        block_size=BLOCK_SIZE,
        record_size=headers.records.dtype.itemsize,
    )
    starts = writes.starts
    block = writes.block[starts]
    last = np.append(starts[1:], len(writes.block)).astype(np.int64) - 1
    whole = table.present[block] & (headers.records["status"][block] != STATUS_NO_HEADER)
    usable = whole & table.in_place[block]
    stamp = headers.times_ns()[writes.block]
    spread = np.repeat(np.arange(len(block)), np.diff(np.append(starts, len(writes.block))))
    difference = stamp - writes.issue_ns
    numberio = headers.records["numberio"].astype(np.int64)[writes.block]
    candidate = usable[spread]
    in_sequence = (numberio - writes.rank_low) % 65536 < writes.rank_high - writes.rank_low
    constant = _constant(difference[candidate], in_sequence[candidate])
    if constant is None:
        match = np.zeros(len(writes.block), dtype=bool)
    else:
        deviation = difference - constant
        match = candidate & (deviation <= TOLERANCE_NS) & (deviation >= -LATE_NS)
    index = np.arange(len(writes.block))
    several = np.add.reduceat(match.astype(np.int64), starts) > 1
    if constant is not None:
        away_ns = np.abs(difference - constant)
        match &= _nearest(match, several, spread, numberio, writes, away_ns)
    found = np.maximum.reduceat(np.where(match, index, -1), starts).astype(np.int64)
    # Two writes in flight together may land in either order: both are good last writes.
    concurrent = writes.issue_ns[last][spread] + _RESOLUTION_NS < writes.done_ns
    final = match & ((index == last[spread]) | concurrent)
    good = np.logical_or.reduceat(final, starts)
    pending = np.zeros(len(block), dtype=bool)
    if constant is not None and unacknowledged:
        after = headers.times_ns()[block] - constant > writes.issue_ns[last]
        pending = usable & (found < 0) & after
    foreign = whole & (found < 0) & ~pending
    _trust(usable, found >= 0, foreign & usable, spread, difference, constant)
    bad = ~good & ~pending
    return Fate(
        block=block,
        last=last,
        found=found,
        lost=np.where(bad, last - np.where(found >= 0, found, starts - 1), 0),
        no_header=~whole,
        foreign=foreign,
        pending=pending,
        ambiguous=several,
        constant_ns=constant,
        agreeing=float(np.mean(found[usable] >= 0)) if usable.any() else 0.0,
        worst_ns=int(np.abs(difference - (constant or 0))[match].max(initial=0)),
    )


def _nearest(
    match: npt.NDArray[np.bool_],
    several: npt.NDArray[np.bool_],
    spread: npt.NDArray[np.intp],
    numberio: npt.NDArray[np.int64],
    writes: Writes,
    away_ns: npt.NDArray[np.int64],
) -> npt.NDArray[np.bool_]:
    """Which of several fitting writes of a block its header belongs to.

    By the sequence number first: ``numberio`` counts a job's writes in order of issue, modulo
    2**16 (struct verify_header), and the log gives that order to within a few places. By the time
    where that does not decide. All True for blocks with at most one fitting write.
    """
    middle = (writes.rank_low + writes.rank_high) // 2
    off = np.abs((numberio - middle + 32768) % 65536 - 32768)
    off = np.maximum(off - (writes.rank_high - writes.rank_low + 1) // 2, 0)
    keep = np.ones(len(match), dtype=bool)
    for block in np.flatnonzero(several):
        own = np.flatnonzero((spread == block) & match)
        best = own[np.lexsort((away_ns[own], off[own]))[0]]
        keep[own] = own == best
    return keep


def _constant(difference: npt.NDArray[np.int64], in_sequence: npt.NDArray[np.bool_]) -> int | None:
    """The constant that most (header, write of the same block) pairs agree on.

    Each header pairs with every acknowledged write of its block; the true pairs agree within the
    tolerance and the others scatter. So a burst of losses, whose headers pair with earlier
    writes, does not move it, as it would move a median over the last writes. Where two constants
    have about as many votes (a strictly periodic workload), fio's sequence number decides.

    Returns:
        None where no block has a header to pair.

    Raises:
        CannotJudgeError: two constants are equally good.
    """
    if not len(difference):
        return None
    order = np.argsort(difference, kind="stable")
    values, sequential = difference[order], in_sequence[order]
    ends = np.searchsorted(values, values + 2 * TOLERANCE_NS, side="right")
    votes = ends - np.arange(len(values))
    best = int(votes.argmax())
    rivals: list[int] = []
    remaining = votes.copy()
    while len(rivals) < 16:
        top = int(remaining.argmax())
        if remaining[top] < max(_AGREE * votes[best], 1):
            break
        rivals.append(top)
        near = np.abs(values - values[top]) <= 2 * TOLERANCE_NS
        remaining[near] = 0
    if len(rivals) > 1:
        ranked = sorted(((float(sequential[i : ends[i]].mean()), i) for i in rivals), reverse=True)
        if ranked[0][0] < _AGREE or ranked[1][0] > 0.5:
            raise CannotJudgeError(
                f"the headers' clock cannot be mapped: {len(rivals)} constants fit equally well"
            )
        best = ranked[0][1]
    return int(np.median(values[best : ends[best]]))


def _trust(
    usable: npt.NDArray[np.bool_],
    matched: npt.NDArray[np.bool_],
    foreign: npt.NDArray[np.bool_],
    spread: npt.NDArray[np.intp],
    difference: npt.NDArray[np.int64],
    constant: int | None,
) -> None:
    """Raise CannotJudgeError where the constant does not explain enough to be believed.

    Losses do not speak against it: their headers pair with earlier writes, or are gone. Only
    headers that pair with nothing do. They are believed to be foreign if the constant stands
    out all the same, and if they do not agree on a constant of their own (a clock that was set).
    """
    if constant is None or not foreign.any():
        return
    own = np.sort(difference[foreign[spread]])
    ends = np.searchsorted(own, own + 2 * TOLERANCE_NS, side="right")
    second = int((ends - np.arange(len(own))).max())
    strangers, agreeing = int(foreign.sum()), int((usable & matched).sum())
    if second >= 3 and 2 * second >= strangers:
        raise CannotJudgeError(
            f"the headers' clock cannot be mapped: {agreeing} blocks agree on one constant, "
            f"{second} on another"
        )
    if agreeing < _AGREE * int(usable.sum()) and agreeing < max(_FEW, _SHARP * second):
        raise CannotJudgeError(
            f"the headers' clock cannot be mapped: only {agreeing} of {int(usable.sum())} "
            "blocks agree on a constant"
        )
