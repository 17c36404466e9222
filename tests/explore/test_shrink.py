"""Shrinking: minimal, within the limits, only for the same failure, and each candidate once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.explore.draw import draw
from harness.explore.schedule import Step
from harness.explore.shrink import BudgetOverError, repaired, shrink
from harness.explore.vocabulary import KINDS, Group, check

if TYPE_CHECKING:
    from collections.abc import Sequence

WRITES = Step("writes", number=100)
LONG = (
    Step("mgmt-cut", "active", "by carrier"),
    Step("answer", what="lun1", number=31),
    Step("link-heal", "active", what="the mgmt link"),
    Step("short-pause", "passive"),
    Step("drbd-cut", "both", "silently"),
    Step("data-slow", "initiator"),
    Step("writes", number=250),
    Step("link-heal", "both", what="the drbd link"),
    Step("settled"),
    Step("alone", number=20),
)


def in_order(needed: Sequence[Step], steps: Sequence[Step]) -> bool:
    """Whether the needed steps are there, in this order; numbers are of no account."""
    rest = iter(replace(step, number=0) for step in steps)
    return all(replace(step, number=0) in rest for step in needed)


def test_the_long_one_is_within_its_limits() -> None:
    assert check(LONG)[1] == []


def test_one_step_that_fails_by_itself_is_all_that_is_left() -> None:
    asked: list[tuple[Step, ...]] = []

    def fails(steps: tuple[Step, ...]) -> bool:
        asked.append(steps)
        return in_order(LONG[4:5], steps)

    best, done = shrink(LONG, fails)
    assert (best, done) == ((LONG[4],), True)
    assert len(asked) == len(set(asked)), "no candidate is run twice"
    assert len(asked) <= 12
    for steps in asked:
        assert check(steps)[1] == [], "a candidate keeps the limits"
        assert steps != LONG


def test_what_needs_a_step_stays_with_it() -> None:
    needed = (LONG[4], LONG[7])
    best, done = shrink(LONG, lambda steps: in_order(needed, steps))
    assert done
    # The heal is only allowed after writes have gone on.
    assert [step.kind for step in best] == ["drbd-cut", "writes", "link-heal"]
    assert best[1].number == KINDS["writes"].least


def test_numbers_are_made_smaller_until_it_fails_no_more() -> None:
    def fails(steps: tuple[Step, ...]) -> bool:
        return any(step.kind == "alone" and step.number >= 7 for step in steps)

    ((left,), done) = shrink(LONG, fails)
    assert done
    assert left.kind == "alone"
    assert 7 <= left.number <= 9
    ((short,), _done) = shrink(LONG, lambda steps: any(s.kind == "alone" for s in steps))
    assert short.number == 1


def test_the_budget_may_end_before_the_search() -> None:
    tries = 0
    told: list[tuple[Step, ...]] = []

    def fails(steps: tuple[Step, ...]) -> bool:
        nonlocal tries
        tries += 1
        if tries > 3:
            raise BudgetOverError
        return in_order(LONG[4:5], steps)

    best, done = shrink(LONG, fails, better=told.append)
    assert not done
    assert len(best) < len(LONG)
    assert told[-1] == best
    assert [len(steps) for steps in told] == sorted((len(s) for s in told), reverse=True)


def test_what_never_fails_again_stays_as_it_is() -> None:
    assert shrink(LONG, lambda _steps: False) == (LONG, True)


def test_what_hangs_on_a_step_that_is_gone_goes_too() -> None:
    assert repaired(LONG[1:]) == LONG[1:2] + LONG[3:]
    without_cut = LONG[:4] + LONG[5:]
    # The heal, and the wait for what nobody broke, are no more.
    assert [s.kind for s in repaired(without_cut) or ()] == [
        "mgmt-cut", "answer", "link-heal", "short-pause", "data-slow", "writes", "settled", "alone",
    ]  # fmt: skip
    trigger = (Step("power-off", "active"), Step("fencing-ordered", "active"), WRITES)
    assert repaired(trigger[1:]) == (WRITES,)
    assert repaired(()) is None


def test_what_would_break_the_limits_is_no_candidate() -> None:
    steps = (Step("power-off", "active"), WRITES, Step("power-on", "active"), Step("settled"),
             Step("power-off", "passive"), WRITES)  # fmt: skip
    assert check(steps)[1] == []
    # Without the first node's return the second one would be the last.
    assert repaired((*steps[:2], *steps[4:])) is None
    assert repaired((steps[0], *steps[2:])) is None, "powered on before anything was noticed"
    assert repaired(steps[4:]) == steps[4:]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.data())
def test_a_minimal_schedule_has_nothing_that_can_be_left_out(
    seed: int, data: st.DataObject
) -> None:
    """Whatever a schedule is and whichever of its steps a failure needs."""
    steps = draw(seed, 1).steps
    picks = data.draw(st.sets(st.integers(0, len(steps) - 1), min_size=1, max_size=3))
    needed = [steps[n] for n in sorted(picks)]

    def fails(candidate: Sequence[Step]) -> bool:
        return in_order(needed, candidate)

    best, done = shrink(steps, fails)
    assert done
    assert fails(best)
    assert check(best)[1] == []
    assert len(best) <= len(steps)
    for n in range(len(best)):
        smaller = repaired((*best[:n], *best[n + 1 :]))
        assert smaller is None or not fails(smaller) or len(smaller) >= len(best)


@pytest.mark.parametrize("seed", range(40))
def test_what_every_mutant_needs_is_found_in_at_most_three_steps(seed: int) -> None:
    """A failure that any cut of replication sets off, as most misconfigurations of DRBD do."""
    steps = draw(seed, 1).steps

    def fails(candidate: Sequence[Step]) -> bool:
        return check(candidate)[0].fencings > 0 or any(
            step.kind in ("drbd-cut", "replication-cut") for step in candidate
        )

    if not fails(steps):
        assert any(KINDS[step.kind].group is Group.DISTURBANCE for step in steps) or steps
        return
    best, done = shrink(steps, fails)
    assert done
    assert len(best) <= 3


def test_what_is_waited_for_follows_who_serves() -> None:
    """Without the move before it, it is the node that serves which loses Corosync."""
    steps = (
        Step("standby", "active"), Step("left", "active"), Step("writes", number=100),
        Step("corosync-frozen", "active"), Step("fencing-ordered", "active"),
    )  # fmt: skip
    assert repaired(steps) == steps
    promoted = (Step("corosync-frozen", "active"), Step("promoted", "passive"))
    assert repaired(steps[3:4]) == promoted
    assert (repaired(steps[3:]) or ())[:2] == promoted
    best, done = shrink(steps, lambda some: any(s.kind == "corosync-frozen" for s in some))
    assert (best, done) == (promoted, True)
