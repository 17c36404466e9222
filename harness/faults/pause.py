"""A machine that stands still for a while and then goes on: a long pause of its host, say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.faults.fault import MachineFault
from harness.faults.journal import Undo

if TYPE_CHECKING:
    from harness.lab.lab import Lab


@dataclass(slots=True)
class Pause(MachineFault):
    """Pauses one machine's CPUs (virDomainSuspend); its clock, timers and sockets stand still.

    It does not know of it: when it goes on, it believes that no time has passed. If the cluster
    fences it meanwhile, it boots instead of going on.
    """

    kind: str = "pause"
    _boot_id: str = field(default="", init=False)
    _pid: int = field(default=0, init=False)

    def undo(self) -> list[Undo]:
        """Let it go on."""
        return [Undo("resume", {"machine": self.machine})]

    def prepare(self, lab: Lab) -> None:
        """Which boot it is, and which process: a new one was never paused."""
        self._boot_id = lab.machines[self.machine].guest.boot_id()
        self._pid = lab.machines[self.machine].qemu_pid()

    def inject(self, lab: Lab) -> None:
        """Pause it."""
        lab.machines[self.machine].pause()

    def bitten(self, lab: Lab) -> str:
        """Its CPUs are paused; or the QEMU that was paused is gone, so that it never went on."""
        machine = lab.machines[self.machine]
        if machine.paused():
            return f"the CPUs of {self.machine} are paused"
        if not machine.running() or machine.qemu_pid() != self._pid:
            return f"QEMU process {self._pid} of {self.machine} ended while it was paused"
        return ""

    def heal(self, lab: Lab) -> None:
        """Let it go on; start it if it is off."""
        machine = lab.machines[self.machine]
        if machine.paused():
            machine.resume()
        machine.power_on()

    def healed(self, lab: Lab) -> str:
        """It answers: as it was, or after a boot if it was fenced."""
        machine = lab.machines[self.machine]
        if machine.paused():
            return ""
        boot_id = machine.guest.boot_id()
        if boot_id == self._boot_id:
            return f"{self.machine} went on, boot id {boot_id} as before"
        return f"{self.machine} was started anew: boot id {boot_id}, before {self._boot_id}"
