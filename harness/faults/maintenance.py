"""The cluster looks away: an operator works on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checks.maintenance import KIND
from harness.cluster.operator import in_maintenance, set_maintenance
from harness.faults.fault import Fault
from harness.faults.journal import Undo

if TYPE_CHECKING:
    from harness.lab.lab import Lab


@dataclass(slots=True)
class Maintenance(Fault):
    """Puts the cluster into maintenance mode (cluster property ``maintenance-mode``).

    Everything stays as it is and runs on: Pacemaker still watches, but starts, stops, promotes and
    fences nothing until the mode ends. The proof is the property, as a node tells it.
    """

    kind: str = KIND

    @property
    def target(self) -> str:
        """The cluster."""
        return "the cluster"

    def undo(self) -> list[Undo]:
        """End it."""
        return [Undo("maintenance-off", {})]

    def inject(self, lab: Lab) -> None:
        """Begin it."""
        set_maintenance(lab, on=True)

    def bitten(self, lab: Lab) -> str:
        """The property is set."""
        return "maintenance-mode is true" if in_maintenance(lab) else ""

    def heal(self, lab: Lab) -> None:
        """End it."""
        set_maintenance(lab, on=False)

    def healed(self, lab: Lab) -> str:
        """The property is not set."""
        return "" if in_maintenance(lab) else "maintenance-mode is not set"
