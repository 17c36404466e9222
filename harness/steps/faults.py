"""Steps that break something, and that heal it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_bdd import parsers, when

from harness.errors import HarnessError
from harness.faults.cuts import CarrierCut, SilentCut
from harness.faults.flapping import Flapping
from harness.faults.impair import Corruption, Duplication, Latency, Loss, Rate, Reordering
from harness.faults.interface import InterfaceDown
from harness.faults.mtu import SmallPort, WrongMtu
from harness.faults.pause import Pause
from harness.faults.power import PowerOff, Reset
from harness.faults.replication import ReplicationCut
from harness.faults.volatile_cache import VolatileCache
from harness.steps.words import (
    HOW,
    LINK,
    LINKS,
    NODE,
    NODES,
    PERCENT,
    RESOURCE,
    WHO,
    cards,
    cuts,
    machines,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.faults.fault import Fault
    from harness.lab.topology import Link
    from harness.scenario import Scenario


@when(
    parsers.re(f"{LINKS} of {WHO} (?:is|are) cut {HOW} for (?P<seconds>\\d+) s"),
    converters={"seconds": int},
)
def cut_for(run: Scenario, links: str, who: str, how: str, seconds: int) -> None:
    """Cuts links, by carrier (cable pulled) or silently (frames vanish), and heals them later."""
    ids = [run.inject(fault) for fault in cuts(run, links, who, how)]
    run.hold(seconds)
    for fault_id in reversed(ids):
        run.faults.heal(fault_id)


@when(parsers.re(f"{LINKS} of {WHO} (?:is|are) cut {HOW} until healed"))
def cut(run: Scenario, links: str, who: str, how: str) -> None:
    """Cuts links; a later step, or the scenario's end, heals them."""
    for fault in cuts(run, links, who, how):
        run.inject(fault)


@when(
    parsers.re(
        f"{LINKS} of {WHO} are cut {HOW} in turn, (?P<times>\\d+) times for (?P<seconds>\\d+) s "
        r"each, (?P<pause>\d+) s apart"
    ),
    converters={"times": int, "seconds": int, "pause": int},
)
def cut_in_turn(
    run: Scenario, links: str, who: str, how: str, times: int, seconds: int, pause: int
) -> None:
    """Cuts one link after the other, each heals before the next is cut; never two at a time."""
    _names, wanted = cards(run, links, who)
    for _ in range(times):
        for link in wanted:
            for fault in cuts(run, f"the {link} link", who, how):
                fault_id = run.inject(fault)
                run.hold(seconds)
                run.faults.heal(fault_id)
            run.hold(pause)


@when(
    parsers.re(
        f"{LINK} of {WHO} flaps (?P<times>[1-9]\\d*) times, (?P<down>\\d+) s down and "
        r"(?P<up>\d+) s up"
    ),
    converters={"times": int, "down": int, "up": int},
)
def flaps(run: Scenario, link: str, who: str, times: int, down: int, up: int) -> None:
    """Pulls a link's cables and plugs them in again, so many times; goes on with them plugged."""
    names, (which,) = cards(run, link, who)
    run.faults.heal(run.inject(Flapping(names, which, times, down, up)))


@when("everything is healed")
def heal_all(run: Scenario) -> None:
    """Heals every fault that is still there, the last first."""
    run.faults.heal_all()


@when("the links are whole again")
def heal_links(run: Scenario) -> None:
    """Heals every cut that is still there, and nothing else."""
    kinds: tuple[type[Fault], ...] = (CarrierCut, SilentCut, ReplicationCut)
    if not sum(run.faults.heal_kind(kind) for kind in kinds):
        raise HarnessError("no link was cut before")


@when(parsers.re(f"{LINK} of {NODE} is taken down with ifdown until healed"))
def taken_down(run: Scenario, link: str, who: str) -> None:
    """Takes a card down from inside: no way to simulate a cut, and here only to show that."""
    (name,), (which,) = cards(run, link, who)
    run.inject(InterfaceDown(name, which))


@when(parsers.re(f"{LINK} of {NODE} is taken up with ifup"))
def taken_up(run: Scenario, link: str, who: str) -> None:
    """Takes a card up that was taken down, with its address."""
    (name,), (which,) = cards(run, link, who)
    found = [
        fault_id
        for fault_id, f in run.faults.active.items()
        if isinstance(f, InterfaceDown) and (f.machine, f.link) == (name, which)
    ]
    if not found:
        raise HarnessError(f"{link} of {who}: not taken down before")
    run.faults.heal(found[0])


@when(parsers.re(f"{LINKS} of {WHO} (?:is|are) whole again"))
def heal_some_links(run: Scenario, links: str, who: str) -> None:
    """Heals the cuts of these links that are still there, and nothing else."""
    names, wanted = cards(run, links, who)
    found = [fault_id for fault_id, f in run.faults.active.items() if _cuts_only(f, names, wanted)]
    if not found:
        raise HarnessError(f"{links} of {who}: not cut before")
    for fault_id in reversed(found):
        run.faults.heal(fault_id)


def _cuts_only(fault: Fault, names: tuple[str, ...], wanted: tuple[Link, ...]) -> bool:
    """Whether a fault is a cut of some of these links at some of these machines, and no more."""
    match fault:
        case CarrierCut():
            cut: tuple[Link, ...] = (fault.link,)
        case SilentCut():
            cut = fault.links
        case _:
            return False
    return set(fault.machines) <= set(names) and set(cut) <= set(wanted)


@when(parsers.re(f"{NODES} loses? power"))
def loses_power(run: Scenario, who: str) -> None:
    """kill -9 of the VM's QEMU: a power cut, nothing is flushed; of both at the same moment."""
    run.inject_together([PowerOff(name) for name in machines(run, who)])


@when(parsers.re(f"{NODE} alone is powered on again"))
def one_powered_on(run: Scenario, who: str) -> None:
    """Powers on one of the nodes that lost power, and waits until it answers."""
    names = machines(run, who)
    lost = [
        i for i, f in run.faults.active.items() if isinstance(f, PowerOff) and f.machine in names
    ]
    if not lost:
        raise HarnessError(f"{' and '.join(names)} did not lose power before")
    for fault_id in lost:
        run.faults.heal(fault_id)


@when(parsers.re(f"the disks of {NODE} get a volatile write cache"))
def volatile_cache(run: Scenario, who: str) -> None:
    """Lets a power cut lose whatever the node has not flushed (nbdkit)."""
    for name in machines(run, who):
        run.inject(VolatileCache(name))


@when("both nodes are powered on again")
def both_powered_on(run: Scenario) -> None:
    """Powers on both nodes at the same moment, and waits until both answer."""
    lost = [i for i, f in run.faults.active.items() if isinstance(f, PowerOff)]
    if len(lost) != 2:
        raise HarnessError("not both nodes lost power before")
    run.faults.heal_together(lost)


@when(parsers.re(f"the replication of {RESOURCE} is cut silently until healed"))
def replication_cut(run: Scenario, resource: str) -> None:
    """Drops the frames of one resource's DRBD connection; all else on the link passes."""
    run.inject(ReplicationCut(resource))


@when(parsers.re(f"{NODE} is reset"))
def is_reset(run: Scenario, who: str) -> None:
    """Presses the reset button."""
    for name in machines(run, who):
        run.inject(Reset(name))


@when("the lost node is powered on again")
def powered_on(run: Scenario) -> None:
    """Powers on what lost power, and waits until it answers."""
    run.faults.heal_all()


@when(parsers.re(f"{NODE} is paused for (?P<seconds>\\d+) s"), converters={"seconds": int})
def paused_for(run: Scenario, who: str, seconds: int) -> None:
    """Lets a node's CPUs stand still, and go on later; it does not notice."""
    ids = [run.inject(Pause(name)) for name in machines(run, who)]
    run.hold(seconds)
    for fault_id in reversed(ids):
        run.faults.heal(fault_id)


@when(parsers.re(f"{NODE} is paused until healed"))
def paused(run: Scenario, who: str) -> None:
    """Lets a node's CPUs stand still until it is said to go on."""
    for name in machines(run, who):
        run.inject(Pause(name))


@when(parsers.re(f"{NODE} goes on"))
def goes_on(run: Scenario, who: str) -> None:
    """Lets the CPUs of a paused node go on, and nothing else."""
    names = machines(run, who)
    ids = [i for i, f in run.faults.active.items() if isinstance(f, Pause) and f.machine in names]
    if not ids:
        raise HarnessError(f"{' and '.join(names)} was not paused before")
    for fault_id in ids:
        run.faults.heal(fault_id)


def _spoil(run: Scenario, link: str, who: str, fault: Callable[[str, Link], Fault]) -> None:
    names, (which,) = cards(run, link, who)
    for name in names:
        run.inject(fault(name, which))


@when(
    parsers.re(
        f"{LINK} of {WHO} is delayed by (?P<delay_ms>\\d+) ms"
        r"(?:, give or take (?P<jitter_ms>\d+) ms,)? until healed"
    ),
    converters={"delay_ms": int, "jitter_ms": lambda text: int(text or 0)},
)
def delayed(run: Scenario, link: str, who: str, delay_ms: int, jitter_ms: int) -> None:
    """Delays every frame that the machines send on a link."""
    _spoil(run, link, who, lambda name, which: Latency(name, which, delay_ms, jitter_ms))


@when(
    parsers.re(f"{LINK} of {WHO} loses {PERCENT} of its frames until healed"),
    converters={"percent": int},
)
def loses_frames(run: Scenario, link: str, who: str, percent: int) -> None:
    """Loses some of the frames that the machines send on a link."""
    _spoil(run, link, who, lambda name, which: Loss(name, which, percent))


@when(
    parsers.re(f"{LINK} of {WHO} sends {PERCENT} of its frames twice until healed"),
    converters={"percent": int},
)
def sends_twice(run: Scenario, link: str, who: str, percent: int) -> None:
    """Sends some of the machines' frames on a link twice."""
    _spoil(run, link, who, lambda name, which: Duplication(name, which, percent))


@when(
    parsers.re(f"{LINK} of {WHO} sends {PERCENT} of its frames ahead of others until healed"),
    converters={"percent": int},
)
def sends_ahead(run: Scenario, link: str, who: str, percent: int) -> None:
    """Sends some of the machines' frames on a link at once, and the others 50 ms later."""
    _spoil(run, link, who, lambda name, which: Reordering(name, which, percent))


@when(
    parsers.re(f"{LINK} of {WHO} damages {PERCENT} of its frames until healed"),
    converters={"percent": int},
)
def damages_frames(run: Scenario, link: str, who: str, percent: int) -> None:
    """Flips a bit in some of the frames that the machines send on a link."""
    _spoil(run, link, who, lambda name, which: Corruption(name, which, percent))


@when(
    parsers.re(f"{LINK} of {WHO} is limited to (?P<mbit_s>[1-9]\\d*) Mbit/s until healed"),
    converters={"mbit_s": int},
)
def limited(run: Scenario, link: str, who: str, mbit_s: int) -> None:
    """Lets the machines send no faster than that on a link."""
    _spoil(run, link, who, lambda name, which: Rate(name, which, mbit_s))


@when(
    parsers.re(f"{LINK} of {WHO} has an MTU of (?P<mtu>\\d+) bytes until healed"),
    converters={"mtu": int},
)
def wrong_mtu(run: Scenario, link: str, who: str, mtu: int) -> None:
    """Gives the machines' card another MTU than the rest of the link has."""
    _spoil(run, link, who, lambda name, which: WrongMtu(name, which, mtu))


@when(
    parsers.re(
        f"{LINK} of {WHO} ends at a switch port with an MTU of (?P<mtu>\\d+) bytes until healed"
    ),
    converters={"mtu": int},
)
def small_port(run: Scenario, link: str, who: str, mtu: int) -> None:
    """Lets no larger frames reach the machines on a link, though all cards have the right MTU."""
    _spoil(run, link, who, lambda name, which: SmallPort(name, which, mtu))
