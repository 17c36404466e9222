"""``harness prune``: old runs removed, by age, number and disk quota."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.trend import ReportsArgument, rewrite_page
from harness.errors import BadInputError, HarnessError
from harness.lab.paths import REPORTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.report.trend.pruning import Removal, Stored

_AGES = {"h": 3600, "d": 86_400, "w": 7 * 86_400}
_SIZES = {"M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def prune(
    reports: ReportsArgument = REPORTS,
    older_than: Annotated[
        str, typer.Option(help="Runs that are older than this: 30d, 8w.", show_default=False)
    ] = "",
    keep: Annotated[
        int | None,
        typer.Option(min=1, help="All but so many of the newest runs.", show_default=False),
    ] = None,
    quota: Annotated[
        str,
        typer.Option(
            help="The oldest ones, until the rest takes no more disk than this: 20G.",
            show_default=False,
        ),
    ] = "",
    whole: Annotated[
        bool,
        typer.Option("--whole", help="By age and number, remove runs whole, not their evidence."),
    ] = False,
    unrecorded_too: Annotated[
        bool,
        typer.Option(
            "--unrecorded-too", help="Also runs that harness trend has not taken in as they are."
        ),
    ] = False,
    really: Annotated[
        bool, typer.Option("--remove", help="Do it. Without this it is only said.")
    ] = False,
) -> None:
    """Say which stored runs would be removed, and with --remove, remove them.

    First their evidence goes, nearly all of a run's size: verdicts, report and
    what harness trend knows stay, and it cannot be judged again. The rest goes
    with --whole, or where the quota wants it. Runs that were not VALID are
    kept three times as long, and go last.

    The newest run stays, and so do a run that may be going on, one that
    harness trend has not taken in, and all that is not a run.
    """
    from harness.evidence.clock import now_ns
    from harness.report.trend.pruning import Limits, plan, remove_halves, stored_runs
    from harness.report.trend.store import DATABASE, opened

    limits = Limits(_age_s(older_than), keep, _bytes(quota), whole)
    if limits.older_than_s is None and keep is None and limits.quota_bytes is None:
        raise BadInputError("no limit is given", hint="--older-than 30d, --keep 50 or --quota 20G")
    if not reports.is_dir():
        raise BadInputError(f"no folder {reports}", hint="harness prune FOLDER")
    # Nobody takes in a run while it is being removed.
    with opened(reports / DATABASE) as store, store.writing():
        runs = stored_runs(reports, store.runs(), unrecorded_too=unrecorded_too)
        chosen = plan(runs, limits, now_ns())
        try:
            if really:
                remove_halves(reports)
            freed = _carry_out(chosen, really=really)
        except OSError as error:
            raise HarnessError(
                f"{error.filename}: cannot be removed: {error.strerror}",
                hint="runs made by root want sudo",
            ) from error
    _tell(runs, chosen, freed, limits.quota_bytes, really=really)
    if really and chosen:
        rewrite_page(reports)


def _carry_out(chosen: Sequence[Removal], *, really: bool) -> int:
    """Say each removal, and do it if it is meant; how many bytes that is."""
    from harness.report.trend.pruning import remove

    freed = 0
    for one in chosen:
        said = f"{one.what} of {one.run.folder.name}, {_size(one.bytes)}: {one.why}"
        if not really:
            print(f"would remove {said}")
        elif remove(one):
            print(f"removed {said}")
        else:
            print(f"left alone {one.run.folder.name}: it has changed, or goes on")
            continue
        freed += one.bytes
    return freed


def _tell(
    runs: Sequence[Stored],
    chosen: Sequence[Removal],
    freed: int,
    quota: int | None,
    *,
    really: bool,
) -> None:
    for run in runs:
        if run.spared:
            print(f"spared {run.folder.name}, {_size(run.bytes)}: {run.spared}")
    total = sum(run.bytes for run in runs)
    if not chosen:
        print(f"nothing to remove: {len(runs)} runs, {_size(total)}")
    else:
        word = "removed" if really else "would be removed; --remove does it"
        print(f"{_size(freed)} of {_size(total)} {word}")
    if quota is not None and total - freed > quota:
        print(f"still more than the quota of {_size(quota)}: the rest is not for this to remove")


def _age_s(text: str) -> float | None:
    if not text:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([hdw])", text.strip())
    if match is None:
        raise BadInputError(f"--older-than {text!r}?", hint="for example 30d, 8w or 36h")
    return float(match[1]) * _AGES[match[2]]


def _bytes(text: str) -> int | None:
    if not text:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([MGT])(?:i?B)?", text.strip())
    if match is None:
        raise BadInputError(f"--quota {text!r}?", hint="for example 500M, 20G or 1T")
    return int(float(match[1]) * _SIZES[match[2]])


def _size(number: float) -> str:
    """Bytes for people, in binary units."""
    if number < 1 << 20:
        return f"{number / 1024:.1f} KiB"
    return f"{number / (1 << 20):.1f} MiB" if number < 1 << 30 else f"{number / (1 << 30):.1f} GiB"
