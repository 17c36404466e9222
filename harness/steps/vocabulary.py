"""The vocabulary as text: every step, and the first line of what it does."""

from __future__ import annotations

import importlib
import inspect

from pytest_bdd.steps import step_function_context_registry

_MODULES = ("cluster", "workload", "faults", "nodes", "disks", "verdicts")
_HEAD = (
    "# <n> is a number, (a|b) a choice, [s] may be left out, (…)… repeated. And, But: as the line",
    "# above. docs/scenarios.md says how they make a scenario.",
)


def vocabulary() -> list[str]:
    """All steps, one a line with its meaning below, in the order of the modules."""
    lines = [*_HEAD]
    for name in _MODULES:
        module = importlib.import_module(f"harness.steps.{name}")
        lines.append(f"# {(inspect.getdoc(module) or '').splitlines()[0]}")
        for value in list(vars(module).values()):
            function = getattr(value, "_get_wrapped_function", lambda value=value: value)()
            context = step_function_context_registry.get(function) if callable(function) else None
            if context is None:
                continue
            text = getattr(context.parser, "name", "")
            pattern = getattr(getattr(context.parser, "regex", None), "pattern", text)
            doc = (inspect.getdoc(context.step_func) or "").splitlines()[0]
            lines.append(f"{(context.type or 'any').capitalize():6}{_readable(pattern)}")
            lines.append(f"      {doc}")
    return lines


def _readable(pattern: str) -> str:
    """A regular expression as a person writes the step: groups named, escapes dropped."""
    import re

    text = re.sub(r"\(\?P<(\w+)>(?:\\d\+|\[1-9\]\\d[?*])\)", r"<\1>", pattern)
    text = re.sub(r"\(\?P<(\w+)>", r"(", text).replace("(?:", "(").replace("\\", "")
    text = re.sub(r"\(([^()]+)\)\?", r"[\1]", text)
    return re.sub(r"(\w)\?", r"[\1]", text).replace(")*", ")…")
