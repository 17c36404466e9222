"""Steps about the fence device: down, out of reach, slow; and whether the cluster knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_bdd import parsers, when

from harness.errors import HarnessError
from harness.evidence.livestate import Sign
from harness.faults.fence_device import FenceBlocked, FenceDown, FenceHangs, FenceUnreachable
from harness.steps.words import GRACE_S, NODES, machines

if TYPE_CHECKING:
    from harness.scenario import Scenario


@when("the fence device cannot be reached until healed")
def fence_blocked(run: Scenario) -> None:
    """Drops every frame to and from the fence device: nobody can be fenced."""
    run.inject(FenceBlocked(tuple(machine.name for machine in run.lab.nodes)))


@when("the fence device is down until healed")
def fence_down(run: Scenario) -> None:
    """Kills the fence device: whoever asks it is refused at once."""
    run.inject(FenceDown(tuple(machine.name for machine in run.lab.nodes)))


@when(parsers.re(f"{NODES} (?:has|have) no way to the fence device until healed"))
def fence_unreachable(run: Scenario, who: str) -> None:
    """Leaves nodes without a route to their fence devices, whosever these are."""
    run.inject(FenceUnreachable(machines(run, who)))


@when("the fence device hangs until healed")
def fence_hangs(run: Scenario) -> None:
    """The fence device takes requests and answers them when it is healed."""
    run.inject(FenceHangs())


@when("Pacemaker has found the fence device failed")
def found_failed(run: Scenario) -> None:
    """Waits until a monitor or a start of a fence device has failed, as a journal tells it.

    Somebody has to have asked by ``Timing.fence_asked_s``; what never comes is for the check.
    """
    live, names = run.live, [machine.name for machine in run.lab.nodes]

    def missing() -> str:
        told = any(live.signs.told(Sign.DEVICE_FAILED, n, live.injected_ns) for n in names)
        return "" if told else "nobody found a fence device failed"

    what = "Pacemaker found the fence device failed"
    # Longer than it can take: that it never comes is a finding, and has to outlast the bound.
    run.triggers.wait(what, missing, run.timing.fence_asked_s + GRACE_S)


@when("the fence device answers again")
def fence_answers(run: Scenario) -> None:
    """Heals what was done to the fence device, and nothing else."""
    kinds = (FenceHangs, FenceBlocked, FenceDown, FenceUnreachable)
    if not sum(run.faults.heal_kind(kind) for kind in kinds):
        raise HarnessError("nothing was done to the fence device before")
