"""A real split-brain, made on purpose behind the cluster's back."""

from __future__ import annotations

import contextlib
import re
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.checks.forced import KIND
from harness.cluster.observe import (
    ObservationError,
    drbd_state,
    fence_constraints,
    generation_identifiers,
)
from harness.drbd_metadata import JUST_CREATED
from harness.errors import DeadlineError, HarnessError
from harness.evidence.blocks import BLOCK_SIZE
from harness.faults.fault import MachineFault, needs_own_resource
from harness.faults.journal import Undo
from harness.faults.standby import on_standby
from harness.lab.topology import RESOURCES
from harness.waiting import wait_until

if TYPE_CHECKING:
    from harness.lab.lab import Lab
    from harness.lab.machine import Machine

# Beyond the 4 MiB that the small raw job writes to, so that nobody writes there again.
_FIRST_BLOCK = 8192
# enum drbd_conns (drbd.h): states in which a connection stays.
_APART = ("StandAlone", "WFConnection")
_LASTING = (*_APART, "Connected", "SyncSource", "SyncTarget")


@dataclass(slots=True)
class ForcedSplitBrain(MachineFault):
    """Lets the passive node write while it is cut off, with fencing bypassed.

    Pacemaker looks away (maintenance mode) while the node is promoted with its fencing policy off,
    writes some blocks, and is demoted. Both nodes have then written from one generation on.
    Healing is the operator's decision of the DRBD 8.4 user's guide, "Manual split brain
    recovery": the victim's writes are discarded; see ``discard_writes``.
    """

    resource: str
    blocks: int
    kind: str = KIND
    _parent: int = field(default=0, init=False)

    @property
    def target(self) -> str:
        """Whose writes, and to what."""
        return f"{self.resource} on {self.machine}"

    def facts(self) -> dict[str, str]:
        """Whose writes and to what, for the judge: the cluster is not to blame for them."""
        return {"machine": self.machine, "resource": self.resource}

    def undo(self) -> list[Undo]:
        """Discard the victim's writes."""
        return [Undo("discard", {"machine": self.machine, "resource": self.resource})]

    @property
    def line(self) -> str:
        """What the blocks are filled with, again and again."""
        return f"written alone by {self.machine}"

    def written(self) -> list[dict[str, Any]]:
        """Each block that was written and the CRC-32 (zlib) of what it then held."""
        data = (self.line + "\n").encode() * (self.blocks * BLOCK_SIZE // len(self.line) + 1)
        return [
            {
                "block": _FIRST_BLOCK + number,
                "crc32": f"{zlib.crc32(data[number * BLOCK_SIZE : (number + 1) * BLOCK_SIZE]):08x}",
            }
            for number in range(self.blocks)
        ]

    def prepare(self, lab: Lab) -> None:
        """From which generation the node will go on.

        Raises:
            HarnessError: other devices would be promoted, and split, with it.
        """
        needs_own_resource(lab, self.resource)
        self._parent = self._current(lab, self.machine)

    def inject(self, lab: Lab) -> None:
        """Promote, write, demote; the fencing policy is back afterwards."""
        guest = lab.machines[self.machine].guest
        minor = RESOURCES.index(self.resource)
        size = self.blocks * BLOCK_SIZE
        guest.run(
            # What fails in between leaves nothing behind: the policy and Pacemaker come back.
            f"trap 'set +e; for n in $(seq 20); do drbdadm secondary {self.resource} && break; "
            f"sleep 1; done; drbdadm adjust {self.resource}; "
            "crm_attribute -t crm_config -n maintenance-mode -D; crm_resource --wait --timeout 60' "
            "EXIT; set -e; crm_attribute -t crm_config -n maintenance-mode -v true; "
            # A monitor that is under way would find a Primary where none belongs.
            "crm_resource --wait --timeout 60; "
            f"drbdsetup disk-options {minor} --fencing=dont-care; "
            f"drbdadm primary {self.resource}; "
            f"yes '{self.line}' | head -c {size} | dd of=/dev/drbd{minor} bs={BLOCK_SIZE} "
            f"seek={_FIRST_BLOCK} iflag=fullblock oflag=direct conv=fsync status=none",
            timeout_s=300,
        )

    def bitten(self, lab: Lab) -> str:
        """Both nodes went on from one generation, each to one of its own."""
        peer = lab.topology.peer(self.machine).name
        own, other = self._current(lab, self.machine), self._current(lab, peer)
        # The peer began its own when it lost the victim, before this fault.
        if len({own, other, self._parent}) < 3:
            return ""
        return (
            f"from {self._parent:016X} {self.machine} went on to {own:016X} and wrote "
            f"{self.blocks} blocks, {peer} to {other:016X}"
        )

    def _current(self, lab: Lab, name: str) -> int:
        """A node's current generation identifier, without bit 0 (it was Primary).

        Raises:
            ObservationError: it told none, or one that is not set.
        """
        told = generation_identifiers(lab.machines[name].guest, lab.topology.shape).get(
            self.resource, ""
        )
        match = re.match(r"[0-9A-Fa-f]{16}(?=:)", told)
        current = int(match[0], 16) & ~1 if match is not None else 0
        if current in (0, JUST_CREATED):
            raise ObservationError(f"{name}: no generation of {self.resource} in {told[:80]!r}")
        return current

    def heal(self, lab: Lab) -> None:
        """Discard what the victim wrote."""
        discard_writes(lab, self.machine, self.resource)

    def healed(self, lab: Lab) -> str:
        """Both nodes are connected and up to date."""
        told = []
        for machine in lab.nodes:
            state = drbd_state(machine.guest).get(self.resource, {})
            if (state.get("cs"), state.get("disk")) != ("Connected", "UpToDate"):
                return ""
            told.append(f"{machine.name}: {self.resource} Connected, UpToDate")
        return "; ".join(told)


def discard_writes(lab: Lab, victim: str, resource: str) -> None:
    """The operator's recovery: the victim gives its writes up and connects anew.

    Where both nodes are on standby, as the post wants it, Pacemaker has stopped the resource and
    leaves it alone: it is brought up by hand on both, on the victim first, which then waits for
    its peer with its mind made up, so that there is no second refusal. Elsewhere the resource is
    Pacemaker's, and is only connected. Where DRBD has already connected, by whatever policy, this
    changes nothing.

    Raises:
        DeadlineError: the victim is neither connected nor apart; or what was to be stopped is not.
        HarnessError: a node does not answer.
    """
    survivor = lab.topology.peer(victim).name
    if on_standby(lab) == {victim, survivor}:
        _discard_by_hand(lab, victim, survivor, resource)
    else:
        _discard_connected(lab, victim, survivor, resource)


def _discard_by_hand(lab: Lab, victim: str, survivor: str, resource: str) -> None:
    """Both are on standby: nobody but us brings the resource up."""

    def stopped() -> str:
        return ", ".join(f"{m.name} still has {resource}" for m in lab.nodes if has_it(m, resource))

    wait_until(f"Pacemaker let go of {resource}", stopped, deadline_s=90, interval_s=1)
    lab.machines[victim].guest.run(
        f"set -e; drbdadm up {resource}; drbdadm disconnect {resource}; "
        f"drbdadm connect --discard-my-data {resource}",
        timeout_s=90,
    )
    lab.machines[survivor].guest.run(f"drbdadm up {resource}", timeout_s=90)


def has_it(machine: Machine, resource: str) -> bool:
    """Whether a node's kernel has a resource, in whatever state.

    ``Unconfigured``: a minor below one that is there (drbd_seq_show() of drbd_proc.c, 8.4).
    """
    state = drbd_state(machine.guest).get(resource, {})
    return str(state.get("cs", "Unconfigured")) != "Unconfigured"


def _discard_connected(lab: Lab, victim: str, survivor: str, resource: str) -> None:
    """The resource runs on both nodes, and Pacemaker watches over it."""

    def passing() -> str:
        told = drbd_state(lab.machines[victim].guest).get(resource, {}).get("cs")
        return "" if told in _LASTING else f"{victim}: {resource} is {told}"

    wait_until("the replicas met, or stand apart", passing, deadline_s=90, interval_s=1)
    state = drbd_state(lab.machines[victim].guest).get(resource, {})
    if state.get("cs") not in _APART:
        return
    lab.machines[victim].guest.run(
        f"drbdadm disconnect {resource}; drbdadm secondary {resource}; "
        f"drbdadm connect --discard-my-data {resource}",
        timeout_s=60,
    )
    peer = lab.machines[survivor].guest
    if drbd_state(peer).get(resource, {}).get("cs") == "StandAlone":
        peer.run(f"drbdadm connect {resource}", timeout_s=60)


def take_down(lab: Lab, victim: str, resource: str, constraint_s: float) -> None:
    """Stop a resource that was brought up by hand, the victim's first.

    Before that the resync's handler gets the time to take its constraint away: a resource that is
    down has nobody left to do it. What stays all the same is for the checks.

    Args:
        constraint_s: how long to wait for that, in seconds.

    Raises:
        HarnessError: a node did not stop it.
    """
    survivor = lab.machines[lab.topology.peer(victim).name]

    def constrained() -> str:
        ids = fence_constraints(survivor.guest)
        return ", ".join(i for i in ids if i.startswith(f"drbd-fence-by-handler-{resource}-"))

    with contextlib.suppress(DeadlineError):
        wait_until("its constraint is gone", constrained, deadline_s=constraint_s, interval_s=1)
    for machine in (lab.machines[victim], survivor):
        machine.guest.run(f"drbdadm down {resource}", timeout_s=60)
        if has_it(machine, resource):
            raise HarnessError(f"{machine.name} still has {resource} after drbdadm down")
