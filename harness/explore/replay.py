"""Replays one feature file several times and says whether the cluster went the same way."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_bdd.parser import FeatureParser

from harness.errors import BadInputError
from harness.evidence.files import write_json
from harness.evidence.model import Evidence
from harness.explore.sequence import Comparison, Tracks, compare, sequence_of
from harness.resuming import set_aside_unknown
from harness.steps.vocabulary import matching

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.explore.runner import Runner

STATE = "replay.json"
SCHEMA = 1


def check_feature(path: Path) -> str:
    """The name of the one scenario in a feature file whose steps are all known.

    Raises:
        BadInputError: there is no such file, it is not Gherkin, has not exactly one scenario, or a
            step that is unknown or ambiguous.
    """
    if not path.is_file():
        raise BadInputError(f"no such file: {path}", hint="ls scenarios/schedules")
    try:
        feature = FeatureParser(str(path.parent), path.name).parse()
    except Exception as error:
        # gherkin, pytest-bdd and a file that is no text each have errors of their own.
        text = " ".join(str(error).split())[:200]
        raise BadInputError(f"{path} is no feature: {text}", hint="docs/scenarios.md") from error
    scenarios = list(feature.scenarios.values())
    if len(scenarios) != 1 or any(scenario.examples for scenario in scenarios):
        raise BadInputError(
            f"{path} has {len(scenarios)} scenarios, or a table of examples",
            hint="one scenario is replayed; harness run takes any number of them",
        )
    (scenario,) = scenarios
    for step in scenario.steps:
        found = matching(step.type, step.name)
        if len(found) != 1:
            what = "ambiguous" if found else "unknown"
            raise BadInputError(
                f"{path}:{step.line_number}: {what} step: {step.keyword} {step.name}",
                hint="harness steps lists the vocabulary",
            )
    return str(scenario.name)


@dataclass(frozen=True, slots=True)
class Origin:
    """What is replayed: results of another file, code or configuration are never compared.

    Attributes:
        feature: hash of the file.
        code: hash of the code.
        config: hash of the configuration.
    """

    feature: str
    code: str
    config: str


@dataclass(slots=True)
class Replays:
    """Runs of one feature so far: (evidence folder's name, verdict) of each."""

    origin: Origin
    runs: list[tuple[str, str]] = field(default_factory=list)


def replay(
    feature: Path,
    times: int,
    origin: Origin,
    folder: Path,
    runner: Runner,
    say: Callable[[str], None] = print,
) -> Comparison:
    """Run it so many times, less those that the folder holds, and compare all of them.

    Raises:
        BadInputError: the folder holds runs of something else.
        HarnessError: a run could not be made.
    """
    done = _load(folder, origin)
    # A replay that was interrupted is made again.
    set_aside_unknown(folder, {name for name, _verdict in done.runs})
    while len(done.runs) < times:
        say(f"◆ {feature.name}: replay {len(done.runs) + 1} of {times}")
        ran = runner.run(feature)
        done.runs.append((ran.evidence.name, str(ran.verdict.verdict)))
        _save(folder, done, None, [])
    sequences = [_sequence(folder / "evidence" / name) for name, _verdict in done.runs[:times]]
    comparison = compare(sequences)
    _save(folder, done, comparison, sequences)
    return comparison


def lines(comparison: Comparison) -> list[str]:
    """The comparison as text."""
    if comparison.runs < 2:
        return []
    told = [f"The same sequence in {comparison.same} of {comparison.runs} replays"]
    for number, differences in comparison.differences.items():
        told.append(f"  replay {number} differs:")
        told += [f"    {line}" for line in differences]
    return told


def _sequence(folder: Path) -> Tracks:
    try:
        return sequence_of(Evidence(folder))
    except Exception as error:
        # Damage may take any form. It differs from every other one, and says why.
        return {"evidence": (f"{folder.name} cannot be read: {error}",)}


def _load(folder: Path, origin: Origin) -> Replays:
    path = folder / STATE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["schema"] != SCHEMA:
            raise ValueError(f"schema {raw['schema']}")
        found = Origin(**raw["origin"])
        runs = [(str(one["evidence"]), str(one["verdict"])) for one in raw["runs"]]
    except FileNotFoundError:
        if (folder / "evidence").is_dir():
            raise BadInputError(
                f"{folder} holds a run that is no replay", hint="name another folder"
            ) from None
        return Replays(origin)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInputError(
            f"{path} cannot be read: {error!r}", hint="begin anew in another folder"
        ) from error
    if found != origin:
        raise BadInputError(
            f"{folder} holds replays of another feature, code or configuration",
            hint="name another folder",
        )
    return Replays(origin, runs)


def _save(
    folder: Path, done: Replays, comparison: Comparison | None, sequences: list[Tracks]
) -> None:
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "origin": {
            "feature": done.origin.feature,
            "code": done.origin.code,
            "config": done.origin.config,
        },
        "runs": [{"evidence": name, "verdict": verdict} for name, verdict in done.runs],
    }
    if comparison is not None:
        data |= {
            "of": comparison.runs,
            "same": comparison.same,
            "differences": {str(n): list(told) for n, told in comparison.differences.items()},
            "sequences": [{name: list(states) for name, states in s.items()} for s in sequences],
        }
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / STATE, data)
