"""A machine's clock that jumps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.evidence.clock import now_ns
from harness.faults.fault import MachineFault
from harness.faults.journal import Undo

if TYPE_CHECKING:
    from harness.lab.lab import Lab

# What undoes the jump, in the guest: so many seconds forward (negative: back). Volatile like the
# jump itself, and gone once it is undone.
_NOTE = "/run/lab-clock-jump"
_EXACT_S = 5.0  # asking and setting take a moment


@dataclass(slots=True)
class ClockJump(MachineFault):
    """Sets a machine's wall clock forward or back by so many seconds, at once (settimeofday(2)).

    As a wrong time server or an operator's slip does. Only CLOCK_REALTIME jumps: timeouts, which
    run on the monotonic clock, must not mind. The proof is the clock's distance from the host's,
    measured before and after.
    """

    seconds: int
    kind: str = "clock-jump"
    _before_ns: int = field(default=0, init=False)

    @property
    def target(self) -> str:
        """Whose clock, by how much."""
        return f"clock of {self.machine}, {self.seconds:+d} s"

    def undo(self) -> list[Undo]:
        """Let it jump back."""
        return [Undo("clock-back", {"machine": self.machine})]

    def prepare(self, lab: Lab) -> None:
        """How far it is from the host's."""
        self._before_ns, _ = lab.machines[self.machine].guest.clock_offset(now_ns)

    def inject(self, lab: Lab) -> None:
        """Let it jump."""
        lab.machines[self.machine].guest.run(
            f"echo {-self.seconds} > {_NOTE}; {_jump(str(self.seconds))}", timeout_s=60
        )

    def bitten(self, lab: Lab) -> str:
        """It is so much further from the host's."""
        jumped_s = self._jumped_s(lab)
        return f"jumped by {jumped_s:+.1f} s" if abs(jumped_s - self.seconds) < _EXACT_S else ""

    def heal(self, lab: Lab) -> None:
        """Let it jump back."""
        set_clock_back(lab, self.machine)

    def healed(self, lab: Lab) -> str:
        """It is as far from the host's as it was."""
        jumped_s = self._jumped_s(lab)
        return f"{jumped_s:+.1f} s from where it was" if abs(jumped_s) < _EXACT_S else ""

    def _jumped_s(self, lab: Lab) -> float:
        offset_ns, _ = lab.machines[self.machine].guest.clock_offset(now_ns)
        return (offset_ns - self._before_ns) / 1e9


def _jump(seconds: str) -> str:
    return f"date -s @$(($(date +%s) + {seconds})) > /dev/null"


def set_clock_back(lab: Lab, name: str) -> None:
    """Undo a machine's jump, if it has not been undone."""
    lab.machines[name].guest.run(
        f"if [ -e {_NOTE} ]; then {_jump(f'$(cat {_NOTE})')} && rm {_NOTE}; fi", timeout_s=60
    )
