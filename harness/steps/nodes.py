"""Steps about the inside of a node: its kernel, its memory, its clock, its daemons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_bdd import parsers, when

from harness.errors import HarnessError
from harness.faults.clock import ClockJump
from harness.faults.daemons import DaemonFrozen, DaemonKilled, DaemonStopped
from harness.faults.drift import ClockDrift
from harness.faults.filling import FileSystemFull
from harness.faults.panic import KernelPanic, MemoryExhausted
from harness.faults.target import TargetDeleted
from harness.steps.words import NODE, machines

if TYPE_CHECKING:
    from harness.faults.fault import Fault
    from harness.scenario import Scenario

_DAEMON = (
    r"(?P<daemon>corosync|pacemakerd|"
    r"pacemaker-(?:based|fenced|execd|attrd|schedulerd|controld))"
)
# Each daemon where it runs: the cluster's on the nodes, iscsid on the initiator.
_DAEMON_OF = f"(?:{_DAEMON} of {NODE}|(?P<iscsid>iscsid) of the initiator)"


@when(parsers.re(f"{NODE} answers again"))
def answers_again(run: Scenario, who: str) -> None:
    """Waits until a node answers after its boot; the cluster need not have it back yet."""
    for name in machines(run, who):
        run.lab.machines[name].guest.wait_ready(run.timing.boot_deadline_s)


@when(parsers.re(f"{NODE} panics"))
def panics(run: Scenario, who: str) -> None:
    """Lets a node's kernel panic (sysrq c): it hangs, with its power on, until it is fenced."""
    for name in machines(run, who):
        run.inject(KernelPanic(name))


@when(parsers.re(f"{NODE} runs out of memory"))
def out_of_memory(run: Scenario, who: str) -> None:
    """Uses up a node's memory with a process that the kernel can neither kill nor swap out."""
    for name in machines(run, who):
        run.inject(MemoryExhausted(name))


@when(
    parsers.re(
        f"the clock of {NODE} jumps (?P<way>forward|back) by (?P<minutes>\\d+) min until healed"
    ),
    converters={"minutes": int},
)
def clock_jumps(run: Scenario, who: str, way: str, minutes: int) -> None:
    """Sets a node's wall clock wrong at once; its monotonic clock goes on as it did."""
    for name in machines(run, who):
        run.inject(ClockJump(name, 60 * minutes * (1 if way == "forward" else -1)))


@when(
    parsers.re(f"the clock of {NODE} (?P<way>gains|loses) (?P<percent>[1-9]|10) % until healed"),
    converters={"percent": int},
)
def clock_drifts(run: Scenario, who: str, way: str, percent: int) -> None:
    """Lets a node's clocks go too fast or too slow, the one that timeouts run on as well."""
    for name in machines(run, who):
        run.inject(ClockDrift(name, percent if way == "gains" else -percent))


@when(parsers.re(f"/var of {NODE} is full until healed"))
def var_full(run: Scenario, who: str) -> None:
    """Takes all space of the file system that /var is on, what is reserved for root too."""
    for name in machines(run, who):
        run.inject(FileSystemFull(name, "/var"))


@when(parsers.re(f"{_DAEMON_OF} is killed"))
def daemon_killed(run: Scenario, daemon: str | None, who: str | None, iscsid: str | None) -> None:
    """kill -9 of one daemon; whoever watches over it may start it again, or fence its node."""
    for name in _where(run, who):
        run.inject(DaemonKilled(name, daemon or str(iscsid)))


@when(parsers.re(f"{_DAEMON_OF} stands still until healed"))
def daemon_frozen(run: Scenario, daemon: str | None, who: str | None, iscsid: str | None) -> None:
    """SIGSTOP to one daemon: it keeps its sockets and answers nobody, until SIGCONT."""
    for name in _where(run, who):
        run.inject(DaemonFrozen(name, daemon or str(iscsid)))


@when(parsers.re(f"{_DAEMON_OF} is stopped until healed"))
def daemon_stopped(run: Scenario, daemon: str | None, who: str | None, iscsid: str | None) -> None:
    """``systemctl stop`` of one daemon, as an operator does it."""
    for name in _where(run, who):
        run.inject(DaemonStopped(name, daemon or str(iscsid)))


@when("every daemon runs again")
def daemons_run(run: Scenario) -> None:
    """Heals what was done to daemons, and nothing else."""
    kinds: tuple[type[Fault], ...] = (DaemonKilled, DaemonFrozen, DaemonStopped)
    if not sum(run.faults.heal_kind(kind) for kind in kinds):
        raise HarnessError("nothing was done to a daemon before")


def _where(run: Scenario, who: str | None) -> tuple[str, ...]:
    return machines(run, who if who is not None else "the initiator")


@when(parsers.re(f"the iSCSI target of {NODE} is deleted behind the cluster's back"))
def target_deleted(run: Scenario, who: str) -> None:
    """Clears the kernel's target on a node (targetcli clearconfig); Pacemaker has to notice."""
    for name in machines(run, who):
        run.inject(TargetDeleted(name))
