"""Replays one feature file several times and says whether the cluster went the same way."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_bdd.parser import FeatureParser

from harness.errors import BadInputError
from harness.evidence.files import read_json, write_json
from harness.evidence.model import Evidence
from harness.explore.pace import Pace, moments, paces
from harness.explore.sequence import Comparison, Tracks, compare, sequence_of
from harness.resuming import set_aside_unknown
from harness.steps.vocabulary import matching

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.explore.pace import Moments
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
    known: dict[str, tuple[Tracks, Moments]] = {}
    # A replay that was interrupted is made again.
    set_aside_unknown(folder, {name for name, _verdict in done.runs})
    while len(done.runs) < times:
        say(f"◆ {feature.name}: replay {len(done.runs) + 1} of {times}")
        ran = runner.run(feature)
        done.runs.append((ran.evidence.name, str(ran.verdict.verdict)))
        # What there is so far, for whoever looks, and for the report if it ends here.
        _compared(folder, done, len(done.runs), known)
    return _compared(folder, done, times, known)


def _compared(
    folder: Path, done: Replays, times: int, known: dict[str, tuple[Tracks, Moments]]
) -> Comparison:
    """Compare so many runs, and write down what came of it; ``known`` are those read already."""
    names = [name for name, _verdict in done.runs[:times]]
    for name in names:
        if name not in known:
            known[name] = _read(folder / "evidence" / name)
    sequences = [known[name][0] for name in names]
    comparison = compare(sequences)
    usual = [
        known[n][1] for number, n in enumerate(names, 1) if number not in comparison.differences
    ]
    _save(folder, done, comparison, sequences, paces(usual))
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


def timing_lines(folder: Path) -> list[str]:
    """When each thing happened, in the replays that went the usual way, as text."""
    raw = read_json(folder / STATE).get("timing")
    told = [Pace(**one) for one in raw] if isinstance(raw, list) else []
    if not told:
        return []
    head = f"Seconds from the first fault, median of {told[0].runs} replays (shortest to longest):"
    return [head, *(f"  {one}" for one in told)]


def _read(folder: Path) -> tuple[Tracks, Moments]:
    try:
        evidence = Evidence(folder)
        return sequence_of(evidence), moments(evidence)
    except Exception as error:
        # Damage may take any form. It differs from every other one, and says why.
        return {"evidence": (f"{folder.name} cannot be read: {error}",)}, {}


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
    folder: Path,
    done: Replays,
    comparison: Comparison,
    sequences: list[Tracks],
    timing: list[Pace],
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
    data |= {
        "of": comparison.runs,
        "same": comparison.same,
        "differences": {str(n): list(told) for n, told in comparison.differences.items()},
        "sequences": [{name: list(states) for name, states in s.items()} for s in sequences],
        "timing": [asdict(one) for one in timing],
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / STATE, data)
