"""``harness tally``: stored runs added up, and a ledger that outlives them."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  (typer needs it at run time)
from typing import Annotated

import typer

from harness.commands.stored import needs_run
from harness.errors import BadInputError, ExitCode


def tally(
    run_folders: Annotated[
        list[Path] | None, typer.Argument(help="reports/<run>, any number of them")
    ] = None,
    times: Annotated[
        int, typer.Option(min=1, help="Fail unless each scenario was VALID so often, and always.")
    ] = 1,
    ledger: Annotated[
        Path | None,
        typer.Option(
            help="Add what these runs came to to this file, a line of JSON for each scenario, and "
            "add up all of it that is of the code that is here.",
            show_default=False,
        ),
    ] = None,
    rejudge: Annotated[
        bool,
        typer.Option(
            "--rejudge",
            help="Judge by the checks that are here what was made alike but judged by others; not "
            "what is of scenarios that said something else. Nothing in the folders is changed.",
        ),
    ] = False,
    markdown: Annotated[
        bool,
        typer.Option(
            "--markdown", help="Print it as the table of a document (docs/measurements.md)."
        ),
    ] = False,
) -> None:
    """Add up stored runs of the same code: verdicts and stalls of each scenario.

    With --ledger, runs add up that are not here any more: a run's evidence can
    go once it is in the ledger. What was judged counts, whatever it came to.
    """
    from harness.evidence.files import read_json
    from harness.report.ledger import needs_ledger, record
    from harness.report.tally import Judged, judged_in, markdown_lines, tally, tally_lines
    from harness.report.texts import texts_in
    from harness.resuming import FEATURES, RUN, check_made_alike, code_hash

    if not run_folders and ledger is None:
        raise BadInputError("add up which runs?", hint="harness tally reports/*")
    folders = _runs(run_folders or [])
    if not folders and ledger is not None:
        needs_ledger(ledger, Judged)
    for folder in folders if rejudge else ():
        # A run without a hash is told of by its note.
        if made := str(read_json(folder / RUN).get("code", "")):
            check_made_alike(folder, made)
    judged, notes = judged_in(folders, *((code_hash(), texts_in(FEATURES)) if rejudge else ()))
    if ledger is not None:
        # What has no verdict can be run again when its run goes on; until then the note counts.
        everything = record(ledger, (one for one in judged if one.sha256), Judged)
        code = code_hash()
        others = {one.code for one in everything} - {code}
        judged = [one for one in everything if one.code == code]
        if others:
            print(f"not counted: what {len(others)} other states of the code came to")
    tallies = tally(judged)
    if markdown:
        for own in tallies:
            print(f"code {own.code}, {own.accelerator}:", "", *markdown_lines(own), "", sep="\n")
        print(*notes, sep="\n", end="\n" if notes else "")
    else:
        print(*tally_lines(tallies, notes), sep="\n")
    if not tallies:
        print("nothing was judged")
    elif len(tallies) != 1:
        print(
            "not all runs are of the same code, configuration and kind of emulation: none of them "
            "counts for another"
        )
    good = len(tallies) == 1 and tallies[0].all_valid(times) and not notes
    raise typer.Exit(int(ExitCode.VALID if good else ExitCode.INVALID))


def _runs(paths: list[Path]) -> list[Path]:
    """The folders of runs. Files beside them are left out: reports/* names the trend's page too.

    Raises:
        BadInputError: a folder is no run's, or there are only files.
    """
    folders = [path for path in paths if not path.is_file()]
    for path in folders or paths:
        needs_run(path)
    return folders
