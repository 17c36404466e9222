"""The run in Markdown, for the page of a CI job: verdicts, blackouts, what did not hold.

GitHub takes at most 1 MiB from a step; the summary stays far below, whatever the run holds. Text of
guests and of the evidence is written with character references, so that none of it is Markdown,
HTML, a link or a mention.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.checks.verdict import Verdict
from harness.report.facts import facts
from harness.report.leftovers import leftover_summary
from harness.report.machine.troubles import reasons, run_troubles
from harness.report.text import date, duration, one_line, plural
from harness.report.view import MARKS, stall_text

if TYPE_CHECKING:
    from harness.report.load import LoadedRun, LoadedScenario

LONGEST = 200_000
"""Characters of a summary, at most."""
_MOST_ROWS = 300
_MOST_REASONS = 20
_SPECIAL = re.compile(r"[&<>\\`*_{}\[\]()#|~$@!^=+]|://|(?<=www)\.|(?<=\d)\.(?= )|^[-+]")
_ENDS = {
    0: "valid",
    1: "invalid",
    10: "inconclusive",
    20: "error of the harness",
    21: "something is missing",
}


def summary(run: LoadedRun, exit_code: int) -> str:
    """The Markdown, ending with a newline.

    Args:
        exit_code: of the command that wrote the report, which the head line tells.
    """
    head = [
        f"## {MARKS[run.verdict]} {run.verdict}: failover run {escape(run.name)}",
        "",
        f"{_counts(run)}. Exit code {exit_code} ({_ENDS.get(exit_code, 'not known')}).",
        "",
    ]
    head += [*_facts(run), ""]
    notes = [f"* {escape(one_line(note))}" for note in run.notes[:_MOST_REASONS]]
    parts = [head, [*notes, ""] if notes else [], _table(run), *_not_valid(run)]
    lines: list[str] = []
    length = 0
    for number, part in enumerate(parts):
        size = sum(len(line) + 1 for line in part)
        if length + size > LONGEST - 200:
            lines += ["", f"_{plural(len(parts) - number, 'part')} left out: too long._"]
            break
        lines += part
        length += size
    return "\n".join(lines).rstrip() + "\n"


def escape(text: str) -> str:
    """``text`` as Markdown that shows it: no markup, no HTML, no link, no mention."""
    return _SPECIAL.sub(lambda match: "".join(f"&#{ord(c)};" for c in match[0]), text)


def _counts(run: LoadedRun) -> str:
    told = ", ".join(
        f"{run.count(verdict)} {verdict}"
        for verdict in (Verdict.INVALID, Verdict.INCONCLUSIVE, Verdict.VALID)
    )
    return f"{plural(len(run.scenarios), 'scenario')}: {told}"


def _facts(run: LoadedRun) -> list[str]:
    told = []
    if run.started_ns is not None:
        told.append(f"began {date(run.started_ns)}")
    if run.seconds is not None:
        told.append(f"took {duration(run.seconds)}")
    if run.info is not None:
        told.append(f"accelerator {run.info.accelerator}")
    if left := leftover_summary(run.folder):
        told.append(f"left behind: {escape(one_line(left))}")
    return ["; ".join(told) + "."] if told else []


def _table(run: LoadedRun) -> list[str]:
    if not run.scenarios:
        return []
    rows = [
        "| verdict | scenario | blackout or longest stall | failovers | fencings | checks held |",
        "|---|---|---|---|---|---|",
    ]
    rows += [_row(loaded) for loaded in run.scenarios[:_MOST_ROWS]]
    if len(run.scenarios) > _MOST_ROWS:
        rows += ["", f"… and {plural(len(run.scenarios) - _MOST_ROWS, 'scenario')} more."]
    return [*rows, ""]


def _row(loaded: LoadedScenario) -> str:
    known, expect = facts(loaded), loaded.scenario.expect
    held = sum(result.verdict is Verdict.VALID for result in loaded.results)
    return (
        f"| {MARKS[loaded.overall]} {loaded.overall} "
        f"| {escape(one_line(loaded.scenario.name, 120))} "
        f"| {'failover time ' if known.failovers else ''}{stall_text(known)}"
        f"{' **exceeded**' if known.over_bound else ''} "
        f"| {_of(known.failovers, expect.failovers)} | {_of(known.fencings, expect.fencings)} "
        f"| {held} of {len(loaded.results)} |"
    )


def _of(seen: int | None, expected: int) -> str:
    return f"{'?' if seen is None else seen} of {expected}"


def _not_valid(run: LoadedRun) -> list[list[str]]:
    """A part for each scenario that is not VALID, and for what is wrong with the run."""
    parts = []
    for trouble in run_troubles(run):
        heading = f"### {MARKS[trouble.verdict]} {escape(one_line(trouble.name, 120))}"
        parts.append([heading, "", f"* {escape(one_line(trouble.text, 1000))}", ""])
    for loaded in run.scenarios[:_MOST_ROWS]:
        if loaded.overall is Verdict.VALID:
            continue
        told = reasons(loaded)
        lines = [f"* {escape(one_line(reason, 500))}" for reason in told[:_MOST_REASONS]]
        if len(told) > _MOST_REASONS:
            lines.append(f"* … and {len(told) - _MOST_REASONS} more")
        heading = f"### {MARKS[loaded.overall]} {escape(one_line(loaded.scenario.name, 120))}"
        parts.append([heading, "", *lines, "", *_command(loaded), ""])
    return parts


def _command(loaded: LoadedScenario) -> list[str]:
    """The command that runs it again, in a block that nothing in it can end."""
    command = one_line(loaded.scenario.reproduce, 500)
    if not command:
        return []
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", command))])
    return [f"{fence}sh", command, fence]
