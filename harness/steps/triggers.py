"""Steps that wait for the right moment: the next step begins as soon as it has come.

Each may end with ``, or 60 s have passed``: then the scenario goes on without it, and the evidence
says that it was missed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pytest_bdd import parsers, when

from harness.cluster.observe import resync_percent
from harness.errors import HarnessError
from harness.evidence.livestate import Sign
from harness.lab.topology import RESOURCES
from harness.steps.words import GRACE_S, NODE, PATIENCE, RESOURCE, machines, patience_s

if TYPE_CHECKING:
    from harness.scenario import Scenario

_MIB = 1 << 20


@when(
    parsers.re(r"(?P<mib>[1-9]\d*) MiB more of each raw LUN were written" + PATIENCE),
    converters={"mib": int},
)
def mib_written(run: Scenario, mib: int, most: str | None) -> None:
    """Waits until so much more of each raw LUN was written, by the initiator's own counters."""
    begun = run.live.progress.raw()

    def missing() -> str:
        now = run.live.progress.raw()
        less = {lun: done - begun.get(lun, (0, 0))[1] for lun, (_n, done) in now.items()}
        late = [f"{lun} {done >> 10} KiB" for lun, done in less.items() if done < mib * _MIB]
        return "writes of " + ", ".join(late) if late or not now else ""

    deadline_s = run.expect.max_stall_s + GRACE_S + mib * 60
    run.wait_written(f"{mib} MiB more of each raw LUN", missing, deadline_s, patience_s(most))


@when(
    parsers.re(r"acknowledgement (?P<count>[1-9]\d*) from now of (?P<lun>lun[0-2])" + PATIENCE),
    converters={"count": int},
)
def acknowledged(run: Scenario, count: int, lun: str, most: str | None) -> None:
    """Waits for the n-th answer to a write of one LUN, as the initiator's kernel traces it."""
    begun = run.live.answers.of(lun)

    def missing() -> str:
        done = run.live.answers.of(lun) - begun
        return f"{done} of {count} of {lun}" if done < count else ""

    deadline_s = run.expect.max_stall_s + GRACE_S + count / 10
    what = f"acknowledgement {count} of {lun}"
    run.wait_written(what, missing, deadline_s, patience_s(most))


@when(parsers.re(f"a fencing of {NODE} was ordered" + PATIENCE))
def fencing_ordered(run: Scenario, who: str, most: str | None) -> None:
    """Waits until Pacemaker has asked for a node's fencing, since the last fault was injected."""
    (name,) = machines(run, who)
    live = run.live

    def missing() -> str:
        told = live.signs.told(Sign.FENCE_ORDERED, name, live.injected_ns)
        return "" if told else f"nobody wants {name} fenced"

    run.wait_streamed(f"a fencing of {name} was ordered", missing, patience_s(most))


@when(parsers.re(f"{NODE} has promoted all resources and started no LUN yet" + PATIENCE))
def promoted(run: Scenario, who: str, most: str | None) -> None:
    """Waits for the time between promote and LUN start there; once a LUN starts it is missed."""
    (name,) = machines(run, who)
    live = run.live

    def missing() -> str:
        if live.signs.told(Sign.LUN_STARTING, name, live.injected_ns):
            return f"{name} starts a LUN already"
        return live.drbd.not_in("Primary", name, RESOURCES)

    run.wait_streamed(f"{name} promoted, no LUN started", missing, patience_s(most))


@when(
    parsers.re(f"{RESOURCE} of {NODE} is copied to (?P<percent>[1-9]\\d?) %" + PATIENCE),
    converters={"percent": int},
)
def copied(run: Scenario, resource: str, who: str, percent: int, most: str | None) -> None:
    """Waits until a resync has come so far, or is over; asks the kernel of the node that copies."""
    (name,) = machines(run, who)
    guest = run.lab.machines[name].guest

    def missing() -> str:
        try:
            done = resync_percent(guest).get(resource)
        except HarnessError as error:
            return error.message
        if done is None:
            # Not copying: over, or not begun.
            return run.live.drbd.not_in("UpToDate", name, (resource,))
        return f"{resource} is copied to {done:g} %" if done < percent else ""

    # No stream tells of it: this one asks, so it is not looked at whenever an event comes.
    what = f"{resource} of {name} is copied to {percent} %"
    run.wait_asking(what, missing, patience_s(most))


def _unsaid(run: Scenario, sign: Sign, name: str, resource: str) -> str:
    live = run.live
    return "" if live.signs.told(sign, name, live.injected_ns, resource) else f"{sign}: {name}"


@when(parsers.re(f"Pacemaker has begun to empty {NODE}" + PATIENCE))
def begun_to_empty(run: Scenario, who: str, most: str | None) -> None:
    """Waits until Pacemaker has something stopped or demoted there, as the journals tell it."""
    (name,) = machines(run, who)
    missing = partial(_unsaid, run, Sign.EMPTIED, name, "")
    run.wait_streamed(f"Pacemaker empties {name}", missing, patience_s(most))


@when(parsers.re(f"a start of {RESOURCE} has failed on {NODE}" + PATIENCE))
def start_failed(run: Scenario, resource: str, who: str, most: str | None) -> None:
    """Waits until Pacemaker has tried to start a DRBD resource there and failed, as it tells."""
    (name,) = machines(run, who)
    primitive = run.lab.topology.shape.primitive_of(resource)
    missing = partial(_unsaid, run, Sign.START_FAILED, name, primitive)
    run.wait_streamed(f"a start of {resource} fails on {name}", missing, patience_s(most))


@when(parsers.re(f"{NODE} has complained of a full disk" + PATIENCE))
def complained(run: Scenario, who: str, most: str | None) -> None:
    """Waits until something there says in the journal that it cannot write for lack of space."""
    (name,) = machines(run, who)
    missing = partial(_unsaid, run, Sign.NO_SPACE, name, "")
    run.wait_streamed(f"{name} complains of a full disk", missing, patience_s(most))
