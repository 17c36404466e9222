"""A single daemon that is killed, stands still, or is stopped in an orderly way."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.cluster.observe import ObservationError, cluster_view
from harness.errors import HarnessError
from harness.faults.fault import MachineFault
from harness.faults.journal import Undo

if TYPE_CHECKING:
    from harness.lab.lab import Lab
    from harness.lab.shape import Shape

# By daemon: the units that are started so that it runs again. pacemakerd starts its own again, and
# waits for a Corosync that is gone.
UNITS = {
    "corosync": "corosync pacemaker",
    "pacemakerd": "pacemaker",
    **{
        f"pacemaker-{name}": "pacemaker"
        for name in ("based", "fenced", "execd", "attrd", "schedulerd", "controld")
    },
    "iscsid": "iscsid",
}
_PROCESS = re.compile(r"(\d+) (\S)")
_STOPPED = "T"  # proc(5): stopped by a signal


@dataclass(slots=True)
class _DaemonFault(MachineFault):
    """What faults of one daemon of one machine have in common."""

    daemon: str
    _boot_id: str = field(default="", init=False)
    _pids: frozenset[int] = field(default=frozenset(), init=False)

    @property
    def target(self) -> str:
        """Which daemon, and where."""
        return f"{self.daemon} of {self.machine}"

    def undo(self) -> list[Undo]:
        """See to it that the daemon runs."""
        return [Undo("daemon-run", {"machine": self.machine, "daemon": self.daemon})]

    def prepare(self, lab: Lab) -> None:
        """Which processes it has, and in which boot.

        Raises:
            HarnessError: it does not run.
        """
        self._boot_id = lab.machines[self.machine].guest.boot_id()
        self._pids = frozenset(self._processes(lab))
        if not self._pids:
            raise HarnessError(f"{self.target} does not run")

    def signal(self, lab: Lab, name: str) -> None:
        """Send its processes a signal, by name."""
        pids = " ".join(map(str, sorted(self._pids)))
        lab.machines[self.machine].guest.run(f"kill -{name} {pids}", timeout_s=60)

    def heal(self, lab: Lab) -> None:
        """See to it that the daemon runs."""
        let_daemon_run(lab, self.machine, self.daemon)

    def healed(self, lab: Lab) -> str:
        """It runs, and its node is a member of the cluster as it sees it and as its peer does."""
        processes = self._processes(lab)
        if not processes or _STOPPED in processes.values():
            return ""
        told = f"{self.target} runs as {', '.join(map(str, sorted(processes)))}"
        names = [machine.name for machine in lab.nodes]
        if self.machine not in names:
            return told
        for name in names:
            view = cluster_view(lab.machines[name].guest, lab.topology.shape)
            if view.membership.get(self.machine) != "online":
                return ""
        return f"{told}, and {self.machine} is online"

    def _processes(self, lab: Lab) -> dict[int, str]:
        """State (proc(5)) of each of its processes, by PID; empty if it does not run.

        Raises:
            HarnessError: the question itself failed, which says nothing of the daemon.
        """
        # pidof(8): 1 is "none". Without a process of its own for the rest, so that nothing fails
        # for lack of memory; one that ends meanwhile has no line.
        script = (
            f"pids=$(pidof {self.daemon}) || [ $? -eq 1 ] || exit 3; for p in $pids; do "
            "if read -r stat 2> /dev/null < /proc/$p/stat; then rest=${stat##*) }; "
            'echo "$p ${rest%% *}"; elif [ -e /proc/$p/stat ]; then exit 4; fi; done'
        )
        told = lab.machines[self.machine].guest.run(script, timeout_s=60).stdout
        lines = [_PROCESS.fullmatch(line) for line in told.splitlines()]
        if any(line is None for line in lines):
            raise ObservationError(f"{self.target}: these are no processes: {told!r:.200}")
        return {int(line[1]): line[2] for line in lines if line is not None}


@dataclass(slots=True)
class DaemonKilled(_DaemonFault):
    """kill -9 of a daemon's processes: it says no word to anybody, and what it knew is gone.

    Whoever watches over it may start it again, or its node may be fenced for it. So the proof is
    that none of the processes that were killed is there any more; healing makes sure that there are
    new ones (systemctl start), and that the node is a member of the cluster again.
    """

    kind: str = "daemon-killed"

    def inject(self, lab: Lab) -> None:
        """Kill them."""
        self.signal(lab, "KILL")

    def bitten(self, lab: Lab) -> str:
        """None of its processes is left; of another boot there can be none."""
        gone = f"the processes {', '.join(map(str, sorted(self._pids)))} of {self.target} are gone"
        if lab.machines[self.machine].guest.boot_id() != self._boot_id:
            return gone
        return "" if self._pids & set(self._processes(lab)) else gone


@dataclass(slots=True)
class DaemonFrozen(_DaemonFault):
    """SIGSTOP to a daemon's processes: they keep their sockets and answer nobody, until SIGCONT.

    What a process looks like that hangs in the kernel, or that a debugger holds. The proof is the
    state that the kernel tells.
    """

    kind: str = "daemon-frozen"

    def inject(self, lab: Lab) -> None:
        """Stop them."""
        self.signal(lab, "STOP")

    def bitten(self, lab: Lab) -> str:
        """Each of them is stopped."""
        states = self._processes(lab)
        if not states or set(states.values()) != {_STOPPED}:
            return ""
        return f"the processes {', '.join(map(str, sorted(states)))} of {self.target} are stopped"


@dataclass(slots=True)
class DaemonStopped(_DaemonFault):
    """``systemctl stop`` of a daemon's units, as an operator does: it may say goodbye.

    Sockets that would start it again are stopped too. The proof is that it has no process.
    """

    kind: str = "daemon-stopped"

    def inject(self, lab: Lab) -> None:
        """Stop it."""
        # In the reverse order of their start: Pacemaker before Corosync.
        units = " ".join(reversed(units_of(self.daemon, lab.topology.shape)))
        lab.machines[self.machine].guest.run(
            f"for u in {units}; do systemctl stop $u.socket 2> /dev/null; systemctl stop $u; done",
            timeout_s=300,
        )

    def bitten(self, lab: Lab) -> str:
        """It has no process."""
        return "" if self._processes(lab) else f"{self.target} has no process"


def units_of(daemon: str, shape: Shape) -> tuple[str, ...]:
    """The units that are started so that a daemon runs again, in this order."""
    return shape.cluster_units if daemon == "corosync" else tuple(UNITS[daemon].split())


def let_daemon_run(lab: Lab, name: str, daemon: str) -> None:
    """Let what is stopped of a daemon go on, and start what does not run."""
    lab.machines[name].guest.run(
        f"pids=$(pidof {daemon}) && kill -CONT $pids; "
        f"systemctl start {' '.join(units_of(daemon, lab.topology.shape))}",
        timeout_s=180,
    )
