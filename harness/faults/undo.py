"""Carries out what an undo journal says is still open: after a kill -9, and before a revert."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.faults.impair import remove_qdisc
from harness.faults.journal import Undo, UndoJournal
from harness.faults.mtu import set_mtu, set_port_mtu
from harness.faults.split_brain import discard_writes
from harness.faults.standby import set_standby
from harness.faults.volatile_cache import drop_caches
from harness.lab.fencing import signal_fence_device
from harness.lab.topology import MTU, Link

if TYPE_CHECKING:
    from harness.lab.lab import Lab


def undo_open_faults(lab: Lab) -> list[str]:
    """Undo every fault that is not undone yet; returns their ids. Undoing twice is harmless."""
    journal = UndoJournal(lab.folder / "undo.jsonl")
    undone = []
    for fault_id, steps in journal.open_faults().items():
        for step in reversed(steps):
            _undo(lab, step)
        journal.done(fault_id)
        undone.append(fault_id)
    return undone


def _undo(lab: Lab, step: Undo) -> None:
    match step.op:
        case "carrier-up":
            machine = lab.machines[step.arguments["machine"]]
            machine.set_carrier(Link(step.arguments["link"]), up=True)
        case "drop-table":
            table = f"{lab.topology.prefix}_{step.arguments['table']}"
            if f"table bridge {table}\n" in lab.host.run("nft", "list", "tables") + "\n":
                lab.host.run("nft", "delete", "table", "bridge", table)
        case "power-on":
            lab.machines[step.arguments["machine"]].power_on()
        case "resume":
            machine = lab.machines[step.arguments["machine"]]
            if machine.paused():
                machine.resume()
        case "fence-continue":
            signal_fence_device(lab.host, "CONT")
        case "port-mtu":
            link = Link(step.arguments["link"])
            set_port_mtu(lab, step.arguments["machine"], link, MTU[link])
        case "volatile-drop":
            drop_caches(lab, step.arguments["machine"])
        case "qdisc-delete" | "mtu" | "online" | "discard":
            # Inside a guest that may be off, or anew: a boot has undone it then.
            with contextlib.suppress(HarnessError):
                _undo_in_guest(lab, step)
        case _:
            raise HarnessError(f"the undo journal names an unknown operation: {step.op}")


def _undo_in_guest(lab: Lab, step: Undo) -> None:
    name = step.arguments["machine"]
    if not lab.machines[name].running():
        return
    match step.op:
        case "mtu":
            link = Link(step.arguments["link"])
            set_mtu(lab, name, link, MTU[link])
        case "online":
            set_standby(lab, name, on=False)
        case "discard":
            discard_writes(lab, name, step.arguments["resource"])
        case _:
            remove_qdisc(lab, name, Link(step.arguments["link"]))
