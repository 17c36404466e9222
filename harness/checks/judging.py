"""Runs the checks that apply on one evidence folder. Never raises on bad evidence."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

# Each of these modules enters its checks in the registry, in the order of the report.
from harness.checks import themes  # noqa: F401
from harness.checks.faults import without_bite
from harness.checks.registry import ALL_CHECKS, Check, one_line
from harness.checks.verdict import CheckResult, ScenarioVerdict, Verdict
from harness.evidence.attempts import cut_short
from harness.evidence.model import Evidence
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from pathlib import Path


def judge(folder: Path) -> ScenarioVerdict:
    """The verdict on an evidence folder: every check that applies, in registry order.

    Missing files and torn data make checks INCONCLUSIVE; nothing is raised and nothing written
    (see harness.checks.keeping).
    """
    return judge_evidence(Evidence(folder))


def judge_evidence(evidence: Evidence) -> ScenarioVerdict:
    """As ``judge``, on evidence that the caller goes on to use."""
    folder = evidence.folder
    try:
        error = _harness_trouble(evidence)
    except Exception as problem:
        return ScenarioVerdict(folder.name, (), f"scenario.json: {one_line(problem, folder)}")
    results = tuple(
        result for check in ALL_CHECKS.values() if (result := _run(check, evidence)) is not None
    )
    verdict = ScenarioVerdict(evidence.scenario.slug, results, error)
    if verdict.verdict is Verdict.VALID and (failed := _failed_step(evidence)):
        # What it wanted was not seen, although every check that was run holds: never a pass.
        return replace(verdict, error=failed)
    return verdict


def judge_one(folder: Path, slug: str) -> CheckResult:
    """The result of check ``slug``; INCONCLUSIVE where it does not apply to the scenario.

    Raises:
        KeyError: there is no such check.
    """
    if slug not in ALL_CHECKS:
        raise KeyError(f"no check is called {slug!r}; there are: {', '.join(ALL_CHECKS)}")
    result = _run(ALL_CHECKS[slug], Evidence(folder))
    return result or ALL_CHECKS[slug].inconclusive("the check does not apply to this scenario")


def _run(check: Check, evidence: Evidence) -> CheckResult | None:
    try:
        if not check.applies(evidence):
            return None
    except Exception as problem:
        return check.inconclusive(one_line(problem, evidence.folder))
    result = check.run(evidence)
    if check.predicts and result.verdict is Verdict.INVALID and cut_short(evidence.folder):
        text = "the scenario never ended: what it predicts had not come yet"
        return replace(result, verdict=Verdict.INCONCLUSIVE, seen=f"{text}; seen {result.seen}")
    if check.predicts and result.verdict is Verdict.INVALID and (names := without_bite(evidence)):
        text = f"without a bite of {', '.join(names)} nothing of it was to be expected"
        return replace(result, verdict=Verdict.INCONCLUSIVE, seen=f"{text}; seen {result.seen}")
    return result


def _failed_step(evidence: Evidence) -> str:
    """The first step that failed and does not judge, in words: those that judge are the checks."""
    judges = False
    for seen in evidence.select(Channel.STEP):
        keyword = seen.text("keyword")
        if keyword in ("Given", "When", "Then"):  # not And, But and *
            judges = keyword == "Then"
        if not judges and seen.event.kind == "end" and seen.text("status") == "failed":
            return f"{keyword} {seen.text('text')}: {seen.text('error') or 'failed'}"
    return ""


def _harness_trouble(evidence: Evidence) -> str | None:
    scenario = evidence.scenario
    if scenario.outcome == "error":
        return scenario.error or "the harness failed without saying why"
    if scenario.outcome == "running":
        return "the scenario never ended: the harness was stopped in the middle of it"
    return None
