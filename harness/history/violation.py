"""What a checker finds, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from harness.history.model import NEVER, Kind, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from harness.history.model import History

LISTED = 20
"""So many violations are described; counts are always complete."""


class Rule(StrEnum):
    """Which rule a violation breaks."""

    STALE = "stale"
    FUTURE = "future"
    FOREIGN = "foreign"
    OVERLAP = "overlap"
    ENCLOSED = "enclosed"
    FLOOR = "floor"
    ZOMBIE = "zombie"
    ORDER = "order"


_SAYS = {
    Rule.STALE: "a read returned an older write than was known to be on the disk when it began",
    Rule.FUTURE: "a read returned a write that had not been issued when it ended",
    Rule.FOREIGN: "a read returned what no write of this history wrote",
    Rule.OVERLAP: "two writes would each have to be the newest one in the middle of the other",
    Rule.ENCLOSED: "a write was seen although another one was the newest all that time",
    Rule.FLOOR: "a write that a flush had made durable is not on the disk",
    Rule.ZOMBIE: "a write that was in flight when its node was fenced appeared afterwards",
    Rule.ORDER: "a later write survived although this acknowledged one did not",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One violation: the least set of operations that cannot be put in any right order.

    Attributes:
        rule: what they break.
        block: number of the block (of the first operation, where there are several).
        operations: indices into the history.
    """

    rule: Rule
    block: int
    operations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a checker says of a history.

    Attributes:
        operations: how many operations were judged.
        blocks: on how many blocks.
        counts: violations by rule, all of them.
        violations: LISTED of them, by block.
        bad_blocks: numbers of all blocks with a violation, sorted.
    """

    operations: int
    blocks: int
    counts: dict[Rule, int] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()
    bad_blocks: npt.NDArray[np.uint32] = field(
        default_factory=lambda: np.empty(0, np.uint32), compare=False
    )

    @property
    def total(self) -> int:
        """How many violations there are."""
        return sum(self.counts.values())


class Collector:
    """Adds up what a checker finds part by part."""

    def __init__(self) -> None:
        self.operations = 0
        self.blocks = 0
        self._counts: dict[Rule, int] = {}
        self._listed: list[Violation] = []
        self._bad: list[npt.NDArray[np.uint32]] = []

    def judged(self, operations: int, blocks: int) -> None:
        """Note that so much was judged."""
        self.operations += operations
        self.blocks += blocks

    def wants(self, rule: Rule, history: History, found: npt.NDArray[np.int64]) -> int:
        """Count violations, by index of an operation; returns how many are to be described."""
        if len(found):
            self._counts[rule] = self._counts.get(rule, 0) + len(found)
            self._bad.append(np.unique(history.block[found]))
        return min(len(found), max(0, LISTED - len(self._listed)))

    def list(self, rule: Rule, block: int, operations: Iterable[int]) -> None:
        """Describe one violation that was counted."""
        self._listed.append(Violation(rule, block, tuple(int(index) for index in operations)))

    def add(self, rule: Rule, history: History, found: npt.NDArray[np.int64]) -> None:
        """Violations as rows of operations, by index into the history; shape (v,) or (v, k)."""
        if not len(found):
            return
        rows = found.reshape(len(found), -1)
        for row in rows[: self.wants(rule, history, rows[:, 0])]:
            self.list(rule, int(history.block[row[0]]), row)

    def judgement(self) -> Judgement:
        """All of it."""
        listed = sorted(self._listed, key=lambda one: (one.block, one.operations))
        bad = np.unique(np.concatenate(self._bad)) if self._bad else np.empty(0, np.uint32)
        return Judgement(self.operations, self.blocks, dict(self._counts), tuple(listed), bad)


def describe(history: History, violation: Violation) -> str:
    """The violation in one line: rule, block, operations with their times in seconds.

    Times count from the first operation of the history.
    """
    told = "; ".join(operation(history, index) for index in violation.operations)
    return f"block {violation.block}: {_SAYS[violation.rule]}: {told}"


def operation(history: History, index: int) -> str:
    """One operation: what it did, from when to when, how it ended."""
    zero = history.span[0]
    begin = (int(history.issue_ns[index]) - zero) / 1e9
    done = int(history.done_ns[index])
    end = "never answered" if done == NEVER else f"{(done - zero) / 1e9:.6f} s"
    outcome = Outcome(int(history.outcome[index]))
    how = "" if outcome is not Outcome.FAILED else ", failed"
    if history.kind[index] == Kind.WRITE:
        return f"write #{index} [{begin:.6f} s to {end}{how}]"
    wrote = int(history.wrote[index])
    what = {-1: "what was there at first", -2: "foreign data"}.get(wrote, f"write #{wrote}")
    return f"read #{index} of {what} [{begin:.6f} s to {end}]"
