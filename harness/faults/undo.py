"""Carries out what an undo journal says is still open: after a kill -9, and before a revert."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.faults.journal import Undo, UndoJournal
from harness.lab.topology import Link

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
        case _:
            raise HarnessError(f"the undo journal names an unknown operation: {step.op}")
