"""Histories for tests: random ones, and right ones as a register would give them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.history.model import INITIAL, NEVER, Flushes, History, Kind, Outcome
from tests.history.brute_force import Op

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class Made:
    """An operation; ``value`` names the write that a read returned by its place in the list."""

    block: int
    write: bool
    value: int
    issue: int
    done: int
    outcome: Outcome = Outcome.ACKNOWLEDGED
    flags: int = 0


def history(
    ops: Sequence[Made], *, uncertainty: int = 0, flushes: Flushes | None = None
) -> History:
    """The history of these operations."""
    return History.build(
        block=[op.block for op in ops],
        kind=[Kind.WRITE if op.write else Kind.READ for op in ops],
        outcome=[op.outcome for op in ops],
        flags=[op.flags for op in ops],
        wrote=[op.value for op in ops],
        issue_ns=[op.issue for op in ops],
        done_ns=[int(NEVER) if op.outcome is Outcome.UNKNOWN else op.done for op in ops],
        uncertainty_ns=uncertainty,
        flushes=flushes,
    )


def as_register(own: Sequence[tuple[int, Made]]) -> list[Op]:
    """One block's operations and their places, for the exhaustive search."""
    return [
        Op(op.write, place if op.write else op.value, op.issue, op.done)
        if op.outcome is Outcome.ACKNOWLEDGED
        else Op(op.write, place, op.issue, int(NEVER))
        for place, op in own
    ]


def random_block(rng: random.Random, block: int, first: int, *, most: int = 8) -> list[Made]:
    """A few operations on one block, mostly wrong; ``first`` is the place of the first one."""
    count, span = rng.randint(1, most), rng.choice((6, 12, 24))
    writes = [i for i in range(count) if rng.random() < 0.5]
    ops = []
    for i in range(count):
        issue = rng.randint(1, span)
        done = issue + rng.randint(0, span // 2)
        if i in writes:
            ops.append(Made(block, True, first + i, issue, done, _outcome(rng)))
        else:
            value = first + rng.choice(writes) if writes and rng.random() < 0.9 else INITIAL
            ops.append(Made(block, False, value, issue, done))
    return ops


def _outcome(rng: random.Random) -> Outcome:
    return rng.choices(list(Outcome), (8, 1, 1))[0]


def right_block(
    rng: random.Random, block: int, first: int, *, most: int = 12, overlap: bool = True
) -> list[Made]:
    """Operations as a correct register would give them: each takes effect at an instant of its own.

    Args:
        rng: where chance comes from.
        block: number of the block.
        first: the place of the first operation.
        most: at most so many operations.
        overlap: whether writes may overlap; else each is done before the next is issued.
    """
    ops: list[Made] = []
    value, free = INITIAL, 1
    for i in range(rng.randint(1, most)):
        instant = 10 * (i + 1)
        issue, done = instant - rng.randint(0, 25), instant + rng.randint(0, 25)
        issue = max(1, issue)
        write = rng.random() < 0.5
        outcome = Outcome.ACKNOWLEDGED
        if write:
            if not overlap:
                issue, done = max(free, instant - 4), instant + rng.randint(0, 4)
                free = done + 1
            # A write that was not answered may have landed, or not.
            outcome = _outcome(rng) if overlap else Outcome.ACKNOWLEDGED
            if outcome is Outcome.ACKNOWLEDGED or rng.random() < 0.5:
                value = first + i
        ops.append(Made(block, write, first + i if write else value, issue, done, outcome))
    return ops


def many(
    make: Callable[..., list[Made]], rng: random.Random, blocks: int, **options: Any
) -> list[Made]:
    """So many blocks of random operations."""
    ops: list[Made] = []
    for block in range(blocks):
        ops += make(rng, block, len(ops), **options)
    return ops


def swap(ops: list[Made], at: int, **changes: Any) -> list[Made]:
    """The same operations, one of them changed."""
    return [*ops[:at], replace(ops[at], **changes), *ops[at + 1 :]]


def by_block(ops: Sequence[Made]) -> dict[int, list[tuple[int, Made]]]:
    """Places and operations of each block."""
    found: dict[int, list[tuple[int, Made]]] = {}
    for i, op in enumerate(ops):
        found.setdefault(op.block, []).append((i, op))
    return found


def bad(blocks: npt.NDArray[np.uint32]) -> set[int]:
    """Block numbers as a set."""
    return {int(block) for block in blocks}
