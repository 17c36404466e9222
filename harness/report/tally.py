"""Many runs added up: how often each scenario was judged how, its stalls, and where time went."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.checks.verdict import ScenarioVerdict, Verdict, VerdictError
from harness.evidence.attempts import cut_short, superseded
from harness.evidence.model import EvidenceError
from harness.evidence.phases import Phase, seconds_by_phase, spans_of
from harness.report.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(slots=True)
class ScenarioTally:
    """One scenario over all runs of the same code.

    Attributes:
        name: the scenario's name.
        verdicts: how often which.
        stalls_s: the longest stall of each run that measured one, seconds.
        bound_s: the largest bound that a stall was judged by.
        phases_s: for each run, how long each phase took, seconds.
    """

    name: str
    verdicts: dict[Verdict, int] = field(default_factory=dict)
    stalls_s: list[float] = field(default_factory=list)
    bound_s: float | None = None
    phases_s: list[dict[Phase, float]] = field(default_factory=list)

    @property
    def runs(self) -> int:
        """How many runs judged it."""
        return sum(self.verdicts.values())


@dataclass(slots=True)
class CodeTally:
    """All runs of one code, configuration and accelerator; others are never added to them."""

    code: str
    accelerator: str
    runs: list[str] = field(default_factory=list)
    scenarios: dict[str, ScenarioTally] = field(default_factory=dict)

    def all_valid(self, times: int) -> bool:
        """Whether every scenario was judged at least ``times`` times, and always VALID."""
        return bool(self.scenarios) and all(
            one.runs >= times and one.verdicts.get(Verdict.VALID, 0) == one.runs
            for one in self.scenarios.values()
        )


def tally(run_folders: Iterable[Path]) -> tuple[list[CodeTally], list[str]]:
    """Add up stored runs, by code, configuration and accelerator; and tell what cannot be read.

    A scenario without a verdict counts as INCONCLUSIVE: a run that was cut short is no pass. What
    was judged and set aside when a run was resumed counts as well: trying again does not undo it.
    """
    tallies: dict[tuple[str, str], CodeTally] = {}
    notes: list[str] = []
    for folder in run_folders:
        try:
            facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            asked = json.dumps(
                [facts.get("config"), facts.get("timing"), "--max-stall" in str(facts["command"])]
                # A run in which nothing was injected is never added to one that means it.
                + ([] if facts.get("injecting", True) else ["without injecting"]),
                sort_keys=True,
            )
            digest = hashlib.sha256(asked.encode()).hexdigest()[:8]
            key = (f"{facts['code']}, configuration {digest}", str(facts["accelerator"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            notes.append(f"{folder}: no run.json that can be read ({one_line(repr(error), 80)})")
            continue
        own = tallies.setdefault(key, CodeTally(*key))
        own.runs.append(str(folder))
        for evidence in sorted((folder / "evidence").glob("*/")):
            _add(own, evidence, notes)
        for evidence in superseded(folder):
            if not cut_short(evidence) and (evidence / "verdict.json").exists():
                _add(own, evidence, notes)
    return list(tallies.values()), notes


def _add(own: CodeTally, evidence: Path, notes: list[str]) -> None:
    try:
        scenario = json.loads((evidence / "scenario.json").read_text(encoding="utf-8"))
        name = str(scenario["name"])
    except (OSError, ValueError, KeyError, TypeError):
        name = evidence.name
    one = own.scenarios.setdefault(name, ScenarioTally(name))
    try:
        verdict = ScenarioVerdict.load(evidence / "verdict.json")
    except (OSError, VerdictError) as error:
        verdict = ScenarioVerdict(evidence.name, error=str(error))
        notes.append(f"{evidence}: no verdict that can be read")
    one.verdicts[verdict.verdict] = one.verdicts.get(verdict.verdict, 0) + 1
    # An evidence folder that cannot be read has been told of; its time is not known.
    with contextlib.suppress(OSError, EvidenceError):
        one.phases_s.append(seconds_by_phase(spans_of(evidence)))
    stall = verdict.result("stall")
    if stall is None:
        return
    seconds = [
        part["seconds"]
        for part in stall.details.get("per_job", [])
        if isinstance(part, dict) and isinstance(part.get("seconds"), int | float)
    ]
    bound = stall.details.get("bound_s")
    if seconds:
        one.stalls_s.append(max(seconds))
    if isinstance(bound, int | float):
        one.bound_s = max(bound, one.bound_s or 0.0)


def tally_lines(tallies: list[CodeTally], notes: list[str]) -> list[str]:
    """A table for each code, in words and columns."""
    lines: list[str] = []
    for own in tallies:
        lines.append(f"code {own.code}, {own.accelerator}: {len(own.runs)} runs")
        lines.append(
            f"{'runs':>5} {'VALID':>6} {'INCONCL.':>9} {'INVALID':>8}  "
            f"{'stall s, least to most':>24} {'bound':>6}  scenario"
        )
        for one in own.scenarios.values():
            stall = f"{min(one.stalls_s):.1f} to {max(one.stalls_s):.1f}" if one.stalls_s else "-"
            bound = "-" if one.bound_s is None else f"{one.bound_s:.0f}"
            lines.append(
                f"{one.runs:5} {one.verdicts.get(Verdict.VALID, 0):6} "
                f"{one.verdicts.get(Verdict.INCONCLUSIVE, 0):9} "
                f"{one.verdicts.get(Verdict.INVALID, 0):8}  {stall:>24} {bound:>6}  "
                f"{one_line(one.name, 100)}"
            )
        lines += _phase_lines(own)
    return [*lines, *(one_line(note) for note in notes)]


def _phase_lines(own: CodeTally) -> list[str]:
    """Seconds of each phase, on average over the runs of each scenario, and over all of them."""
    known = [one for one in own.scenarios.values() if one.phases_s]
    if not known:
        return []
    head = " ".join(f"{phase:>12}" for phase in Phase)
    lines = ["", f"average seconds: {head}        all  scenario"]
    for name, told in (
        *((one.name, one.phases_s) for one in known),
        ("all of them", [seconds for one in known for seconds in one.phases_s]),
    ):
        means = {phase: sum(s[phase] for s in told) / len(told) for phase in Phase}
        row = " ".join(f"{means[phase]:12.1f}" for phase in Phase)
        lines.append(f"{'':17}{row} {sum(means.values()):10.1f}  {one_line(name, 100)}")
    return lines
