"""Repairs: what heals one thing that was broken before, and waiting for the whole cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.explore.forecast import (
    BOOTING,
    CUT,
    DATA,
    DISK,
    DOWN,
    OFF,
    RESYNC,
    STANDBY,
    UP,
    who,
)
from harness.explore.kinds import Group, Kind, add
from harness.explore.schedule import NODES, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from harness.explore.forecast import Forecast

# Kinds that cut links, and which links a step names that heals them.
_CUT_LINKS = {
    "mgmt-cut": "the mgmt link",
    "drbd-cut": "the drbd link",
    "corosync-cut": "the drbd and mgmt links",
    "spare-cut": "all links",
    "data-cut": "the data link",
}
_DAEMONS = (
    "iscsid-stopped",
    "pacemakerd-killed",
    "corosync-killed",
    "corosync-frozen",
    "controller-killed",
)


def _heals(
    name: str,
    kinds: tuple[str, ...],
    said: Callable[[Step], str],
    *,
    reasons: tuple[str, ...] = (),
    also: Callable[[Forecast, Step], Iterable[str]] = lambda _f, _s: (),
    after: Callable[[Forecast, Step], None] = lambda _f, _s: None,
    together: bool = False,
    calm: bool = True,
    seconds: float = 8,
    weight: float = 1,
) -> None:
    """A kind that heals faults of some kinds: those of the same node and thing, or all together."""

    def repair(broken: Step) -> Step:
        return Step(name) if together else Step(name, broken.node, what=_what(broken))

    def mine(forecast: Forecast, step: Step) -> list[str]:
        return [
            key
            for key, broken in forecast.broken.items()
            if broken.step.kind in kinds and repair(broken.step) == step
        ]

    def options(forecast: Forecast) -> Iterable[Step]:
        return dict.fromkeys(
            repair(broken.step) for broken in forecast.broken.values() if broken.step.kind in kinds
        )

    def problems(forecast: Forecast, step: Step) -> Iterator[str]:
        keys = mine(forecast, step)
        if not keys:
            yield "there is nothing to heal"
        if calm and not forecast.stuck:
            yield from forecast.not_calm()
        for key in keys:
            for node in forecast.broken[key].needs:
                if forecast.power[node] == OFF:
                    yield f"{who(node)} is off"
        yield from also(forecast, step)

    def take(forecast: Forecast, step: Step) -> None:
        for key in mine(forecast, step):
            forecast.heal_it(key)
        for node in NODES:
            for reason in reasons:
                forecast.back(node, reason)
        after(forecast, step)

    add(
        Kind(
            name,
            Group.REPAIR,
            said,
            options,
            problems,
            take,
            seconds=seconds,
            weight=weight,
            dependent=True,
            when_stuck=True,
            in_maintenance=name in ("link-heal", "bad-heal", "maintenance-heal"),
        )
    )


def _what(step: Step) -> str:
    """What a repair of this fault names besides its node."""
    if step.kind in _CUT_LINKS:
        return _CUT_LINKS[step.kind]
    return {"drbd-bad": "the drbd link", "data-slow": "the data link"}.get(
        step.kind, step.what if step.kind == "replication-cut" else ""
    )


def _are(links: str) -> str:
    return "are" if links.endswith("links") else "is"


_heals(
    "link-heal",
    ("mgmt-cut", "drbd-cut", "corosync-cut", "spare-cut", "data-cut"),
    lambda s: f"{s.what} of {who(s.node)} {_are(s.what)} whole again",
    reasons=(),
    after=lambda f, s: _links_back(f, s),
    seconds=10,
    weight=2,
)


def _links_back(forecast: Forecast, step: Step) -> None:
    for node in NODES:
        if "drbd" in step.what or "all" in step.what:
            forecast.back(node, CUT)
        if "data" in step.what or "all" in step.what:
            forecast.back(node, DATA)


_heals(
    "replication-heal",
    ("replication-cut",),
    lambda s: f"the replication of {s.what} is whole again",
    reasons=(CUT,),
    seconds=5,
    weight=2,
)
_heals(
    "bad-heal",
    ("drbd-bad", "data-slow"),
    lambda s: f"{s.what} of {who(s.node)} works well again",
    seconds=4,
)
_heals(
    "disk-heal",
    ("slow-disk", "disk-errors"),
    lambda s: f"the disks of {who(s.node)} work well again",
    reasons=(DISK,),
    also=lambda f, s: (
        ["there is nobody to copy from"]
        if f.has("disk-errors", s.node) and (f.is_cut("drbd") or f.has("replication-cut"))
        else []
    ),
)
_heals(
    "clock-heal",
    ("clock-jump", "clock-drift"),
    lambda s: f"the clock of {who(s.node)} is right again",
)
_heals(
    "daemons-heal",
    _DAEMONS,
    lambda _s: "every daemon runs again",
    also=lambda f, _s: ["the nodes do not see each other"] if f.split else [],
    together=True,
    seconds=15,
)


def _device_problems(forecast: Forecast, _step: Step) -> Iterator[str]:
    """That it cannot be started again has to be over before it is back."""
    if forecast.has("fence-gone"):
        yield from forecast.not_calm()


_heals(
    "fence-heal",
    ("fence-hang", "fence-gone"),
    lambda _s: "the fence device answers again",
    also=_device_problems,
    after=lambda f, _s: setattr(f, "awaiting_fence", False),
    calm=False,
    together=True,
    seconds=2,
    weight=4,
)
_heals(
    "power-on",
    ("power-off",),
    lambda s: f"{who(s.node)} alone is powered on again",
    after=lambda f, s: _powered(f, s),
    seconds=60,
    weight=2,
)


def _powered(forecast: Forecast, step: Step) -> None:
    forecast.power[step.node] = UP
    forecast.back(step.node, DOWN)


_heals(
    "off-standby",
    ("standby",),
    lambda s: f"{who(s.node)} is taken off standby",
    reasons=(STANDBY,),
    also=lambda f, s: f.not_up(*NODES),
    seconds=5,
)
_heals(
    "copied",
    ("invalidated",),
    lambda s: f"{who(s.node)} has copied all its data",
    reasons=(RESYNC,),
    also=lambda f, _s: (
        ["there is nobody to copy from"] if f.is_cut("drbd") or f.has("replication-cut") else []
    ),
    seconds=40,
)
_heals(
    "maintenance-heal",
    ("maintenance",),
    lambda _s: "maintenance mode ends",
    seconds=4,
    weight=2,
)

# ------------------------------------------------------------------ the whole cluster


def _settle_problems(forecast: Forecast, _step: Step) -> Iterator[str]:
    yield from forecast.not_calm()
    yield from forecast.not_known()
    if forecast.uncleaned:
        yield "what failed has to be cleaned up first"
    for broken in forecast.broken.values():
        if broken.holds:
            yield f"{broken.step.kind} is not healed"
        elif broken.step.kind in ("slow-disk", "drbd-bad"):
            # There is a deadline for becoming whole, which a slow resync might miss.
            yield "a resync would take too long"
    for node in NODES:
        if forecast.power[node] == OFF:
            yield f"{who(node)} is off"


add(
    Kind(
        "settled",
        Group.REPAIR,
        lambda _s: "the cluster has settled",
        lambda f: [Step("settled")] if f.out["active"] or f.out["passive"] else [],
        _settle_problems,
        lambda f, _s: f.settled(),
        seconds=45,
        weight=3,
        dependent=True,
    )
)


def _clean_problems(forecast: Forecast, _step: Step) -> Iterator[str]:
    yield from forecast.not_calm()
    if not forecast.uncleaned:
        yield "nothing has failed"


add(
    Kind(
        "cleaned-up",
        Group.REPAIR,
        lambda _s: "the failed actions are cleaned up",
        lambda f: [Step("cleaned-up")] if f.uncleaned else [],
        _clean_problems,
        lambda f, _s: setattr(f, "uncleaned", False),
        seconds=8,
        weight=2,
        dependent=True,
    )
)


def _answers_problems(forecast: Forecast, step: Step) -> Iterator[str]:
    yield from forecast.not_calm()
    if forecast.power[step.node] != BOOTING:
        yield f"{who(step.node)} does not boot"


add(
    Kind(
        "answers",
        Group.REPAIR,
        lambda s: f"{who(s.node)} answers again",
        lambda f: [Step("answers", n) for n in NODES if f.power[n] == BOOTING],
        _answers_problems,
        lambda f, s: f.power.update({s.node: UP}),
        seconds=40,
        weight=1,
        dependent=True,
    )
)
