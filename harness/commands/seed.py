"""``harness seed``: the post's points, and which of them passed in a run."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  (typer needs it at run time)
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.stored import needs_run
from harness.errors import BadInputError, ExitCode
from harness.lab.paths import PROJECT

if TYPE_CHECKING:
    from harness.points import Known, Record

DOCUMENT = PROJECT / "docs" / "seed.md"
RECORD = PROJECT / "docs" / "last-full-run.json"


def seed(
    run_folder: Annotated[
        Path | None,
        typer.Argument(help="reports/<run>; without it, what is recorded of the last full run."),
    ] = None,
    record: Annotated[
        bool,
        typer.Option(
            "--record",
            help="Keep this run as docs/last-full-run.json, and the states in docs/seed.md.",
        ),
    ] = False,
) -> None:
    """Resolve every reference of docs/seed.md: did what stands for a point of the post pass?

    Exit codes: 0 all points passed, 1 one failed, 10 one is not in that run or
    not measured.
    """
    from datetime import datetime

    from harness.cluster.config import ClusterConfig
    from harness.points import (
        PointsError,
        Record,
        RecordError,
        State,
        read_points,
        record_of,
        resolve,
        state_of,
        unknown,
        why,
        with_states,
    )

    if record and run_folder is None:
        raise BadInputError("--record of which run?", hint="harness seed reports/<run> --record")
    if run_folder is not None:
        needs_run(run_folder)
    known = what_there_is()
    text = DOCUMENT.read_text(encoding="utf-8")
    try:
        points = read_points(text)
        if run_folder is None:
            kept = Record.load(RECORD)
        else:
            config = ClusterConfig().model_dump(mode="json", exclude={"timing"})
            today = datetime.now().astimezone().date().isoformat()
            kept = record_of(run_folder, known.scenarios, reference=config, today=today)
    except (PointsError, RecordError) as error:
        raise BadInputError(str(error)) from error
    if wrong := unknown(points, known):
        raise BadInputError(f"docs/seed.md, {wrong[0]}", hint=f"{len(wrong)} such references")
    states = [state_of(point, known, kept) for point in points]
    for point, state in zip(points, states, strict=True):
        print(f"{state!s:28} {point.text}")
        for reference in point.references:
            own = resolve(reference, known, kept)
            if own is not State.PASSED:
                print(f"{'':28}   {reference}: {own}")
                for line in why(reference, known, kept):
                    print(f"{'':28}     {line}")
    print(_of(kept))
    if record:
        kept.save(RECORD)
        new = with_states(text, points, [str(state) for state in states])
        DOCUMENT.write_text(new, encoding="utf-8")
        print(f"recorded in {RECORD.relative_to(PROJECT)} and {DOCUMENT.relative_to(PROJECT)}")
    if State.FAILED in states:
        raise typer.Exit(int(ExitCode.INVALID))
    good = all(state is State.PASSED for state in states)
    raise typer.Exit(int(ExitCode.VALID if good else ExitCode.INCONCLUSIVE))


def what_there_is() -> Known:
    """Scenarios, checks, rules, mutants and measurements of this code."""
    from harness.checks import ALL_CHECKS
    from harness.cluster.config import ClusterConfig
    from harness.cluster.lintable import configured_files
    from harness.lab.paths import default_cache
    from harness.lint import cluster_of, lint
    from harness.mutants.model import load_mutants
    from harness.points import Known
    from harness.points.resolving import sections
    from harness.running import scenario_names
    from harness.session import RunOptions

    options = RunOptions(cache=default_cache(), everything=True)
    outcomes = lint(cluster_of(configured_files(ClusterConfig())))
    text = (PROJECT / "docs" / "measurements.md").read_text(encoding="utf-8")
    return Known(
        scenarios=frozenset(scenario_names(options, PROJECT / "scenarios")),
        checks=frozenset(ALL_CHECKS),
        rules={one.rule.slug: not one.found and not one.missing for one in outcomes},
        mutants={one.name: one.scenario for one in load_mutants()},
        measurements=sections(text),
    )


def _of(record: Record) -> str:
    if record.run is None:
        return "No run is recorded yet: harness seed reports/<run> --record"
    whole = "full" if record.full else f"{len(record.missing)} scenarios missing"
    return (
        f"Run {record.run} of code {record.code}, {record.accelerator}, {record.recorded}: "
        f"{len(record.scenarios)} scenarios, {whole}"
    )
