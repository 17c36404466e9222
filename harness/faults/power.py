"""Power: cut (kill -9 of the VM's process) and reset."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.faults.fault import MachineFault
from harness.faults.journal import Undo
from harness.lab.console import ConsoleSince

if TYPE_CHECKING:
    from harness.lab.lab import Lab

# The first words of every boot on the console: linux_banner of init/version-timestamp.c.
_BOOTS = "Linux version "


@dataclass(slots=True)
class PowerFault(MachineFault):
    """What cut power and reset have in common: one machine, which has to boot again."""

    _boot_id: str = field(default="", init=False)

    def prepare(self, lab: Lab) -> None:
        """Which boot it is; asking takes longer than the fault."""
        self._boot_id = lab.machines[self.machine].guest.boot_id()

    def undo(self) -> list[Undo]:
        """Make sure that it is on."""
        return [Undo("power-on", {"machine": self.machine})]

    def heal(self, lab: Lab) -> None:
        """Make sure that it is on."""
        lab.machines[self.machine].power_on()

    def healed(self, lab: Lab) -> str:
        """It answers, with another boot id."""
        boot_id = lab.machines[self.machine].guest.boot_id()
        if not boot_id or boot_id == self._boot_id:
            return ""
        return f"{self.machine} booted again: boot id {boot_id}, before {self._boot_id}"


@dataclass(slots=True)
class PowerOff(PowerFault):
    """Cuts one machine's power: kill -9 of its QEMU, nothing is flushed. Healing powers it on."""

    kind: str = "power-off"
    _pid: int = field(default=0, init=False)

    def prepare(self, lab: Lab) -> None:
        """Which boot it is, and which process: that one has to be gone."""
        # super() knows of no class that @dataclass(slots=True) has made anew.
        PowerFault.prepare(self, lab)
        self._pid = lab.machines[self.machine].qemu_pid()

    def inject(self, lab: Lab) -> None:
        """Kill its QEMU."""
        lab.machines[self.machine].kill()

    def bitten(self, lab: Lab) -> str:
        """The process is gone and libvirt knows it."""
        machine = lab.machines[self.machine]
        if machine.host.runs(self._pid) or machine.running():
            return ""
        return f"QEMU process {self._pid} of {self.machine} is gone; its domain is shut off"


@dataclass(slots=True)
class Reset(PowerFault):
    """Presses one machine's reset button; it boots again by itself."""

    kind: str = "reset"
    _console: ConsoleSince | None = field(default=None, init=False)

    def prepare(self, lab: Lab) -> None:
        """Which boot it is, and how far its console has come."""
        PowerFault.prepare(self, lab)
        self._console = ConsoleSince(lab.folder, self.machine)

    def inject(self, lab: Lab) -> None:
        """Reset it."""
        lab.machines[self.machine].reset()

    def bitten(self, lab: Lab) -> str:
        """It boots, as its console tells, or has booted, as its boot id does.

        That it does not answer proves nothing: it may be busy.
        """
        assert self._console is not None
        if told := self._console.first(_BOOTS):
            return told
        boot_id = lab.machines[self.machine].guest.boot_id()
        return f"boot id {boot_id}, before {self._boot_id}" if boot_id != self._boot_id else ""
