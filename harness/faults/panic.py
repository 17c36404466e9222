"""A node's kernel panics, or its memory is used up."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.faults.fault import MachineFault
from harness.faults.journal import Undo
from harness.faults.power import PowerFault
from harness.lab.console import ConsoleSince

if TYPE_CHECKING:
    from harness.lab.lab import Lab
    from harness.lab.machine import Machine

# panic() of kernel/panic.c; the rest of the line says why.
_PANIC = "Kernel panic - not syncing"
# out_of_memory() and dump_header() of mm/oom_kill.c.
_OUT_OF_MEMORY = ("invoked oom-killer", "Out of memory: Killed process", "System is deadlocked on")
_HOG = "lab-hog"
# systemctl(1), is-active, of a unit whose process is gone; with --collect it is not known any more.
_ENDED = ("inactive", "failed", "unknown")
# Locks all it gets (MCL_CURRENT | MCL_FUTURE of mlockall(2)), so that nothing can be taken back,
# and asks for more until there is none; what it is refused, it asks for again in smaller pieces.
_SCRIPT = """\
import ctypes, mmap, time
ctypes.CDLL(None).mlockall(3)
kept, size = [], 1 << 22
while True:
    try:
        kept.append(mmap.mmap(-1, size))
    except (OSError, ValueError, MemoryError):
        size = max(4096, size // 2)
        time.sleep(0.2)
"""


@dataclass(slots=True)
class KernelPanic(PowerFault):
    """Lets a node's kernel panic (``c`` to /proc/sysrq-trigger, sysrq.rst).

    The guests have no panic timeout: the kernel prints why and stops all its CPUs. Its network
    falls silent, its power stays on, and it hangs until it is fenced. The proof is what it prints
    on its console. A machine that nobody fenced is reset when it is healed.
    """

    kind: str = "kernel-panic"
    _console: ConsoleSince | None = field(default=None, init=False)

    def prepare(self, lab: Lab) -> None:
        """Which boot it is, and how far its console has come."""
        # super() knows of no class that @dataclass(slots=True) has made anew.
        PowerFault.prepare(self, lab)
        self._console = ConsoleSince(lab.folder, self.machine)

    def inject(self, lab: Lab) -> None:
        """Trigger it, from a process of its own: nobody would answer a command that does it."""
        lab.machines[self.machine].guest.run(
            "setsid sh -c 'sleep 0.2; echo c > /proc/sysrq-trigger' > /dev/null 2>&1 < /dev/null &",
            timeout_s=30,
        )

    def bitten(self, lab: Lab) -> str:
        """Its console tells of it."""
        assert self._console is not None
        return self._console.first(_PANIC)

    def heal(self, lab: Lab) -> None:
        """Make sure that it boots: fencing has seen to that, unless nobody fenced it."""
        machine = lab.machines[self.machine]
        if machine.running() and not _answers(machine):
            machine.reset()
        machine.power_on()


def _answers(machine: Machine) -> bool:
    try:
        return machine.guest.run("true", timeout_s=20, check=False).exit_code == 0
    except HarnessError:
        return False


@dataclass(slots=True)
class MemoryExhausted(MachineFault):
    """Uses up a node's memory with a process that the kernel may not kill and cannot swap out.

    The kernel kills what else there is, the cluster's daemons too, until it finds nothing more to
    kill and panics; or it does so little that monitors and stops time out. Either way the node is
    not fit to serve. The proof is the first words of its out-of-memory killer on the console.
    """

    kind: str = "memory-exhausted"
    _boot_id: str = field(default="", init=False)
    _console: ConsoleSince | None = field(default=None, init=False)

    def undo(self) -> list[Undo]:
        """End the process."""
        return [Undo("memory-free", {"machine": self.machine})]

    def prepare(self, lab: Lab) -> None:
        """Which boot it is, and how far its console has come."""
        self._boot_id = lab.machines[self.machine].guest.boot_id()
        self._console = ConsoleSince(lab.folder, self.machine)

    def inject(self, lab: Lab) -> None:
        """Start the process."""
        lab.machines[self.machine].guest.run(
            f"systemd-run -q --collect --unit={_HOG} -p OOMScoreAdjust=-1000 "
            f"-p LimitMEMLOCK=infinity python3 -c {shlex.quote(_SCRIPT)}",
            timeout_s=60,
        )

    def bitten(self, lab: Lab) -> str:
        """Its console tells that there was no more memory."""
        assert self._console is not None
        return self._console.first(*_OUT_OF_MEMORY)

    def heal(self, lab: Lab) -> None:
        """End the process, or the machine if it is past answering; a boot has ended it already."""
        machine = lab.machines[self.machine]
        if machine.running():
            try:
                free_memory(lab, self.machine)
            except HarnessError:
                machine.reset()
        machine.power_on()

    def healed(self, lab: Lab) -> str:
        """It answers, after a boot or without the process."""
        guest = lab.machines[self.machine].guest
        boot_id = guest.boot_id()
        if boot_id != self._boot_id:
            return f"{self.machine} booted again: boot id {boot_id}, before {self._boot_id}"
        # By the word, not by the exit code: systemctl has the same for what is on its way out, and
        # one of its own where it cannot ask.
        state = guest.run(f"systemctl is-active {_HOG}", timeout_s=30, check=False).stdout.strip()
        return f"{self.machine} has its memory back" if state in _ENDED else ""


def free_memory(lab: Lab, name: str) -> None:
    """End the process that holds a machine's memory, if it is there."""
    guest = lab.machines[name].guest
    guest.run(f"systemctl kill -s KILL {_HOG}; true", check=False, timeout_s=60)
