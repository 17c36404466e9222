"""Moments: what a schedule waits for before its next step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.explore.forecast import who
from harness.explore.kinds import Group, Kind, add
from harness.explore.schedule import Step
from harness.lab.topology import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from harness.explore.forecast import Forecast

# So many writes of each raw LUN prove that writes went on: with four of each under way (fio's
# queue depth), fewer may have been answered by what was there before.
PROOF = 100
# How long a trigger is waited for, in seconds. Longer than what it waits for takes; if it has
# passed already, this much is lost and no more.
PATIENCE_S = 60


def _writes_problems(forecast: Forecast, _step: Step) -> Iterator[str]:
    if forecast.stuck or forecast.awaiting_fence:
        yield "nobody can serve before something is healed"


add(
    Kind(
        "writes",
        Group.WAIT,
        lambda s: f"{s.number} more writes of each raw LUN were acknowledged",
        lambda _f: [Step("writes", number=n) for n in (PROOF, 150, 250)],
        _writes_problems,
        lambda f, _s: f.proved(),
        seconds=6,
        weight=3,
        least=PROOF,
        in_maintenance=True,
    )
)

add(
    Kind(
        "mib",
        Group.WAIT,
        lambda s: f"{s.number} MiB more of each raw LUN were written",
        lambda _f: [Step("mib", number=1)],
        _writes_problems,
        lambda f, _s: f.proved(),
        seconds=12,
        weight=1,
        in_maintenance=True,
    )
)

add(
    Kind(
        "answer",
        Group.WAIT,
        # Not more than that: it is a moment, and writes may stand still by now.
        lambda s: f"acknowledgement {s.number} from now of {s.what}, or {PATIENCE_S} s have passed",
        lambda _f: [
            Step("answer", what=lun, number=n) for lun in ("lun1", "lun2") for n in (7, 31, 83)
        ],
        _writes_problems,
        seconds=3,
        weight=2,
        least=1,
        in_maintenance=True,
    )
)


add(
    Kind(
        "alone",
        Group.WAIT,
        lambda s: f"the cluster is left alone for {s.number} s",
        lambda _f: [Step("alone", number=n) for n in (1, 3, 10, 20)],
        seconds=0,
        weight=2,
        least=1,
        when_stuck=True,
        in_maintenance=True,
    )
)


def _left_problems(forecast: Forecast, step: Step) -> Iterator[str]:
    if forecast.emptying != step.node:
        yield "nobody is being emptied"


add(
    Kind(
        "left",
        Group.WAIT,
        lambda s: f"everything has left {who(s.node)}",
        lambda f: [Step("left", f.emptying)] if f.emptying else [],
        _left_problems,
        # Writes have yet to prove that the other node serves.
        lambda f, _s: setattr(f, "emptying", None),
        seconds=70,
        weight=3,
        dependent=True,
    )
)

# ------------------------------------------------------------------------- triggers


def _trigger(
    name: str,
    fact: str,
    said: Callable[[Step], str],
    phase: str,
    *,
    options: Callable[[str], Iterable[Step]] | None = None,
    about: Callable[[Step], str] = lambda step: step.node,
    seconds: float = 8,
) -> None:
    """A wait for what the last injection sets off; ``phase``: what coverage calls it then.

    ``about`` is what the fact has to be about for a step to be set off by it.
    """

    def all_options(forecast: Forecast) -> Iterable[Step]:
        value = forecast.fresh.get(fact)
        if value is None:
            return ()
        return [Step(name, value)] if options is None else options(value)

    def problems(forecast: Forecast, step: Step) -> Iterator[str]:
        if forecast.fresh.get(fact) != about(step):
            yield "nothing sets it off"

    def take(forecast: Forecast, _step: Step) -> None:
        del forecast.fresh[fact]
        forecast.fresh["reached"] = phase
        if forecast.unnoticed == fact:
            forecast.unnoticed = ""

    add(
        Kind(
            name,
            Group.TRIGGER,
            lambda s: f"{said(s)}, or {PATIENCE_S} s have passed",
            all_options,
            problems,
            take,
            seconds=seconds,
            weight=3,
            dependent=True,
            awaits=fact,
        )
    )


_trigger(
    "fencing-ordered", "ordered", lambda s: f"a fencing of {who(s.node)} was ordered", "fencing"
)
_trigger(
    "promoted",
    "promoting",
    lambda s: f"{who(s.node)} has promoted all resources and started no LUN yet",
    "starting",
    seconds=30,
)
_trigger(
    "emptied",
    "emptying",
    lambda s: f"Pacemaker has begun to empty {who(s.node)}",
    "stopping",
    seconds=15,
)
_trigger(
    "half-copied",
    "copying",
    lambda s: f"{s.what} of {who(s.node)} is copied to {s.number} %",
    "serving",
    options=lambda node: [
        Step("half-copied", node, what=r, number=p) for r in RESOURCES for p in (10, 30, 60)
    ],
    seconds=25,
)
_trigger(
    "diskless",
    "detaching",
    lambda s: f"{s.what} of {who(s.node)} is Diskless",
    "serving",
    options=lambda value: [Step("diskless", value.split()[0], what=value.split()[1])],
    about=lambda step: f"{step.node} {step.what}",
)
