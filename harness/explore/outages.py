"""Outages: faults and operations that take a node out of service, or make its data old."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.explore.disturbances import CUTS, ONE_WAY, cut_label, split_problems
from harness.explore.forecast import (
    BOOTING,
    CUT,
    DATA,
    DISK,
    DOWN,
    OFF,
    RESYNC,
    STALE,
    STANDBY,
    other,
    who,
)
from harness.explore.kinds import Group, Kind, add
from harness.explore.schedule import BOTH, INITIATOR, NODES, Step
from harness.lab.topology import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.explore.forecast import Forecast

# ------------------------------------------------------------- a node ends, or is lost

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
    forecast.lose(step.node, name, power)


def _not_joined(forecast: Forecast, node: str) -> Iterator[str]:
    """Whether a node may not be a member of the cluster yet, after its boot."""
    if {DOWN, STALE} & forecast.out[node]:
        yield f"{who(node)} may not have joined yet"


def _end_problems(forecast: Forecast, step: Step) -> Iterator[str]:
    yield from forecast.not_to_be_killed(step.node)
    if f"{step.kind} {step.node}" in forecast.broken:
        yield "it was done before, and is not healed"
    if step.kind.startswith("corosync"):
        yield from _not_joined(forecast, step.node)


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


add(
    Kind(
        "long-pause",
        Group.OUTAGE,
        lambda s: f"{who(s.node)} is paused for {s.number} s",
        lambda _f: [Step("long-pause", node, number=s) for node in NODES for s in (45, 60)],
        lambda f, s: (*f.not_to_be_killed(s.node), *f.not_calm()),
        _pause_take,
        seconds=110,
        weight=1.5,
        labels=lambda f, s: (f"pause {f.scope(s.node)}",),
        least=45,
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

# --------------------------------------------------------------- links between the nodes


def _spare_is_cut_off(forecast: Forecast, reason: str) -> None:
    """The spare's data grow old, from a freeze of the writes on."""
    spare = forecast.spare
    stuck = spare is None or bool(forecast.out[other(spare)])
    for node in (spare,) if spare is not None else NODES:
        forecast.out[node].add(reason)
    forecast.under_way = True
    if stuck and forecast.beyond:
        forecast.get_stuck()


def _drbd_options(_forecast: Forecast) -> Iterable[Step]:
    for node in (BOTH, *NODES):
        for how in (*CUTS, *(ONE_WAY if node != BOTH else ())):
            yield Step("drbd-cut", node, how)


def _drbd_problems(forecast: Forecast, step: Step) -> Iterator[str]:
    yield from forecast.not_free("drbd")
    yield from forecast.not_up(*NODES)
    if forecast.is_cut("mgmt"):
        yield from split_problems(forecast, step)
        return
    if not forecast.beyond:
        yield from forecast.not_known()
        yield from forecast.not_calm()
    if forecast.spare is not None:
        yield from forecast.not_alone(forecast.spare)


def _drbd_take(forecast: Forecast, step: Step) -> None:
    splits = forecast.is_cut("mgmt")
    forecast.break_it(f"cut drbd {step.node}", step, links=("drbd",), holds=True, needs=NODES)
    spare = forecast.spare
    if splits and spare is not None:
        forecast.out[spare].add(CUT)
        forecast.lose(spare, "both links between the nodes are cut")
        return
    forecast.stall(f"the drbd link of {who(step.node)} is cut", "freeze")
    _spare_is_cut_off(forecast, CUT)


add(
    Kind(
        "drbd-cut",
        Group.OUTAGE,
        lambda s: f"the drbd link of {who(s.node)} is cut {s.how} until healed",
        _drbd_options,
        _drbd_problems,
        _drbd_take,
        seconds=15,
        itself=6,
        weight=5,
        labels=lambda f, s: (cut_label(f, s, "drbd"),),
    )
)


def _replication_problems(forecast: Forecast, _step: Step) -> Iterator[str]:
    yield from forecast.not_free("drbd")
    yield from forecast.not_up(*NODES)
    yield from forecast.not_calm()
    yield from forecast.not_known()
    if forecast.spare is not None:
        yield from forecast.not_alone(forecast.spare)
        if STANDBY in forecast.out[forecast.spare]:
            yield "nothing is replicated to a node on standby"


def _replication_take(forecast: Forecast, step: Step) -> None:
    key = f"replication {step.what}"
    forecast.break_it(key, step, links=("drbd",), holds=True, needs=NODES)
    forecast.stall(f"the replication of {step.what} is cut", "freeze")
    _spare_is_cut_off(forecast, CUT)


add(
    Kind(
        "replication-cut",
        Group.OUTAGE,
        lambda s: f"the replication of {s.what} is cut silently until healed",
        lambda _f: [Step("replication-cut", what=resource) for resource in RESOURCES],
        _replication_problems,
        _replication_take,
        seconds=15,
        itself=6,
        weight=2,
        labels=lambda _f, _s: ("cut-replication",),
    )
)


def _both_problems(forecast: Forecast, step: Step) -> Iterator[str]:
    links = ("drbd", "mgmt") + ((f"data {step.node}",) if step.kind == "spare-cut" else ())
    yield from forecast.not_free(*links)
    yield from forecast.not_up(*NODES)
    yield from forecast.not_calm()
    if step.kind == "spare-cut" and step.node != forecast.spare:
        yield "the initiator would not reach the node that serves"
    yield from split_problems(forecast, step)


def _both_take(forecast: Forecast, step: Step) -> None:
    links = ("drbd", "mgmt") + ((f"data {step.node}",) if step.kind == "spare-cut" else ())
    spare = forecast.spare or step.node
    needs = NODES
    forecast.break_it(f"{step.kind} {step.node}", step, links=links, holds=True, needs=needs)
    forecast.out[spare].add(CUT)
    forecast.lose(spare, "both links between the nodes are cut")


def _each_label(forecast: Forecast, step: Step, links: tuple[str, ...]) -> tuple[str, ...]:
    if step.how == "by carrier":
        return tuple(cut_label(forecast, step, link) for link in links)
    return (cut_label(forecast, step, "+".join(links)),)


add(
    Kind(
        "corosync-cut",
        Group.OUTAGE,
        lambda s: f"the drbd and mgmt links of {who(s.node)} are cut {s.how} until healed",
        lambda _f: [Step("corosync-cut", n, how) for n in (BOTH, *NODES) for how in CUTS],
        _both_problems,
        _both_take,
        seconds=30,
        itself=8,
        weight=3,
        labels=lambda f, s: _each_label(f, s, ("drbd", "mgmt")),
    )
)

add(
    Kind(
        "spare-cut",
        Group.OUTAGE,
        lambda s: f"all links of {who(s.node)} are cut {s.how} until healed",
        lambda f: [Step("spare-cut", f.spare, how) for how in CUTS] if f.spare else [],
        _both_problems,
        _both_take,
        seconds=30,
        itself=8,
        weight=1.5,
        labels=lambda f, s: _each_label(f, s, ("data", "drbd", "mgmt")),
    )
)


def _server_cut_problems(forecast: Forecast, step: Step) -> Iterator[str]:
    yield from forecast.not_free("drbd", "mgmt", f"data {step.node}")
    yield from forecast.not_up(*NODES)
    yield from forecast.not_calm()
    yield from forecast.no_login()
    if forecast.has("fence-hang"):
        yield "the fence device hangs"
    if step.node != forecast.serving:
        yield "it does not serve"
    yield from split_problems(forecast, step)


def _server_cut_take(forecast: Forecast, step: Step) -> None:
    # Its step ends with the links' heal, which waits for the spare's boot.
    forecast.stall(f"all links of {who(step.node)} are cut", "login", seconds=step.number)
    if forecast.spare is not None:
        forecast.lose(forecast.spare, "both links between the nodes are cut")
    forecast.fresh = {}


add(
    Kind(
        "server-cut",
        Group.OUTAGE,
        lambda s: f"all links of {who(s.node)} are cut {s.how} for {s.number} s",
        lambda f: (
            [Step("server-cut", f.serving, how, number=s) for how in CUTS for s in (30, 45)]
            if f.serving
            else []
        ),
        _server_cut_problems,
        _server_cut_take,
        seconds=130,
        weight=0.7,
        labels=lambda f, s: _each_label(f, s, ("data", "drbd", "mgmt")),
        least=30,
    )
)

# -------------------------------------------------------------------------- data link


def _data_problems(forecast: Forecast, step: Step) -> Iterator[str]:
    yield from forecast.not_free(f"data {step.node}")
    yield from forecast.not_up(*NODES)
    yield from forecast.not_calm()
    yield from forecast.not_known()
    yield from forecast.not_alone(step.node)
    if step.node == forecast.serving:
        yield from forecast.no_login()


def _data_take(forecast: Forecast, step: Step) -> None:
    key = f"cut data {step.node}"
    forecast.break_it(key, step, links=(f"data {step.node}",), holds=True, needs=(step.node,))
    if step.node == forecast.serving:
        orphaned = bool(forecast.out[other(step.node)])
        forecast.move_from(step.node, f"the data link of {who(step.node)} is cut", "failover")
        forecast.fresh = {"emptying": step.node, "promoting": other(step.node)}
        if orphaned:
            forecast.get_stuck()
    forecast.out[step.node].add(DATA)


add(
    Kind(
        "data-cut",
        Group.OUTAGE,
        lambda s: f"the data link of {who(s.node)} is cut {s.how} until healed",
        lambda _f: [Step("data-cut", node, how) for node in NODES for how in CUTS],
        _data_problems,
        _data_take,
        seconds=50,
        itself=6,
        weight=2,
        labels=lambda f, s: (cut_label(f, s, "data"),),
    )
)


def _initiator_problems(forecast: Forecast, _step: Step) -> Iterator[str]:
    yield from forecast.not_free("data initiator")
    yield from forecast.not_calm()
    yield from forecast.not_known()
    yield from forecast.no_login()


def _initiator_take(forecast: Forecast, step: Step) -> None:
    forecast.stall("the data link of the initiator is cut", "login", seconds=step.number)
    forecast.under_way = True


add(
    Kind(
        "initiator-cut",
        Group.OUTAGE,
        lambda s: f"the data link of the initiator is cut {s.how} for {s.number} s",
        lambda _f: [
            Step("initiator-cut", INITIATOR, how, number=s) for how in CUTS for s in (5, 15, 30)
        ],
        _initiator_problems,
        _initiator_take,
        seconds=50,
        weight=0.7,
        labels=lambda f, s: (cut_label(f, s, "data"),),
        least=5,
    )
)

# ------------------------------------------------------------------ what operators do


def _standby_problems(forecast: Forecast, step: Step) -> Iterator[str]:
    yield from forecast.not_up(*NODES)
    yield from forecast.not_calm()
    yield from forecast.not_known()
    yield from forecast.not_alone(step.node)
    yield from _not_joined(forecast, step.node)
    if {STANDBY, RESYNC, DISK} & forecast.out[step.node] or forecast.split:
        yield "it is on standby already, cut off, or worked on"
    if step.node == forecast.serving:
        yield from forecast.no_login()


def _standby_take(forecast: Forecast, step: Step) -> None:
    forecast.break_it(f"standby {step.node}", step, holds=True, needs=NODES)
    if step.node == forecast.serving:
        orphaned = bool(forecast.out[other(step.node)])
        forecast.move_from(step.node, f"{who(step.node)} is put on standby", "move")
        forecast.emptying = step.node
        forecast.fresh = {"emptying": step.node, "promoting": other(step.node)}
        if orphaned:
            forecast.emptying = None
            forecast.get_stuck()
    else:
        forecast.stall(f"{who(step.node)} is put on standby", "freeze")
        forecast.under_way = True
    forecast.out[step.node].add(STANDBY)


add(
    Kind(
        "standby",
        Group.OUTAGE,
        lambda s: f"{who(s.node)} is put on standby until healed",
        lambda _f: [Step("standby", node) for node in NODES],
        _standby_problems,
        _standby_take,
        seconds=5,
        weight=4,
        labels=lambda f, s: (f"standby {f.scope(s.node)}",),
    )
)


def _reboot_problems(forecast: Forecast, step: Step) -> Iterator[str]:
    for node in NODES:
        yield from forecast.not_whole(node)
    yield from forecast.not_known()
    yield from forecast.no_login()
    if forecast.broken:
        yield "a clean reboot in time needs a cluster in which nothing is broken"


def _reboot_take(forecast: Forecast, step: Step) -> None:
    forecast.reboots = True
    if step.node == forecast.serving:
        forecast.move_from(step.node, f"{who(step.node)} is rebooted", "move")
    else:
        forecast.stall(f"{who(step.node)} is rebooted", "freeze")
        forecast.under_way = True
    forecast.out[step.node].add(STALE)
    forecast.power[step.node] = BOOTING


add(
    Kind(
        "reboot",
        Group.OUTAGE,
        lambda s: f"{who(s.node)} is rebooted cleanly",
        lambda _f: [Step("reboot", node) for node in NODES],
        _reboot_problems,
        _reboot_take,
        seconds=110,
        weight=1,
        labels=lambda f, s: (f"reboot {f.scope(s.node)}",),
    )
)


def _maintenance_problems(forecast: Forecast, _step: Step) -> Iterator[str]:
    for node in NODES:
        yield from forecast.not_whole(node)
    if forecast.broken:
        yield "only a cluster in which nothing is broken is left to itself"


add(
    Kind(
        "maintenance",
        Group.OUTAGE,
        lambda _s: "the cluster is put into maintenance mode until healed",
        lambda _f: [Step("maintenance")],
        _maintenance_problems,
        lambda f, s: f.break_it("maintenance", s, holds=True),
        seconds=4,
        weight=0.5,
        labels=lambda _f, _s: ("maintenance",),
    )
)

# ------------------------------------------------------------------------ replicas


def _copy_problems(forecast: Forecast, step: Step) -> Iterator[str]:
    yield from forecast.not_whole(step.node)
    yield from forecast.not_up(*NODES)
    if step.node != forecast.spare:
        yield "it serves"
    else:
        yield from forecast.not_alone(step.node)
    if forecast.is_cut("drbd") or forecast.has("replication-cut"):
        yield "there is nobody to copy from"
    if forecast.has("slow-disk"):
        yield "a resync would take too long"
    if forecast.has("clock-jump"):
        yield "a clock is wrong"


def _copy_take(forecast: Forecast, step: Step) -> None:
    forecast.break_it(f"invalidated {step.node}", step, holds=True, needs=NODES)
    forecast.out[step.node].add(RESYNC)
    forecast.fresh = {"copying": step.node}


add(
    Kind(
        "invalidated",
        Group.OUTAGE,
        lambda s: (
            f"{who(s.node)} has to copy all its data anew, at 1024 KiB a second for each resource"
        ),
        lambda f: [Step("invalidated", f.spare)] if f.spare else [],
        _copy_problems,
        _copy_take,
        seconds=6,
        weight=2.5,
        labels=lambda f, s: (f"invalidated {f.scope(s.node)}",),
    )
)


def _errors_take(forecast: Forecast, step: Step) -> None:
    key = f"disks {step.node}"
    forecast.break_it(key, step, holds=True, needs=NODES, disturbs="a disk returns errors")
    forecast.out[step.node].add(DISK)
    forecast.fresh = {"detaching": f"{step.node} {step.what}"}


def _errors_problems(forecast: Forecast, step: Step) -> Iterator[str]:
    yield from _copy_problems(forecast, step)
    if forecast.has("disk-errors"):
        yield "a disk returns errors already"


add(
    Kind(
        "disk-errors",
        Group.OUTAGE,
        lambda s: f"the disk of {s.what} on {who(s.node)} returns errors until healed",
        lambda f: [Step("disk-errors", f.spare, what=r) for r in RESOURCES] if f.spare else [],
        _errors_problems,
        _errors_take,
        seconds=8,
        weight=1,
        labels=lambda f, s: (f"disk-errors {f.scope(s.node)}",),
    )
)
