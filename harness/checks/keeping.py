"""What judging an evidence folder leaves in it: its verdict, and the histories that were judged."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from harness.checks.histories import histories_of
from harness.checks.judging import judge_evidence
from harness.evidence.model import Evidence
from harness.history import store

if TYPE_CHECKING:
    from pathlib import Path

    from harness.checks.verdict import ScenarioVerdict


def judge_and_keep(folder: Path) -> ScenarioVerdict:
    """Judge an evidence folder; write ``verdict.json`` and ``history/<lun>.npz`` of raw jobs.

    No check reads a history from there: they are for others, and a folder without them is judged
    alike. One that cannot be built or written is left out; of the first, ``linearizable`` says why.

    Raises:
        OSError: the verdict cannot be written, or what was judged before cannot be removed.
    """
    evidence = Evidence(folder)
    verdict = judge_evidence(evidence)
    # Before anything is written: an old history must not stand for the new judgement.
    for old in folder.glob("history/*.npz"):
        old.unlink()
    verdict.save(folder / "verdict.json")
    _keep_histories(evidence)
    return verdict


def _keep_histories(evidence: Evidence) -> None:
    try:
        histories, _doubts = histories_of(evidence)
    except Exception:
        # As a check that fails on its evidence (Check.run): the verdict says it, and stands.
        return
    for job, history in histories:
        with contextlib.suppress(OSError, ValueError):
            store.save(history, evidence.path(f"history/{job.lun}.npz"))
