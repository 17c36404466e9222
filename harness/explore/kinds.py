"""Kinds of steps: how each is said, when it may be taken, and what it does at worst.

Every text is one of the vocabulary's (``harness steps``), so that the code which runs all features
runs schedules too, and a person can write the same by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from harness.explore.forecast import Forecast
    from harness.explore.schedule import Step


class Group(StrEnum):
    """What a step is for."""

    WAIT = "wait"
    TRIGGER = "trigger"
    DISTURBANCE = "disturbance"
    OUTAGE = "outage"
    REPAIR = "repair"


def _nothing(_forecast: Forecast, _step: Step) -> Iterator[str]:
    yield from ()


def _no_labels(_forecast: Forecast, _step: Step) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of step.

    Attributes:
        name: as ``Step.kind`` has it.
        group: what it is for.
        text: the step as a line of a scenario, without its keyword.
        options: the steps of this kind that make sense in a state, whether or not they may be
            taken there.
        problems: why a step may not be taken in a state; none if it may.
        take: what it does to the state.
        seconds: how long it takes, with what it sets off, on an emulated cluster.
        itself: how long its own line takes; as long as ``seconds`` where it is None.
        weight: how often it is drawn, compared with others.
        labels: what coverage will call the faults of it.
        least: the smallest number that still means the same; 0 for a kind whose number stays.
        dependent: it is about what came before, and is left out with that.
        when_stuck: it may be taken while nobody can serve.
        in_maintenance: it may be taken in maintenance mode.
        awaits: the fact that it waits for (a key of ``Forecast.fresh``), if it is a trigger.
    """

    name: str
    group: Group
    text: Callable[[Step], str]
    options: Callable[[Forecast], Iterable[Step]]
    problems: Callable[[Forecast, Step], Iterable[str]] = _nothing
    take: Callable[[Forecast, Step], None] = field(default=lambda _forecast, _step: None)
    seconds: float = 5.0
    itself: float | None = None
    weight: float = 1.0
    labels: Callable[[Forecast, Step], tuple[str, ...]] = _no_labels
    least: int = 0
    dependent: bool = False
    when_stuck: bool = False
    in_maintenance: bool = False
    awaits: str = ""


KINDS: dict[str, Kind] = {}

# What may be done while the fence device hangs; anything else would take too long.
_WHILE_IT_HANGS = frozenset(
    ("writes", "answer", "alone", "mgmt-cut", "drbd-bad", "data-slow", "slow-disk", "drbd-cut",
     "corosync-cut", "spare-cut", "power-off", "reset", "panic", "corosync-killed",
     "corosync-frozen", "fencing-ordered", "fence-heal")
)  # fmt: skip
# What may be done while the fence device is gone: nobody is fenced for it, and the proof of its
# return asks both nodes' fencers.
_WHILE_IT_IS_GONE = frozenset(
    ("writes", "mib", "answer", "alone", "found-failed", "mgmt-cut", "drbd-cut", "replication-cut",
     "drbd-bad", "data-slow", "slow-disk", "short-pause", "iscsid-stopped", "initiator-cut",
     "link-heal", "replication-heal", "bad-heal", "disk-heal", "fence-heal")
)  # fmt: skip
# Its own client gives up after 30 s and asks again; its monitor fails after 60 s.
_HANGS_S = 40.0


def itself_s(step: Step) -> float:
    """How long the line of a step takes, seconds, on an emulated cluster."""
    kind = KINDS[step.kind]
    if step.kind == "alone":
        return step.number
    return kind.seconds if kind.itself is None else kind.itself


def add(kind: Kind) -> None:
    """Enter a kind."""
    if kind.name in KINDS:
        raise ValueError(f"two kinds are called {kind.name}")
    KINDS[kind.name] = kind


def problems(forecast: Forecast, step: Step) -> list[str]:
    """Why a step may not be taken now; none if it may."""
    return list(_against(forecast, step))


def may(forecast: Forecast, step: Step) -> bool:
    """Whether a step may be taken now: ``problems``, but the first is enough."""
    return next(_against(forecast, step), None) is None


def _against(forecast: Forecast, step: Step) -> Iterator[str]:
    kind = KINDS.get(step.kind)
    if kind is None:
        yield f"there is no kind {step.kind!r}"
        return
    yield from kind.problems(forecast, step)
    if forecast.stuck and not kind.when_stuck:
        yield "nobody can serve before something is healed"
    if forecast.unnoticed and kind.awaits != forecast.unnoticed:
        yield "the cluster may not have noticed yet what came before"
    if forecast.awaiting_fence and step.kind not in ("fence-heal", "alone"):
        yield "everybody waits for the fence device"
    if forecast.has("fence-hang") and step.kind != "fence-heal":
        long = forecast.hung_s + itself_s(step) > _HANGS_S
        if long or step.kind not in _WHILE_IT_HANGS:
            yield "the fence device would hang too long"
    if forecast.has("fence-gone"):
        if step.kind not in _WHILE_IT_IS_GONE:
            yield "the fence device is gone"
        # The wait looks back to the last injection: another one would hide what was told before.
        if not forecast.told and step.kind != "found-failed":
            yield "nobody has found the fence device failed yet"
    if forecast.has("maintenance") and not kind.in_maintenance:
        yield "the cluster is in maintenance mode"


def take(forecast: Forecast, step: Step) -> None:
    """Take a step, whether or not it may be taken."""
    kind = KINDS[step.kind]
    if kind.group is not Group.TRIGGER:
        # What the last injection set off is told since then; another injection hides it.
        fresh, forecast.fresh = forecast.fresh, {}
        kind.take(forecast, step)
        if kind.group is Group.WAIT and not forecast.fresh and forecast.under_way:
            forecast.fresh = {key: node for key, node in fresh.items() if key != "reached"}
    else:
        kind.take(forecast, step)
    forecast.pass_time(max(kind.seconds, itself_s(step)), itself_s(step))


def text(step: Step) -> str:
    """A step as a line of a scenario, without its keyword."""
    return KINDS[step.kind].text(step)


def labels(forecast: Forecast, step: Step) -> tuple[str, ...]:
    """What coverage will call the faults of a step that is taken now."""
    return KINDS[step.kind].labels(forecast, step)


def end_problems(forecast: Forecast) -> list[str]:
    """Why a schedule may not end now."""
    found = list(forecast.too_long())
    if forecast.emptying is not None:
        found.append("a planned move is under way, and nothing waits for it")
    if forecast.unnoticed:
        found.append("the cluster may not have noticed, and nothing waits for it")
    if forecast.has("fence-hang"):
        found.append("the fence device hangs still")
    if forecast.has("fence-gone"):
        found.append("the fence device is gone still")
    return found


def check(steps: Iterable[Step], *, beyond: bool = False) -> tuple[Forecast, list[str]]:
    """Run a schedule in thought: its last state, and which limits it breaks; none if it may run."""
    from harness.explore.forecast import Forecast

    forecast = Forecast(beyond=beyond)
    found: list[str] = []
    for number, step in enumerate(steps, start=1):
        here = problems(forecast, step)
        if here:
            found += [f"step {number}: {problem}" for problem in here]
            break
        take(forecast, step)
        if long := list(forecast.too_long()):
            found += [f"step {number}: {problem}" for problem in long]
            break
    else:
        found += end_problems(forecast)
    return forecast, found
