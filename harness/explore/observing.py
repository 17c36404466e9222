"""What an exploration wants to know of an evidence folder, besides its verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.evidence.model import Evidence
from harness.evidence.timeline import Channel
from harness.explore.coverage import cells_of

if TYPE_CHECKING:
    from pathlib import Path

    from harness.explore.coverage import Cell


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen.

    Attributes:
        cells: of each fault, in order.
        reactions: seconds from each trigger's event to the injection that followed it.
        missed: triggers that were not pulled in time.
    """

    cells: tuple[Cell, ...] = ()
    reactions: tuple[float, ...] = ()
    missed: tuple[str, ...] = ()


def observe(folder: Path) -> Observed:
    """Read it; in a folder that cannot be read nothing was seen, and its verdict says why."""
    evidence = Evidence(folder)
    try:
        told = evidence.select(Channel.STATE, "reaction")
        seconds = [seen.event.data.get("seconds") for seen in told]
        missed = evidence.select(Channel.STATE, "trigger-missed")
        return Observed(
            tuple(cells_of(evidence)),
            tuple(float(one) for one in seconds if isinstance(one, int | float)),
            tuple(seen.text("trigger") for seen in missed),
        )
    except Exception:
        # As a check that fails on its evidence: damage may take any form.
        return Observed()
