"""Carries out what an undo journal says is still open: after a kill -9, and before a revert."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from harness.cluster.operator import clean_up, set_maintenance
from harness.errors import HarnessError
from harness.faults.clock import set_clock_back
from harness.faults.daemons import let_daemon_run
from harness.faults.disks import drop_failing_disks, limit_disks
from harness.faults.drift import set_clock_rate
from harness.faults.fence_device import give_way_back, start_if_down
from harness.faults.filling import remove_filler
from harness.faults.impair import remove_qdisc
from harness.faults.interface import take_up
from harness.faults.journal import Undo, UndoJournal
from harness.faults.mtu import set_mtu, set_port_mtu
from harness.faults.panic import free_memory
from harness.faults.replicas import adjust, create_metadata
from harness.faults.split_brain import discard_writes
from harness.faults.standby import set_standby
from harness.faults.volatile_cache import drop_caches
from harness.lab.fencing import signal_fence_device
from harness.lab.topology import MTU, Link

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.lab.lab import Lab

    Operation = Callable[[Lab, dict[str, Any]], object]


def undo_open_faults(lab: Lab) -> list[str]:
    """Undo every fault that is not undone yet; returns their ids. Undoing twice is harmless.

    Raises:
        HarnessError: the journal names an operation that there is not, or something on the host
            cannot be undone.
    """
    journal = UndoJournal(lab.folder / "undo.jsonl")
    undone = []
    for fault_id, steps in journal.open_faults().items():
        for step in reversed(steps):
            _undo(lab, step)
        journal.done(fault_id)
        undone.append(fault_id)
    return undone


def _undo(lab: Lab, step: Undo) -> None:
    if step.op in _ALWAYS:
        _ALWAYS[step.op](lab, step.arguments)
    elif step.op in _WHILE_IT_RUNS:
        # It may be off, or anew: a boot has undone it then.
        name = step.arguments.get("machine")
        if name is None or lab.machines[name].running():
            with contextlib.suppress(HarnessError):
                _WHILE_IT_RUNS[step.op](lab, step.arguments)
    else:
        raise HarnessError(f"the undo journal names an unknown operation: {step.op}")


def _carrier_up(lab: Lab, arguments: dict[str, Any]) -> None:
    lab.machines[arguments["machine"]].set_carrier(Link(arguments["link"]), up=True)


def _drop_table(lab: Lab, arguments: dict[str, Any]) -> None:
    table = f"{lab.topology.prefix}_{arguments['table']}"
    if f"table bridge {table}\n" in lab.host.run("nft", "list", "tables") + "\n":
        lab.host.run("nft", "delete", "table", "bridge", table)


def _resume(lab: Lab, arguments: dict[str, Any]) -> None:
    machine = lab.machines[arguments["machine"]]
    if machine.paused():
        machine.resume()


def _mtu(lab: Lab, arguments: dict[str, Any]) -> None:
    link = Link(arguments["link"])
    set_mtu(lab, arguments["machine"], link, MTU[link])


def _port_mtu(lab: Lab, arguments: dict[str, Any]) -> None:
    link = Link(arguments["link"])
    set_port_mtu(lab, arguments["machine"], link, MTU[link])


_ALWAYS: dict[str, Operation] = {
    "carrier-up": _carrier_up,
    "drop-table": _drop_table,
    "power-on": lambda lab, of: lab.machines[of["machine"]].power_on(),
    "resume": _resume,
    "fence-continue": lambda lab, _: signal_fence_device(lab.host, "CONT"),
    "fence-start": lambda lab, _: start_if_down(lab),
    "port-mtu": _port_mtu,
    "volatile-drop": lambda lab, of: drop_caches(lab, of["machine"]),
    "errors-drop": lambda lab, of: drop_failing_disks(lab, of["machine"]),
}
_WHILE_IT_RUNS: dict[str, Operation] = {
    "disk-speed": lambda lab, of: limit_disks(lab.machines[of["machine"]], 0),
    "qdisc-delete": lambda lab, of: remove_qdisc(lab, of["machine"], Link(of["link"])),
    "mtu": _mtu,
    "online": lambda lab, of: set_standby(lab, of["machine"], on=False),
    "discard": lambda lab, of: discard_writes(lab, of["machine"], of["resource"]),
    "memory-free": lambda lab, of: free_memory(lab, of["machine"]),
    "clock-rate": lambda lab, of: set_clock_rate(lab, of["machine"]),
    "fence-way": lambda lab, of: give_way_back(lab, of["machine"]),
    "ifup": lambda lab, of: take_up(lab, of["machine"], Link(of["link"])),
    "clock-back": lambda lab, of: set_clock_back(lab, of["machine"]),
    "filler-remove": lambda lab, of: remove_filler(lab, of["machine"], of["folder"]),
    "daemon-run": lambda lab, of: let_daemon_run(lab, of["machine"], of["daemon"]),
    "clean-up": lambda lab, _: clean_up(lab),
    "maintenance-off": lambda lab, _: set_maintenance(lab, on=False),
    "adjust": lambda lab, of: adjust(lab, of["machine"]),
    "metadata-create": lambda lab, of: create_metadata(lab, of["machine"], of["resource"]),
}
