"""``harness bundle``: the evidence of a run, or of one scenario, in one archive."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from harness.commands.stored import needs_run
from harness.errors import BadInputError

_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*([kMGT]?)(i?)B?$", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def bundle(
    run_folder: Annotated[Path, typer.Argument(help="reports/<run>")],
    scenario: Annotated[
        str | None, typer.Argument(help="Only this scenario (its name, or its folder's).")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The archive; by default RUN[-SCENARIO].tar.gz, here.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        str, typer.Option(help="Bytes that the archive has at most: 200MB, 1.5GB, 64MiB.")
    ] = "200MB",
) -> None:
    """Pack a stored run's evidence into one archive, to attach to a ticket or judge elsewhere.

    In it is what the verdicts rest on (timeline, fio's results and logs, both
    replicas' digests and metadata, states before and after, versions) and the
    consoles. Secrets are replaced: keys, DRBD's, CHAP's and other passwords,
    tokens. bundle.json tells what is in it, what was left out and why.

    Elsewhere: tar xf RUN.tar.gz && harness recheck RUN

    What is needed to judge again is never left out: if it does not fit, the
    command fails and names the least limit. Consoles and the like are kept as
    room allows, those of failures the longest.
    """
    from harness.report.bundle import bundle_name, make_bundle, megabytes

    most = _bytes(limit)
    needs_run(run_folder)
    if output is None:
        more = f"-{re.sub('[^a-z0-9]+', '-', scenario.lower()).strip('-')}" if scenario else ""
        output = Path(f"{bundle_name(run_folder)}{more}.tar.gz")
    if not output.parent.is_dir():
        raise BadInputError(f"no folder {output.parent}", hint="-o names a file in one that exists")
    try:
        made = make_bundle(run_folder, output, scenario=scenario, limit=most)
    except OSError as error:
        raise BadInputError(
            f"the bundle cannot be made: {error}", hint="-o names a file in a folder with room"
        ) from error
    redactions = made.manifest["redactions"].values()
    print(
        f"{made.path}: {megabytes(made.size)}, {len(made.manifest['files'])} files, "
        f"{len(made.manifest['left_out'])} left out, "
        f"{sum(one['distinct'] for one in redactions)} secrets replaced at "
        f"{sum(one['places'] for one in redactions)} places (bundle.json in it tells which)"
    )


def _bytes(text: str) -> int:
    match = _SIZE.match(text.strip())
    if match is None or not (size := int(float(match[1]) * _factor(match[2], match[3]))):
        raise BadInputError(f"--limit {text!r}?", hint="such as 200MB, 1.5GB or 64MiB")
    return size


def _factor(letter: str, binary: str) -> int:
    base: int = 1024 if binary else 1000
    return int(base ** _POWERS[letter.lower()])
