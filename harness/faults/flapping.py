"""A link that comes and goes: a loose cable, a switch that reboots again and again."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.faults.cuts import CarrierCut
from harness.faults.fault import Fault

if TYPE_CHECKING:
    from harness.faults.journal import Undo
    from harness.lab.lab import Lab
    from harness.lab.topology import Link


@dataclass(slots=True)
class Flapping(Fault):
    """Pulls one link's cables at the given machines and plugs them in again, so many times.

    All of it happens in ``inject``, in the thread that calls it, so that Ctrl-C ends it. It leaves
    the cables in; healing makes sure of that. Times are in seconds; the last time up is what
    follows.
    """

    machines: tuple[str, ...]
    link: Link
    times: int
    down_s: float
    up_s: float
    kind: str = "flapping"
    _before: dict[str, int] = field(default_factory=dict, init=False)

    @property
    def target(self) -> str:
        """Which cables, how often and how."""
        how = f"{self.times} times, {self.down_s:g} s down, {self.up_s:g} s up"
        return f"{self._cut.target}, {how}"

    @property
    def _cut(self) -> CarrierCut:
        return CarrierCut(self.machines, self.link)

    def undo(self) -> list[Undo]:
        """Plug the cables in."""
        return self._cut.undo()

    def prepare(self, lab: Lab) -> None:
        """Where the guests' counters stand."""
        self._before = {name: self._changes(lab, name) for name in self.machines}

    def inject(self, lab: Lab) -> None:
        """Pull and plug, again and again."""
        for number in range(self.times):
            if number:
                time.sleep(self.up_s)
            self._cut.inject(lab)
            time.sleep(self.down_s)
            self._cut.heal(lab)

    def bitten(self, lab: Lab) -> str:
        """Each guest's kernel saw its carrier go and come as often as that.

        A guest that slept through one of them, or that booted anew, has counted fewer.
        """
        seen = {name: self._changes(lab, name) - self._before[name] for name in self.machines}
        if any(count < 2 * self.times for count in seen.values()):
            return ""
        told = [f"{name}: {count}" for name, count in seen.items()]
        return f"changes of the carrier on {self.link}: {', '.join(told)}"

    def heal(self, lab: Lab) -> None:
        """Make sure that the cables are in."""
        self._cut.heal(lab)

    def healed(self, lab: Lab) -> str:
        """The guests see a carrier and reach the other end."""
        return self._cut.healed(lab)

    def _changes(self, lab: Lab, name: str) -> int:
        """How often a card lost or got its carrier since it is there (sysfs-class-net)."""
        path = f"/sys/class/net/{self.link}/carrier_changes"
        return int(lab.machines[name].guest.run(f"cat {path}", timeout_s=20).stdout)
