"""Which scenarios are run, and how long, as commands are told of it."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.errors import BadInputError

TagOption = Annotated[list[str] | None, typer.Option(help="Only scenarios with this tag.")]
ThemeOption = Annotated[
    list[str] | None,
    typer.Option(help="Only scenarios of this theme: links, power, storage, … (docs/catalogue.md)"),
]
BudgetOption = Annotated[
    str,
    typer.Option(
        help="Only what fits into this time (40m, 2h, 1h30m), what was not run for longest first.",
        show_default=False,
    ),
]
AgainOption = Annotated[
    bool,
    typer.Option(
        "--again",
        help="When a run goes on: run again what was not VALID. What it came to before still "
        "counts.",
    ),
]
ListOption = Annotated[
    bool, typer.Option("--list", help="List the scenarios with expected minutes, and stop.")
]
AcceleratorOption = Annotated[str, typer.Option(help="auto, kvm or tcg (emulation).")]


def check_accelerator(accelerator: str) -> None:
    """See to it that there is such an accelerator.

    Raises:
        BadInputError: there is none.
    """
    if accelerator not in ("auto", "kvm", "tcg"):
        raise BadInputError(f"no accelerator {accelerator!r}", hint="auto, kvm or tcg")


def seconds(budget: str) -> float | None:
    """A budget in seconds; None where none is told.

    Raises:
        BadInputError: it is no duration.
    """
    from harness.nightly.budget import parse_budget

    return parse_budget(budget) if budget else None


def tags(told: list[str] | None) -> tuple[str, ...]:
    """As they are written in a feature file, or without the sign."""
    return tuple(word.removeprefix("@") for word in told or ())


def themes(told: list[str] | None) -> tuple[str, ...]:
    """As they are in the catalogue, or as the tag of one."""
    return tuple(word.removeprefix("theme-") for word in tags(told))
