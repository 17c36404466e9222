"""``harness report``: a stored run's report again, and what a CI's log and page show of it."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.stored import needs_run
from harness.errors import BadInputError
from harness.lab.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS = ("none", "github", "gitlab", "auto")


def report(
    run_folder: Annotated[Path | None, typer.Argument(help="reports/<run>")] = None,
    annotations: Annotated[
        str,
        typer.Option(
            help="Also print the run as a CI's log shows it, with a group that folds per scenario "
            "and errors at the feature's line: github, gitlab, none, or auto, which looks for "
            "$GITHUB_ACTIONS and $GITLAB_CI and appends the summary to $GITHUB_STEP_SUMMARY."
        ),
    ] = "none",
    summary: Annotated[
        Path | None,
        typer.Option(
            help="Append a summary in Markdown to this file: verdicts, blackouts, what did not "
            "hold.",
            show_default=False,
        ),
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of run-report.json, and stop.")
    ] = False,
) -> None:
    """Write a stored run's report again from its evidence and verdicts.

    Written are index.html for people, and for machines junit.xml, cucumber.json,
    run-report.json and verdicts.json. Nothing is judged anew: that is harness
    recheck.

    Exit codes: as harness run would have had it (0 valid, 1 invalid, 10
    inconclusive, 20 error of the harness).
    """
    from harness.report.machine.runjson import schema as run_schema
    from harness.reporting import report as write

    if schema:
        print(json.dumps(run_schema(), indent=1))
        return
    if annotations not in _KINDS:
        raise BadInputError(f"--annotations {annotations!r}?", hint=" or ".join(_KINDS))
    if run_folder is None:
        raise BadInputError("report of which run?", hint="harness report reports/<run>")
    needs_run(run_folder)
    kind, appended = _of_environment(annotations, summary, os.environ)
    # What the report prints may quote guests: GitHub must not read commands in it.
    token = secrets.token_hex(16)
    if kind == "github":
        print(f"::stop-commands::{token}")
    try:
        code = write(run_folder)
    finally:
        if kind == "github":
            print(f"::{token}::")
    if kind != "none" or appended is not None:
        _for_ci(run_folder, kind, appended, code)
    raise typer.Exit(code)


def _of_environment(
    kind: str, summary: Path | None, environment: Mapping[str, str]
) -> tuple[str, Path | None]:
    """Which annotations are printed, and where the summary goes."""
    if kind != "auto":
        return kind, summary
    if environment.get("GITHUB_ACTIONS"):
        told = environment.get("GITHUB_STEP_SUMMARY")
        return "github", summary or (Path(told) if told else None)
    return ("gitlab" if environment.get("GITLAB_CI") else "none"), summary


def _for_ci(run_folder: Path, kind: str, appended: Path | None, code: int) -> None:
    from harness.report.load import load_run
    from harness.report.machine.annotations import github_lines, gitlab_lines
    from harness.report.machine.places import Places
    from harness.report.machine.summary import summary

    run = load_run(run_folder)
    if kind == "github":
        root = Path(os.environ.get("GITHUB_WORKSPACE") or PROJECT)
        print(*github_lines(run, Places(PROJECT), root), sep="\n")
    elif kind == "gitlab":
        print(*gitlab_lines(run), sep="\n")
    if appended is not None:
        try:
            with appended.open("a", encoding="utf-8") as file:
                file.write(summary(run, code))
        except OSError as error:
            raise BadInputError(
                f"cannot write the summary: {error}", hint="--summary names a file"
            ) from error
