"""Disturbances after which nobody may be fenced in the same schedule: what they leave stays.

A fence device that is gone is noticed by its monitor, once in two minutes, and stays stopped until
somebody cleans up. A clock that drifted is some seconds off when its rate is right again, and
Pacemaker's fencers compare what they know of fencings by their wall clocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.explore.disturbances import no_other_clock
from harness.explore.forecast import who
from harness.explore.kinds import Group, Kind, add
from harness.explore.outages import not_joined
from harness.explore.schedule import NODES, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.explore.forecast import Forecast

# How each is said, and what coverage calls it (harness.faults.fence_device).
_GONE = {
    "the fence device is down": "fence-down fence device",
    "both nodes have no way to the fence device": "fence-unreachable both",
}


def _gone_problems(forecast: Forecast, _step: Step) -> Iterator[str]:
    yield from forecast.not_up(*NODES)
    for node in NODES:
        # Each node's fencer is asked, before and after.
        yield from forecast.not_whole(node)
    if forecast.beyond:
        yield "whoever takes over in the end may have to be fenced"
    if forecast.split:
        yield "somebody may be to be fenced"
    for kind in ("fence-hang", "fence-gone", "pacemakerd-killed", "maintenance"):
        if forecast.has(kind):
            yield f"{kind} is there, and each node's fencer is asked"
    if forecast.uncleaned:
        yield "what failed before is not cleaned up"


def _gone_take(forecast: Forecast, step: Step) -> None:
    forecast.break_it("fence device", step, needs=NODES)
    forecast.told = False
    forecast.uncleaned = True
    forecast.unfenceable = "the fence device was gone"


add(
    Kind(
        "fence-gone",
        Group.DISTURBANCE,
        lambda s: f"{s.how} until healed",
        lambda _f: [Step("fence-gone", how=how) for how in _GONE],
        _gone_problems,
        _gone_take,
        seconds=20,
        weight=1.5,
        labels=lambda _f, s: (_GONE[s.how],),
    )
)


def _found_problems(forecast: Forecast, _step: Step) -> Iterator[str]:
    if not forecast.has("fence-gone") or forecast.told:
        yield "no fence device is gone, or that was told"


def _found_take(forecast: Forecast, _step: Step) -> None:
    forecast.told = True
    # Pacemaker tries to start it again, and that has to fail before it is back.
    forecast.under_way = True


add(
    Kind(
        "found-failed",
        Group.WAIT,
        lambda _s: "Pacemaker has found the fence device failed",
        lambda f: [Step("found-failed")] if f.has("fence-gone") else [],
        _found_problems,
        _found_take,
        # Its monitor is due once in harness.timing.FENCE_MONITOR_S.
        seconds=75,
        weight=3,
        dependent=True,
    )
)


def _drift_problems(forecast: Forecast, step: Step) -> Iterator[str]:
    yield from forecast.not_up(step.node)
    yield from forecast.not_calm()
    yield from no_other_clock(forecast)
    for node in NODES:
        yield from not_joined(forecast, node)
    if forecast.awaiting_fence or forecast.split:
        yield "somebody may be to be fenced"


def _drift_take(forecast: Forecast, step: Step) -> None:
    forecast.break_it(
        f"clock {step.node}",
        step,
        needs=(step.node,),
        disturbs=f"the clock of {who(step.node)} {step.how} 5 %",
    )
    forecast.unfenceable = "a clock has drifted"


add(
    Kind(
        "clock-drift",
        Group.DISTURBANCE,
        lambda s: f"the clock of {who(s.node)} {s.how} 5 % until healed",
        lambda _f: [Step("clock-drift", n, way) for n in NODES for way in ("gains", "loses")],
        _drift_problems,
        _drift_take,
        # Watched for ten seconds, so that its rate is known.
        seconds=15,
        weight=1,
        labels=lambda f, s: (f"clock-drift {f.scope(s.node)}",),
    )
)
