"""A node that an operator takes out of service on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.cluster.observe import cluster_view
from harness.errors import HarnessError
from harness.faults.fault import Fault
from harness.faults.journal import Undo
from harness.lab.topology import RESOURCES

if TYPE_CHECKING:
    from harness.lab.lab import Lab


@dataclass(slots=True)
class Standby(Fault):
    """Puts a node on standby (crm_standby(8)): Pacemaker stops everything there, in order."""

    machine: str
    kind: str = "standby"

    @property
    def target(self) -> str:
        """The node."""
        return self.machine

    def undo(self) -> list[Undo]:
        """Take it off standby."""
        return [Undo("online", {"machine": self.machine})]

    def inject(self, lab: Lab) -> None:
        """Put it on standby."""
        set_standby(lab, self.machine, on=True)

    def bitten(self, lab: Lab) -> str:
        """Its peer sees it on standby. What has to leave it takes longer: see ``left_by``."""
        return self._seen(lab, "standby")

    def heal(self, lab: Lab) -> None:
        """Take it off standby."""
        set_standby(lab, self.machine, on=False)

    def healed(self, lab: Lab) -> str:
        """Its peer sees it online."""
        return self._seen(lab, "online")

    def _seen(self, lab: Lab, wanted: str) -> str:
        peer = lab.topology.peer(self.machine).name
        state = cluster_view(lab.machines[peer].guest, lab.topology.shape).membership.get(
            self.machine
        )
        return f"{peer} sees {self.machine} {wanted}" if state == wanted else ""


def set_standby(lab: Lab, node: str, *, on: bool) -> None:
    """Put a node on standby or take it off, asked of its peer."""
    guest = lab.machines[lab.topology.peer(node).name].guest
    guest.run(f"crm_standby -N {node} {'-v on' if on else '-D'}", timeout_s=60)


def on_standby(lab: Lab) -> set[str]:
    """The nodes that are on standby, as the first one that answers has it.

    Raises:
        HarnessError: none answers.
    """
    trouble = HarnessError("no node runs")
    for machine in lab.nodes:
        try:
            members = cluster_view(machine.guest, lab.topology.shape).membership
        except HarnessError as error:
            trouble = error
            continue
        return {name for name, state in members.items() if state == "standby"}
    raise trouble


def still_running(lab: Lab) -> str:
    """What of DRBD and of the group still runs anywhere; empty if all of it is stopped."""
    try:
        view = cluster_view(lab.nodes[0].guest, lab.topology.shape)
    except HarnessError as error:
        return error.message
    left = [r for r in RESOURCES if view.promoted[r] or view.unpromoted[r]]
    left += [name for name, (_state, node) in view.group.items() if node is not None]
    return f"{', '.join(left)} still running" if left else ""


def left_by(lab: Lab, node: str) -> str:
    """What is still on a node, or not yet on its peer; empty if everything has moved."""
    peer = lab.topology.peer(node).name
    try:
        view = cluster_view(lab.machines[peer].guest, lab.topology.shape)
    except HarnessError as error:
        return error.message
    here = [r for r in RESOURCES if node in view.promoted[r] + view.unpromoted[r]]
    if here:
        return f"{', '.join(here)} still on {node}"
    return "" if view.active_node == peer else f"the group is not started on {peer}"
