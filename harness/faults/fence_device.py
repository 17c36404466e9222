"""The fence device fails: it is down, cannot be reached, or does not answer."""

from __future__ import annotations

import re
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.errors import HarnessError
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


@dataclass(slots=True)
class _NoDevice(Fault):
    """Nobody answers at the fence device's address, and whoever asks is told so at once.

    The proof is the cluster's own: each node's fencer has its device's monitor run, which fails.
    """

    machines: tuple[str, ...]

    def prepare(self, lab: Lab) -> None:
        """Every node's fencer has a device that works.

        Raises:
            HarnessError: one has none: a monitor that fails would prove nothing.
        """
        for name in self.machines:
            if told := _monitor(lab, name):
                raise HarnessError(f"the fence device does not work before it is down: {told}")

    @abstractmethod
    def gone(self, lab: Lab) -> str:
        """What says that nobody can answer there, in words; empty if somebody can."""

    def bitten(self, lab: Lab) -> str:
        """Nobody can answer, and every node that runs finds its device failed."""
        gone = self.gone(lab)
        running = [name for name in self.machines if lab.machines[name].running()]
        told = [_monitor(lab, name) for name in running] if gone else []
        return "; ".join([gone, *told]) if told and all(told) else ""

    def healed(self, lab: Lab) -> str:
        """Somebody can answer, and no node that runs finds its device failed."""
        running = [name for name in self.machines if lab.machines[name].running()]
        if self.gone(lab) or not running or any(_monitor(lab, name) for name in running):
            return ""
        return f"the monitor of the fence device succeeds on {' and '.join(running)}"


@dataclass(slots=True)
class FenceDown(_NoDevice):
    """Kills fence_virtd (SIGKILL); nothing listens on its port until it is started again.

    A management board without power behind a switch that lives, or a daemon that died.
    """

    kind: str = "fence-down"

    @property
    def target(self) -> str:
        """The device."""
        return "the fence device"

    def undo(self) -> list[Undo]:
        """Start it, if it does not run."""
        return [Undo("fence-start", {})]

    def inject(self, lab: Lab) -> None:
        """Kill it."""
        signal_fence_device(lab.host, "KILL")

    def gone(self, lab: Lab) -> str:
        """The kernel knows of no such process, or only of what is left of it."""
        state = fence_device_state(lab.host)
        return "" if state and not state.startswith("Z") else "fence_virtd does not run"

    def heal(self, lab: Lab) -> None:
        """Start it."""
        start_if_down(lab)


@dataclass(slots=True)
class FenceUnreachable(_NoDevice):
    """Leaves nodes without a route to the addresses of their fence devices (ip-route(8),
    ``unreachable``), so that it does not matter whose devices these are, and where.

    A device elsewhere cannot be killed from here; for the nodes this is the same.
    """

    kind: str = "fence-unreachable"
    _addresses: tuple[str, ...] = field(default=(), init=False)

    @property
    def target(self) -> str:
        """Whose way."""
        return f"the fence device, from {' and '.join(self.machines)}"

    def undo(self) -> list[Undo]:
        """Give the nodes their way back."""
        return [Undo("fence-way", {"machine": name}) for name in self.machines]

    def prepare(self, lab: Lab) -> None:
        """Where the devices are, as the cluster's configuration has it.

        Raises:
            HarnessError: it has none, or one does not work.
        """
        _NoDevice.prepare(self, lab)
        guest = lab.machines[self.machines[0]].guest
        cib = guest.run(
            "cibadmin -Q --xpath \"//primitive[@class='stonith']\"", timeout_s=60
        ).stdout
        self._addresses = tuple(dict.fromkeys(_ADDRESS.findall(cib)))
        if not self._addresses:
            raise HarnessError("the cluster's fence devices have no IPv4 address")

    def inject(self, lab: Lab) -> None:
        """Take the way."""
        ways = "; ".join(f"ip route replace unreachable {a}/32" for a in self._addresses)
        for name in self.machines:
            lab.machines[name].guest.run(ways, timeout_s=30)

    def gone(self, lab: Lab) -> str:
        """Every node that runs has such a route to every device."""
        running = [name for name in self.machines if lab.machines[name].running()]
        for name in running:
            routes = lab.machines[name].guest.run("ip -4 route show type unreachable", timeout_s=30)
            if not {*self._addresses} <= set(routes.stdout.split()):
                return ""
        there = ", ".join(self._addresses)
        return f"no way to {there} from {' and '.join(running)}" if running else ""

    def heal(self, lab: Lab) -> None:
        """Give the way back."""
        for name in self.machines:
            if lab.machines[name].running():
                give_way_back(lab, name)


# cibadmin(8): <nvpair name="ipaddr" value="…"/>; fence agents call it ip as well.
_ADDRESS = re.compile(r'<nvpair\b[^>]*\bname="ip(?:addr)?"[^>]*\bvalue="(\d+(?:\.\d+){3})"')


def _monitor(lab: Lab, name: str) -> str:
    """What a node's fencer says of the device that fences its peer; empty if it works.

    stonith_admin(8), --query: the fencer runs the agent's monitor, as Pacemaker does at times.
    """
    device = f"fence_{lab.topology.peer(name).name}"  # vagrant/cluster/cluster.crm.j2
    done = lab.machines[name].guest.run(
        f"stonith_admin --query {device} --timeout 20 2>&1", timeout_s=60, check=False
    )
    if done.exit_code == 0:
        return ""
    words = " ".join(done.stdout.split())[-120:] or f"exit code {done.exit_code}"
    return f"monitor of {device} fails on {name}: {words}"


def start_if_down(lab: Lab) -> None:
    """Start fence_virtd where it does not run."""
    state = fence_device_state(lab.host)
    if not state or state.startswith("Z"):
        lab.start_fence_device()


def give_way_back(lab: Lab, name: str) -> None:
    """Remove every route by which a machine is kept from its fence device."""
    lab.machines[name].guest.run("ip -4 route flush type unreachable", timeout_s=30)
