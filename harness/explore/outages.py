"""Outages of a node: it ends, stands still, or loses a daemon that it cannot do without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.explore.forecast import BOOTING, DOWN, OFF, STALE, who
from harness.explore.kinds import Group, Kind, add
from harness.explore.schedule import NODES, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.explore.forecast import Forecast

# How each is said, what fault it is, and whether the node stays off.
_ENDS = {
    "power-off": ("{who} loses power", "power-off", OFF),
    "reset": ("{who} is reset", "reset", BOOTING),
    "panic": ("{who} panics", "kernel-panic", BOOTING),
    "corosync-killed": ("corosync of {who} is killed", "daemon-killed corosync", BOOTING),
    "corosync-frozen": (
        "corosync of {who} stands still until healed",
        "daemon-frozen corosync",
        BOOTING,
    ),
}
# Emulated: until writes went on, typically.
_LOST_S = 60.0


def _end_take(forecast: Forecast, step: Step) -> None:
    said, _fault, power = _ENDS[step.kind]
    name = said.format(who=who(step.node)).removesuffix(" until healed")
    forecast.break_it(f"{step.kind} {step.node}", step, holds=power == OFF)
    served = step.node == forecast.serving
    forecast.lose(step.node, name, power)
    if step.kind.startswith("corosync") and not forecast.stuck:
        # DRBD and the target go on without Corosync: measured, a node that serves is fenced after
        # 33 s, of which its head start is 20 s, and was written to until then.
        forecast.unnoticed = "promoting" if served else "ordered"


def not_joined(forecast: Forecast, node: str) -> Iterator[str]:
    """Whether a node may not be a member of the cluster yet, after its boot."""
    if {DOWN, STALE} & forecast.out[node]:
        yield f"{who(node)} may not have joined yet"


def _end_problems(forecast: Forecast, step: Step) -> Iterator[str]:
    yield from forecast.not_to_be_killed(step.node)
    if f"{step.kind} {step.node}" in forecast.broken:
        yield "it was done before, and is not healed"
    if step.kind.startswith("corosync"):
        yield from not_joined(forecast, step.node)
        yield from forecast.not_known()
        if forecast.has("fence-hang"):
            yield "nobody would be fenced before something is healed"


for _name, (_said, _fault, _power) in _ENDS.items():
    add(
        Kind(
            _name,
            Group.OUTAGE,
            lambda s: _ENDS[s.kind][0].format(who=who(s.node)),
            lambda _f, name=_name: [Step(name, node) for node in NODES],  # type: ignore[misc]
            _end_problems,
            _end_take,
            seconds=_LOST_S,
            itself=8,
            weight=3 if _name == "power-off" else 1,
            labels=lambda f, s: (f"{_ENDS[s.kind][1]} {f.scope(s.node)}",),
        )
    )


def _pause_take(forecast: Forecast, step: Step) -> None:
    forecast.lose(step.node, f"{who(step.node)} is paused and fenced for it")
    # The step ends when the node answers again, after its boot.
    forecast.fresh = {}


# Long enough to be noticed, ordered fenced (late, on a busy node), held back by the head start of
# the node that serves (20 s under emulation) and fenced, all of it while it stands still.
add(
    Kind(
        "long-pause",
        Group.OUTAGE,
        lambda s: f"{who(s.node)} is paused for {s.number} s",
        lambda _f: [Step("long-pause", node, number=s) for node in NODES for s in (60, 75)],
        lambda f, s: (*f.not_to_be_killed(s.node), *f.not_calm()),
        _pause_take,
        seconds=110,
        weight=1.5,
        labels=lambda f, s: (f"pause {f.scope(s.node)}",),
        least=60,
    )
)


def _controller_take(forecast: Forecast, step: Step) -> None:
    forecast.break_it(f"daemon controld {step.node}", step, needs=(step.node,))
    forecast.lose(step.node, f"the controller of {who(step.node)} is killed")
    forecast.fresh = {}  # It may be back before anybody wants it fenced.


def _controller_problems(forecast: Forecast, step: Step) -> Iterator[str]:
    yield from forecast.not_known()
    if step.node == forecast.serving:
        yield "it would not be certain who serves"
    yield from forecast.not_to_be_killed(step.node)
    yield from forecast.not_whole(step.node)
    if forecast.has("controller-killed"):
        yield "a controller was killed already"


add(
    Kind(
        "controller-killed",
        Group.OUTAGE,
        lambda s: f"pacemaker-controld of {who(s.node)} is killed",
        lambda f: [Step("controller-killed", f.spare)] if f.spare else [],
        _controller_problems,
        _controller_take,
        seconds=_LOST_S,
        itself=8,
        weight=0.5,
        labels=lambda f, s: (f"daemon-killed pacemaker-controld {f.scope(s.node)}",),
    )
)
