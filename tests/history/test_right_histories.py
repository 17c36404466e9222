"""What a correct device can give is never flagged, and each way to break it is, by its own rule."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.history.fidelity import fidelity
from harness.history.floor import flush_floor
from harness.history.model import FOREIGN, INITIAL, Flag, Flushes, Outcome
from harness.history.sweep import sweep
from harness.history.violation import Rule, describe
from harness.history.zones import zombies, zones
from tests.history import scenes
from tests.history.scenes import Made

if TYPE_CHECKING:
    from harness.history.model import History
    from harness.history.violation import Judgement

seeds = st.integers(0, 2**32)
CUT = 10_000


def said(judgement: Judgement) -> set[Rule]:
    """The rules that are broken."""
    return set(judgement.counts)


@settings(max_examples=60, deadline=None)
@given(seeds, st.booleans())
def test_right_histories_are_never_flagged(seed: int, overlap: bool) -> None:
    ops = scenes.many(scenes.right_block, random.Random(seed), 40, overlap=overlap)
    history = scenes.history(ops)
    for judgement in (sweep(history), zones(history), flush_floor(history, CUT)):
        assert judgement.total == 0, [describe(history, one) for one in judgement.violations]
    assert len(fidelity(history, CUT).lost) == 0
    assert zones(history).operations == len(history)
    if not overlap:
        assert sweep(history).operations == len(history)


def a_line(rng: random.Random, writes: int, *, block: int = 0, first: int = 0) -> list[Made]:
    """Writes of one block, one after the other, then a read of the last one after CUT."""
    ops = [
        Made(block, True, first + i, 100 * (i + 1), 100 * (i + 1) + rng.randint(1, 90))
        for i in range(writes)
    ]
    return [*ops, Made(block, False, first + writes - 1, CUT + 5, CUT + 9)]


@settings(max_examples=80, deadline=None)
@given(seeds, st.integers(2, 12), st.data())
def test_a_lost_write_is_stale_and_counted(seed: int, writes: int, data: st.DataObject) -> None:
    survivor = data.draw(st.integers(-1, writes - 2))
    ops = a_line(random.Random(seed), writes)
    history = scenes.history(scenes.swap(ops, writes, value=survivor))
    for judge in (sweep, zones):
        assert judge(history).total >= 1
    assert said(sweep(history)) == {Rule.STALE}
    assert f"block 0: {'a read returned an older write'}" in describe(
        history, sweep(history).violations[0]
    )
    seen = fidelity(history, CUT)
    assert list(seen.lost) == list(range(survivor + 1, writes))
    assert seen.lost_blocks == 1
    assert seen.first_lost_ns == ops[survivor + 1].done
    assert seen.last_lost_ns == ops[writes - 1].done
    assert seen.rpo_ns == CUT - ops[survivor + 1].done
    assert seen.judgement.total == 0  # the survivors of one block are always a prefix


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(1, 8), st.data())
def test_each_way_to_break_a_read(seed: int, writes: int, data: st.DataObject) -> None:
    rng = random.Random(seed)
    ops = [*a_line(rng, writes), *a_line(rng, 3, block=7, first=writes + 1)]
    assert zones(scenes.history(ops)).total == 0
    foreign = scenes.history(scenes.swap(ops, writes, value=FOREIGN))
    assert said(sweep(foreign)) == said(zones(foreign)) == {Rule.FOREIGN}
    assert scenes.bad(zones(foreign).bad_blocks) == {0}
    at = data.draw(st.integers(0, writes - 1))
    early = scenes.history(
        [*ops, Made(0, False, at, max(1, ops[at].issue - 30), ops[at].issue - 10)]
    )
    assert Rule.FUTURE in sweep(early).counts
    assert Rule.FUTURE in zones(early).counts
    assert scenes.bad(sweep(early).bad_blocks) == {0}


def test_two_reads_that_disagree_about_the_order() -> None:
    """Of two overlapping writes either may be last, but not both."""
    ops = [
        Made(3, True, 0, 10, 50),
        Made(3, True, 1, 20, 60),
        Made(3, False, 0, 70, 80),
        Made(3, False, 1, 90, 95),
    ]
    history = scenes.history(ops)
    assert sweep(history).blocks == 0
    verdict = zones(history)
    assert said(verdict) == {Rule.OVERLAP}
    assert {0, 1} <= set(verdict.violations[0].operations)
    assert zones(scenes.history(ops[:3])).total == 0
    assert zones(scenes.history([*ops[:2], ops[3]])).total == 0


def test_a_write_inside_the_reign_of_another() -> None:
    ops = [
        Made(0, True, 0, 10, 20),
        Made(0, True, 1, 30, 40),
        Made(0, False, 0, 50, 60),
    ]
    verdict = zones(scenes.history(ops))
    assert said(verdict) == {Rule.ENCLOSED}
    assert set(verdict.violations[0].operations) == {0, 1, 2}


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.UNKNOWN])
def test_an_unanswered_write_may_land_late_but_only_once(outcome: Outcome) -> None:
    ops = [
        Made(0, True, 0, 10, 20),
        Made(0, True, 1, 30, 40, outcome),
        Made(0, True, 2, 50, 60),
        Made(0, False, 2, 70, 75),
        Made(0, False, 1, 80, 85),
    ]
    assert zones(scenes.history(ops)).total == 0
    again = [*ops, Made(0, False, 2, 90, 95)]
    assert said(zones(scenes.history(again))) <= {Rule.OVERLAP, Rule.ENCLOSED}
    assert zones(scenes.history(again)).total == 1


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.UNKNOWN])
def test_a_zombie_is_what_the_fence_should_have_ended(outcome: Outcome) -> None:
    """The write was in flight at the fence (45), was not there at 70, and is there at 80."""
    ops = [
        Made(0, True, 0, 10, 20),
        Made(0, True, 1, 30, 40, outcome),
        Made(0, False, 0, 70, 75),
        Made(0, False, 1, 80, 85),
    ]
    history = scenes.history(ops)
    assert zones(history).total == 0
    assert said(zombies(history, 45)) == {Rule.ZOMBIE}
    assert {1, 3} <= set(zombies(history, 45).violations[0].operations)
    assert zombies(history, 25).total == 0  # issued after the fence
    assert zombies(history, 72).total == 0  # it may have landed between the reads
    seen_before = scenes.swap(ops, 2, value=1)
    assert zombies(scenes.history(seen_before), 45).total == 0


def test_a_retried_write_that_comes_back_over_its_successor() -> None:
    ops = [
        Made(0, True, 0, 30, 60),  # in flight at the fence (45), then retried
        Made(0, True, 1, 70, 80),
        Made(0, False, 0, 90, 95),
    ]
    history = scenes.history(ops)
    assert said(zombies(history, 45)) == {Rule.ZOMBIE}
    assert zombies(history, 45).violations[0].operations == (2, 0, 1)
    assert zombies(history, 65).total == 0  # done before that fence: lost, but no zombie
    assert zombies(scenes.history(scenes.swap(ops, 2, value=1)), 45).total == 0


def flushed(*times: tuple[int, int, Outcome]) -> Flushes:
    """Flushes by issue, answer and outcome."""
    return Flushes(
        np.array([issue for issue, _, _ in times], dtype=np.int64),
        np.array([done for _, done, _ in times], dtype=np.int64),
        np.array([outcome for *_, outcome in times], dtype=np.uint8),
    )


def floor_scene(
    survivor: int, flushes: Flushes, flags: tuple[int, int, int] = (0, 0, 0)
) -> History:
    ops = [
        Made(0, True, 0, 100, 110, flags=flags[0]),
        Made(0, True, 1, 200, 210, flags=flags[1]),
        Made(0, True, 2, 300, 310, flags=flags[2]),
        Made(0, False, survivor, CUT + 1, CUT + 2),
    ]
    return scenes.history(ops, flushes=flushes)


GOOD = Outcome.ACKNOWLEDGED


@pytest.mark.parametrize(
    ("flushes", "least"),
    [
        (flushed(), INITIAL),
        (flushed((205, 400, GOOD)), 0),  # issued before write 1 was acknowledged
        (flushed((250, 400, GOOD)), 1),
        (flushed((250, 400, GOOD), (350, 500, GOOD)), 2),
        (flushed((250, 400, GOOD), (350, 500, Outcome.FAILED)), 1),
        (flushed((250, 400, GOOD), (350, CUT + 1, GOOD)), 1),  # acknowledged after the cut
    ],
)
def test_the_floor_is_the_last_acknowledged_flush(flushes: Flushes, least: int) -> None:
    for survivor in (INITIAL, 0, 1, 2):
        verdict = flush_floor(floor_scene(survivor, flushes), CUT)
        assert (verdict.total == 0) == (survivor >= least), (survivor, verdict)
        if verdict.total:
            assert said(verdict) == {Rule.FLOOR}
            assert verdict.violations[0].operations[0] == least


def test_a_write_with_fua_is_its_own_flush() -> None:
    history = floor_scene(0, flushed(), (0, Flag.FUA, 0))
    assert said(flush_floor(history, CUT)) == {Rule.FLOOR}
    assert flush_floor(floor_scene(1, flushed(), (0, Flag.FUA, 0)), CUT).total == 0


def test_survivors_out_of_order_are_no_consistent_cut() -> None:
    ops = [
        Made(0, True, 0, 100, 110),
        Made(1, True, 1, 200, 210),
        Made(0, False, INITIAL, CUT + 1, CUT + 2),
        Made(1, False, 1, CUT + 1, CUT + 2),
    ]
    seen = fidelity(scenes.history(ops), CUT)
    assert said(seen.judgement) == {Rule.ORDER}
    assert seen.judgement.violations[0].operations == (0, 2)
    # The other way round it is a prefix: one write was lost, the earlier one is there.
    other = [ops[0], ops[1], *(scenes.swap(ops, 2, value=0)[2:3]), scenes.swap(ops, 3, value=-1)[3]]
    seen = fidelity(scenes.history(other), CUT)
    assert len(seen.lost) == 1
    assert seen.judgement.total == 0


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(0, 30))
def test_any_cut_of_an_order_is_consistent_and_any_hole_is_not(seed: int, kept: int) -> None:
    """Writes one after the other over 8 blocks; the disk holds the first ``kept`` of them."""
    rng = random.Random(seed)
    writes = [Made(rng.randrange(8), True, i, 10 * i + 10, 10 * i + 15) for i in range(30)]

    def disk(there: list[int]) -> History:
        reads = []
        for block in sorted({op.block for op in writes}):
            own = [i for i in there if writes[i].block == block]
            reads.append(Made(block, False, own[-1] if own else INITIAL, CUT + 1, CUT + 2))
        return scenes.history([*writes, *reads])

    assert fidelity(disk(list(range(kept))), CUT).judgement.total == 0
    last = {op.block: op.value for op in writes[:kept]}
    holes = [i for i in range(kept - 1) if last[writes[i].block] == i]
    if holes:
        hole = rng.choice(holes)
        seen = fidelity(disk([i for i in range(kept) if i != hole]), CUT)
        assert said(seen.judgement) == {Rule.ORDER}
