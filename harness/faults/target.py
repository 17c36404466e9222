"""The iSCSI target is taken away behind the cluster's back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.cluster.operator import clean_up
from harness.errors import HarnessError
from harness.faults.fault import MachineFault
from harness.faults.journal import Undo

if TYPE_CHECKING:
    from harness.lab.lab import Lab

# LIO's configfs: a folder for each target. The kernel gives every new one the next number that is
# free (configfs_new_inode() of fs/configfs/inode.c), and keeps it as long as the target is there.
_TARGETS = "/sys/kernel/config/target/iscsi/iqn.*"
# Without the folder above, nobody would know: the kernel has no target core, or no configfs.
_NUMBERS = (
    "[ -d /sys/kernel/config/target ] || { echo 'no target core in configfs' >&2; exit 3; }; "
    f"for t in {_TARGETS}; do if [ -e $t ]; then stat -c '%i %n' $t || exit 4; fi; done"
)


@dataclass(slots=True)
class TargetDeleted(MachineFault):
    """Clears LIO's configuration on a node (``targetcli clearconfig``): target, LUNs, backstores.

    The initiator's session ends at once; Pacemaker learns of it at the next monitor. The proof is
    that the target which was there is gone: the kernel has none, or one with another number, or it
    runs another boot. Nothing is put back by hand: that is Pacemaker's task, and healing only asks
    it to look again where it gave up.
    """

    kind: str = "target-deleted"
    _boot_id: str = field(default="", init=False)
    _before: frozenset[str] = field(default=frozenset(), init=False)

    @property
    def target(self) -> str:
        """Whose target."""
        return f"iSCSI target of {self.machine}"

    def undo(self) -> list[Undo]:
        """Let Pacemaker look again."""
        return [Undo("clean-up", {"machine": self.machine})]

    def prepare(self, lab: Lab) -> None:
        """Which boot it is, and which target it has.

        Raises:
            HarnessError: it has none, or none of LIO's.
        """
        if lab.topology.shape.tgt:
            raise HarnessError("the target is tgt", hint="only LIO's is taken away here")
        self._boot_id = lab.machines[self.machine].guest.boot_id()
        self._before = self._targets(lab)
        if not self._before:
            raise HarnessError(f"{self.machine} has no iSCSI target")

    def inject(self, lab: Lab) -> None:
        """Clear it."""
        lab.machines[self.machine].guest.run(
            "targetcli clearconfig confirm=True > /dev/null", timeout_s=120
        )

    def bitten(self, lab: Lab) -> str:
        """The target that was there is gone; one that was started since is another one."""
        gone = ", ".join(sorted(self._before))
        if lab.machines[self.machine].guest.boot_id() != self._boot_id:
            return f"{self.machine} booted anew, without {gone}"
        now = self._targets(lab)
        if self._before & now:
            return ""
        return f"{gone} is gone from {self.machine}; there is {', '.join(sorted(now)) or 'none'}"

    def heal(self, lab: Lab) -> None:
        """Let Pacemaker look again, unless a target is there."""
        if not self._somewhere(lab):
            clean_up(lab)

    def healed(self, lab: Lab) -> str:
        """A node has a target."""
        where = self._somewhere(lab)
        return f"the kernel of {where} has a target" if where else ""

    def _targets(self, lab: Lab) -> frozenset[str]:
        """Number and path of each target that the kernel has."""
        told = lab.machines[self.machine].guest.run(_NUMBERS, timeout_s=60).stdout
        return frozenset(line.strip() for line in told.splitlines() if line.strip())

    def _somewhere(self, lab: Lab) -> str:
        for machine in lab.nodes:
            shown = machine.guest.run(f"ls -d {_TARGETS}", check=False, timeout_s=60)
            if shown.exit_code == 0:
                return machine.name
        return ""
