"""The linear checkers agree with an exhaustive search on tens of thousands of small histories."""

from __future__ import annotations

import itertools
import random

import pytest

from harness.history.model import Outcome
from harness.history.sweep import sweep
from harness.history.violation import describe
from harness.history.zones import zones
from tests.history import scenes
from tests.history.brute_force import linearizable


@pytest.mark.parametrize(("seed", "blocks", "most"), [(1, 10_000, 6), (2, 4_000, 8), (3, 500, 12)])
def test_zones_are_right_about_any_history(seed: int, blocks: int, most: int) -> None:
    rng = random.Random(seed)
    ops = scenes.many(scenes.random_block, rng, blocks, most=most)
    history = scenes.history(ops)
    verdict = zones(history)
    flagged = scenes.bad(verdict.bad_blocks)
    wrong = {
        block
        for block, own in scenes.by_block(ops).items()
        if not linearizable(scenes.as_register(own))
    }
    assert verdict.blocks == blocks
    assert 0.2 * blocks < len(wrong) < 0.9 * blocks
    assert flagged == wrong
    assert all(describe(history, one) for one in verdict.violations)


def test_the_sweep_is_right_about_every_block_it_takes() -> None:
    ops = scenes.many(scenes.random_block, random.Random(4), 20_000, most=8)
    history = scenes.history(ops)
    swept, zoned = sweep(history), zones(history)
    taken = {block for block, own in scenes.by_block(ops).items() if follows([op for _, op in own])}
    assert 0.3 * 20_000 < len(taken) < 20_000
    assert swept.blocks == len(taken)
    assert scenes.bad(swept.bad_blocks) == scenes.bad(zoned.bad_blocks) & taken


def follows(ops: list[scenes.Made]) -> bool:
    """Whether each write was surely done before the next one was issued."""
    writes = sorted((op for op in ops if op.write), key=lambda op: op.issue)
    return all(
        one.outcome is Outcome.ACKNOWLEDGED and one.done < other.issue
        for one, other in itertools.pairwise(writes)
    )


@pytest.mark.parametrize("uncertainty", [1, 3])
def test_precedence_within_the_uncertainty_is_not_believed(uncertainty: int) -> None:
    ops = scenes.many(scenes.random_block, random.Random(6), 2_000, most=7)
    history = scenes.history(ops, uncertainty=uncertainty)
    flagged = scenes.bad(zones(history).bad_blocks)
    loose = 0
    for block, own in scenes.by_block(ops).items():
        register = scenes.as_register(own)
        right = linearizable(register, uncertainty)
        loose += right and not linearizable(register)
        assert right == (block not in flagged)
    assert loose > 100
