"""A machine's clock that goes too fast or too slow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.evidence.clock import now_ns
from harness.faults.fault import MachineFault
from harness.faults.journal import Undo

if TYPE_CHECKING:
    from harness.lab.lab import Lab

# Microseconds in a tick of 1/100 s, and how far it may be set from that: adjtimex(2).
_TICK = 10_000
_MOST_PERCENT = 10
# So long a clock is watched for a proof, in seconds: what it gains then is far more than the round
# trip of a question.
_WATCHED_S = 10.0
# How much of the wanted rate a measured one may be off by.
_EXACT = 0.25

# struct timex of x86_64 (linux/timex.h), up to ``tick``; what follows is room for the rest.
# ADJ_TICK is 0x4000; without a mode adjtimex(2) only asks.
_ADJTIMEX = """\
import ctypes, sys
class Timex(ctypes.Structure):
    _fields_ = [("modes", ctypes.c_uint)] + [(n, ctypes.c_long) for n in (
        "offset", "freq", "maxerror", "esterror")] + [("status", ctypes.c_int)] + [
        (n, ctypes.c_long) for n in ("constant", "precision", "tolerance", "sec", "usec", "tick")
    ] + [("rest", ctypes.c_char * 160)]
wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 0
timex = Timex(modes=0x4000 if wanted else 0, tick=wanted)
if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex)) < 0:
    sys.exit("adjtimex: errno %d" % ctypes.get_errno())
print(timex.tick)
"""


@dataclass(slots=True)
class ClockDrift(MachineFault):
    """Lets a machine's clock gain or lose so many percent (adjtimex(2): the length of a tick).

    As a broken oscillator, or a time daemon that steers by a wrong source; nothing in the guest
    sets it right. Unlike a jump it concerns the monotonic clock as well: every timeout of that
    machine is a little longer or shorter than its peer's. The proof is measured against the
    host's clock, twice, some seconds apart. What was gained stays when the rate is right again.
    """

    percent: int
    kind: str = "clock-drift"
    _bites: list[tuple[int, int]] = field(default_factory=list, init=False)
    _heals: list[tuple[int, int]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Refuse what the kernel would.

        Raises:
            ValueError: no drift, or more than 10 %.
        """
        if not 0 < abs(self.percent) <= _MOST_PERCENT:
            raise ValueError(f"a clock drifts by 1 to {_MOST_PERCENT} %, not by {self.percent} %")

    @property
    def target(self) -> str:
        """Whose clock, by how much."""
        return f"clock of {self.machine}, {self.percent:+d} %"

    def undo(self) -> list[Undo]:
        """Let it go at the right rate."""
        return [Undo("clock-rate", {"machine": self.machine})]

    def inject(self, lab: Lab) -> None:
        """Set the length of its tick."""
        _set_tick(lab, self.machine, _TICK + _TICK * self.percent // 100)

    def bitten(self, lab: Lab) -> str:
        """It gains or loses about so much against the host's clock."""
        rate = self._rate(lab, self._bites)
        wanted = self.percent / 100
        if rate is None or abs(rate - wanted) > _EXACT * abs(wanted):
            return ""
        return f"{self._watched(self._bites)}, {rate:+.1%}"

    def heal(self, lab: Lab) -> None:
        """Let it go at the right rate."""
        set_clock_rate(lab, self.machine)

    def healed(self, lab: Lab) -> str:
        """It goes as fast as the host's clock."""
        rate = self._rate(lab, self._heals)
        if rate is None:
            return ""
        if abs(rate) > _EXACT * abs(self.percent) / 100:
            # Not yet: what was seen so far would spoil the average.
            self._heals.clear()
            return ""
        return f"{self._watched(self._heals)}, {rate:+.1%}"

    def _rate(self, lab: Lab, seen: list[tuple[int, int]]) -> float | None:
        """What it gains in a second of the host's; None as long as it was not watched enough."""
        offset_ns, _ = lab.machines[self.machine].guest.clock_offset(now_ns)
        seen.append((now_ns(), offset_ns))
        (began_ns, before_ns), (at_ns, after_ns) = seen[0], seen[-1]
        if at_ns - began_ns < _WATCHED_S * 1e9:
            return None
        return (after_ns - before_ns) / (at_ns - began_ns)

    def _watched(self, seen: list[tuple[int, int]]) -> str:
        (began_ns, before_ns), (at_ns, after_ns) = seen[0], seen[-1]
        return (
            f"{(after_ns - before_ns) / 1e9:+.3f} s against the host's clock in "
            f"{(at_ns - began_ns) / 1e9:.1f} s"
        )


def _set_tick(lab: Lab, name: str, tick_us: int) -> None:
    command = f"python3 -c '{_ADJTIMEX}' {tick_us}"
    lab.machines[name].guest.run(command, timeout_s=60)


def set_clock_rate(lab: Lab, name: str) -> None:
    """Let a machine's clock go at the right rate again."""
    _set_tick(lab, name, _TICK)
