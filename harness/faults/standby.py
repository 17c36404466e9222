"""A node that an operator takes out of service on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.cluster.observe import cluster_view
from harness.faults.fault import Fault
from harness.faults.journal import Undo

if TYPE_CHECKING:
    from harness.lab.lab import Lab


@dataclass(slots=True)
class Standby(Fault):
    """Puts a node on standby (crm_standby(8)): Pacemaker stops everything there, in order."""

    machine: str
    kind: str = "standby"

    @property
    def target(self) -> str:  # type: ignore[override]
        """The node."""
        return self.machine

    def undo(self) -> list[Undo]:
        """Take it off standby."""
        return [Undo("online", {"machine": self.machine})]

    def inject(self, lab: Lab) -> None:
        """Put it on standby."""
        set_standby(lab, self.machine, on=True)

    def bitten(self, lab: Lab) -> str:
        """Its peer sees it on standby."""
        return self._seen(lab, "standby")

    def heal(self, lab: Lab) -> None:
        """Take it off standby."""
        set_standby(lab, self.machine, on=False)

    def healed(self, lab: Lab) -> str:
        """Its peer sees it online."""
        return self._seen(lab, "online")

    def _seen(self, lab: Lab, wanted: str) -> str:
        peer = lab.topology.peer(self.machine).name
        state = cluster_view(lab.machines[peer].guest).membership.get(self.machine)
        return f"{peer} sees {self.machine} {wanted}" if state == wanted else ""


def set_standby(lab: Lab, node: str, *, on: bool) -> None:
    """Put a node on standby or take it off, asked of its peer."""
    guest = lab.machines[lab.topology.peer(node).name].guest
    guest.run(f"crm_standby -N {node} {'-v on' if on else '-D'}", timeout_s=60)
