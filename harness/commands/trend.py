"""``harness trend``: the history of all runs, and a gate on the newest one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import BadInputError, HarnessError
from harness.lab.paths import REPORTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.report.trend.analysis import Analysis
    from harness.report.trend.importing import Imported
    from harness.report.trend.model import RunLine

ReportsArgument = Annotated[
    Path, typer.Argument(help="The folder in which runs land.", show_default="reports/")
]


def trend(
    reports: ReportsArgument = REPORTS,
    add: Annotated[
        list[Path] | None,
        typer.Option(
            "--add", help="Take in a run that lies elsewhere, e.g. unpacked; may be repeated."
        ),
    ] = None,
    since: Annotated[
        str,
        typer.Option(
            help="Look only at runs from this one on (its name), or from this day (2026-11-30): "
            "after a change that made blackouts longer and was meant to.",
            show_default=False,
        ),
    ] = "",
    run: Annotated[
        str,
        typer.Option("--run", help="Judge this run, as if none came after it.", show_default=False),
    ] = "",
    gate: Annotated[
        bool, typer.Option("--gate", help="Say whether the newest run may pass; exit codes above.")
    ] = False,
) -> None:
    """Take every finished run into reports/trend.sqlite, and write reports/index.html.

    The page has verdicts run by run, the longest stalls over time, blackouts
    that have become longer, and flaky scenarios. Runs are compared only under
    the same conditions: accelerator, timing profile, configuration.

    --gate judges the newest run and explains. Exit codes: 1 a new failure, or
    blackouts that are longer than in the runs before (by a permutation test:
    docs/trend.md); 10 newly inconclusive; 0 else. Without it: 0. 20 where the
    newest run is not finished, or the database is damaged.
    """
    from harness.report.trend.analysis import analyse, by_series
    from harness.report.trend.gate import decide
    from harness.report.trend.importing import import_runs
    from harness.report.trend.page import write_trend
    from harness.report.trend.store import DATABASE, opened

    if not reports.is_dir():
        raise BadInputError(f"no folder {reports}", hint="harness trend FOLDER, or run something")
    for folder in add or ():
        if not (folder / "run.json").is_file():
            raise BadInputError(f"{folder} is not the folder of a run", hint="run.json is in one")
    with opened(reports / DATABASE) as store:
        imported = import_runs(store, reports, add or ())
        runs = store.runs()
    chosen = _chosen(runs, since, run)
    analyses = [analyse(own) for own in by_series(chosen)]
    try:
        page = write_trend(reports, analyses, imported.notes)
    except OSError as error:
        raise HarnessError(
            f"{reports}: the page cannot be written: {error.strerror}",
            hint="see to rights and space",
        ) from error
    _tell(imported, runs, analyses)
    print(f"Page: {page}")
    if not gate:
        return
    if not run:
        _finished(imported, runs)
    if not analyses:
        raise BadInputError(
            "there is no finished run that the gate could judge", hint="harness run, then again"
        )
    decision = decide(analyses[0])
    print(*decision.lines, sep="\n")
    raise typer.Exit(int(decision.code))


def rewrite_page(reports: Path) -> None:
    """The page anew, from what the database knows; links follow what is there."""
    from harness.report.trend.analysis import analyse, by_series
    from harness.report.trend.page import write_trend
    from harness.report.trend.store import DATABASE, opened

    with opened(reports / DATABASE) as store:
        runs = store.runs()
    write_trend(reports, [analyse(own) for own in by_series(runs)])


def _chosen(runs: Sequence[RunLine], since: str, last: str) -> list[RunLine]:
    """The runs to look at: from ``since`` on, up to ``last``; of that, only its own series."""
    chosen = list(runs)
    if since:
        from_ns = _since_ns(runs, since)
        chosen = [run for run in chosen if run.started_ns >= from_ns]
    if last:
        judged = _named(runs, last)
        chosen = [run for run in chosen if run.started_ns <= judged.started_ns]
        if not judged.injecting or not judged.scenarios or judged not in chosen:
            raise BadInputError(
                f"the run {last} is none that could be judged here",
                hint="it has no scenario with a history, injects nothing, or is before --since",
            )
        # By its start it is the last one: its series comes first.
        others = [run for run in chosen if run.started_ns == judged.started_ns and run != judged]
        chosen = [run for run in chosen if run not in others]
    return chosen


def _since_ns(runs: Sequence[RunLine], since: str) -> int:
    named = [run.started_ns for run in runs if _called(run, since)]
    if named:
        return min(named)
    try:
        day = datetime.fromisoformat(since)
    except ValueError:
        raise BadInputError(
            f"--since {since!r} is neither a run nor a day", hint="a run's name, or 2026-11-30"
        ) from None
    return int(day.replace(tzinfo=day.tzinfo or UTC).timestamp()) * 1_000_000_000


def _called(run: RunLine, name: str) -> bool:
    """By its name or its folder's: they are two where a run was copied."""
    return Path(name).name in (run.name, Path(run.folder).name)


def _named(runs: Sequence[RunLine], name: str) -> RunLine:
    for run in reversed(runs):
        if _called(run, name):
            return run
    raise BadInputError(
        f"no finished run called {name!r} in the database",
        hint=f"the last one is {runs[-1].shown}" if runs else "there is none yet",
    )


def _finished(imported: Imported, runs: Sequence[RunLine]) -> None:
    """See to it that the newest run is one that can be judged: an older one must not stand for it.

    Raises:
        HarnessError: it is not finished.
    """
    from harness.report.text import one_line

    newest_ns = max((run.started_ns for run in runs), default=0)
    open_ones = {(name, t_ns) for name, t_ns in imported.unfinished if t_ns >= newest_ns}
    if open_ones:
        name = one_line(max(open_ones, key=lambda one: one[1])[0], 80)
        raise HarnessError(
            f"the newest run, {name}, is not finished or was cut short: nothing is said of it",
            hint="harness run --resume goes on with it; --run NAME judges another one",
        )


def _tell(imported: Imported, runs: Sequence[RunLine], analyses: Sequence[Analysis]) -> None:
    from harness.report.text import plural
    from harness.report.trend.gate import flaky_text, longer_text

    parts = [f"{len(imported.new)} new"]
    parts += [f"{len(imported.again)} judged again"] if imported.again else []
    parts += [f"{len(imported.unfinished)} not finished"] if imported.unfinished else []
    print(f"{plural(len(runs), 'run')} in the database ({', '.join(parts)})")
    for note in imported.notes:
        print(f"note: {note}")
    for own in analyses:
        last = own.last
        print(f"{last.conditions}: {plural(len(own.runs), 'run')}, the last one {last.shown}")
        for longer in own.longer:
            print(f"  longer blackout: {longer_text(own, longer)}")
        for flaky in own.flaky:
            print(f"  flaky: {flaky_text(own, flaky)}")
