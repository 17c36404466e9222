"""What the scenarios of feature files say, to tell whether evidence is of the same ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_bdd.feature import get_features

from harness.evidence.files import read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


class Text(NamedTuple):
    """What decides what a scenario does, and what is expected of it.

    Attributes:
        steps: each with its keyword, and with the values of its example; those of the background
            come first.
        tags: the feature's and the scenario's.
    """

    steps: tuple[str, ...]
    tags: frozenset[str]


def name_of_example(outline: str, values: Iterable[object]) -> str:
    """A scenario's name: the outline's, with the values of its example in brackets, if it has any.

    The one place that makes it: evidence, reports, durations and ledgers know scenarios by it.
    """
    told = [str(value) for value in values]
    return f"{outline} [{', '.join(told)}]" if told else outline


def texts_in(folder: Path) -> dict[str, Text]:
    """The text of each scenario below a folder, by its name; of an outline, each example's.

    Raises:
        pytest_bdd.exceptions.FeatureError: a file there is no feature.
    """
    found = {}
    for feature in get_features([str(folder)]):
        for template in feature.scenarios.values():
            rows = [row for table in template.examples for row in table.as_contexts()]
            for row in rows or [{}]:
                scenario = template.render(row)
                name = name_of_example(template.name, row.values())
                steps = tuple(f"{step.keyword} {step.name}" for step in scenario.steps)
                found[name] = Text(steps, frozenset(feature.tags | scenario.tags))
    return found


def text_of(scenario: Mapping[str, object]) -> Text | None:
    """What a scenario said, by the scenario.json of its evidence; None where that does not tell."""
    steps, tags = scenario.get("gherkin"), scenario.get("tags")
    if not isinstance(steps, list) or not isinstance(tags, list):
        return None
    return Text(tuple(map(str, steps)), frozenset(map(str, tags)))


def reads_otherwise(evidence: Path, here: Mapping[str, Text]) -> bool:
    """Whether evidence is of a scenario that says something else here, or is not here any more."""
    scenario = read_json(evidence / "scenario.json")
    text = text_of(scenario)
    return text is None or here.get(str(scenario.get("name"))) != text
