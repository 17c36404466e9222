"""The run in plain lines, for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.verdict import Verdict
from harness.report.facts import facts
from harness.report.fleet import clusters_at_once
from harness.report.leftovers import leftover_summary
from harness.report.load import load_run
from harness.report.qualified import qualification_line
from harness.report.text import count, one_line, plural
from harness.report.view import stall_text

if TYPE_CHECKING:
    from pathlib import Path

    from harness.report.load import LoadedScenario


def summary_lines(run_folder: Path) -> list[str]:
    """One line per scenario, the loudest first; below each that is not VALID, what failed.

    Guests' text in it carries no terminal sequences and no control characters.
    """
    run = load_run(run_folder)
    lines: list[str] = []
    for loaded in run.scenarios:
        lines.append(_scenario_line(loaded))
        lines += [f"    {line}" for line in _why(loaded)]
    counts = ", ".join(
        f"{run.count(verdict)} {verdict}"
        for verdict in (Verdict.INVALID, Verdict.INCONCLUSIVE, Verdict.VALID)
    )
    lines += [one_line(note) for note in run.notes]
    if clusters := clusters_at_once(run_folder):
        lines.append(f"Clusters at once: {clusters}")
    if qualified := qualification_line(run_folder):
        lines.append(qualified)
    if left := leftover_summary(run_folder):
        lines.append(f"Left behind on this host and in the lab: {left}")
    return [*lines, f"{run.verdict}: {plural(len(run.scenarios), 'scenario')} ({counts})"]


def _scenario_line(loaded: LoadedScenario) -> str:
    known = facts(loaded)
    expect = loaded.scenario.expect
    writes = "? writes" if known.writes.total is None else f"{count(known.writes.total)} writes"
    parts = (
        f"{known.stall_name} {stall_text(known)}",
        f"failovers {_of(known.failovers, expect.failovers, fewer=expect.fewer_failovers)}",
        f"fencings {_of(known.fencings, expect.fencings, fewer=expect.fewer_fencings)}",
        writes,
        plural(len(loaded.verdict.checks), "check"),
    )
    return f"{loaded.overall:<12}  {one_line(loaded.scenario.name, 100)}: {', '.join(parts)}"


def _of(seen: int | None, expected: int, *, fewer: bool = False) -> str:
    number = "?" if seen is None else str(seen)
    if seen == expected:
        return number
    return f"{number} (expected {'at most ' * fewer}{expected})"


def _why(loaded: LoadedScenario) -> list[str]:
    lines = []
    if loaded.verdict.error:
        lines.append(one_line(loaded.verdict.error))
    for result in loaded.failing:
        lines.append(
            f"{result.verdict} {one_line(result.title, 80)}: expected "
            f"{one_line(result.expected)}; seen {one_line(result.seen)}"
        )
    if loaded.verdict.verdict is not Verdict.VALID and not lines:
        lines.append("no check ran")
    if loaded.earlier:
        number = len(loaded.earlier) + 1
        lines.append(f"attempt {number} of this run came to {loaded.verdict.verdict}; before it:")
        lines += [f"  {attempt.said}" for attempt in loaded.earlier]
    return lines
