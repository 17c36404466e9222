"""The Gherkin lines of a scenario with what became of each, as numbers and plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.evidence.timeline import Channel
from harness.report.text import one_line

if TYPE_CHECKING:
    from harness.evidence.model import Seen
    from harness.report.load import LenientEvidence

Status = Literal["passed", "failed", "unfinished", "not run", ""]
_KEYWORDS = ("Given", "When", "Then", "And", "But", "*")


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step.

    Attributes:
        keyword: ``Given``, ``When``, …; empty for a line that is no step (of a table, say).
        status: ``passed``, ``failed``, ``unfinished`` or ``not run``; empty for what is no step.
        took_ns: None where it did not end, or was not run.
    """

    keyword: str
    text: str
    status: Status
    took_ns: int | None = None
    error: str = ""


def step_results(evidence: LenientEvidence) -> list[StepResult]:
    """The lines in the order of the Gherkin; steps that it does not have come last."""
    begun = _begun(evidence)
    results = []
    for line in evidence.scenario.gherkin:
        keyword, text = _parted(line)
        match = next((one for one in begun if one[:2] == (keyword, text)), None)
        if match is not None:
            begun.remove(match)
            results.append(_result(*match))
        else:
            status: Status = "not run" if keyword else ""
            results.append(StepResult(keyword, one_line(text, 1000), status))
    return results + [_result(*one) for one in begun]


def _begun(evidence: LenientEvidence) -> list[tuple[str, str, Seen, Seen | None]]:
    """(keyword, text, begin, end) of every step that began, in order."""
    found: list[tuple[str, str, Seen, Seen | None]] = []
    for seen in evidence.select(Channel.STEP):
        if seen.event.kind == "begin":
            keyword, text = _parted(f"{seen.text('keyword')} {seen.text('text')}")
            found.append((keyword, text, seen, None))
        elif found and seen.event.kind == "end" and found[-1][3] is None:
            found[-1] = (*found[-1][:3], seen)
    return found


def _parted(line: str) -> tuple[str, str]:
    words = line.split()
    if words and words[0] in _KEYWORDS:
        return words[0], " ".join(words[1:])
    return "", " ".join(words)


def _result(keyword: str, text: str, begin: Seen, end: Seen | None) -> StepResult:
    told = one_line(text, 1000)
    if end is None:
        return StepResult(keyword, told, "unfinished")
    error = one_line(end.text("error"), 1000)
    passed = end.text("status").lower() == "passed" and not error
    took_ns = max(end.t_ns - begin.t_ns, 0)
    return StepResult(keyword, told, "passed" if passed else "failed", took_ns, error)
