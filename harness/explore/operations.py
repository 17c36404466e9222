"""What operators do to a cluster, and replicas that have to be made good again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.explore.forecast import BOOTING, DISK, RESYNC, STALE, STANDBY, other, who
from harness.explore.kinds import Group, Kind, add
from harness.explore.outages import not_joined
from harness.explore.schedule import NODES, Step
from harness.lab.topology import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.explore.forecast import Forecast


def _standby_problems(forecast: Forecast, step: Step) -> Iterator[str]:
    yield from forecast.not_up(*NODES)
    yield from forecast.not_calm()
    yield from forecast.not_known()
    yield from forecast.not_alone(step.node)
    yield from not_joined(forecast, step.node)
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
    if forecast.has("clock-jump") or forecast.has("clock-drift"):
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
