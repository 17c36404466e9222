"""Checks features before any VM starts: unknown, ambiguous and unused steps are errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_bdd.scenario import find_fixturedefs_for_step, scenario_wrapper_template_registry

from harness.report.texts import name_of_example
from harness.steps.examples import definitions, example_of, pattern_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest


def scenario_template(item: pytest.Item) -> Any:
    """The Gherkin scenario that a test item binds; None for an ordinary test."""
    function: Any = getattr(item, "obj", None)
    try:
        return scenario_wrapper_template_registry.get(function)
    except TypeError:  # not weakly referable: a bound method, say
        return None


def scenario_name(item: pytest.Item) -> str:
    """The scenario's name, with the values of its example in brackets if it is an outline."""
    template = scenario_template(item)
    return name_of_example(str(template.name), scenario_example(item).values())


def scenario_example(item: pytest.Item) -> dict[str, Any]:
    """The row of the outline's table that a test item stands for; empty if it is no outline."""
    callspec = getattr(item, "callspec", None)
    return dict(callspec.params.get("_pytest_bdd_example", {})) if callspec else {}


def lint_items(items: list[pytest.Item]) -> list[str]:
    """What is wrong with the steps of the collected scenarios, one line each.

    An unknown step names its file, line and text; an ambiguous one the definitions that match.
    """
    problems: dict[str, None] = {}
    for item in items:
        template = scenario_template(item)
        if template is None:
            continue
        scenario = template.render(scenario_example(item))
        manager: Any = item.session._fixturemanager
        for step in scenario.steps:
            found = list(find_fixturedefs_for_step(step, manager, item))
            where = f"{template.feature.filename}:{step.line_number}"
            text = f"{step.keyword} {step.name}"
            if not found:
                problems[
                    f"{where}: unknown step: {text} (hint: harness steps lists the vocabulary)"
                ] = None
            elif len({definition.func for definition in found}) > 1:
                names = ", ".join(sorted(d.argname for d in found))
                problems[f"{where}: ambiguous step: {text}: {names}"] = None
    return list(problems)


def unused_steps(lines: Iterable[tuple[str, str]] | None = None) -> list[str]:
    """Steps that the harness defines and no line of any feature uses, one line each.

    A word that nobody says is tried by nobody. All features count, whatever is chosen to be run.

    Args:
        lines: (type, text) of every step line; those of features/ by default.
    """
    return [
        f"harness/steps/{module}.py: unused step: {pattern_of(context)} "
        "(hint: use it in a feature, or remove it)"
        for module, context in definitions()
        if not example_of(context, lines)
    ]
