"""Disturbances: faults that a healthy cluster hardly notices, one of them at a time or several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.explore.forecast import members, other, who
from harness.explore.kinds import Group, Kind, add
from harness.explore.outages import not_joined
from harness.explore.schedule import BOTH, INITIATOR, NODES, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.explore.forecast import Forecast

ONE_WAY = ("silently, outbound only,", "silently, inbound only,")
CUTS = ("by carrier", "silently")

# What harness.faults.impair calls each.
_BAD = {
    "is delayed by 100 ms": "latency",
    "is delayed by 200 ms": "latency",
    "is delayed by 100 ms, give or take 50 ms,": "latency",
    "loses 1 % of its frames": "loss",
    "loses 5 % of its frames": "loss",
    "sends 10 % of its frames twice": "duplication",
    "sends 25 % of its frames ahead of others": "reordering",
    "damages 5 % of its frames": "corruption",
}


def cut_label(forecast: Forecast, step: Step, link: str) -> str:
    """What coverage calls a cut of one link."""
    kind = "cut-carrier" if step.how == "by carrier" else "cut-silent"
    one_way = " one-way" if "bound" in step.how else ""
    return f"{kind} {link} {forecast.scope(step.node)}{one_way}"


def split_problems(forecast: Forecast, step: Step) -> Iterator[str]:
    """Why the nodes may not lose sight of each other now."""
    if forecast.serving is None:
        yield "the group moves, and both nodes could be fenced"
    else:
        spare = other(forecast.serving)
        yield from forecast.not_to_be_killed(spare)
        # One that is just joining has a vote and does not know yet who serves: without its peer it
        # would fence that one, and without a head start's delay.
        yield from not_joined(forecast, spare)


# ------------------------------------------------------------------- the mgmt link


def _mgmt_options(_forecast: Forecast) -> Iterable[Step]:
    for node in (BOTH, *NODES):
        for how in (*CUTS, *(ONE_WAY if node != BOTH else ())):
            yield Step("mgmt-cut", node, how)


def _mgmt_problems(forecast: Forecast, step: Step) -> Iterator[str]:
    yield from forecast.not_free("mgmt")
    yield from forecast.not_up(*members(step.node))
    if forecast.is_cut("drbd"):
        yield from split_problems(forecast, step)
    elif "drbd" in forecast.taken and not forecast.has("replication-cut"):
        yield "Corosync's other link does not work well"


def _mgmt_take(forecast: Forecast, step: Step) -> None:
    splits = forecast.is_cut("drbd")
    key = f"cut mgmt {step.node}"
    forecast.break_it(
        key,
        step,
        links=("mgmt",),
        holds=splits,
        needs=members(step.node),
        disturbs="" if splits else f"the mgmt link of {who(step.node)} is cut",
    )
    if splits and forecast.spare is not None:
        forecast.lose(forecast.spare, "both links between the nodes are cut")


add(
    Kind(
        "mgmt-cut",
        Group.DISTURBANCE,
        lambda s: f"the mgmt link of {who(s.node)} is cut {s.how} until healed",
        _mgmt_options,
        _mgmt_problems,
        _mgmt_take,
        seconds=3,
        weight=4,
        labels=lambda f, s: (cut_label(f, s, "mgmt"),),
        in_maintenance=True,
        when_stuck=True,
    )
)

# --------------------------------------------------------------------- bad links


def _bad_options(_forecast: Forecast) -> Iterable[Step]:
    return [Step("drbd-bad", node, how) for node in NODES for how in _BAD]


def _bad_problems(forecast: Forecast, step: Step) -> Iterator[str]:
    yield from forecast.not_free("drbd")
    yield from forecast.not_up(*NODES)
    if forecast.is_cut("mgmt"):
        yield "it is the only link that Corosync has"


add(
    Kind(
        "drbd-bad",
        Group.DISTURBANCE,
        lambda s: f"the drbd link of {who(s.node)} {s.how} until healed",
        _bad_options,
        _bad_problems,
        lambda f, s: f.break_it(
            f"bad drbd {s.node}",
            s,
            links=("drbd",),
            needs=NODES,
            disturbs=f"the drbd link of {who(s.node)} {s.how}".rstrip(","),
        ),
        seconds=6,
        weight=3,
        labels=lambda f, s: (f"{_BAD[s.how]} drbd {f.scope(s.node)}",),
        in_maintenance=True,
    )
)

add(
    Kind(
        "data-slow",
        Group.DISTURBANCE,
        lambda s: f"the data link of {who(s.node)} is delayed by 50 ms until healed",
        lambda _f: [Step("data-slow", node) for node in (*NODES, INITIATOR)],
        lambda f, s: (*f.not_free(f"data {s.node}"), *f.not_up(*members(s.node))),
        lambda f, s: f.break_it(
            f"bad data {s.node}",
            s,
            links=(f"data {s.node}",),
            needs=members(s.node),
            disturbs=f"the data link of {who(s.node)} is slow",
        ),
        seconds=4,
        weight=1,
        labels=lambda f, s: (f"latency data {f.scope(s.node)}",),
        in_maintenance=True,
    )
)

# --------------------------------------------------------------- inside of a node


def _disk_problems(forecast: Forecast, step: Step) -> Iterator[str]:
    yield from forecast.not_up(step.node)
    if forecast.has("slow-disk", step.node) or forecast.has("disk-errors", step.node):
        yield f"the disks of {who(step.node)} are broken already"
    if forecast.has("invalidated"):
        yield "a resync would take too long"


add(
    Kind(
        "slow-disk",
        Group.DISTURBANCE,
        lambda s: f"the disks of {who(s.node)} do 20 requests a second until healed",
        lambda _f: [Step("slow-disk", node) for node in NODES],
        _disk_problems,
        lambda f, s: f.break_it(
            f"disks {s.node}", s, needs=(s.node,), disturbs=f"the disks of {who(s.node)} are slow"
        ),
        seconds=5,
        weight=1,
        labels=lambda f, s: (f"slow-disk {f.scope(s.node)}",),
    )
)

add(
    Kind(
        "short-pause",
        Group.DISTURBANCE,
        lambda s: f"{who(s.node)} is paused for 1 s",
        lambda _f: [Step("short-pause", node) for node in NODES],
        lambda f, s: (*f.not_up(s.node), *f.not_calm()),
        lambda f, s: f.stall(f"{who(s.node)} is paused for 1 s", "disturbed"),
        seconds=4,
        weight=0.7,
        labels=lambda f, s: (f"pause {f.scope(s.node)}",),
    )
)


def no_other_clock(forecast: Forecast) -> Iterator[str]:
    """Whether a clock is wrong already, or its rate."""
    if forecast.has("clock-jump") or forecast.has("clock-drift"):
        yield "a clock is wrong already"


def _clock_problems(forecast: Forecast, step: Step) -> Iterator[str]:
    yield from forecast.not_up(step.node)
    yield from forecast.not_calm()
    yield from no_other_clock(forecast)
    for node in NODES:
        yield from not_joined(forecast, node)


add(
    Kind(
        "clock-jump",
        Group.DISTURBANCE,
        lambda s: f"the clock of {who(s.node)} jumps {s.how} by 60 min until healed",
        lambda _f: [Step("clock-jump", n, way) for n in NODES for way in ("forward", "back")],
        _clock_problems,
        lambda f, s: f.break_it(
            f"clock {s.node}", s, needs=(s.node,), disturbs=f"the clock of {who(s.node)} is wrong"
        ),
        seconds=5,
        weight=1,
        labels=lambda f, s: (f"clock-jump {f.scope(s.node)}",),
    )
)

# ------------------------------------------------------- beside the nodes, and daemons


def _hang_problems(forecast: Forecast, _step: Step) -> Iterator[str]:
    yield from forecast.not_calm()
    if forecast.has("fence-hang") or forecast.unfenceable:
        yield "the fence device hangs already, or nobody may be fenced"


def _hang_take(forecast: Forecast, step: Step) -> None:
    forecast.hung_s = 0.0
    forecast.break_it("fence device", step)


add(
    Kind(
        "fence-hang",
        Group.DISTURBANCE,
        lambda _s: "the fence device hangs until healed",
        lambda _f: [Step("fence-hang")],
        _hang_problems,
        _hang_take,
        seconds=2,
        weight=1,
        labels=lambda _f, _s: ("fence-hangs fence device",),
    )
)


def _daemon_problems(forecast: Forecast, step: Step) -> Iterator[str]:
    yield from forecast.not_calm()
    yield from forecast.not_known()
    if step.kind == "pacemakerd-killed":
        yield from forecast.not_up(step.node)
        for node in NODES:
            yield from forecast.not_whole(node)
        if forecast.has("pacemakerd-killed", step.node):
            yield "it was killed already"
    elif forecast.has("iscsid-stopped") or "data initiator" in forecast.taken:
        yield "the initiator is disturbed already"


add(
    Kind(
        "iscsid-stopped",
        Group.DISTURBANCE,
        lambda _s: "iscsid of the initiator is stopped until healed",
        lambda _f: [Step("iscsid-stopped", INITIATOR)],
        _daemon_problems,
        lambda f, s: f.break_it("daemon iscsid", s, disturbs="iscsid is stopped"),
        seconds=3,
        weight=0.5,
        labels=lambda _f, _s: ("daemon-stopped iscsid initiator",),
    )
)

add(
    Kind(
        "pacemakerd-killed",
        Group.DISTURBANCE,
        lambda s: f"pacemakerd of {who(s.node)} is killed",
        lambda _f: [Step("pacemakerd-killed", node) for node in NODES],
        _daemon_problems,
        lambda f, s: f.break_it(
            f"daemon pacemakerd {s.node}",
            s,
            needs=(s.node,),
            disturbs=f"pacemakerd of {who(s.node)} is killed",
        ),
        seconds=5,
        weight=0.5,
        labels=lambda f, s: (f"daemon-killed pacemakerd {f.scope(s.node)}",),
    )
)
