"""Whether the newest run may pass, and why not: what ``harness trend --gate`` says, in words."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checks.verdict import Verdict
from harness.errors import ExitCode
from harness.report.text import date, plural, seconds
from harness.report.trend.analysis import News
from harness.report.trend.slower import ALL, ALPHA, LEAST_RUNS

if TYPE_CHECKING:
    from harness.report.trend.analysis import Analysis, Flaky, Standing
    from harness.report.trend.model import RunLine
    from harness.report.trend.slower import Longer


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate says: an exit code, and lines that explain it."""

    code: ExitCode
    lines: tuple[str, ...]


def decide(analysis: Analysis) -> Decision:
    """The gate on the last run of a series."""
    run = analysis.last
    lines = [f"gate on {run_text(run)}: {run.conditions}"]
    red = [
        f"new failure: {standing_text(analysis, one)}" for one in analysis.of(News.NEW_FAILURE)
    ] + [f"longer blackout: {longer_text(analysis, one)}" for one in analysis.longer_now]
    unclear = [
        f"newly inconclusive: {standing_text(analysis, one)}"
        for one in analysis.of(News.NEWLY_UNCLEAR)
    ]
    told = [
        f"{news} (does not count): {standing_text(analysis, one)}"
        for news in (News.STILL_FAILING, News.STILL_UNCLEAR)
        for one in analysis.of(news)
    ]
    told += [f"{News.MENDED}: {standing_text(analysis, one)}" for one in analysis.of(News.MENDED)]
    told += [f"flaky: {flaky_text(analysis, one)}" for one in analysis.flaky]
    lines += red + unclear + told
    lines.append(_compared(analysis))
    code = ExitCode.INVALID if red else ExitCode.INCONCLUSIVE if unclear else ExitCode.VALID
    said = {
        ExitCode.INVALID: f"the gate is closed: {plural(len(red), 'reason')}",
        ExitCode.INCONCLUSIVE: f"the gate is closed: {len(unclear)} newly inconclusive",
        ExitCode.VALID: "the gate is open",
    }
    lines.append(said[code])
    return Decision(code, tuple(lines))


def _compared(analysis: Analysis) -> str:
    """What could be compared at all: silence must not be taken for "as fast as before"."""
    if len(analysis.runs) == 1:
        return (
            "this is the first run of its conditions: it is judged by its own verdicts, and "
            "nothing is said of how long blackouts were"
        )
    if not analysis.comparable:
        return (
            f"nothing is said of how long blackouts were: no scenario has {LEAST_RUNS} results "
            f"under these conditions yet ({plural(len(analysis.runs), 'run')})"
        )
    rest = analysis.measured - analysis.comparable
    also = f"; of {rest} more there are too few results (at least {LEAST_RUNS})" if rest else ""
    return (
        f"blackouts of {plural(analysis.comparable, 'scenario')} were compared over "
        f"{plural(len(analysis.runs), 'run')}{also}"
    )


def run_text(run: RunLine) -> str:
    """A run in words."""
    return f"{run.shown} ({date(run.started_ns)}, code {run.code})"


def standing_text(analysis: Analysis, one: Standing) -> str:
    """A scenario's verdict beside the ones before, in words."""
    said = f"{one.name} is {one.line.verdict}"
    if one.line.why:
        said += f": {one.line.why}"
    if one.before is None:
        return f"{said} (the first result of it under these conditions)"
    before = analysis.runs[one.before]
    line = before.scenario(one.name)
    verdict = line.verdict if line is not None else Verdict.INCONCLUSIVE
    if one.news in (News.STILL_FAILING, News.STILL_UNCLEAR):
        return f"{said} (not VALID since {run_text(analysis.runs[one.since])})"
    known = any(flaky.name == one.name for flaky in analysis.flaky)
    return f"{said} (it was {verdict} in {run_text(before)}{'; known to be flaky' * known})"


def longer_text(analysis: Analysis, one: Longer) -> str:
    """A longer blackout in words: what, from what to what, since when, how sure."""
    first, before = analysis.runs[one.since], analysis.runs[one.since - 1]
    since = f"since {run_text(first)}"
    if first.code != before.code:
        since += f"; the run before, {before.shown}, is of code {before.code}"
    if first.versions != before.versions:
        names = sorted(
            name
            for name in first.versions.keys() | before.versions.keys()
            if first.versions.get(name) != before.versions.get(name)
        )
        since += f"; other versions than in the run before: {', '.join(names)}"
    percent = 100 * (one.ratio - 1)
    if one.name == ALL:
        what = f"the median scenario's is {percent:.0f} % longer"
    else:
        what = f"{one.name}: {seconds(one.before_s)} to {seconds(one.now_s)} (+{percent:.0f} %)"
    p = "p < 0.001" if one.p < 0.001 else f"p = {one.p:.3f}"
    return (
        f"{what} {since}{_grown(analysis, one)}; permutation test over all scenarios, geometric "
        f"means of the last {plural(one.runs, 'run')} and the {one.earlier} before: {p}, limit "
        f"{ALPHA:g}"
    )


def _grown(analysis: Analysis, one: Longer) -> str:
    """The phase of the failover that grew most, on average; nothing where phases are not known."""
    before: dict[str, list[float]] = {}
    now: dict[str, list[float]] = {}
    for index, line in list(analysis.lines(one.name))[-one.runs - one.earlier :]:
        for phase, took in line.phases.items():
            (now if index >= one.since else before).setdefault(phase, []).append(took)
    grown = {
        phase: statistics.fmean(took) - statistics.fmean(before[phase])
        for phase, took in now.items()
        if phase in before
    }
    if not grown:
        return ""
    most = max(grown, key=lambda phase: grown[phase])
    return f"; most of it until {most!r} (+{seconds(grown[most])})" if grown[most] > 0 else ""


def flaky_text(analysis: Analysis, one: Flaky) -> str:
    """A flaky scenario in words, with its evidence."""
    bad = [found for found in one.outcomes if not found.valid]
    of = f"{one.valid} of {len(one.outcomes)} attempts were VALID"
    where = f"at code {one.code}" if one.code else "alternating over several codes"
    names = list(dict.fromkeys(analysis.runs[found.run].shown for found in bad))
    told = ", ".join(names[-4:])
    kinds = " and ".join(sorted({str(found.verdict) for found in bad}))
    return f"{one.name}: {of} {where}; {kinds} in {told}"
