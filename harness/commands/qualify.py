"""The command ``harness qualify``."""

from __future__ import annotations

import textwrap
from pathlib import Path  # noqa: TC003  (typer needs it at run time)
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.cache import CacheOption, ConnectOption, cache_at, newest_kernel
from harness.commands.guest import GuestOption, guest_of
from harness.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.lab.doctor import Finding
    from harness.lab.paths import Cache
    from harness.report.qualified import Margin, Stamp

    CheckHost = Callable[[Cache, str], None]
    Findings = Callable[[Cache, str], list[Finding]]


def register(app: typer.Typer, check_host: CheckHost, findings: Findings) -> None:
    """Add the command.

    Args:
        check_host: stops on a host that cannot run a lab.
        findings: what the doctor finds.
    """

    @app.command()
    def qualify(
        folder: Annotated[
            Path | None,
            typer.Option(
                help="Where it lands; what was judged there goes on. By default a new one.",
                show_default=False,
            ),
        ] = None,
        show: Annotated[
            bool, typer.Option("--show", help="Run nothing: show the stamps of this host.")
        ] = False,
        list_only: Annotated[
            bool, typer.Option("--list", help="List what a host is tried with, and why.")
        ] = False,
        guest: GuestOption = "",
        accelerator: Annotated[str, typer.Option(help="auto, kvm or tcg (emulation).")] = "auto",
        connect: ConnectOption = "",
        cache: CacheOption = None,
    ) -> None:
        """Prove that the lab works on this host, and with which margins of time.

        Four parts: what harness doctor finds; a scenario of each theme, VALID; two
        mutants, caught; and what was measured of each class of timeout against what
        the timing profile allows. What came of it is a stamp in the cache, and every
        later report from this host tells of it. About half an hour by emulation.
        Interrupted, it goes on with --folder. With --guest the stamp stays in its
        folder: it is of these guests. See docs/qualifying.md.
        """
        if accelerator not in ("auto", "kvm", "tcg"):
            raise BadInputError(f"no accelerator {accelerator!r}", hint="auto, kvm or tcg")
        if list_only:
            print(*_listed(), sep="\n")
            return
        place = cache_at(cache)
        if show:
            print(*_shown(place), sep="\n")
            return
        from harness.evidence.files import write_json
        from harness.lab.accelerator import probe_kvm
        from harness.lab.guests import DEFAULT
        from harness.mutants.campaign import run_options
        from harness.qualify.campaign import Here, Qualification, exit_code
        from harness.qualify.fingerprint import fingerprint
        from harness.qualify.stamps import keep_stamp, stamp_path
        from harness.session import new_run_folder

        profile = guest_of(guest)
        _check_here(connect)
        check_host(place, connect)
        here = Here(
            fingerprint(),
            findings(place, connect),
            lambda: probe_kvm(kernel=newest_kernel(place), cache=place.root),
        )
        target = folder.resolve() if folder is not None else new_run_folder()
        print(f"Folder: {target} (interrupted, --folder with it goes on)")
        options = run_options(place, accelerator, connect, guest)
        stamp = Qualification(
            target, here, options, guest=guest, connect=connect, cache=place
        ).stamp()
        if profile == DEFAULT:
            stamp, path = keep_stamp(place, stamp), stamp_path(place, stamp.accelerator)
        else:
            # Every later report tells of the cache's one, whatever guests its run has.
            path = target / "stamp.json"
            write_json(path, stamp.model_dump(mode="json"))
        print(*lines(stamp), sep="\n")
        if profile != DEFAULT:
            print(f"It is of guests {profile}: this host's own stamp is as it was before")
        print(f"Stamp: {path}")
        raise typer.Exit(int(exit_code(stamp)))


def _check_here(connect: str) -> None:
    """See to it that the guests run on the processors that the stamp is of.

    Raises:
        BadInputError: they would not.
    """
    from harness.lab.elsewhere import is_elsewhere

    if is_elsewhere(connect):
        raise BadInputError(
            f"a stamp is of the host that it is made on, and the guests of {connect} are elsewhere",
            hint="run harness qualify there",
        )


def lines(stamp: Stamp) -> Iterator[str]:
    """A stamp for the terminal."""
    from harness.report.text import date, duration

    for part in stamp.parts:
        first, *rest = part.said or ("",)
        yield f"{'passed' if part.passed else 'FAILED'}  {part.name}: {first}"
        yield from (f"        {line}" for line in rest)
    yield "Margins (allowed / measured):"
    yield from (f"  {_row(one)}" for one in stamp.margins)
    verdict = "qualified" if stamp.qualified else "NOT qualified"
    kind = "KVM" if stamp.accelerator == "kvm" else "emulation"
    yield (
        f"This host is {verdict} with {kind}, timing {stamp.timing}, by code {stamp.code}, "
        f"{date(stamp.when_ns)}, after {duration(stamp.seconds)}"
    )


def _row(margin: Margin) -> str:
    known = f"{margin.margin:6.2f}" if margin.margin is not None else "     -"
    return f"{known}  {margin.outcome:12}  {margin.name}: {margin.said}"


def _listed() -> Iterator[str]:
    from harness.mutants.model import load_mutants
    from harness.qualify.chosen import MUTANTS, SCENARIOS

    for one in SCENARIOS:
        yield f"{one.theme}: {one.scenario}"
        yield from (f"    {line}" for line in textwrap.wrap(one.reason, 74))
    for mutant in load_mutants(MUTANTS):
        yield f"mutant {mutant.name}: {mutant.title}"
        yield f"    {mutant.scenario}: {' or '.join(mutant.caught_by)}"


def _shown(place: Cache) -> Iterator[str]:
    from harness.qualify.stamps import noted_here

    noted = noted_here(place)
    for stamp in noted.stamps:
        yield from lines(stamp)
    for kind, changes in noted.changed.items():
        yield f"{kind.upper()}: this host has changed since: {'; '.join(changes)}"
    if not noted.stamps and not noted.changed:
        yield "This host has not been qualified (harness qualify)"
