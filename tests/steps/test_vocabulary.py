"""``harness steps`` lists every step that there is, and each has a meaning in words."""

from __future__ import annotations

import importlib
import pkgutil
import signal
import sys
from typing import Any

import pytest
from pytest_bdd.feature import get_feature
from pytest_bdd.steps import step_function_context_registry

import harness.steps
from harness import cli
from harness.checks.registry import ALL_CHECKS
from harness.lab.paths import PROJECT
from harness.plugin import pytest_plugins as step_modules
from harness.steps.examples import MODULES, definitions
from harness.steps.verdicts import STEPS
from harness.steps.vocabulary import _readable, vocabulary

FEATURES = sorted((PROJECT / "features").glob("*.feature"))


def contexts() -> list[tuple[str, Any]]:
    """Every registered step of every module below harness.steps: (module, its context)."""
    found = []
    for info in pkgutil.iter_modules(harness.steps.__path__, "harness.steps."):
        module = importlib.import_module(info.name)
        for value in list(vars(module).values()):
            function = getattr(value, "_get_wrapped_function", lambda value=value: value)()
            context = step_function_context_registry.get(function) if callable(function) else None
            if context is not None:
                found.append((info.name, context))
    return found


def pattern(context: Any) -> str:
    regex = getattr(context.parser, "regex", None)
    return str(regex.pattern if regex is not None else context.parser.name)


def test_every_step_that_there_is_is_listed_once_with_its_meaning() -> None:
    lines = vocabulary()
    steps = contexts()
    assert len(steps) > 25
    listed = [line for line in lines if not line.startswith((" ", "#"))]
    assert len(listed) == len(set(listed)) == len(steps)
    for _module, context in steps:
        line = f"{context.type.capitalize():6}{_readable(pattern(context))}"
        meaning, example = lines[lines.index(line) + 1 : lines.index(line) + 3]
        assert meaning.startswith("      ")
        assert len(meaning.strip()) > 10
        kind, text = example.removeprefix("      e.g. ").split(" ", 1)
        assert kind == context.type.capitalize()
        assert context.parser.is_matching(text), "its example is one of another step"
    assert {module for module, _context in steps} == set(step_modules)
    assert [f"harness.steps.{name}" for name in MODULES] == list(
        dict.fromkeys(f"harness.steps.{name}" for name, _context in definitions())
    )
    assert len(list(definitions())) == len(steps)


@pytest.mark.parametrize("path", FEATURES, ids=lambda p: p.stem)
def test_every_step_of_the_features_is_listed(path: Any) -> None:
    listed = "\n".join(vocabulary())
    steps = contexts()
    feature = get_feature(str(path.parent), path.name)
    for scenario in feature.scenarios.values():
        rows: list[dict[str, Any]] = [
            dict(row) for table in scenario.examples for row in table.as_contexts()
        ]
        for row in rows or [{}]:
            for step in scenario.render(row).steps:
                matching = [
                    context
                    for _module, context in steps
                    if context.type == step.type and context.parser.is_matching(step.name)
                ]
                assert len(matching) == 1, f"{path.name}: {step.name}"
                assert _readable(pattern(matching[0])) in listed


def test_patterns_are_listed_as_a_person_writes_them() -> None:
    assert _readable(r"the cluster is left alone for (?P<seconds>\d+) s") == (
        "the cluster is left alone for <seconds> s"
    )
    assert _readable(r"(?P<who>alpha|the (?:active|passive) node) is reset") == (
        "(alpha|the (active|passive) node) is reset"
    )
    assert _readable(r"it loses (?P<percent>[1-9]\d?) % of its frames") == (
        "it loses <percent> % of its frames"
    )
    assert _readable(r"(?P<most>at most )?(?P<times>[1-9]\d*) times?") == (
        "[at most ]<times> time[s]"
    )
    for line in vocabulary():
        assert "?P" not in line
        assert "\\" not in line


def test_the_command_prints_the_vocabulary(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["harness", "steps"])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code in (0, None)
    assert capsys.readouterr().out.splitlines() == vocabulary()


def test_verdict_steps_name_checks_that_exist() -> None:
    known = set(ALL_CHECKS)
    for text, slugs in STEPS.items():
        assert slugs, text
        assert set(slugs) <= known, text
        assert len(slugs) == len(set(slugs)), text
