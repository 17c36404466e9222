"""Tries of mutants in a ledger (harness.report.ledger), so that campaigns add up."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING

from harness.checks.verdict import Verdict
from harness.cluster.config import load_config
from harness.evidence.files import read_json
from harness.mutants.score import Fate, Score, Trial
from harness.report.ledger import Line
from harness.report.tally import configuration_digest
from harness.report.text import one_line
from harness.timing import PROFILES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.mutants.model import Mutant
    from harness.report.tally import Judged


class Tried(Line):
    """One run of a mutant.

    Attributes:
        code: hash of lab, faults and checks that it was judged with, and made with if ``made`` does
            not say otherwise.
        accelerator: kvm or tcg.
        mutant: its name.
        file: SHA-256 of its file.
        campaign: when its campaign began, nanoseconds since 1970: runs of one try are of one.
        label: which try, and which run of it where a try has several.
        started_ns: when its scenario began, nanoseconds since 1970; 0 where none did.
        fate, by, others, said: as of the trial.
        made: hash of the code that made the evidence, where it was judged again by another one.
    """

    code: str
    accelerator: str
    mutant: str
    file: str
    campaign: int
    label: str
    started_ns: int
    fate: Fate
    by: tuple[str, ...]
    others: tuple[str, ...]
    said: str
    made: str = ""

    @property
    def key(self) -> tuple[object, ...]:
        """One run."""
        return (self.code, self.mutant, self.file, self.campaign, self.label)

    @property
    def attempt(self) -> tuple[int, str]:
        """The try that it is a run of."""
        return (self.campaign, self.label.partition(".")[0])


def digest_of(mutant: Mutant) -> str:
    """SHA-256 of a mutant's file."""
    return hashlib.sha256(mutant.path.read_bytes()).hexdigest()


def tried(
    mutant: Mutant, trial: Trial, run: Path, *, code: str, campaign: int, made: str = ""
) -> Tried:
    """What a ledger says of a trial whose run is in ``run``."""
    scenario = next(iter(sorted((run / "evidence").glob("*/scenario.json"))), None)
    started = read_json(scenario).get("started_ns") if scenario is not None else None
    return Tried(
        code=code,
        accelerator=str(read_json(run / "run.json").get("accelerator", "?")),
        mutant=mutant.name,
        file=digest_of(mutant),
        campaign=campaign,
        label=trial.label,
        started_ns=started if isinstance(started, int) else 0,
        fate=trial.fate,
        by=trial.by,
        others=trial.others,
        said=one_line(trial.said, 300),
        made=made,
    )


def scores(mutants: Iterable[Mutant], lines: Iterable[Tried], code: str) -> list[Score]:
    """The score of each mutant by what a ledger says of this code and of its file as it is."""
    tries: dict[tuple[str, str], dict[tuple[int, str], list[Trial]]] = defaultdict(dict)
    for line in lines:
        if line.code == code:
            trial = Trial(line.mutant, line.label, line.fate, line.by, line.others, line.said)
            tries[line.mutant, line.file].setdefault(line.attempt, []).append(trial)
    return [
        Score(one, tuple(map(tuple, tries[one.name, digest_of(one)].values()))) for one in mutants
    ]


def reference_digest(accelerator: str) -> str:
    """What ``harness tally`` calls the reference configuration; empty where there is no timing."""
    if accelerator not in PROFILES:
        return ""
    config = load_config(None, PROFILES[accelerator])
    asked = config.model_dump(mode="json", exclude={"timing"})
    return configuration_digest(asked, config.timing.model_dump())


def controlled(mutants: Iterable[Mutant], judged: Iterable[Judged], code: str) -> list[str]:
    """What keeps the mutants' scenarios from being proved innocent, in words; nothing if they are.

    Each has to be VALID on the reference configuration, every time that it was judged by this code.
    """
    verdicts: dict[str, list[Verdict]] = defaultdict(list)
    for line in judged:
        if line.code == code and line.configuration == reference_digest(line.accelerator):
            verdicts[line.scenario].append(line.verdict)
    told = []
    for scenario in dict.fromkeys(mutant.scenario for mutant in mutants):
        own = verdicts[scenario]
        bad = sum(one is not Verdict.VALID for one in own)
        if not own:
            told.append(f"No control: {scenario}")
        elif bad:
            told.append(f"Not VALID in {bad} of {len(own)} controls: {scenario}")
    return told
