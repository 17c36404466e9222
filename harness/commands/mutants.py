"""The command ``harness mutants``."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  (typer needs it at run time)
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.cache import CacheOption, ConnectOption, cache_at
from harness.commands.guest import GuestOption, guest_of
from harness.commands.rootless import RootlessOption, enter
from harness.errors import BadInputError, ExitCode
from harness.lab.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.lab.paths import Cache
    from harness.mutants.model import Mutant

    CheckHost = Callable[[Cache, str], None]


def register(app: typer.Typer, check_host: CheckHost) -> None:
    """Add the command; ``check_host`` stops on a host that cannot run a lab."""

    @app.command()
    def mutants(
        names: Annotated[
            list[str] | None, typer.Argument(help="Mutants to run; by default all.")
        ] = None,
        times: Annotated[int, typer.Option("--times", min=1, help="How often each is tried.")] = 1,
        folder: Annotated[Path | None, typer.Option(help="Where the runs land.")] = None,
        resume: Annotated[
            Path | None, typer.Option(help="Go on with the campaign in this folder (or begin it).")
        ] = None,
        control: Annotated[
            bool,
            typer.Option(
                help="Run each scenario on the reference configuration first: VALID there."
            ),
        ] = True,
        ledger: Annotated[
            Path | None,
            typer.Option(
                help="Add each try to this file, a line of JSON each: campaigns add up.",
                show_default=False,
            ),
        ] = None,
        score: Annotated[
            bool,
            typer.Option(
                "--score",
                help="Run nothing: the score by the ledger, of the code and the mutants' files "
                "that are here.",
            ),
        ] = False,
        controls: Annotated[
            list[Path] | None,
            typer.Option(
                help="With --score: a ledger of harness tally; may be repeated. Each mutant's "
                "scenario has to be in one, VALID on the reference configuration every time.",
                show_default=False,
            ),
        ] = None,
        rejudge: Annotated[
            Path | None,
            typer.Option(
                help="Run nothing: judge the runs in a campaign's folder again, by the checks that "
                "are here.",
                show_default=False,
            ),
        ] = None,
        list_only: Annotated[
            bool, typer.Option("--list", help="List the mutants and stop.")
        ] = False,
        guest: GuestOption = "",
        accelerator: Annotated[str, typer.Option(help="auto, kvm or tcg (emulation).")] = "auto",
        connect: ConnectOption = "",
        rootless: RootlessOption = False,
        cache: CacheOption = None,
    ) -> None:
        """Plant misconfigurations and see that each is caught, by the check that should catch it.

        Each mutant is a file below scenarios/mutants: a configuration, the scenario
        that must fail with it, and the check that must say so. One that another check
        catches counts as missed.
        """
        from harness.mutants.campaign import Campaign, run_options
        from harness.mutants.ledger import Tried
        from harness.mutants.model import check_scenarios, load_mutants
        from harness.mutants.score import lines
        from harness.report.ledger import record
        from harness.running import scenario_names
        from harness.session import RunOptions, new_run_folder

        chosen = load_mutants(names or ())
        if list_only:
            for mutant in chosen:
                print(f"{mutant.name}: {mutant.title}")
                print(f"    {mutant.scenario}: {' or '.join(mutant.caught_by)}")
            return
        if score:
            if ledger is None:
                raise BadInputError("--score of what?", hint="name the file with --ledger")
            raise typer.Exit(int(_score(chosen, ledger, times, controls)))
        if guest:
            _check_guest(chosen, guest, ledger)
        if ledger is not None:
            # Before anything runs: a try takes minutes, and would have nowhere to go.
            record(ledger, (), Tried)
        if rejudge is not None:
            raise typer.Exit(int(_again(chosen, rejudge.resolve(), ledger)))
        enter(rootless, connect=connect)
        place = cache_at(cache)
        everything = RunOptions(cache=place, everything=True)
        check_scenarios(chosen, scenario_names(everything, PROJECT / "scenarios"))
        check_host(place, connect)
        target = resume or folder
        campaign = Campaign(
            target.resolve() if target is not None else new_run_folder(),
            run_options(place, accelerator, connect, guest),
            guest=guest,
            resume=resume is not None,
            cache=place,
            ledger=ledger,
        )
        sound = True
        for scenario in dict.fromkeys(mutant.scenario for mutant in chosen) if control else ():
            seen = campaign.control(scenario)
            sound = sound and seen.valid
            print(f"{seen.said}  {scenario}, on the reference configuration")
        scores = [campaign.mutant(mutant, times) for mutant in chosen]
        print(*lines(scores), sep="\n")
        print(f"Runs: {campaign.folder}")
        perfect = sound and all(score.perfect for score in scores)
        raise typer.Exit(int(ExitCode.VALID if perfect else ExitCode.INVALID))


def _check_guest(chosen: list[Mutant], guest: str, ledger: Path | None) -> None:
    """See to it that mutants can be planted in such guests.

    Raises:
        BadInputError: a configuration cannot be had there; or a ledger, whose lines do not tell
            guests apart, is to have tries on others than everybody's.
    """
    from harness.lab.guests import DEFAULT

    if guest_of(guest) != DEFAULT and ledger is not None:
        raise BadInputError(
            f"a ledger has tries on {DEFAULT} alone, as its lines do not tell guests apart",
            hint="leave out --ledger, or --guest",
        )
    for mutant in chosen:
        try:
            guest_of(guest, mutant.path)
        except BadInputError as error:
            raise BadInputError(
                f"the mutant {mutant.name} cannot be planted in {guest}: {error.message}",
                hint="name those that can: harness mutants NAME … (--list: all)",
            ) from error


def _again(chosen: list[Mutant], folder: Path, ledger: Path | None) -> ExitCode:
    """Judge a campaign's stored runs again, and print the score; VALID if all were caught."""
    from harness.mutants.again import judge_again
    from harness.mutants.score import lines
    from harness.report.texts import texts_in
    from harness.resuming import FEATURES

    there = [mutant for mutant in chosen if (folder / mutant.name).is_dir()]
    if not there:
        raise BadInputError(f"{folder} has no run of a mutant that is asked for")
    # Every feature is read for it: once for all of them.
    texts = texts_in(FEATURES)
    scores = [judge_again(mutant, folder, texts, ledger) for mutant in there]
    print(*lines(scores), sep="\n")
    good = all(score.perfect for score in scores)
    return ExitCode.VALID if good else ExitCode.INVALID


def _score(
    chosen: list[Mutant], ledger: Path, times: int, controls: list[Path] | None = None
) -> ExitCode:
    """Print the score by a ledger; VALID if each was tried so often, and caught every time."""
    from harness.mutants.ledger import Tried, controlled, scores
    from harness.mutants.score import lines
    from harness.report.ledger import needs_ledger
    from harness.report.tally import Judged
    from harness.report.text import plural
    from harness.resuming import code_hash

    told = needs_ledger(ledger, Tried)
    found = scores(chosen, told, code_hash())
    print(*lines(found), sep="\n")
    names = {mutant.name for mutant in chosen}
    asked = sum(line.mutant in names for line in told)
    if other := asked - sum(len(one.trials) for one in found):
        print(f"Not counted: {plural(other, 'run')} of other code or of another mutant's file")
    short = [one.mutant.name for one in found if len(one.tries) < times]
    if short:
        print(f"Tried less than {times} times: {', '.join(short)}")
    good = not short and all(one.perfect for one in found)
    if not controls:
        print("Whether their scenarios are VALID without them was not asked (hint: --controls)")
        return ExitCode.VALID if good else ExitCode.INVALID
    judged = [line for path in controls for line in needs_ledger(path, Judged)]
    wrong = controlled(chosen, judged, code_hash())
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return ExitCode.VALID if good and not wrong else ExitCode.INVALID
