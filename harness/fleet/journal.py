"""``fleet.json``: what became of a run's workers, noted as it happens, for the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.evidence.clock import now_ns
from harness.evidence.files import read_json, write_json
from harness.report.fleet import FLEET

if TYPE_CHECKING:
    from pathlib import Path


class Journal:
    """Adds to ``fleet.json`` of a run; what is there from an earlier part of it stays."""

    def __init__(self, run: Path) -> None:
        self._path = run / FLEET

    def lost(self, place: dict[str, Any], why: str) -> None:
        """A worker was lost, and its slot is out of the pool."""
        self._add("lost", place | {"why": why})

    def given_back(self, scenario: str, place: dict[str, Any], *, begun: bool) -> None:
        """A scenario was given back by a worker that was lost; it is run again.

        Args:
            begun: whether it was begun there at all.
        """
        self._add("given_back", place | {"scenario": scenario, "begun": begun})

    def _add(self, kind: str, what: dict[str, Any]) -> None:
        told = read_json(self._path)
        before = told.get(kind)
        entries = [*(before if isinstance(before, list) else []), what | {"t_ns": now_ns()}]
        write_json(self._path, {"schema": 1, "lost": [], "given_back": []} | told | {kind: entries})
