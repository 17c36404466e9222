"""Cuts of links after which a node is out: between the nodes, to the data network, of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.explore.disturbances import CUTS, ONE_WAY, cut_label, split_problems
from harness.explore.forecast import CUT, DATA, STANDBY, other, who
from harness.explore.kinds import Group, Kind, add
from harness.explore.schedule import BOTH, INITIATOR, NODES, Step
from harness.lab.topology import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.explore.forecast import Forecast


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
        lambda _f: [
            Step("corosync-cut", node, how)
            for node in (BOTH, *NODES)
            for how in (*CUTS, *(ONE_WAY if node != BOTH else ()))
        ],
        _both_problems,
        _both_take,
        seconds=30,
        itself=8,
        weight=5,
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
        weight=2,
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
        forecast.move_from(step.node, f"the data link of {who(step.node)} is cut", "ping_rule")
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
