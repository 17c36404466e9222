"""The run as Cucumber JSON, as report tools read it, made of the evidence.

So it is whole also where the scenarios ran in other processes than pytest's first one. Cucumber
knows no error beside a failure: INCONCLUSIVE is ``failed`` like INVALID, as nothing else is red in
every tool, and is told apart by the tag ``@INCONCLUSIVE`` and the first word of the message.

Format: an array of features with elements and steps, durations in ns, as cucumber-jvm's "json"
formatter writes it and pytest-bdd's ``--cucumberjson`` does. The verdict is a last step of its own
(keyword ``Verdict``), each check that did not hold one before it (``Check``). Evidence does not say
in which file a scenario stands: ``uri`` is the feature's name and ``line`` counts within the list.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from harness.checks.verdict import Verdict
from harness.report.facts import facts
from harness.report.machine.troubles import reasons, run_troubles
from harness.report.steps import step_results
from harness.report.text import clean, one_line, plural, shorten
from harness.report.view import stall_text

if TYPE_CHECKING:
    from harness.report.load import LoadedRun, LoadedScenario
    from harness.report.steps import StepResult

_STATUS = {"passed": "passed", "failed": "failed", "unfinished": "failed", "not run": "skipped"}
_LONGEST_TEXT = 20_000


def cucumber(run: LoadedRun) -> list[dict[str, Any]]:
    """The features of a run, in the order of their first scenario's start."""
    features: dict[str, list[LoadedScenario]] = {}
    for loaded in sorted(run.scenarios, key=lambda one: one.scenario.started_ns):
        features.setdefault(clean(loaded.scenario.feature), []).append(loaded)
    told = [
        _feature(name, line, [_element(name, n, one) for n, one in enumerate(scenarios, start=1)])
        for line, (name, scenarios) in enumerate(features.items(), start=1)
    ]
    if troubles := run_troubles(run):
        name = f"The run {clean(run.name)}"
        elements = [
            _scenario_element(
                name,
                n,
                trouble.name,
                [trouble.verdict],
                [_verdict(1, trouble.verdict, trouble.text)],
            )
            for n, trouble in enumerate(troubles, start=1)
        ]
        told.append(_feature(name, len(told) + 1, elements))
    return told


def _feature(name: str, line: int, elements: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "uri": name,
        "id": _id(name),
        "keyword": "Feature",
        "name": name,
        "line": line,
        "description": "",
        "tags": [],
        "elements": elements,
    }


def _element(feature: str, line: int, loaded: LoadedScenario) -> dict[str, Any]:
    lines = step_results(loaded.evidence)
    steps = [_step(n, one) for n, one in enumerate(lines, start=1) if one.keyword]
    for result in loaded.failing:
        said = f"{result.verdict}: expected {result.expected}; seen {result.seen}"
        steps.append(_told(len(lines) + 1, "Check", result.title, shorten(clean(said), 4000)))
    why = "\n".join(reasons(loaded))
    verdict = _verdict(len(lines) + 2, loaded.overall, why)
    known = facts(loaded)
    summary = (
        f"{plural(len(loaded.verdict.checks), 'check')}; {known.stall_name} {stall_text(known)}; "
        f"evidence/{loaded.evidence.folder.name}\nreproduce: {loaded.scenario.reproduce}"
    )
    checks = [f"{r.verdict} {r.title}: {one_line(r.seen)}" for r in loaded.results]
    verdict["embeddings"] = [_text("\n".join([summary, *checks]))]
    tags = [tag.removeprefix("@") for tag in loaded.scenario.tags]
    if loaded.overall is not Verdict.VALID:
        tags.append(str(loaded.overall))
    return _scenario_element(feature, line, loaded.scenario.name, tags, [*steps, verdict])


def _scenario_element(
    feature: str, line: int, name: str, tags: list[Any], steps: list[dict[str, Any]]
) -> dict[str, Any]:
    told = one_line(name)
    return {
        "id": f"{_id(feature)};{_id(told)}",
        "keyword": "Scenario",
        "type": "scenario",
        "name": told,
        "line": line,
        "description": "",
        "tags": [{"name": f"@{one_line(str(tag), 80)}", "line": line} for tag in tags],
        "steps": steps,
    }


def _step(line: int, step: StepResult) -> dict[str, Any]:
    result: dict[str, Any] = {"status": _STATUS[step.status], "duration": step.took_ns or 0}
    if step.status == "unfinished":
        result["error_message"] = "it began and never ended"
    elif step.status == "failed":
        result["error_message"] = step.error or "it failed"
    return _in_line(line, step.keyword, step.text, result)


def _told(line: int, keyword: str, text: str, error: str) -> dict[str, Any]:
    result = {"status": "failed", "duration": 0, "error_message": error}
    return _in_line(line, keyword, one_line(text), result)


def _verdict(line: int, verdict: Verdict, why: str) -> dict[str, Any]:
    if verdict is Verdict.VALID:
        passed = {"status": "passed", "duration": 0}
        return _in_line(line, "Verdict", "VALID", passed)
    return _told(line, "Verdict", str(verdict), shorten(f"{verdict}: {why}", _LONGEST_TEXT))


def _in_line(line: int, keyword: str, name: str, result: dict[str, Any]) -> dict[str, Any]:
    return {
        "keyword": f"{keyword} ",
        "name": name,
        "line": line,
        "match": {"location": ""},
        "result": result,
    }


def _text(text: str) -> dict[str, str]:
    data = base64.b64encode(shorten(clean(text), _LONGEST_TEXT).encode()).decode()
    return {"mime_type": "text/plain", "data": data}


def _id(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "-"
