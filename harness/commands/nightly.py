"""The command ``harness nightly``."""

from __future__ import annotations

import hashlib
import re
from functools import partial
from pathlib import Path  # noqa: TC003  (typer needs it at run time)
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from harness.commands.anew import AnewOption, make_way
from harness.commands.cache import CacheOption, ConnectOption, cache_at
from harness.commands.choosing import (
    AcceleratorOption,
    AgainOption,
    BudgetOption,
    ListOption,
    TagOption,
    ThemeOption,
    check_accelerator,
    seconds,
    tags,
    themes,
)
from harness.commands.clusters import ClustersOption, PoolOption  # noqa: TC001
from harness.commands.guest import GuestOption, guest_of
from harness.commands.rootless import RootlessOption, enter
from harness.lab.guests import DEFAULT
from harness.lab.paths import PROJECT, REPORTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.session import RunOptions

    class Run(Protocol):
        """Runs on this host, if it can; the exit code."""

        def __call__(
            self,
            options: RunOptions,
            suite: Path,
            clusters: int | None,
            pool: Path | None,
            before: Callable[[RunOptions, Path], None],
        ) -> int: ...


_MOST = 30  # characters of a URI in a folder's name


def run_name(code: str, guest: str, connect: str) -> str:
    """Name of the folder of all nights of this code, on such guests, at such a place.

    Others are another run: one that is named by the code alone would refuse them, as results of
    different guests and of different libvirts are never added up.

    Args:
        code: hash of the code.
        guest: name of the guests' profile.
        connect: URI of an existing libvirt; empty for a private one.
    """
    name = f"nightly-{code}"
    if guest != DEFAULT:
        name += f"-{guest}"
    if connect:
        plain = re.sub(r"[^a-z0-9]+", "-", connect.lower()).strip("-")[:_MOST].rstrip("-")
        name += f"-at-{plain}-{hashlib.sha256(connect.encode()).hexdigest()[:8]}"
    return name


def register(app: typer.Typer, run: Run) -> None:
    """Add the command; ``run`` is what ``harness run`` does, told what to do with the folder."""

    @app.command()
    def nightly(
        names: Annotated[
            list[str] | None, typer.Argument(help="Scenarios; by default all.")
        ] = None,
        tag: TagOption = None,
        theme: ThemeOption = None,
        budget: BudgetOption = "",
        again: AgainOption = False,
        anew: AnewOption = False,
        clusters: ClustersOption = None,
        pool: PoolOption = None,
        list_only: ListOption = False,
        guest: GuestOption = "",
        accelerator: AcceleratorOption = "auto",
        connect: ConnectOption = "",
        rootless: RootlessOption = False,
        cache: CacheOption = None,
    ) -> None:
        """Run all scenarios, or go on with that, in as many parts as it takes.

        The run is reports/nightly-CODE, where CODE is the hash of everything that a
        result depends on: parts of other code are never merged. Another --guest or
        --connect is another run, with a name of its own. What was judged is not run
        again, whatever the verdict; what was cut short is. Run it again after an
        interruption, a kill, or the end of a budget. Where packages were updated
        meanwhile, that run is put aside as it is, and another begins.
        """
        from harness.lab.image import ImageOptions
        from harness.resuming import code_hash
        from harness.running import list_scenarios
        from harness.session import RunOptions

        check_accelerator(accelerator)
        profile = guest_of(guest)
        options = RunOptions(
            cache=cache_at(cache),
            image=ImageOptions(profile),
            guest=guest,
            accelerator=accelerator,
            connect=connect,
            folder=REPORTS / run_name(code_hash(), profile, connect),
            resume=True,
            again=again,
            budget_s=seconds(budget),
            only=tuple(names or ()),
            tags=tags(tag),
            themes=themes(theme),
            everything=True,
        )
        suite = PROJECT / "scenarios"
        if list_only:
            raise typer.Exit(list_scenarios(options, suite))
        enter(rootless, connect=connect)
        raise typer.Exit(run(options, suite, clusters, pool, partial(make_way, anew=anew)))
