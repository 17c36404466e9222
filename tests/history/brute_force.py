"""Linearizability of one register by exhaustive search: the reference for small histories."""

from __future__ import annotations

from dataclasses import dataclass

INITIAL = -1
NEVER = 2**62


@dataclass(frozen=True)
class Op:
    """An operation on the register; ``value`` is what a write writes or a read returned.

    ``done`` is NEVER, and the write optional, where it was not acknowledged.
    """

    write: bool
    value: int
    issue: int
    done: int


def linearizable(ops: list[Op], uncertainty: int = 0) -> bool:
    """Whether some order of the operations respects precedence and what reads returned."""
    ends = [op.done + (2 * uncertainty if op.done < NEVER else 0) for op in ops]
    must = sum(1 << i for i, op in enumerate(ops) if op.done < NEVER)
    before = [
        sum(1 << j for j in range(len(ops)) if ends[j] < op.issue and ops[j].done < NEVER)
        for op in ops
    ]
    known: set[tuple[int, int]] = set()

    def search(done: int, value: int) -> bool:
        if done & must == must:
            return True
        if (done, value) in known:
            return False
        known.add((done, value))
        for i, op in enumerate(ops):
            if done >> i & 1 or before[i] & ~done:
                continue
            if op.write:
                if search(done | 1 << i, op.value):
                    return True
            elif op.value == value:
                # Nothing is gained by putting off a read that fits.
                return search(done | 1 << i, value)
        return False

    return search(0, INITIAL)
