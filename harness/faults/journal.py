"""The undo journal: before a fault is injected, how to undo it is on disk.

One JSON line per change of state, synced before the fault goes on. Whoever finds the lab after a
kill -9 of the harness reads what is not undone yet, and undoes it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Undo:
    """How to undo a fault, as data.

    Attributes:
        op: ``carrier-up``, ``drop-table``, ``power-on``, … (harness.faults.undo knows them all).
        arguments: what the operation needs.
    """

    op: str
    arguments: dict[str, Any]


class UndoJournal:
    """The journal of one lab, at ``<lab>/undo.jsonl``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def plan(self, fault_id: str, undo: list[Undo]) -> None:
        """Note how to undo a fault that is about to be injected; on disk when this returns."""
        steps = [{"op": u.op, "arguments": u.arguments} for u in undo]
        self._append({"id": fault_id, "state": "planned", "undo": steps})

    def done(self, fault_id: str) -> None:
        """Note that a fault was undone."""
        self._append({"id": fault_id, "state": "undone"})

    def open_faults(self) -> dict[str, list[Undo]]:
        """What is not undone yet, oldest first; a torn last line counts as not written."""
        result: dict[str, list[Undo]] = {}
        if not self.path.exists():
            return result
        for line in self.path.read_text(encoding="utf-8").splitlines(keepends=True):
            if not line.endswith("\n"):
                break
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # torn: the fault it was about had not been injected yet
            if entry["state"] == "planned":
                result[entry["id"]] = [Undo(u["op"], u["arguments"]) for u in entry["undo"]]
            else:
                result.pop(entry["id"], None)
        return result

    def _append(self, entry: dict[str, Any]) -> None:
        fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(fd).st_size
            # A kill -9 in the middle of a line: end it, so that this one stands by itself.
            torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
            os.write(fd, (("\n" if torn else "") + json.dumps(entry) + "\n").encode())
            os.fsync(fd)
        finally:
            os.close(fd)
