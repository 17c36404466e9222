"""Draws a schedule: from seed, number and coverage, the same one every time.

The draw walks along a forecast. At each point it lists the steps that the limits allow there, and
chooses one by weight; what coverage has not seen yet, in the state that the forecast expects there,
weighs more. It knows nothing of what any check looks at.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from harness.explore.forecast import Forecast
from harness.explore.schedule import Schedule
from harness.explore.vocabulary import KINDS, Group, end_problems, labels, may, take

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from harness.explore.kinds import Kind
    from harness.explore.schedule import Step

FEWEST, MOST = 6, 12
"""How many steps a schedule has."""
_LONGEST_S = 300.0  # of all steps, emulated, as the kinds estimate it
_TRIES = 200
_AGAIN = 8  # other steps, where one would let writes stand still for too long

_WAITS = (Group.WAIT, Group.TRIGGER)

Cell = tuple[str, str, str]
"""A fault, DRBD's state, the resources' phase (harness.explore.coverage)."""


def draw(
    seed: int,
    number: int,
    seen: Mapping[Cell, int] | None = None,
    *,
    beyond: bool = False,
    without: Collection[str] = (),
) -> Schedule:
    """The schedule of this number.

    Args:
        seen: how often coverage has seen each cell before.
        without: kinds that are not drawn.

    Raises:
        ValueError: too much is left out for a schedule.
    """
    # A string as seed: hashed by its own bytes, the same on every machine and in every version.
    rng = random.Random(f"harness explore {seed}/{number}")
    for _ in range(_TRIES):
        steps = _walk(rng, seen or {}, beyond=beyond, without=without)
        if steps is not None:
            return Schedule(seed, number, steps, beyond)
    raise ValueError("no schedule can be drawn from what is left")


def _walk(
    rng: random.Random, seen: Mapping[Cell, int], *, beyond: bool, without: Collection[str]
) -> tuple[Step, ...] | None:
    """One walk; None where it ended in a state in which a schedule may not end."""
    forecast = Forecast(beyond=beyond)
    wanted = rng.randint(FEWEST, MOST)
    steps: list[Step] = []
    while len(steps) < MOST:
        tired = len(steps) >= wanted or forecast.seconds > _LONGEST_S
        if tired and len(steps) >= FEWEST and not end_problems(forecast):
            break
        found = _next(rng, forecast, steps, seen, without)
        if found is None:
            break
        step, forecast = found
        steps.append(step)
    whole = len(steps) >= FEWEST and not end_problems(forecast)
    hurt = any(KINDS[step.kind].group in (Group.DISTURBANCE, Group.OUTAGE) for step in steps)
    if not whole or not hurt or forecast.seconds > 1.5 * _LONGEST_S:
        return None
    return tuple(steps)


def _next(
    rng: random.Random,
    forecast: Forecast,
    steps: list[Step],
    seen: Mapping[Cell, int],
    without: Collection[str],
) -> tuple[Step, Forecast] | None:
    """The next step and the state after it; None where none was found that may be taken."""
    for _ in range(_AGAIN):
        step = _choose(rng, forecast, steps, seen, without)
        if step is None:
            return None
        after = forecast.copy()
        take(after, step)
        if not any(after.too_long()):
            return step, after
    return None


def _choose(
    rng: random.Random,
    forecast: Forecast,
    steps: list[Step],
    seen: Mapping[Cell, int],
    without: Collection[str],
) -> Step | None:
    """The next step; None where none may be taken."""
    # Every schedule begins after some writes.
    after_wait = not steps or KINDS[steps[-1].kind].group in _WAITS
    weights: dict[str, float] = {}
    options: dict[str, list[Step]] = {}
    # By name: in which order modules were imported is of no account.
    for _name, kind in sorted(KINDS.items()):
        if kind.name in without or (after_wait and not _after_wait(forecast, kind)):
            continue
        allowed = _allowed(forecast, kind)
        if allowed:
            options[kind.name] = allowed
            # An exploration that begins has seen nothing: then everything is as new.
            novelty = max(_novelty(forecast, step, seen) for step in allowed) if seen else 1.0
            weights[kind.name] = kind.weight * novelty * _urgency(forecast, kind)
    if not options:
        return None
    # First the kind, then which of it: a kind with many forms is not drawn more often for that.
    names = list(options)
    (name,) = rng.choices(names, [weights[name] for name in names])
    steps_of = options[name]
    (step,) = rng.choices(steps_of, [_novelty(forecast, one, seen) for one in steps_of])
    return step


def _allowed(forecast: Forecast, kind: Kind) -> list[Step]:
    """The steps of a kind that may be taken now."""
    known: dict[tuple[str, str, int], bool] = {}
    allowed = []
    for step in kind.options(forecast):
        # In which way a thing is broken is of no account for whether it may be.
        alike = (step.node, step.what, step.number)
        if alike not in known:
            known[alike] = may(forecast, step)
        if known[alike]:
            allowed.append(step)
    return allowed


def _after_wait(forecast: Forecast, kind: Kind) -> bool:
    """Whether a kind makes sense right after a wait: another wait does only if it proves more."""
    if kind.group is Group.TRIGGER:
        return False
    if kind.group is Group.WAIT:
        return kind.name in ("left", "found-failed") or (
            forecast.under_way and kind.name in ("writes", "mib")
        )
    return True


def _urgency(forecast: Forecast, kind: Kind) -> float:
    """What the state calls for, as a factor."""
    if kind.name == "fence-heal":
        return 4.0 if forecast.awaiting_fence or forecast.told else 1.0
    if kind.name == "left":
        return 5.0
    if kind.group is Group.TRIGGER:
        # What can be waited for now cannot be later.
        return 5.0
    out = any(forecast.out.values())
    if kind.group is Group.OUTAGE:
        # Once a node is out, little else may be broken; what may is the point of the whole.
        return 3.0 if out else 1.5
    if kind.group is Group.REPAIR and out and not forecast.under_way:
        return 2.5
    return 1.0


def _novelty(forecast: Forecast, step: Step, seen: Mapping[Cell, int]) -> float:
    """How much rather than a step whose faults were seen often in this state."""
    cells = [(label, forecast.drbd, forecast.phase) for label in labels(forecast, step)]
    if not cells:
        return 1.0
    least = min(seen.get(cell, 0) for cell in cells)
    return float((1 + least) ** -1.5)
