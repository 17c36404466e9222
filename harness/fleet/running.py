"""``harness run -n N``: what ``harness run`` does, with pytest-xdist underneath."""

from __future__ import annotations

import contextlib
import os
import shlex
from typing import TYPE_CHECKING

from harness.errors import BadInputError
from harness.fleet.controller import check_options
from harness.fleet.pool import one_host, read_pool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.fleet.pool import Host
    from harness.session import RunOptions

_MOST = 32  # names of labs; see harness.lab.lab
_ADD = "PYTEST_ADDOPTS"


def hosts_of(options: RunOptions, clusters: int | None, pool: Path | None) -> tuple[Host, ...]:
    """The hosts of a run with so many clusters at once, or with a pool.

    Raises:
        BadInputError: what was asked for makes no sense; the pool's file does not, or is too small.
    """
    check_options(options, pool=pool is not None)
    if clusters is not None and not 1 <= clusters <= _MOST:
        raise BadInputError(f"-n {clusters}?", hint=f"1 to {_MOST} clusters")
    if pool is None:
        return one_host(options.connect, options.cache, clusters or 1)
    hosts = read_pool(pool, options.cache)
    capacity = sum(host.slots for host in hosts)
    if clusters is not None and clusters > capacity:
        raise BadInputError(
            f"{clusters} clusters are wanted, and the pool {pool} has {capacity} slots",
            hint=f"-n {capacity}, or a larger pool",
        )
    return hosts


@contextlib.contextmanager
def many_clusters(clusters: int, pool: Path | None) -> Iterator[None]:
    """Within it harness.running runs scenarios on so many clusters at once.

    By pytest's own variable for more options, as its workers have to be told as well.
    """
    more = ["-p", "harness.fleet.plugin", "--many-clusters", "-n", str(clusters)]
    if pool is not None:
        more += ["--pool", str(pool.resolve())]
    before = os.environ.get(_ADD)
    os.environ[_ADD] = " ".join(filter(None, [before, shlex.join(more)]))
    try:
        yield
    finally:
        if before is None:
            del os.environ[_ADD]
        else:
            os.environ[_ADD] = before
