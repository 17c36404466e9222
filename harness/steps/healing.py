"""Steps that heal one thing and leave everything else broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_bdd import parsers, when

from harness.errors import HarnessError
from harness.faults.clock import ClockJump
from harness.faults.disks import DiskErrors, SlowDisk
from harness.faults.drift import ClockDrift
from harness.faults.impair import Netem
from harness.faults.maintenance import Maintenance
from harness.faults.replicas import Invalidated
from harness.faults.replication import ReplicationCut
from harness.steps.words import LINK, NODE, RESOURCE, WHO, cards, machines

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.faults.fault import Fault, MachineFault
    from harness.scenario import Scenario


def _heal(run: Scenario, what: str, mine: Callable[[Fault], bool]) -> None:
    """Heal the faults that are meant, the last first.

    Raises:
        HarnessError: there is none.
    """
    found = [fault_id for fault_id, fault in run.faults.active.items() if mine(fault)]
    if not found:
        raise HarnessError(f"{what}: nothing to heal")
    for fault_id in reversed(found):
        run.faults.heal(fault_id)


def _heal_at(run: Scenario, what: str, who: str, *kinds: type[MachineFault]) -> None:
    names = machines(run, who)
    _heal(
        run,
        f"{what} of {who}",
        lambda fault: isinstance(fault, kinds) and fault.machine in names,
    )


@when(parsers.re(f"the replication of {RESOURCE} is whole again"))
def replication_whole(run: Scenario, resource: str) -> None:
    """Heals the cut of one resource's replication."""
    _heal(
        run,
        f"replication of {resource}",
        lambda fault: isinstance(fault, ReplicationCut) and fault.resource == resource,
    )


@when(parsers.re(f"{LINK} of {WHO} works well again"))
def works_well(run: Scenario, link: str, who: str) -> None:
    """Heals whatever delays, loses, doubles, reorders, damages or limits frames there."""
    names, (which,) = cards(run, link, who)
    _heal(
        run,
        f"{link} of {who}",
        lambda fault: isinstance(fault, Netem) and fault.machine in names and fault.link == which,
    )


@when(parsers.re(f"the disks of {NODE} work well again"))
def disks_work(run: Scenario, who: str) -> None:
    """Heals slow disks and disks that return errors; DRBD gets them back."""
    _heal_at(run, "disks", who, SlowDisk, DiskErrors)


@when(parsers.re(f"the clock of {NODE} is right again"))
def clock_right(run: Scenario, who: str) -> None:
    """Lets a clock that jumped jump back, and one that drifts go at the right rate."""
    _heal_at(run, "clock", who, ClockJump, ClockDrift)


@when(parsers.re(f"{NODE} has copied all its data"))
def has_copied(run: Scenario, who: str) -> None:
    """Lets a resync that was slowed down go at full speed, and waits until it is over."""
    _heal_at(run, "data", who, Invalidated)


@when("maintenance mode ends")
def maintenance_ends(run: Scenario) -> None:
    """Takes the cluster out of maintenance mode."""
    _heal(run, "maintenance mode", lambda fault: isinstance(fault, Maintenance))
