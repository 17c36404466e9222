"""Runs the acceptance features on variants, each by a ``harness run`` of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.mutants.campaign import launch
from harness.progress import console
from harness.report.ledger import record
from harness.resuming import check_code
from harness.variants.ledger import Outcome, outcome_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from harness.mutants.campaign import Launch
    from harness.variants.model import Variant


def run_variant(
    variant: Variant,
    folder: Path,
    scenarios: Collection[str],
    options: Sequence[str] = (),
    *,
    ledger: Path | None = None,
    start: Launch = launch,
) -> Outcome:
    """Run all of ``scenarios`` on a variant, or those that are left of them, and say what came.

    Args:
        folder: of all variants; a run that is there below the variant's name goes on.
        scenarios: names of the acceptance features' scenarios.
        options: more arguments of ``harness run`` (cache, accelerator, …).
        ledger: a file that a run is added to once all of it was judged.

    Raises:
        BadInputError: the run that is there was made by other code.
    """
    run = folder / variant.name
    check_code(run)
    if outcome_of(variant, run, scenarios).missing:
        config = ("--config", str(variant.path)) if variant.path is not None else ()
        console.print(f"▷ {variant.name}: {variant.title}", markup=False)
        start(["run", "--resume", str(run), *config, *options])
    outcome = outcome_of(variant, run, scenarios)
    if ledger is not None and not outcome.missing:
        record(ledger, [outcome], Outcome)
    return outcome
