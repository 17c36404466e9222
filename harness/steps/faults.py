"""Steps that break something, and that heal it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_bdd import parsers, when

from harness.faults.power import PowerOff, Reset
from harness.steps.words import HOW, LINKS, NODE, WHO, cuts, machines

if TYPE_CHECKING:
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


@when("everything is healed")
def heal_all(run: Scenario) -> None:
    """Heals every fault that is still there, the last first."""
    run.faults.heal_all()


@when(parsers.re(f"{NODE} loses power"))
def loses_power(run: Scenario, who: str) -> None:
    """kill -9 of the VM's QEMU: a power cut, nothing is flushed."""
    for name in machines(run, who):
        run.inject(PowerOff(name))


@when(parsers.re(f"{NODE} is reset"))
def is_reset(run: Scenario, who: str) -> None:
    """Presses the reset button."""
    for name in machines(run, who):
        run.inject(Reset(name))


@when("the lost node is powered on again")
def powered_on(run: Scenario) -> None:
    """Powers on what lost power, and waits until it answers."""
    run.faults.heal_all()
