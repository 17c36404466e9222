"""The pytest plugin: ``pytest -n N scenarios``, each worker with a cluster of its own.

It is in the way of no other test: only where xdist hands out scenarios (those of the project, a
feature file, or whatever ``--many-clusters`` is given) does it do anything.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.lab.paths import PROJECT

_NAME = "harness-fleet"
_SCENARIOS = PROJECT / "scenarios"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options for a run with ``-n``."""
    group = parser.getgroup("harness", "scenarios on many clusters at once (with -n)")
    group.addoption(
        "--pool",
        metavar="FILE",
        type=Path,
        default=None,
        help="Hosts and how many clusters each can take (docs/many-clusters.md).",
    )
    group.addoption(
        "--many-clusters",
        action="store_true",
        help="Give every worker of -n a cluster of its own, and make one run of it. Goes without "
        "saying for scenarios/ and for feature files.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Take part where scenarios are handed out, or are run for a controller."""
    if hasattr(config, "workerinput"):
        from harness.fleet.worker import INPUT, Worker

        if INPUT in config.workerinput:
            config.pluginmanager.register(Worker(config), _NAME)
    elif _many(config):
        from harness.fleet.controller import Controller

        config.pluginmanager.register(Controller(config, config.getoption("pool")), _NAME)
    elif config.getoption("pool") is not None and not config.getoption("collectonly"):
        raise pytest.UsageError("--pool is for scenarios, with -n (hint: pytest -n 2 scenarios)")


def _many(config: pytest.Config) -> bool:
    if config.getoption("dist", "no") == "no" or config.getoption("collectonly"):
        return False
    return bool(config.getoption("many_clusters")) or all(map(_is_scenario, config.args))


def _is_scenario(argument: str) -> bool:
    path = Path(argument.split("::", 1)[0]).resolve()
    return path.suffix == ".feature" or path.is_relative_to(_SCENARIOS)
