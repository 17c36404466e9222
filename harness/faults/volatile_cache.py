"""Disks whose write cache does not survive a power cut."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.faults.fault import Fault
from harness.faults.journal import Undo
from harness.lab.nbd import end_servers, remove_files
from harness.lab.volatile import VolatileDisks

if TYPE_CHECKING:
    from harness.lab.lab import Lab


@dataclass(slots=True)
class VolatileCache(Fault):
    """Puts a volatile write cache before one node's backing disks.

    By itself it changes nothing. When the node's power is cut (PowerOff), whatever it did not
    flush is lost, as with a disk whose cache has no battery.
    """

    machine: str
    kind: str = "volatile-cache"
    _disks: VolatileDisks | None = field(default=None, init=False)
    _pid: int = field(default=0, init=False)

    @property
    def target(self) -> str:
        """Whose disks."""
        return f"disks of {self.machine}"

    def undo(self) -> list[Undo]:
        """The overlays hold what the plain disks lack, so the machine cannot go on without."""
        return [Undo("volatile-drop", {"machine": self.machine})]

    def prepare(self, lab: Lab) -> None:
        """Which QEMU it is: another one would not use the caches."""
        machine = lab.machines[self.machine]
        self._disks = VolatileDisks(machine)
        self._pid = machine.qemu_pid()

    def inject(self, lab: Lab) -> None:
        """Put the caches there."""
        assert self._disks is not None
        self._disks.attach()
        lab.machines[self.machine].volatile = self._disks

    def bitten(self, lab: Lab) -> str:
        """QEMU uses them; or they went with the power, and some writes with them."""
        assert self._disks is not None
        if self._disks.lost:
            told = [
                f"{resource}: {one.writes} writes and {one.flushes} flushes, {one.unflushed} "
                "writes lost"
                for resource, one in self._disks.lost.items()
            ]
            lost = any(one.unflushed for one in self._disks.lost.values())
            return "; ".join(told) if lost else ""
        running = lab.machines[self.machine].running()
        return "the disks are overlays behind nbdkit" if running and self._disks.attached() else ""

    def heal(self, lab: Lab) -> None:
        """Merge, where the power was not cut.

        Raises:
            HarnessError: the machine was ended otherwise (fenced, say): nobody merged its disks.
        """
        assert self._disks is not None
        machine = lab.machines[self.machine]
        if self._disks.lost:
            return
        if not machine.running() or machine.qemu_pid() != self._pid:
            raise HarnessError(
                f"{self.machine} was powered off by something else than this scenario while its "
                "disks had volatile caches: what it had flushed is lost too"
            )
        self._disks.detach()
        machine.volatile = None

    def healed(self, lab: Lab) -> str:
        """QEMU, if it runs, uses the plain disks."""
        assert self._disks is not None
        if lab.machines[self.machine].running() and self._disks.attached():
            return ""
        return "the disks are the plain ones"


def drop_caches(lab: Lab, name: str) -> None:
    """Throw a machine's caches and overlays away: it is reverted next, or it is garbage."""
    machine = lab.machines[name]
    end_servers(machine)
    machine.volatile = None
    if remove_files(machine) and machine.running():
        machine.kill()
        machine.wait_off()
