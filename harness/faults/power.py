"""Power: cut (kill -9 of the VM's process) and reset."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.faults.fault import Fault
from harness.faults.journal import Undo

if TYPE_CHECKING:
    from harness.lab.lab import Lab


@dataclass(slots=True)
class PowerOff(Fault):
    """Cuts one machine's power: kill -9 of its QEMU, nothing is flushed. Healing powers it on."""

    machine: str
    kind: str = "power-off"
    _pid: int = 0
    _boot_id: str = field(default="")

    @property
    def target(self) -> str:  # type: ignore[override]
        """The machine."""
        return self.machine

    def facts(self) -> dict[str, str]:
        """The machine, for the judge: its roles end here."""
        return {"machine": self.machine}

    def undo(self) -> list[Undo]:
        """Power it on."""
        return [Undo("power-on", {"machine": self.machine})]

    def inject(self, lab: Lab) -> None:
        """Kill its QEMU."""
        self._boot_id = lab.machines[self.machine].guest.boot_id()
        self._pid = lab.machines[self.machine].kill()

    def bitten(self, lab: Lab) -> str:
        """The process is gone and libvirt knows it."""
        machine = lab.machines[self.machine]
        if Path(f"/proc/{self._pid}/root").exists() or machine.running():
            return ""
        return f"QEMU process {self._pid} of {self.machine} is gone; its domain is shut off"

    def heal(self, lab: Lab) -> None:
        """Power it on."""
        lab.machines[self.machine].power_on()

    def healed(self, lab: Lab) -> str:
        """It answers, with another boot id."""
        boot_id = lab.machines[self.machine].guest.boot_id()
        if not boot_id or boot_id == self._boot_id:
            return ""
        return f"{self.machine} booted again: boot id {boot_id}, before {self._boot_id}"


@dataclass(slots=True)
class Reset(Fault):
    """Presses one machine's reset button; it boots again by itself."""

    machine: str
    kind: str = "reset"
    _boot_id: str = ""

    @property
    def target(self) -> str:  # type: ignore[override]
        """The machine."""
        return self.machine

    def facts(self) -> dict[str, str]:
        """The machine, for the judge: its roles end here."""
        return {"machine": self.machine}

    def undo(self) -> list[Undo]:
        """Make sure that it is on."""
        return [Undo("power-on", {"machine": self.machine})]

    def inject(self, lab: Lab) -> None:
        """Reset it."""
        self._boot_id = lab.machines[self.machine].guest.boot_id()
        lab.machines[self.machine].reset()

    def bitten(self, lab: Lab) -> str:
        """It does not run the boot that it ran: SSH is gone, or answers with another boot id."""
        from harness.remote.ssh import GuestUnreachableError

        try:
            boot_id = lab.machines[self.machine].guest.boot_id()
        except GuestUnreachableError:
            return f"{self.machine} no longer answers on the control link"
        return f"boot id {boot_id}, before {self._boot_id}" if boot_id != self._boot_id else ""

    def heal(self, lab: Lab) -> None:
        """Make sure that it is on."""
        lab.machines[self.machine].power_on()

    def healed(self, lab: Lab) -> str:
        """It answers, with another boot id."""
        boot_id = lab.machines[self.machine].guest.boot_id()
        if not boot_id or boot_id == self._boot_id:
            return ""
        return f"{self.machine} booted again: boot id {boot_id}, before {self._boot_id}"
