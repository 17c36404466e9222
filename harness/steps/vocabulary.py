"""The vocabulary as text: every step, what it does, and a line of the features that uses it."""

from __future__ import annotations

import functools
import importlib
import inspect
import re

from harness.steps.examples import MODULES, definitions, example_of, pattern_of

_HEAD = (
    "# <n> is a number, (a|b) a choice, [s] may be left out, (…)… repeated. And, But: as the line",
    "# above. Below each step: what it does, and a line that uses it. docs/scenarios.md says how",
    "# they make a scenario.",
)


@functools.cache
def matching(kind: str, text: str) -> tuple[str, ...]:
    """Names of the step functions that a line matches: one, if it is a step.

    Args:
        kind: given, when or then.
        text: the line without its keyword.
    """
    return tuple(
        f"{module}.{context.step_func.__name__}"
        for module, context in definitions()
        if context.type in (None, kind) and context.parser.is_matching(text)
    )


def vocabulary() -> list[str]:
    """All steps, each with its meaning and an example below, in the order of the modules."""
    lines = [*_HEAD]
    for name in MODULES:
        module = importlib.import_module(f"harness.steps.{name}")
        lines.append(f"# {(inspect.getdoc(module) or '').splitlines()[0]}")
        for own, context in definitions():
            if own != name:
                continue
            kind = (context.type or "any").capitalize()
            doc = " ".join((inspect.getdoc(context.step_func) or "").split("\n\n")[0].split())
            lines.append(f"{kind:6}{_readable(pattern_of(context))}")
            lines.append(f"      {doc}")
            if example := example_of(context):
                lines.append(f"      e.g. {kind} {example}")
    return lines


def _readable(pattern: str) -> str:
    """A regular expression as a person writes the step: groups named, escapes dropped."""
    text = re.sub(r"\(\?P<(\w+)>(?:\\d\+|\[1-9\]\\d[?*])\)", r"<\1>", pattern)
    text = re.sub(r"\(\?P<(\w+)>", r"(", text).replace("(?:", "(").replace("\\", "")
    text = re.sub(r"\(([^()]+)\)\?", r"[\1]", text)
    return re.sub(r"(\w)\?", r"[\1]", text).replace(")*", ")…")
