"""Steps about disks and replicas: slow, failing, worthless, full; and what DRBD says of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pytest_bdd import parsers, when

from harness.cluster.form import MOUNT_POINT
from harness.cluster.observe import drbd_state
from harness.faults.disks import DiskErrors, SlowDisk
from harness.faults.filling import FileSystemFull
from harness.faults.replicas import DamagedMetadata, Invalidated
from harness.steps.words import (
    DISKS,
    NODE,
    PATIENCE,
    RESOURCE,
    SOME_RESOURCES,
    machines,
    patience_s,
    resources,
)

if TYPE_CHECKING:
    from harness.scenario import Scenario

# Roles and states of a disk, as DRBD tells them (drbd_strings.c of 8.4).
_STATE = r"(?P<state>Primary|Secondary|Diskless|Inconsistent|Outdated|Consistent|UpToDate)"


@when(
    parsers.re(f"the disks of {NODE} do (?P<iops>\\d+) requests a second until healed"),
    converters={"iops": int},
)
def slow_disks(run: Scenario, who: str, iops: int) -> None:
    """Lets each backing disk of a node answer so many requests a second, and no more."""
    for name in machines(run, who):
        run.inject(SlowDisk(name, iops))


@when(parsers.re(f"{DISKS} on {NODE} (?:returns|return) errors until healed"))
def disk_errors(run: Scenario, which: str, who: str) -> None:
    """Lets every read and write of a node's backing disks fail (EIO); DRBD has to give them up."""
    for name in machines(run, who):
        run.inject(DiskErrors(name, resources(which)))


@when(
    parsers.re(
        f"{NODE} has to copy all its data anew, at (?P<kib>\\d+) KiB a second for each resource"
    ),
    converters={"kib": int},
)
def invalidated(run: Scenario, who: str, kib: int) -> None:
    """Declares a node's data worthless and slows the resync down, so that it lasts."""
    for name in machines(run, who):
        run.inject(Invalidated(name, kib))


@when(parsers.re(f"DRBD's metadata of {RESOURCE} on {NODE} is damaged"))
def damaged_metadata(run: Scenario, resource: str, who: str) -> None:
    """Overwrites the superblock on a backing disk that is not in use: nothing attaches it again."""
    for name in machines(run, who):
        run.inject(DamagedMetadata(name, resource))


@when("the file system on lun0 is filled to the last byte until healed")
def lun_full(run: Scenario) -> None:
    """Writes every free block of the initiator's file system, up to the end of the LUN."""
    run.inject(FileSystemFull(run.lab.initiator.name, MOUNT_POINT, written=True))


@when(parsers.re(f"{SOME_RESOURCES} of {NODE} (?:is|are) {_STATE}" + PATIENCE))
def is_in_state(run: Scenario, which: str, who: str, state: str, most: str | None) -> None:
    """Waits until DRBD has resources in a role, or their disks in a state, as it streams it."""
    (name,) = machines(run, who)
    run.wait_streamed(
        f"{which} of {name}: {state}",
        partial(run.live.drbd.not_in, state, name, resources(which)),
        patience_s(most),
    )


@when(parsers.re(f"DRBD is connected again by hand on {NODE}"))
def connected_by_hand(run: Scenario, who: str) -> None:
    """What an operator does where DRBD has given a connection up: drbdadm connect, for each."""
    (name,) = machines(run, who)
    guest = run.lab.machines[name].guest
    alone = [r for r, state in drbd_state(guest).items() if state["cs"] == "StandAlone"]
    for resource in alone:
        guest.run(f"drbdadm connect {resource}", timeout_s=60)
