"""The fence device fails: it cannot be reached, or it does not answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.faults.cuts import SilentCut, link_works
from harness.faults.fault import Fault
from harness.faults.journal import Undo
from harness.lab.fencing import fence_device_state, signal_fence_device
from harness.lab.topology import Link

if TYPE_CHECKING:
    from harness.lab.lab import Lab


@dataclass(slots=True)
class FenceBlocked(SilentCut):
    """Drops every frame on the fence link of the nodes: nobody can be fenced.

    Nothing is sent on that link while all is well, so counters prove nothing: the proof is that
    no node reaches the device.
    """

    links: tuple[Link, ...] = (Link.FENCE,)
    kind: str = "fence-blocked"

    @property
    def target(self) -> str:
        """The device."""
        return "the fence device"

    def bitten(self, lab: Lab) -> str:
        """The rules are there, and no machine that answers reaches the fence device."""
        table = self.table_in(lab)
        if f"table bridge {table}\n" not in lab.host.run("nft", "list", "tables") + "\n":
            return ""
        running = [name for name in self.machines if lab.machines[name].running()]
        if not running or any(link_works(lab, name, Link.FENCE) for name in running):
            return ""
        address = lab.topology.host_address(Link.FENCE)
        return f"{' and '.join(running)} cannot reach {address} over {Link.FENCE}"

    def healed(self, lab: Lab) -> str:
        """The rules are gone, and every machine that runs reaches the fence device.

        One that waits to be fenced, or was, may be off: it cannot be asked, nor could it fence.
        """
        table = self.table_in(lab)
        if f"table bridge {table}\n" in lab.host.run("nft", "list", "tables") + "\n":
            return ""
        running = [name for name in self.machines if lab.machines[name].running()]
        works = [link_works(lab, name, Link.FENCE) for name in running]
        return "rules removed; " + "; ".join(works) if works and all(works) else ""


@dataclass(slots=True)
class FenceHangs(Fault):
    """Stops fence_virtd (SIGSTOP): the kernel takes requests, which wait until it goes on.

    A short one is a slow fence device, a long one a dead one.
    """

    kind: str = "fence-hangs"

    @property
    def target(self) -> str:
        """The device."""
        return "the fence device"

    def undo(self) -> list[Undo]:
        """Let it go on."""
        return [Undo("fence-continue", {})]

    def inject(self, lab: Lab) -> None:
        """Stop it."""
        signal_fence_device(lab.host, "STOP")

    def bitten(self, lab: Lab) -> str:
        """The kernel says that it is stopped."""
        state = fence_device_state(lab.host)
        return f"fence_virtd is in state {state}" if state.startswith("T") else ""

    def heal(self, lab: Lab) -> None:
        """Let it go on."""
        signal_fence_device(lab.host, "CONT")

    def healed(self, lab: Lab) -> str:
        """The kernel says that it is not stopped."""
        state = fence_device_state(lab.host)
        return f"fence_virtd is in state {state}" if state and not state.startswith("T") else ""
