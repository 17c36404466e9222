"""Lines for the log of a CI job: groups that fold, and annotations at the feature's line.

GitHub reads commands from a job's output: a line that begins with ``::`` (after blanks), and
``##[`` anywhere in one, which is the older form. Values in a command are escaped as its toolkit
does (``@actions/core``, command.ts: %, CR, LF, and in properties also : and ,). GitLab reads
``section_start`` and ``section_end`` with a carriage return and an escape sequence. What guests
wrote must be able to give neither: it is cleaned of control characters, and ``harmless`` breaks
what GitHub would read as a command.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checks.verdict import Verdict
from harness.report.facts import facts
from harness.report.machine.troubles import reasons, run_troubles
from harness.report.steps import step_results
from harness.report.text import one_line, plural, seconds, shorten
from harness.report.view import stall_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.report.load import LoadedRun, LoadedScenario
    from harness.report.machine.places import Places

MOST_ERRORS = 10
"""GitHub shows ten errors of a step, and drops the rest without a word."""
_MOST_LINES = 200  # in a group
_LONGEST = 4000  # characters of a message
_TO_START_OF_LINE = "\r\x1b[0K"


@dataclass(frozen=True, slots=True)
class _Finding:
    title: str
    lines: list[str]
    path: Path | None
    line: int


def github_lines(run: LoadedRun, places: Places, root: Path) -> list[str]:
    """A group per scenario, then an error for each that is not VALID, at most ten.

    Args:
        root: what paths are relative to, the checkout; a file outside of it is not named.
    """
    told = []
    for loaded in _in_order(run):
        told.append(f"::group::{_data(_heading(loaded))}")
        told += [harmless(line) for line in _group(loaded)]
        told.append("::endgroup::")
    findings = _findings(run, places)
    shown = findings if len(findings) <= MOST_ERRORS else findings[: MOST_ERRORS - 1]
    told += [_error(finding, root) for finding in shown]
    if rest := findings[len(shown) :]:
        names = "\n".join(one.title for one in rest)
        more = _Finding(f"and {len(rest)} more", [shorten(names, _LONGEST)], None, 0)
        told.append(_error(more, root))
    return told


def gitlab_lines(run: LoadedRun) -> list[str]:
    """A section per scenario, folded where it is VALID, with the scenario's own times.

    GitLab has no annotations in a log; ``artifacts:reports:junit`` brings the findings.
    """
    told = []
    for number, loaded in enumerate(_in_order(run), start=1):
        begin_s = loaded.scenario.started_ns // 1_000_000_000
        end_s = max(loaded.evidence.end_ns // 1_000_000_000, begin_s)
        folded = "[collapsed=true]" if loaded.overall is Verdict.VALID else ""
        name = f"scenario_{number}"
        told.append(f"section_start:{begin_s}:{name}{folded}{_TO_START_OF_LINE}{_heading(loaded)}")
        told += _group(loaded)
        told.append(f"section_end:{end_s}:{name}{_TO_START_OF_LINE}")
    told += [f"{one.verdict} {one_line(one.name)}: {one.text}" for one in run_troubles(run)]
    return told


def harmless(line: str) -> str:
    """A line that GitHub takes for text: no command at its beginning, none in the older form."""
    line = line.replace("##[", "# #[")
    return f"· {line}" if line.lstrip().startswith("::") else line


def _in_order(run: LoadedRun) -> list[LoadedScenario]:
    return sorted(run.scenarios, key=lambda one: one.scenario.started_ns)


def _heading(loaded: LoadedScenario) -> str:
    known = facts(loaded)
    return (
        f"{loaded.overall} {one_line(loaded.scenario.name, 120)} "
        f"({known.stall_name} {stall_text(known)})"
    )


def _group(loaded: LoadedScenario) -> list[str]:
    lines = []
    for step in step_results(loaded.evidence):
        took = "" if step.took_ns is None else f" ({seconds(step.took_ns / 1e9)})"
        error = f": {step.error}" if step.error else ""
        lines.append(f"  {step.status or '':<10} {step.keyword} {step.text}{took}{error}")
    for result in loaded.results:
        lines.append(f"  {result.verdict:<12} {one_line(result.title)}: {one_line(result.seen)}")
    lines += [f"  {text}" for text in reasons(loaded)]
    left_out = len(lines) - _MOST_LINES
    more = [f"  … and {plural(left_out, 'line')} more"] if left_out > 0 else []
    return [*lines[:_MOST_LINES], *more, f"  reproduce: {one_line(loaded.scenario.reproduce)}"]


def _findings(run: LoadedRun, places: Places) -> list[_Finding]:
    """INVALID ones first, as the run has them; what is wrong with the run comes last."""
    found = []
    for loaded in run.scenarios:
        if loaded.overall is Verdict.VALID:
            continue
        place = places.of(loaded.scenario)
        lines = [*reasons(loaded), f"reproduce: {one_line(loaded.scenario.reproduce)}"]
        title = f"{loaded.overall}: {one_line(loaded.scenario.name, 120)}"
        found.append(
            _Finding(title, lines, place.path if place else None, place.line if place else 0)
        )
    for trouble in run_troubles(run):
        title = f"{trouble.verdict}: {one_line(trouble.name, 120)}"
        found.append(_Finding(title, [trouble.text], None, 0))
    return found


def _error(finding: _Finding, root: Path) -> str:
    properties = {}
    if finding.path is not None and finding.path.resolve().is_relative_to(root.resolve()):
        properties["file"] = str(finding.path.resolve().relative_to(root.resolve()))
        properties["line"] = str(finding.line)
    properties["title"] = finding.title
    told = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::error {told}::{_data(shorten(chr(10).join(finding.lines), _LONGEST))}"


def _data(text: str) -> str:
    return _harmless_in_command(text, lambda t: t)


def _property(text: str) -> str:
    return _harmless_in_command(text, lambda t: t.replace(":", "%3A").replace(",", "%2C"))


def _harmless_in_command(text: str, more: Callable[[str], str]) -> str:
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return more(escaped).replace("##[", "# #[")
