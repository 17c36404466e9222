"""Many runs added up: how often each scenario was judged how, its stalls, and where time went."""

from __future__ import annotations

import contextlib
import hashlib
import json
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from harness.checks import judge
from harness.checks.verdict import ScenarioVerdict, Verdict, VerdictError
from harness.evidence.attempts import says_nothing, superseded
from harness.evidence.files import read_json
from harness.evidence.model import EvidenceError
from harness.evidence.phases import Phase, seconds_by_phase, spans_of
from harness.report.ledger import Line
from harness.report.text import one_line, plural
from harness.report.texts import reads_otherwise

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from harness.report.texts import Text


_STALL_HEAD = "longest stall, seconds: least, median, most"


class Judged(Line):
    """What a scenario came to in a run.

    Attributes:
        code: hash of lab, faults and checks that it was judged with, and made with if ``made`` does
            not say otherwise.
        configuration: digest of the cluster's configuration, the timing and the bounds.
        accelerator: kvm or tcg.
        run: name of the run's folder.
        scenario: its name.
        started_ns: when it began, nanoseconds since 1970.
        verdict: what it came to.
        checks: how many checks judged it.
        operations: on how many operations, where a check counted most of them.
        stall_s: the longest stall, seconds; None where none was measured.
        bound_s: what that was judged by, seconds.
        phases_s: how long each phase took, seconds; None where that cannot be read.
        sha256: of the verdict's file, or as it would be; empty where there is none.
        made: hash of the code that made the evidence, where it was judged again by another one.
    """

    code: str
    configuration: str
    accelerator: str
    run: str
    scenario: str
    started_ns: int
    verdict: Verdict
    checks: int
    operations: int
    stall_s: float | None
    bound_s: float | None
    phases_s: dict[Phase, float] | None
    sha256: str
    made: str = ""

    @property
    def key(self) -> tuple[object, ...]:
        """One start of one scenario."""
        return (self.code, self.configuration, self.accelerator, self.scenario, self.started_ns)


@dataclass(slots=True)
class ScenarioTally:
    """One scenario over all runs of the same code.

    Attributes:
        name: the scenario's name.
        verdicts: how often which.
        checks: how many checks judged each of them.
        stalls_s: the longest stall of each run that measured one, seconds.
        bound_s: the largest bound that a stall was judged by.
        phases_s: for each run, how long each phase took, seconds.
    """

    name: str
    verdicts: dict[Verdict, int] = field(default_factory=dict)
    checks: list[int] = field(default_factory=list)
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
    runs: set[str] = field(default_factory=set)
    scenarios: dict[str, ScenarioTally] = field(default_factory=dict)

    def all_valid(self, times: int) -> bool:
        """Whether every scenario was judged at least ``times`` times, and always VALID."""
        return bool(self.scenarios) and all(
            one.runs >= times and one.verdicts.get(Verdict.VALID, 0) == one.runs
            for one in self.scenarios.values()
        )


def judged_in(
    run_folders: Iterable[Path], judging: str = "", texts: Mapping[str, Text] | None = None
) -> tuple[list[Judged], list[str]]:
    """What stored runs came to, a line for each scenario; and what of them cannot be read.

    A scenario without a verdict counts as INCONCLUSIVE: a run that was cut short is no pass. What
    was judged and set aside when a run was resumed counts as well: trying again does not undo it.

    Args:
        judging: hash of the code that is here; what other code judged is judged again by its
            checks. Nothing in the folders is changed. Whether the evidence is such as this code
            makes is for the caller to know (harness.resuming.made_alike).
        texts: of the scenarios that are here. Of what other code judged, that of scenarios which
            said something else is left out: it is evidence of another scenario.
    """
    found: list[Judged] = []
    notes: list[str] = []
    for folder in run_folders:
        try:
            facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            digest = configuration_digest(
                facts.get("config"),
                facts.get("timing"),
                own_bound="--max-stall" in str(facts["command"]),
                injecting=bool(facts.get("injecting", True)),
            )
            # Resolved, as a run's name is its folder's, however that was written down.
            code, made = judging or str(facts["code"]), str(facts["code"])
            run = _Run(
                code,
                digest,
                str(facts["accelerator"]),
                folder.resolve().name,
                made if made != code else "",
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            notes.append(f"{folder}: no run.json that can be read: {_why(error)}")
            continue
        attempts = sorted((folder / "evidence").glob("*/"))
        for evidence in superseded(folder):
            if not says_nothing(evidence) and (evidence / "verdict.json").exists():
                attempts.append(evidence)
        if not attempts:
            notes.append(f"{folder}: nothing was run")
        if run.made and texts is not None:
            attempts = [one for one in attempts if not reads_otherwise(one, texts)]
        found += [_judged(run, evidence, notes) for evidence in attempts]
    return found, notes


def configuration_digest(
    config: object, timing: object, *, own_bound: bool = False, injecting: bool = True
) -> str:
    """What a run was made with, in eight digits: runs of another digest are never added to it.

    Args:
        config, timing: as in run.json.
        own_bound: a bound of the user's own stands for those of the scenarios.
        injecting: without it, nothing was injected.
    """
    asked = json.dumps(
        [config, timing, own_bound, *([] if injecting else ["without injecting"])], sort_keys=True
    )
    return hashlib.sha256(asked.encode()).hexdigest()[:8]


def tally(judged: Iterable[Judged]) -> list[CodeTally]:
    """Add up, by code, configuration and accelerator."""
    tallies: dict[tuple[str, str], CodeTally] = {}
    for one in judged:
        key = (f"{one.code}, configuration {one.configuration}", one.accelerator)
        own = tallies.setdefault(key, CodeTally(*key))
        own.runs.add(one.run)
        scenario = own.scenarios.setdefault(one.scenario, ScenarioTally(one.scenario))
        scenario.verdicts[one.verdict] = scenario.verdicts.get(one.verdict, 0) + 1
        scenario.checks.append(one.checks)
        if one.phases_s is not None:
            scenario.phases_s.append(one.phases_s)
        if one.stall_s is not None:
            scenario.stalls_s.append(one.stall_s)
        if one.bound_s is not None:
            scenario.bound_s = max(one.bound_s, scenario.bound_s or 0.0)
    return list(tallies.values())


def _why(error: Exception) -> str:
    """What is wrong with a file of JSON, in words."""
    if isinstance(error, KeyError):
        return f"it has no {error}"
    if isinstance(error, TypeError | AttributeError):
        return "it is no object of a run"
    return one_line((isinstance(error, OSError) and error.strerror) or str(error), 80)


class _Run(NamedTuple):
    """What all scenarios of a run have in common."""

    code: str
    configuration: str
    accelerator: str
    run: str
    made: str


def _judged(run: _Run, evidence: Path, notes: list[str]) -> Judged:
    scenario = read_json(evidence / "scenario.json")
    name, started_ns = scenario.get("name"), scenario.get("started_ns")
    raw = b""
    try:
        raw = (evidence / "verdict.json").read_bytes()
        verdict = ScenarioVerdict.load(evidence / "verdict.json")
        if run.made:
            verdict = judge(evidence)
            raw = (json.dumps(verdict.to_json(), indent=1) + "\n").encode()  # as save() writes it
    except (OSError, VerdictError) as error:
        verdict = ScenarioVerdict(evidence.name, error=str(error))
        notes.append(f"{evidence}: no verdict that can be read")
    phases = None
    # An evidence folder that cannot be read has been told of; its time is not known.
    with contextlib.suppress(OSError, EvidenceError):
        phases = seconds_by_phase(spans_of(evidence))
    stall = verdict.result("stall")
    details = {} if stall is None else stall.details
    seconds = [
        part["seconds"]
        for part in details.get("per_job", [])
        if isinstance(part, dict) and isinstance(part.get("seconds"), int | float)
    ]
    bound = details.get("bound_s")
    return Judged(
        **run._asdict(),
        scenario=name if isinstance(name, str) else evidence.name,
        started_ns=started_ns if isinstance(started_ns, int) else 0,
        verdict=verdict.verdict,
        checks=len(verdict.checks),
        operations=max((check.operations for check in verdict.checks), default=0),
        stall_s=max(seconds, default=None),
        bound_s=bound if isinstance(bound, int | float) else None,
        phases_s=phases,
        sha256=hashlib.sha256(raw).hexdigest() if raw else "",
    )


def tally_lines(tallies: list[CodeTally], notes: list[str]) -> list[str]:
    """A table for each code, in words and columns."""
    lines: list[str] = []
    for own in tallies:
        lines.append(f"code {own.code}, {own.accelerator}: {plural(len(own.runs), 'run')}")
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


def markdown_lines(own: CodeTally) -> list[str]:
    """The table of a document: verdicts, stalls, bound, checks and time of each scenario."""
    lines = [
        f"| scenario | verdicts | {_STALL_HEAD} | bound | checks | takes |",
        "|---|---|---|---|---|---|",
    ]
    for one in sorted(own.scenarios.values(), key=lambda one: one.name):
        verdicts = ", ".join(f"{one.verdicts[v]} {v}" for v in Verdict if one.verdicts.get(v))
        stall, bound = "not measured", "–"
        if one.stalls_s:
            told = (min(one.stalls_s), statistics.median(one.stalls_s), max(one.stalls_s))
            stall = ", ".join(f"{seconds:.1f}" for seconds in told)
        if one.bound_s is not None:
            bound = f"{one.bound_s:.0f} s"
        checks = " to ".join(dict.fromkeys(str(n) for n in (min(one.checks), max(one.checks))))
        whole = [sum(seconds.values()) for seconds in one.phases_s]
        takes = f"{statistics.fmean(whole):.0f} s" if whole else "–"
        name = one_line(one.name, 200).replace("|", "\\|")
        lines.append(f"| {name} | {verdicts} | {stall} | {bound} | {checks} | {takes} |")
    return lines


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
