"""pytest in pytest, in the same process: with harness.plugin, pytest-bdd and nothing else."""

from __future__ import annotations

import importlib.metadata

import pytest

PLUGINS = ("-p", "pytest_bdd.plugin", "-p", "harness.plugin", "-p", "no:cacheprovider")


def run_inside(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run pytest on what ``pytester`` has made.

    pytest looks at the metadata of everything that is installed, and does so again for each plugin
    that it is told of (harness.plugin has eight more). Here that takes longer than the scenarios,
    and would bring in plugins that no scenario needs: these runs find nothing installed.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.metadata, "distributions", lambda **_: iter(()))
        return pytester.runpytest_inprocess(*PLUGINS, *arguments)
