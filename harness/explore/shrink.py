"""From a failing schedule to a minimal one: delta debugging over its steps, then over its numbers.

Ddmin (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002), with two
differences. What is about a step that was left out is left out with it: a heal without its fault, a
trigger that nothing sets off. And a candidate that breaks the limits is no candidate: it could fail
for a reason of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.explore.forecast import Forecast
from harness.explore.vocabulary import KINDS, end_problems, problems, take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from harness.explore.schedule import Step

    Steps = tuple[Step, ...]
    Fails = Callable[[Steps], bool]


class BudgetOverError(Exception):
    """No more candidates may be tried; raised by ``fails`` and handled by ``shrink``."""


def repaired(steps: Sequence[Step], *, beyond: bool = False) -> Steps | None:
    """The steps without those that are about something that is not there.

    Where something has to be waited for that no step waits for (any more), a step that does is
    put in: which one it is differs with who serves. None where what is left breaks the limits, or
    is nothing at all.
    """
    forecast = Forecast(beyond=beyond)
    kept: list[Step] = []
    for step in steps:
        if forecast.unnoticed and KINDS[step.kind].awaits != forecast.unnoticed:
            kept.append(_wait(forecast))
        if problems(forecast, step):
            if KINDS[step.kind].dependent:
                continue
            return None
        take(forecast, step)
        if any(forecast.too_long()):
            return None
        kept.append(step)
    if forecast.unnoticed:
        kept.append(_wait(forecast))
    return tuple(kept) if kept and not end_problems(forecast) else None


def _wait(forecast: Forecast) -> Step:
    """Take the step that waits for what has to be noticed now."""
    (step,) = (
        step
        for kind in KINDS.values()
        if kind.awaits == forecast.unnoticed
        for step in kind.options(forecast)
    )
    take(forecast, step)
    return step


def shrink(
    steps: Steps,
    fails: Fails,
    *,
    beyond: bool = False,
    better: Callable[[Steps], None] = lambda _steps: None,
) -> tuple[Steps, bool]:
    """A minimal schedule that fails, and whether it was reached.

    Minimal: it fails no more without any one of its steps (and what is about it), and none of its
    numbers is larger than it has to be.

    Args:
        steps: they fail.
        fails: whether a candidate fails in the same way; may raise ``BudgetOverError``. It is asked
            once for each candidate.
        better: told every smaller schedule that fails.

    Returns:
        The smallest one that was found; False if the budget was over before the search.
    """
    known: dict[Steps, bool] = {steps: True}
    best = steps

    def test(candidate: Sequence[Step]) -> Steps | None:
        """The candidate as it can be run, if it fails."""
        nonlocal best
        able = repaired(candidate, beyond=beyond)
        if able is None:
            return None
        if able not in known:
            known[able] = fails(able)
        if not known[able]:
            return None
        if able != best:
            best = able
            better(able)
        return able

    try:
        fewer = _fewer_steps(steps, test)
        _smaller_numbers(fewer, test)
    except BudgetOverError:
        return best, False
    return best, True


def _fewer_steps(steps: Steps, test: Callable[[Sequence[Step]], Steps | None]) -> Steps:
    """Ddmin. Each part by itself first, then all but each part; then smaller parts."""
    parts = 2
    while len(steps) > 1:
        for candidate in _candidates(steps, parts):
            found = test(candidate)
            if found is not None and len(found) < len(steps):
                # A part alone begins anew; all but a part goes on with parts of that size.
                parts = 2 if len(found) * 2 <= len(steps) else max(parts - 1, 2)
                steps = found
                break
        else:
            if parts >= len(steps):
                break
            parts = min(parts * 2, len(steps))
        parts = min(parts, len(steps))
    return steps


def _candidates(steps: Steps, parts: int) -> Iterator[Steps]:
    bounds = [round(len(steps) * n / parts) for n in range(parts + 1)]
    slices = [(bounds[n], bounds[n + 1]) for n in range(parts) if bounds[n] < bounds[n + 1]]
    for begin, end in slices:
        yield steps[begin:end]
    if parts > 2:
        for begin, end in slices:
            yield steps[:begin] + steps[end:]


def _smaller_numbers(steps: Steps, test: Callable[[Sequence[Step]], Steps | None]) -> Steps:
    """Each number as small as its kind allows, or by halves."""
    for n in range(len(steps)):
        least = KINDS[steps[n].kind].least
        if not least or steps[n].number <= least:
            continue
        low, high = least, steps[n].number
        # The least at once, which is most often enough; then by halves between what did not fail
        # and what did.
        trial = least
        while trial < high:
            found = test((*steps[:n], replace(steps[n], number=trial), *steps[n + 1 :]))
            if found is not None and len(found) == len(steps):
                steps, high = found, trial
            else:
                low = trial
            trial = (low + high) // 2
            # Near enough: each further try is a run of minutes.
            if high - low <= max(1, high // 4):
                break
    return steps
