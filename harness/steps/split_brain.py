"""Steps that make a split-brain on purpose, and heal it as an operator does."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from pytest_bdd import parsers, when

from harness.cluster.sampling import add_sample
from harness.errors import DeadlineError, HarnessError
from harness.evidence.livestate import Sign
from harness.faults.split_brain import ForcedSplitBrain, take_down
from harness.lab.topology import RESOURCES
from harness.steps.words import RESOURCE, machines

if TYPE_CHECKING:
    from harness.scenario import Scenario

# enum drbd_conns (drbd.h). Of a node that stands alone, events2 may tell no connection at all.
_ONE_AGAIN = {"Connected", "SyncSource", "SyncTarget"}
_ALONE = ("StandAlone", "no connection")
# How often a node that stands alone connects again, so that its peer compares the histories too.
_TRIES = 5
# From one attempt until both nodes' kernels have told what they made of it, in seconds.
_TOLD_S = 20.0


@when(
    parsers.re(
        r"(?P<victim>the passive node) writes (?P<blocks>\d+) blocks of (?P<resource>r\d) alone, "
        r"behind the cluster's back"
    ),
    converters={"blocks": int},
)
def writes_alone(run: Scenario, victim: str, blocks: int, resource: str) -> None:
    """Promotes a node that is cut off, with fencing bypassed, and lets it write: a split-brain."""
    (name,) = machines(run, victim)
    fault = ForcedSplitBrain(name, resource, blocks)
    run.inject(fault)
    value = {"resource": resource, "blocks": fault.written()}
    add_sample(run.writer, "forced_writes", "during", name, value)


@when(parsers.re(f"both nodes have noticed the split-brain of {RESOURCE}"))
def both_noticed(run: Scenario, resource: str) -> None:
    """Waits until DRBD has told of it on both nodes; one that was hung up on is called again.

    The node that is done first hangs up, and the other one may not have compared the histories by
    then: it waits for a connection. Connecting the one that stands alone again, without discarding
    anything, is what an operator does to see what is wrong.
    """
    names = [machine.name for machine in run.lab.nodes]
    since_ns = run.live.injected_ns
    minor = str(RESOURCES.index(resource))

    def missing() -> str:
        states = {run.live.drbd.connection(name, resource) for name in names}
        if states <= _ONE_AGAIN:
            return ""  # By a policy: nobody will notice any more.
        late = [
            name
            for name in names
            if not run.live.signs.told(Sign.SPLIT_BRAIN, name, since_ns, minor)
        ]
        return f"{' and '.join(late)} told of no split-brain of {resource}" if late else ""

    for attempt in range(_TRIES):
        if attempt:
            for machine in run.lab.nodes:
                if run.live.drbd.connection(machine.name, resource) in _ALONE:
                    machine.guest.run(f"drbdadm connect {resource}", check=False, timeout_s=60)
        # That one of them never does is a finding, which its check tells.
        with contextlib.suppress(DeadlineError):
            run.wait_for(f"both nodes noticed the split-brain of {resource}", missing, _TOLD_S)
            return


@when(parsers.re(r"the writes that the passive node made alone are discarded"))
def discarded(run: Scenario) -> None:
    """The operator's recovery of the DRBD user's guide: discard one side's data, connect."""
    if not run.faults.heal_kind(ForcedSplitBrain):
        raise HarnessError("nobody wrote alone before")


@when(parsers.re(f"{RESOURCE} is taken down on both nodes"))
def taken_down(run: Scenario, resource: str) -> None:
    """Stops a resource that was brought up by hand while the nodes are on standby."""
    take_down(run.lab, run.node("passive"), resource, run.timing.fence_handler_timeout_s)
