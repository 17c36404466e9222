"""The timing profile of a run, for checks that have to know how long things may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from harness.checks.registry import remember
from harness.timing import PROFILES, TCG, Timing

if TYPE_CHECKING:
    from harness.evidence.model import Evidence


@remember
def timing_of(evidence: Evidence) -> Timing:
    """As run.json has it; where that is none of today's, the one of its accelerator's name.

    Evidence without a run is judged as if it had been emulated, which allows more.
    """
    if evidence.run is None:
        return TCG
    try:
        return Timing.model_validate(evidence.run.timing)
    except ValidationError:
        return PROFILES[evidence.run.accelerator]
