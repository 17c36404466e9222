"""``run-report.json``: a whole run in one JSON document whose shape is published and versioned.

The models here are the format; its JSON Schema is made of them (``schema``) and kept in
docs/schemas. Fields may be added within a version; one that goes or changes raises ``VERSION``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict

from harness.checks.verdict import Verdict
from harness.evidence.files import read_json
from harness.evidence.phases import seconds_by_phase, spans
from harness.evidence.timeline import Channel
from harness.report.earlier import earlier_attempts
from harness.report.facts import facts
from harness.report.leftovers import left_behind
from harness.report.machine.troubles import reasons
from harness.report.nottested import not_begun
from harness.report.qualified import qualification
from harness.report.steps import Status, step_results
from harness.report.text import clean, one_line, shorten

if TYPE_CHECKING:
    from harness.checks.verdict import CheckResult
    from harness.report.earlier import Attempt
    from harness.report.load import LoadedRun, LoadedScenario

VERSION = 1
_MOST = 200  # of anything that a scenario may have many of
Stage = Literal["inject", "bitten", "not-bitten", "heal", "healed", "not-healed"]
_STAGES: tuple[Stage, ...] = get_args(Stage)
Judged = Literal["VALID", "INVALID", "INCONCLUSIVE"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, extra="forbid")


class CheckReport(_Part):
    """One check of a scenario."""

    check: str
    """Its slug; it stays the same from run to run."""
    title: str
    verdict: Judged
    expected: str
    seen: str
    operations: int
    """How many operations, samples or events it was judged on; 0 is never VALID."""
    when_ns: list[int]
    """Moments it is about, ns since the epoch on the run's clock; at most 200."""
    evidence: list[str]
    """Files of the evidence folder, with line or record; at most 200."""


class StepReport(_Part):
    """One line of the Gherkin."""

    keyword: str
    """Given, When, Then, And, But or *; empty for a line that is no step."""
    text: str
    status: Status
    seconds: float | None
    error: str


class FaultReport(_Part):
    """One stage of a fault's life."""

    id: str
    kind: str
    target: str
    stage: Stage
    t_ns: int


class Expected(_Part):
    """What the scenario stated before its first run."""

    failovers: int
    at_most_failovers: bool
    """Fewer are right as well."""
    fencings: int
    at_most_fencings: bool
    max_stall_s: float | None
    """Bound on the longest stall; null where none was stated."""


class Observed(_Part):
    """What was seen; null where nothing says."""

    failovers: int | None
    fencings: int | None
    longest_stall_s: float | None
    """Longest time in which a job had no write acknowledged: in a failover, the blackout."""
    stall_from_ns: int | None
    stall_to_ns: int | None
    writes: int | None
    """Acknowledged writes."""


class AttemptReport(_Part):
    """An attempt that was set aside when the run was resumed; what was judged of it counts."""

    scenario: str
    """Empty where nothing tells."""
    verdict: Judged | None
    """Null where it was cut short, so that it says nothing."""
    why: str
    started_ns: int
    place: str
    """Its folder, relative to the run's."""


class ScenarioReport(_Part):
    """One scenario."""

    slug: str
    """Its folder below evidence/."""
    name: str
    feature: str
    tags: list[str]
    verdict: Judged
    """The worst of all its attempts in this run."""
    judged: bool
    """False where there is no verdict.json: it is INCONCLUSIVE then."""
    outcome: Literal["running", "finished", "error"]
    reasons: list[str]
    """Why it is not VALID, one line each; empty where it is."""
    started_ns: int
    ended_ns: int | None
    seconds: float
    reproduce: str
    """The command that runs just this scenario again."""
    expected: Expected
    observed: Observed
    phases: dict[str, float]
    """Seconds by phase; empty where the evidence does not tell."""
    steps: list[StepReport]
    faults: list[FaultReport]
    """In the order in which things happened; at most 200."""
    checks: list[CheckReport]
    attempts: list[AttemptReport]
    """Attempts before this one in the same run, the oldest first."""


class Counts(_Part):
    """How many scenarios came to each verdict."""

    VALID: int
    INVALID: int
    INCONCLUSIVE: int


class QualificationReport(_Part):
    """Whether the run's host is a qualified one (docs/qualifying.md)."""

    state: Literal["qualified", "not qualified", "changed", "never", "unreadable"]
    """``changed``: it was qualified, and is not the same host any more."""
    text: str
    """One line for people."""
    when_ns: int | None
    """When it was qualified, or not; null without a stamp, like what follows."""
    code: str | None
    same_code: bool | None
    """It was done with the code of this run."""
    margins: dict[str, float | None]
    """Allowed divided by measured, by class of timeout; null where it was not measured or ran
    out."""
    why_not: list[str]


class NotBegunReport(_Part):
    """A scenario that there is no evidence of."""

    scenario: str
    why: str


class RunReport(_Part):
    """A run of the failover harness."""

    format: Literal["failover-harness run report"] = "failover-harness run report"
    schema_version: Literal[1] = 1
    run: str
    verdict: Judged
    """INVALID if any scenario is; else INCONCLUSIVE if any is, or if there is none."""
    counts: Counts
    started_ns: int | None
    """Ns since the epoch on the run's clock, as all ``…_ns``."""
    seconds: float | None
    harness: str | None
    """Version of the harness; null without run.json, like what follows."""
    code: str | None
    """Hash of everything that a result depends on: compare runs of the same code only."""
    accelerator: Literal["kvm", "tcg"] | None
    seed: int | None
    command: str | None
    injecting: bool | None
    """False in a test of the proofs, in which nothing was broken."""
    versions: dict[str, str]
    packages: dict[str, dict[str, str]] = {}
    """Versions of all packages, by ``guests``, ``host`` and ``python``; empty in older runs."""
    timing: dict[str, str | int | float | bool | None]
    """The timing profile: Corosync's token, DRBD's and Pacemaker's timeouts, and so on."""
    left_behind: list[str]
    """What differs on the host or in the lab after the run: trouble of the harness's own."""
    notes: list[str]
    """What is missing or damaged."""
    scenarios: list[ScenarioReport]
    """By their start."""
    pending: list[AttemptReport]
    """Attempts that were set aside and whose scenario was never begun again."""
    qualification: QualificationReport | None = None
    """Null where nothing tells."""
    not_begun: list[NotBegunReport] = []
    """What was not tested: scenarios that were chosen or that there are, and why."""


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of ``run-report.json``.

    A reader must let unknown fields pass, as some may be added: so does the schema.
    """
    made = RunReport.model_json_schema(mode="serialization")
    for part in (made, *made["$defs"].values()):
        part.pop("additionalProperties", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def run_report(run: LoadedRun) -> RunReport:
    """The document of a run; whatever cannot be read of it is null, empty or a note."""
    info = run.info
    code = read_json(run.folder / "run.json").get("code")
    names = {loaded.scenario.name for loaded in run.scenarios}
    aside = [one for one in earlier_attempts(run.folder) if one.scenario not in names]
    scenarios = [_scenario(loaded) for loaded in run.scenarios]
    return RunReport(
        run=clean(run.name),
        verdict=_judged(run.verdict),
        counts=Counts(**{str(verdict): run.count(verdict) for verdict in Verdict}),
        started_ns=run.started_ns,
        seconds=run.seconds,
        harness=clean(info.harness) if info else None,
        code=clean(code) if isinstance(code, str) else None,
        accelerator=info.accelerator if info else None,
        seed=info.seed if info else None,
        command=clean(info.command) if info else None,
        injecting=info.injecting if info else None,
        versions={clean(k): clean(v) for k, v in sorted(info.versions.items())} if info else {},
        packages={
            clean(place): {clean(k): clean(v) for k, v in sorted(packages.items())}
            for place, packages in sorted(info.packages.items())
        }
        if info
        else {},
        timing=_plain(info.timing) if info else {},
        left_behind=left_behind(run.folder)[:_MOST],
        notes=[one_line(note, 1000) for note in run.notes[:_MOST]],
        scenarios=sorted(scenarios, key=lambda one: (one.started_ns, one.slug)),
        pending=[_attempt(one) for one in aside[:_MOST]],
        qualification=_qualification(run),
        not_begun=[
            NotBegunReport(scenario=name, why=one_line(why))
            for why, names in not_begun(run).groups
            for name in names
        ][:_MOST],
    )


def _qualification(run: LoadedRun) -> QualificationReport | None:
    told = qualification(run.folder)
    if told is None:
        return None
    stamp = told.stamp
    return QualificationReport(
        state=told.state,
        text=told.text,
        when_ns=stamp.when_ns if stamp else None,
        code=clean(stamp.code) if stamp else None,
        same_code=told.same_code if stamp else None,
        margins={clean(one.name): one.margin for one in stamp.margins} if stamp else {},
        why_not=[one_line(line, 1000) for line in stamp.why_not] if stamp else [],
    )


def _plain(values: dict[str, Any]) -> dict[str, str | int | float | bool | None]:
    """Numbers and texts by name; what JSON has no form for (infinity, say) is told as text."""
    told: dict[str, str | int | float | bool | None] = {}
    for name, value in values.items():
        number = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
        told[clean(name)] = value if value is None or number else one_line(str(value))
    return told


def _scenario(loaded: LoadedScenario) -> ScenarioReport:
    evidence, scenario = loaded.evidence, loaded.scenario
    return ScenarioReport(
        slug=clean(evidence.folder.name),
        name=clean(scenario.name),
        feature=clean(scenario.feature),
        tags=[clean(tag) for tag in scenario.tags],
        verdict=_judged(loaded.overall),
        judged=loaded.judged,
        outcome=scenario.outcome,
        reasons=reasons(loaded),
        started_ns=scenario.started_ns,
        ended_ns=scenario.ended_ns,
        seconds=max(evidence.end_ns - scenario.started_ns, 0) / 1e9,
        reproduce=clean(scenario.reproduce),
        expected=_expected(loaded),
        observed=_observed(loaded),
        phases=_phases(loaded),
        steps=[
            StepReport(
                keyword=step.keyword,
                text=step.text,
                status=step.status,
                seconds=None if step.took_ns is None else step.took_ns / 1e9,
                error=step.error,
            )
            for step in step_results(evidence)
        ],
        faults=_faults(loaded),
        checks=[_check(result) for result in loaded.results],
        attempts=[_attempt(one) for one in loaded.earlier],
    )


def _expected(loaded: LoadedScenario) -> Expected:
    expect = loaded.scenario.expect
    return Expected(
        failovers=expect.failovers,
        at_most_failovers=expect.fewer_failovers,
        fencings=expect.fencings,
        at_most_fencings=expect.fewer_fencings,
        max_stall_s=expect.stall_bound_s,
    )


def _observed(loaded: LoadedScenario) -> Observed:
    known = facts(loaded)
    return Observed(
        failovers=known.failovers,
        fencings=known.fencings,
        longest_stall_s=known.stall.seconds if known.stall else None,
        stall_from_ns=known.stall.start_ns if known.stall else None,
        stall_to_ns=known.stall.end_ns if known.stall else None,
        writes=known.writes.total,
    )


def _phases(loaded: LoadedScenario) -> dict[str, float]:
    try:
        by_phase = seconds_by_phase(spans(loaded.evidence))
        return {str(phase): took for phase, took in by_phase.items()}
    except Exception:  # on evidence that no judge accepted: everything else is told all the same
        return {}


def _faults(loaded: LoadedScenario) -> list[FaultReport]:
    stages: dict[str, Stage] = {stage: stage for stage in _STAGES}
    return [
        FaultReport(
            id=one_line(seen.text("id")),
            kind=one_line(seen.text("kind")),
            target=one_line(seen.text("target")),
            stage=stages[seen.event.kind],
            t_ns=seen.t_ns,
        )
        for seen in loaded.evidence.select(Channel.FAULT, *_STAGES)[:_MOST]
    ]


def _check(result: CheckResult) -> CheckReport:
    return CheckReport(
        check=clean(result.check),
        title=one_line(result.title),
        verdict=_judged(result.verdict),
        expected=shorten(clean(result.expected), 4000),
        seen=shorten(clean(result.seen), 4000),
        operations=result.operations,
        when_ns=list(result.when_ns[:_MOST]),
        evidence=[one_line(text) for text in result.evidence[:_MOST]],
    )


def _attempt(attempt: Attempt) -> AttemptReport:
    return AttemptReport(
        scenario=one_line(attempt.scenario),
        verdict=None if attempt.verdict is None else _judged(attempt.verdict),
        why=attempt.why,
        started_ns=attempt.started_ns,
        place=one_line(attempt.place),
    )


def _judged(verdict: Verdict) -> Judged:
    return verdict.value
