"""The command ``harness variants``."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  (typer needs it at run time)
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.cache import CacheOption, ConnectOption, cache_at
from harness.commands.rootless import RootlessOption, enter
from harness.errors import BadInputError, ExitCode
from harness.lab.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.lab.paths import Cache

    CheckHost = Callable[[Cache, str], None]

_LEDGER = PROJECT / "docs" / "ledgers" / "variants.jsonl"
_MATRIX = PROJECT / "docs" / "support-matrix.md"


def register(app: typer.Typer, check_host: CheckHost) -> None:
    """Add the command; ``check_host`` stops on a host that cannot run a lab."""

    @app.command()
    def variants(
        names: Annotated[
            list[str] | None, typer.Argument(help="Variants to run; by default all.")
        ] = None,
        folder: Annotated[
            Path | None,
            typer.Option(
                help="Where the runs land; what is there already goes on.", show_default=False
            ),
        ] = None,
        ledger: Annotated[
            Path, typer.Option(help="Each whole run is added to this file, a line of JSON.")
        ] = _LEDGER,
        matrix: Annotated[Path, typer.Option(help="The table that is written from it.")] = _MATRIX,
        only_write: Annotated[
            bool, typer.Option("--matrix-only", help="Run nothing: write the table anew.")
        ] = False,
        list_only: Annotated[
            bool, typer.Option("--list", help="List the variants, with their last verdict.")
        ] = False,
        accelerator: Annotated[str, typer.Option(help="auto, kvm or tcg (emulation).")] = "auto",
        connect: ConnectOption = "",
        rootless: RootlessOption = False,
        cache: CacheOption = None,
    ) -> None:
        """Run the acceptance features on other ways to build the cluster.

        Each variant is a configuration below scenarios/variants. What comes of it is
        added to a ledger, and docs/support-matrix.md is written from that. INVALID is
        an answer, and ends well; INCONCLUSIVE and a run that was cut short are none.
        """
        from harness.mutants.campaign import run_options
        from harness.report.ledger import read_ledger, record
        from harness.running import scenario_names
        from harness.session import RunOptions, new_run_folder
        from harness.variants.campaign import run_variant
        from harness.variants.ledger import Outcome
        from harness.variants.matrix import answered, last_of
        from harness.variants.matrix import matrix as written
        from harness.variants.model import load_variants, unbuilt_guests

        chosen = load_variants(names or ())
        everything = [*load_variants(), *unbuilt_guests()]
        if list_only:
            told = read_ledger(ledger, Outcome)
            for variant in chosen:
                last = last_of(variant, told)
                verdict = "not run" if last is None else str(last.verdict or "cut short")
                print(f"{variant.name}: {variant.title} ({verdict})")
            return
        # Before anything runs: a run takes half an hour, and would have nowhere to go.
        record(ledger, (), Outcome)
        if only_write:
            _write(matrix, written(everything, read_ledger(ledger, Outcome)))
            return
        enter(rootless, connect=connect)
        place = cache_at(cache)
        scenarios = scenario_names(RunOptions(cache=place), PROJECT / "scenarios")
        check_host(place, connect)
        target = folder.resolve() if folder is not None else new_run_folder()
        options = run_options(place, accelerator, connect)
        open_ones = []
        for variant in chosen:
            outcome = run_variant(variant, target, scenarios, options, ledger=ledger)
            _write(matrix, written(everything, read_ledger(ledger, Outcome)))
            verdict = str(outcome.verdict or "cut short")
            print(f"{verdict}  {variant.name}: {outcome.valid} of {len(scenarios)} VALID")
            for red in outcome.red:
                print(f"        {red.verdict} {red.scenario}: {', '.join(red.checks) or red.said}")
            if not answered(outcome):
                open_ones.append(variant.name)
        print(f"Runs: {target}")
        if open_ones:
            print(f"error: no answer for {', '.join(open_ones)} (hint: --folder {target} goes on)")
        raise typer.Exit(int(ExitCode.INCONCLUSIVE if open_ones else ExitCode.VALID))


def _write(path: Path, text: str) -> None:
    """Write the table; at once, so that a reader never finds half of it.

    Raises:
        BadInputError: it cannot be written.
    """
    new = path.with_name(path.name + ".new")
    try:
        new.write_text(text, encoding="utf-8")
        new.rename(path)
    except OSError as error:
        raise BadInputError(f"{path} cannot be written: {error.strerror}") from error
