"""Writes ``reports/index.html``: the history of all runs, one file that needs nothing else.

As with a run's own page, everything that comes from a run is escaped, and a content security policy
lets the browser fetch nothing. There is no script in it at all.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from markupsafe import Markup

from harness.checks.verdict import Verdict
from harness.errors import ExitCode
from harness.evidence.files import write_whole
from harness.report import text
from harness.report.htmlpages import environment_of, source_of
from harness.report.page import FOLDER
from harness.report.trend import slower
from harness.report.trend.analysis import News
from harness.report.trend.extract import identity_of
from harness.report.trend.gate import decide, flaky_text, longer_text, standing_text
from harness.report.trend.plots import SHOWN, cell_text, picture
from harness.report.trend.slower import ALL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jinja2 import Environment

    from harness.report.trend.analysis import Analysis
    from harness.report.trend.model import RunLine, ScenarioLine

PAGE = "index.html"
_CLOSE = ": they close the gate"


@dataclass(frozen=True, slots=True)
class Column:
    """A run as a column of the grid; ``href`` is empty where its page is gone."""

    run: RunLine
    href: str


@dataclass(frozen=True, slots=True)
class Cell:
    """A scenario in a run; ``verdict`` is empty where it was not run."""

    verdict: str
    tip: str
    href: str


@dataclass(frozen=True, slots=True)
class GridRow:
    """A scenario over the runs; ``feature`` only where it is another than in the row before."""

    name: str
    feature: str
    flags: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Multiple:
    """A small picture and what stands above it."""

    name: str
    flag: str
    svg: Markup


@dataclass(frozen=True, slots=True)
class Section:
    """One series of runs."""

    analysis: Analysis
    decision: str
    verdict: str
    lines: tuple[str, ...]
    findings: tuple[tuple[str, str, tuple[str, ...]], ...]
    columns: tuple[Column, ...]
    rows: tuple[GridRow, ...]
    multiples: tuple[Multiple, ...]


def write_trend(reports: Path, analyses: Sequence[Analysis], notes: Sequence[str] = ()) -> Path:
    """Write the page of all series, the one with the newest run first; returns its path.

    Raises:
        OSError: it cannot be written.
    """
    path = reports / PAGE
    write_whole(path, render(reports, analyses, notes))
    return path


def render(reports: Path, analyses: Sequence[Analysis], notes: Sequence[str] = ()) -> str:
    """The page as HTML; links are relative to ``reports``, and only to what is there."""
    environment = _environment()
    style = Markup(source_of(environment, "trend.css"))
    return environment.get_template("trend.html.j2").render(
        sections=[_section(reports, one) for one in analyses],
        notes=list(notes),
        style=style,
        stated=slower,
    )


def _section(reports: Path, analysis: Analysis) -> Section:
    decided = decide(analysis)
    verdict = {
        ExitCode.VALID: Verdict.VALID,
        ExitCode.INVALID: Verdict.INVALID,
    }.get(decided.code, Verdict.INCONCLUSIVE)
    first = max(len(analysis.runs) - SHOWN, 0)
    columns = tuple(Column(run, _href(reports, run)) for run in analysis.runs[first:])
    return Section(
        analysis=analysis,
        decision=decided.lines[-1],
        verdict=str(verdict),
        lines=decided.lines[-2:-1],
        findings=_findings(analysis),
        columns=columns,
        rows=_rows(reports, analysis, columns),
        multiples=_multiples(analysis),
    )


def _findings(analysis: Analysis) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """(sign, heading, items) of everything that is worth a look, the worst first."""
    found: list[tuple[str, str, list[str]]] = [
        (
            "✕",
            f"New failures{_CLOSE}",
            [standing_text(analysis, x) for x in analysis.of(News.NEW_FAILURE)],
        ),
        (
            "▲",
            f"Longer blackouts{_CLOSE}",
            [longer_text(analysis, one) for one in analysis.longer_now],
        ),
        (
            "?",
            f"Newly inconclusive{_CLOSE}",
            [standing_text(analysis, x) for x in analysis.of(News.NEWLY_UNCLEAR)],
        ),
        (
            "▲",
            "Longer blackouts of scenarios that the last run has not got",
            [
                longer_text(analysis, one)
                for one in analysis.longer
                if one not in analysis.longer_now
            ],
        ),
        ("~", "Flaky", [flaky_text(analysis, one) for one in analysis.flaky]),
        (
            "✕",
            "Not VALID any longer than since the last run",
            [
                standing_text(analysis, one)
                for news in (News.STILL_FAILING, News.STILL_UNCLEAR)
                for one in analysis.of(news)
            ],
        ),
        ("✓", "Valid again", [standing_text(analysis, x) for x in analysis.of(News.MENDED)]),
    ]
    return tuple((sign, heading, tuple(items)) for sign, heading, items in found if items)


def _rows(reports: Path, analysis: Analysis, columns: tuple[Column, ...]) -> tuple[GridRow, ...]:
    flaky = {one.name for one in analysis.flaky}
    rows, last = [], None
    for name in analysis.names:
        cells, feature = [], ""
        for column in columns:
            one = column.run.scenario(name)
            if one is None:
                cells.append(Cell("", f"not run in {column.run.shown}", ""))
                continue
            feature = one.feature or feature
            href = _page_of(reports, column, one)
            cells.append(Cell(str(one.verdict), cell_text(one, column.run), href))
        flags = ["▲ longer"] if analysis.longer_of(name) else []
        flags += ["~ flaky"] if name in flaky else []
        rows.append(GridRow(name, feature if feature != last else "", tuple(flags), tuple(cells)))
        last = feature
    return tuple(rows)


def _multiples(analysis: Analysis) -> tuple[Multiple, ...]:
    """Pictures: what became longer first, then by how long the stalls are."""
    found = []
    for name in analysis.names:
        svg = picture(analysis, name)
        if svg is None:
            continue
        one = analysis.longer_of(name)
        flag = f"▲ +{100 * (one.ratio - 1):.0f} %" if one is not None else ""
        stalls = [line.stall_s for _, line in analysis.lines(name) if line.stall_s is not None]
        found.append((one is None, -max(stalls, default=0.0), Multiple(name, flag, svg)))
    return tuple(multiple for _, _, multiple in sorted(found, key=lambda one: one[:2]))


def _page_of(reports: Path, column: Column, one: ScenarioLine) -> str:
    """The scenario's own page of that run; the run's where there is none."""
    if not column.href or not one.slug:
        return column.href
    page = reports / column.run.folder / FOLDER / f"{one.slug}.html"
    return quote(os.path.relpath(page, reports)) if page.is_file() else column.href


def _href(reports: Path, run: RunLine) -> str:
    """The run's own page, relative to the trend's; empty where it is not there.

    A run that was put aside may have left its name to another one, whose page this is not.
    """
    page = reports / run.folder / PAGE
    if not run.folder or not page.is_file():
        return ""
    there = page.with_name("run.json").is_file() and identity_of(page.parent)
    if there and there != (run.name, run.started_ns):
        return ""
    return quote(os.path.relpath(page, reports))


@cache
def _environment() -> Environment:
    environment = environment_of("harness.report.trend")
    environment.globals |= {"date": text.date, "one_line": text.one_line, "ALL": ALL}
    return environment
