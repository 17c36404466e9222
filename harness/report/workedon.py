"""What a run was made with: how the cluster's configuration differs from the reference.

The reference is kept beside this module as data, since nothing here knows the cluster; a test
compares it with the configuration's defaults.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from harness.evidence.files import read_json
from harness.report.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REFERENCE = "assets/reference_config.json"
MAPPING = "mapping.json"
"""In the folder of a run of a foreign cluster, mapped onto the lab (docs/own-cluster.md)."""
_MOST = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that is another than in the reference; both as JSON, ``-`` where there is none."""

    name: str
    reference: str
    here: str


@dataclass(frozen=True, slots=True)
class Foreign:
    """The cluster that the lab stands for.

    Attributes:
        source: the name of the folder with its files.
        settings: how many of its settings the lab was given.
        left: what the lab does not have of it, or what of it is not known; one line each.
    """

    source: str
    settings: int
    left: tuple[str, ...]


def foreign(run_folder: Path) -> Foreign | None:
    """The foreign cluster that a run is of; None where it is of the lab's own."""
    told = read_json(run_folder / MAPPING)
    left, settings = told.get("left"), told.get("settings")
    if not isinstance(left, list) or not isinstance(settings, int):
        return None
    lines = tuple(one_line(str(line), 400) for line in left[:_MOST])
    if len(left) > _MOST:
        lines += (f"and {len(left) - _MOST} more",)
    return Foreign(one_line(str(told.get("source", "?")), 200), settings, lines)


def configuration(run_folder: Path) -> list[Difference] | None:
    """Every value that differs; None where the run does not say its configuration."""
    config = read_json(run_folder / "run.json").get("config")
    return None if not isinstance(config, dict) else differences(reference(), config)


def reference() -> dict[str, Any]:
    """The reference configuration, as run.json has configurations."""
    place = files("harness.report")
    for part in REFERENCE.split("/"):
        place = place / part
    told: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    return told


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[Difference]:
    """What differs between two configurations, by name."""
    first, second = dict(_flat(one)), dict(_flat(other))
    found = [
        Difference(one_line(name, 120), _told(first, name), _told(second, name))
        for name in sorted(first.keys() | second.keys())
        if first.get(name, "") != second.get(name, "")
    ]
    return found[:_MOST]


def _flat(value: dict[str, Any], before: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    for key, one in value.items():
        name = f"{before}{key}"
        if isinstance(one, dict) and one and depth < 8:
            yield from _flat(one, f"{name}.", depth + 1)
        elif one != {}:
            yield name, json.dumps(one, default=str)


def _told(values: dict[str, str], name: str) -> str:
    return one_line(values.get(name, "–"), 300)
