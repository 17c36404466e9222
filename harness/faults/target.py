"""The iSCSI target is taken away behind the cluster's back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.cluster.operator import clean_up
from harness.faults.fault import Fault
from harness.faults.journal import Undo

if TYPE_CHECKING:
    from harness.lab.lab import Lab

# LIO's configfs: a folder for each target.
_TARGETS = "/sys/kernel/config/target/iscsi/iqn.*"


@dataclass(slots=True)
class TargetDeleted(Fault):
    """Clears LIO's configuration on a node (``targetcli clearconfig``): target, LUNs, backstores.

    The initiator's session ends at once; Pacemaker learns of it at the next monitor. The proof is
    that the kernel has no target right after. Nothing is put back by hand: that is Pacemaker's
    task, and healing only asks it to look again where it gave up.
    """

    machine: str
    kind: str = "target-deleted"
    _proof: str = field(default="", init=False)

    @property
    def target(self) -> str:  # type: ignore[override]
        """Whose target."""
        return f"iSCSI target of {self.machine}"

    def facts(self) -> dict[str, str]:
        """The machine, for the judge."""
        return {"machine": self.machine}

    def undo(self) -> list[Undo]:
        """Let Pacemaker look again."""
        return [Undo("clean-up", {"machine": self.machine})]

    def inject(self, lab: Lab) -> None:
        """Clear it, and look at once: it may be back in seconds."""
        told = lab.machines[self.machine].guest.run(
            "targetcli clearconfig confirm=True > /dev/null && "
            f"{{ ls -d {_TARGETS} 2> /dev/null || echo none; }}",
            timeout_s=120,
        )
        if told.stdout.strip() == "none":
            self._proof = f"the kernel of {self.machine} had no target"

    def bitten(self, lab: Lab) -> str:
        """The kernel had no target when it had been cleared; it happened once, and stays true."""
        return self._proof

    def heal(self, lab: Lab) -> None:
        """Let Pacemaker look again, unless a target is there."""
        if not self._somewhere(lab):
            clean_up(lab)

    def healed(self, lab: Lab) -> str:
        """A node has a target."""
        where = self._somewhere(lab)
        return f"the kernel of {where} has a target" if where else ""

    def _somewhere(self, lab: Lab) -> str:
        for machine in lab.nodes:
            shown = machine.guest.run(f"ls -d {_TARGETS}", check=False, timeout_s=60)
            if shown.exit_code == 0:
                return machine.name
        return ""
