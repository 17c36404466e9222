"""Steps of an operator who takes nodes out of service, and brings them back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_bdd import parsers, when

from harness.errors import DeadlineError, HarnessError
from harness.faults.standby import Standby, left_by, still_running
from harness.steps.words import NODE, NODES, machines

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.scenario import Scenario


@when(parsers.re(f"{NODES} (?:is|are) put on standby until healed"))
def standby(run: Scenario, who: str) -> None:
    """Takes nodes out of service as an operator does: everything there is stopped in order."""
    # Both at the same moment: one after the other would first move everything.
    run.inject_together([Standby(name) for name in machines(run, who)])


@when(parsers.re(f"{NODES} (?:is|are) taken off standby"))
def off_standby(run: Scenario, who: str) -> None:
    """Heals the standby of nodes, and nothing else; of both at the same moment."""
    names = machines(run, who)
    ids = [i for i, f in run.faults.active.items() if isinstance(f, Standby) and f.machine in names]
    if len(ids) < len(names):
        raise HarnessError(f"{' and '.join(names)} was not put on standby before")
    run.faults.heal_together(ids)


@when(parsers.re(f"everything has left {NODE}"))
def has_left(run: Scenario, who: str) -> None:
    """Waits until nothing runs on a node any more and the group is started on the other one."""
    (name,) = machines(run, who)
    _wait(run, f"everything has left {name}", lambda: left_by(run.lab, name))


@when("everything has stopped on both nodes")
def has_stopped(run: Scenario) -> None:
    """Waits until neither DRBD nor the group runs anywhere: both nodes are on standby, say."""
    _wait(run, "everything has stopped", lambda: still_running(run.lab))


def _wait(run: Scenario, what: str, missing: Callable[[], str]) -> None:
    deadline_s = run.expect.max_stall_s + run.timing.settle_deadline_s
    try:
        run.wait_for(what, missing, deadline_s, 3.0)
    except DeadlineError as error:
        # A cluster that does not let go is a finding, not trouble of ours.
        raise AssertionError(error.message) from error
