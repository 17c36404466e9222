"""The Gherkin of a scenario, line by line, with what became of each step and how long it took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.evidence.timeline import Channel
from harness.report.text import clean, one_line, relative, seconds

if TYPE_CHECKING:
    from harness.evidence.model import Seen
    from harness.report.load import LenientEvidence

Status = Literal["passed", "failed", "unfinished", "not run", ""]
_KEYWORDS = ("Given", "When", "Then", "And", "But", "*")
_MARKS = {"passed": "✓", "failed": "✕", "unfinished": "…", "not run": "–"}


@dataclass(frozen=True, slots=True)
class StepResult:
    """One line of the Gherkin.

    Attributes:
        line: as it is written; untrusted. Of a step that the Gherkin does not have its words.
        keyword: ``Given``, ``When``, …; empty for a line that is no step (of a table, say).
        text: the words after it, on one line.
        status: ``passed``, ``failed``, ``unfinished`` or ``not run``; empty for what is no step.
        begin_ns: on the run's clock; None where it was not run.
        took_ns: None where it did not end, or was not run.
    """

    line: str
    keyword: str
    text: str
    status: Status
    begin_ns: int | None = None
    took_ns: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class StepRow:
    """One line of Gherkin on a page.

    Attributes:
        status: as of a StepResult.
        at, took: when it began (relative) and how long it took; empty where not known.
    """

    text: str
    status: str = ""
    at: str = ""
    took: str = ""
    error: str = ""

    @property
    def mark(self) -> str:
        """A sign for the status; empty for what is no step."""
        return _MARKS.get(self.status, "")


def step_results(evidence: LenientEvidence) -> list[StepResult]:
    """The lines in the order of the Gherkin; steps that it does not have come last."""
    begun = _begun(evidence)
    results = []
    for line in evidence.scenario.gherkin:
        wanted = " ".join(line.split())
        match = next((one for one in begun if one[0] == wanted), None)
        if match is not None:
            begun.remove(match)
            results.append(_result(line, *match))
        else:
            keyword, text = _parted(wanted)
            status: Status = "not run" if keyword else ""
            results.append(StepResult(line, keyword, text, status))
    return results + [_result(one[0], *one) for one in begun]


def step_rows(evidence: LenientEvidence) -> list[StepRow]:
    """The same for a page."""
    zero_ns = evidence.zero_ns
    return [
        StepRow(
            clean(one.line.rstrip()),
            one.status,
            "" if one.begin_ns is None else relative(one.begin_ns, zero_ns),
            "" if one.took_ns is None else seconds(one.took_ns / 1e9),
            one_line(one.error),
        )
        for one in step_results(evidence)
    ]


def _begun(evidence: LenientEvidence) -> list[tuple[str, Seen, Seen | None]]:
    """(words, begin, end) of every step that began, in order."""
    found: list[tuple[str, Seen, Seen | None]] = []
    for seen in evidence.select(Channel.STEP):
        if seen.event.kind == "begin":
            words = " ".join(f"{seen.text('keyword')} {seen.text('text')}".split())
            found.append((words, seen, None))
        elif found and seen.event.kind == "end" and found[-1][2] is None:
            found[-1] = (found[-1][0], found[-1][1], seen)
    return found


def _parted(words: str) -> tuple[str, str]:
    """(keyword, text); what is no step has no keyword."""
    keyword, _, rest = words.partition(" ")
    text = rest if keyword in _KEYWORDS else words
    return keyword if keyword in _KEYWORDS else "", one_line(text, 1000)


def _result(line: str, words: str, begin: Seen, end: Seen | None) -> StepResult:
    keyword, text = _parted(words)
    if end is None:
        return StepResult(line, keyword, text, "unfinished", begin.t_ns)
    error = one_line(end.text("error"), 1000)
    passed = end.text("status").lower() == "passed" and not error
    took_ns = max(end.t_ns - begin.t_ns, 0)
    status: Status = "passed" if passed else "failed"
    return StepResult(line, keyword, text, status, begin.t_ns, took_ns, error)
