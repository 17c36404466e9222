"""Judges the stored runs of a campaign again: a check that was mended needs no VM to be asked.

What a run wrote down does not depend on the checks. So evidence that was made by the same lab,
faults and steps counts for the checks that are here, whatever the ones before had said of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.checks import judge
from harness.errors import BadInputError
from harness.evidence.files import read_json
from harness.mutants.campaign import STATE
from harness.mutants.ledger import Tried, tried
from harness.mutants.model import load_mutant
from harness.mutants.score import Score, judge_trial
from harness.progress import console
from harness.report.ledger import record
from harness.report.texts import reads_otherwise
from harness.resuming import check_made_alike, code_hash

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.checks import ScenarioVerdict
    from harness.mutants.model import Mutant
    from harness.mutants.score import Trial
    from harness.report.texts import Text

_LABEL = re.compile(r"\d+(\.\d+)?")


def judge_again(
    mutant: Mutant, folder: Path, texts: Mapping[str, Text], ledger: Path | None = None
) -> Score:
    """Judge what a campaign's folder has of a mutant by the checks that are here.

    Nothing in the folder is changed. What no scenario was judged of then is left out, and what is
    of a scenario that said something else.

    Args:
        texts: of the scenarios that are here (harness.report.texts); the same for all mutants.
        ledger: a file that each run is added to, with the code that made it.

    Raises:
        BadInputError: there is no campaign, other code made its evidence, or the mutant's
            configuration or scenario was another one.
    """
    state = read_json(folder / STATE)
    made, begun_ns = str(state.get("code", "")), state.get("begun_ns")
    if not made or not isinstance(begun_ns, int):
        raise BadInputError(f"{folder} holds no campaign", hint="harness mutants --resume FOLDER")
    check_made_alike(folder, made)
    tries: dict[str, list[Trial]] = {}
    for run in sorted((folder / mutant.name).glob("*/"), key=_order):
        if not _LABEL.fullmatch(run.name) or not any((run / "evidence").glob("*/verdict.json")):
            continue
        _same_mutant(mutant, run / mutant.path.name)
        if any(reads_otherwise(one.parent, texts) for one in run.glob("evidence/*/verdict.json")):
            console.print(f"  {mutant.name} {run.name}: of another scenario", markup=False)
            continue
        trial = judge_trial(mutant, run.name, run, _now)
        console.print(f"  {mutant.name} {run.name} {trial.fate!s}: {trial.said}", markup=False)
        tries.setdefault(run.name.partition(".")[0], []).append(trial)
        if ledger is not None:
            code = code_hash()
            line = tried(
                mutant, trial, run, code=code, campaign=begun_ns, made=made if made != code else ""
            )
            record(ledger, [line], Tried)
    return Score(mutant, tuple(map(tuple, tries.values())))


def _now(verdict: Path) -> ScenarioVerdict:
    return judge(verdict.parent)


def _order(run: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", run.name))


def _same_mutant(mutant: Mutant, kept: Path) -> None:
    """What must catch it, and why, may have been written anew since; not what was run."""
    before = load_mutant(kept)
    if before.scenario != mutant.scenario or before.configuration != mutant.configuration:
        raise BadInputError(
            f"{kept.parent} is a run of another version of {mutant.path.name}",
            hint="that evidence says nothing of the mutant as it is",
        )
