"""The Gherkin of a scenario, line by line, with what became of each step and how long it took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.evidence.timeline import Channel
from harness.report.text import clean, one_line, relative, seconds

if TYPE_CHECKING:
    from harness.evidence.model import Seen
    from harness.report.load import LenientEvidence

_MARKS = {"passed": "✓", "failed": "✕", "unfinished": "…", "not run": "–"}
_PASSED = ("passed", "pass", "ok", "success")


@dataclass(frozen=True, slots=True)
class StepRow:
    """One line of Gherkin.

    Attributes:
        status: ``passed``, ``failed``, ``unfinished``, ``not run``; empty for what is no step.
        mark: a sign for the status.
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


def step_rows(evidence: LenientEvidence) -> list[StepRow]:
    """The Gherkin as written with the results; steps that it does not have come last."""
    done = _done(evidence)
    rows = []
    for line in evidence.scenario.gherkin:
        wanted = " ".join(line.split())
        match = next((step for step in done if step[0] == wanted), None)
        if match is not None:
            done.remove(match)
            rows.append(_row(clean(line.rstrip()), match, evidence.zero_ns))
        else:
            is_step = wanted.split(" ", 1)[0] in ("Given", "When", "Then", "And", "But", "*")
            rows.append(StepRow(clean(line.rstrip()), "not run" if is_step else ""))
    rows += [_row(clean(step[0]), step, evidence.zero_ns) for step in done]
    return rows


def _done(evidence: LenientEvidence) -> list[tuple[str, Seen, Seen | None]]:
    """(text, begin, end) of every step that began, in order."""
    found: list[tuple[str, Seen, Seen | None]] = []
    for seen in evidence.select(Channel.STEP):
        text = " ".join(f"{seen.text('keyword')} {seen.text('text')}".split())
        if seen.event.kind == "begin":
            found.append((text, seen, None))
        elif found and seen.event.kind == "end" and found[-1][2] is None:
            found[-1] = (found[-1][0], found[-1][1], seen)
    return found


def _row(text: str, step: tuple[str, Seen, Seen | None], zero_ns: int) -> StepRow:
    _, begin, end = step
    at = relative(begin.t_ns, zero_ns)
    if end is None:
        return StepRow(text, "unfinished", at)
    passed = end.text("status").lower() in _PASSED
    took = seconds((end.t_ns - begin.t_ns) / 1e9)
    error = one_line(end.text("error"))
    return StepRow(text, "passed" if passed and not error else "failed", at, took, error)
