"""Lines of the features that use a step: examples of it, and proof that somebody needs it."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, Any

from pytest_bdd.feature import get_features
from pytest_bdd.steps import step_function_context_registry

from harness.lab.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# In the order in which they are listed.
MODULES = (
    "cluster", "workload", "triggers", "faults", "nodes", "fencing", "disks", "standby",
    "split_brain", "healing", "verdicts",
)  # fmt: skip


@cache
def definitions() -> tuple[tuple[str, Any], ...]:
    """Every step that the harness defines: (module, pytest-bdd's context of it), in order."""
    return tuple(_definitions())


def _definitions() -> Iterator[tuple[str, Any]]:
    for name in MODULES:
        module = importlib.import_module(f"harness.steps.{name}")
        for value in list(vars(module).values()):
            function = getattr(value, "_get_wrapped_function", lambda value=value: value)()
            context = step_function_context_registry.get(function) if callable(function) else None
            if context is not None:
                yield name, context


@cache
def lines_of_features() -> tuple[tuple[str, str], ...]:
    """(type, text) of every step line of features/, each example of an outline filled in."""
    lines: dict[tuple[str, str], None] = {}
    for feature in get_features([str(PROJECT / "features")]):
        for scenario in feature.scenarios.values():
            rows = [row for table in scenario.examples for row in table.as_contexts()] or [{}]
            for row in rows:
                for step in scenario.render(row).steps:
                    lines[str(step.type), step.name] = None
    return tuple(lines)


def example_of(context: Any, lines: Iterable[tuple[str, str]] | None = None) -> str:
    """The first line of the features that uses a step; empty if none does."""
    for kind, text in lines_of_features() if lines is None else lines:
        if context.type in (None, kind) and context.parser.is_matching(text):
            return text
    return ""


def pattern_of(context: Any) -> str:
    """A step's words, as a regular expression where it has one."""
    text = getattr(context.parser, "name", "")
    return str(getattr(getattr(context.parser, "regex", None), "pattern", text))
