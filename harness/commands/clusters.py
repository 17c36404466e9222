"""How many clusters a run has at once, as commands are told of it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import MissingEnvironmentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.lab.paths import Cache
    from harness.session import RunOptions

ClustersOption = Annotated[
    int | None,
    typer.Option(
        "-n",
        "--clusters",
        help="Run on so many clusters at once, each scenario on one of them, the longest first "
        "(docs/many-clusters.md).",
        show_default=False,
    ),
]
PoolOption = Annotated[
    Path | None,
    typer.Option(
        "--pool",
        help="TOML file with hosts, and how many clusters each can take; -n is all of them then.",
        show_default=False,
    ),
]
# What a lab takes of the host's memory, and what the doctor wants for one and all else (bytes).
_LAB_BYTES = 3 << 30


@dataclass(frozen=True, slots=True)
class Clusters:
    """How many clusters at once, and the file that names their hosts."""

    wanted: int
    pool: Path | None


def check_clusters(
    options: RunOptions,
    clusters: int | None,
    pool: Path | None,
    check: Callable[[Cache, str], None],
) -> Clusters | None:
    """See to it that the hosts can run what is asked for; None is one lab, as nobody asked.

    Args:
        check: stops on a host that cannot run a lab.

    Raises:
        BadInputError: what was asked for makes no sense.
        MissingEnvironmentError: this host has too little memory for so many.
    """
    if clusters is None and pool is None:
        check(options.cache, options.connect)
        return None
    from harness.fleet.running import hosts_of
    from harness.lab.elsewhere import is_elsewhere

    hosts = hosts_of(options, clusters, pool)
    for host in hosts:
        check(host.cache, host.connect)
    wanted = clusters if clusters is not None else sum(host.slots for host in hosts)
    # Guests on another host take none of this one's memory.
    here = [host for host in hosts if not is_elsewhere(host.connect)]
    if here:
        _check_memory(min(wanted, sum(host.slots for host in here)))
    return Clusters(wanted, pool)


@contextlib.contextmanager
def at_once(asked: Clusters | None, folder: Path) -> Iterator[None]:
    """Within it, scenarios are run on so many clusters, and it is shown what each of them does.

    Args:
        folder: the run's. Where there is one lab, it first takes in what a run of many clusters
            left there that was killed.

    Raises:
        BadInputError: that run is not dead.
    """
    if asked is None:
        from harness.fleet.gathering import gather_rest
        from harness.report.live.terminal import shown_live

        gather_rest(folder)
        with shown_live(folder):
            yield
        return
    from harness.fleet.board import shown_workers
    from harness.fleet.running import many_clusters

    with shown_workers(folder), many_clusters(asked.wanted, asked.pool):
        yield


def _check_memory(clusters: int) -> None:
    """The doctor looks whether there is enough for one."""
    from harness.lab.doctor import GIB, MEMORY_NEEDED, real_host

    there = real_host().memory_available()
    needed = MEMORY_NEEDED + (clusters - 1) * _LAB_BYTES
    if there < needed:
        fits = max(1, 1 + (there - MEMORY_NEEDED) // _LAB_BYTES)
        raise MissingEnvironmentError(
            f"{clusters} clusters at once need {needed / GIB:.1f} GiB of memory, "
            f"and {there / GIB:.1f} GiB are available",
            hint=f"-n {fits}, or end other VMs and labs (harness gc)",
        )
