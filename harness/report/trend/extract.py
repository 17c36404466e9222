"""A run folder as lines of the trend, read by the report's own loaders; and whether it is one yet.

A run counts once its verdicts were put together (``verdicts.json``) and are those of the evidence
that lies there: one that goes on, or was killed, has a scenario more or less.
"""

from __future__ import annotations

import hashlib
import json
import re
import statistics
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from harness.checks.verdict import Verdict
from harness.evidence.files import read_json
from harness.report.facts import facts
from harness.report.load import SEVERITY, load_run, run_commands
from harness.report.text import one_line
from harness.report.trend.model import CheckLine, RunLine, ScenarioLine

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.report.load import LoadedScenario

PRUNED = "pruned.json"
"""In the folder of a run whose evidence was removed: there is nothing to be read any more."""
_EXPLORED = "explored"  # tag of a schedule that was drawn: no other run has it
_WHY = 240


class Stage(StrEnum):
    """What a folder below reports/ is."""

    OTHER = "not a run"
    BROKEN = "its run.json cannot be read"
    UNFINISHED = "not finished, or not judged to its end"
    FINISHED = "finished"
    PRUNED = "its evidence was removed"


class UnreadableRunError(ValueError):
    """A run folder that cannot be taken in; the message says why, one line."""


def stage_of(folder: Path) -> Stage:
    """What ``folder`` is; nothing is raised."""
    if not (folder / "run.json").is_file():
        return Stage.OTHER
    facts_ = read_json(folder / "run.json")
    if not isinstance(facts_.get("run"), str) or type(facts_.get("started_ns")) is not int:
        return Stage.BROKEN
    if (folder / PRUNED).is_file():
        return Stage.PRUNED
    told = read_json(folder / "verdicts.json").get("scenarios")
    if not isinstance(told, list):
        return Stage.UNFINISHED
    slugs = {one.get("slug") for one in told if isinstance(one, dict)}
    there = {path.name for path in (folder / "evidence").glob("*/")}
    return Stage.FINISHED if there and slugs == there else Stage.UNFINISHED


def digest_of(folder: Path) -> str:
    """Digest of a run's verdicts; empty where there are none."""
    try:
        return hashlib.sha256((folder / "verdicts.json").read_bytes()).hexdigest()
    except OSError:
        return ""


def identity_of(folder: Path) -> tuple[str, int]:
    """(name, start in ns) of a run; where its run.json cannot be read, the folder's name and 0."""
    told = read_json(folder / "run.json")
    name, started_ns = told.get("run"), told.get("started_ns")
    if not isinstance(name, str) or type(started_ns) is not int:
        return folder.name, 0
    return name, started_ns


def read_run(folder: Path, shown: str) -> RunLine:
    """The lines of a finished run.

    Args:
        shown: how the folder is to be kept.

    Raises:
        UnreadableRunError: run.json does not say what runs must have in common.
    """
    digest = digest_of(folder)
    told = read_json(folder / "run.json")
    loaded = load_run(folder)
    if loaded.info is None:
        raise UnreadableRunError(one_line(loaded.notes[0] if loaded.notes else "no run.json"))
    info = loaded.info
    own = [one for one in loaded.scenarios if _EXPLORED not in _tags(one)]
    lines = [_line(one) for one in own]
    lines += [
        ScenarioLine(
            name=one.scenario,
            feature="",
            slug="",
            verdict=one.verdict or Verdict.INCONCLUSIVE,
            attempts=(one.verdict,) if one.verdict is not None else (),
            why=one_line(f"not begun again: {one.said}", _WHY),
        )
        for one in loaded.pending
    ]
    host = str(told.get("host") or "private")
    profile = str(info.timing.get("name") or "?")
    config = "reference"
    if _overridden(told):
        # Defaults are the code's, and a change of them is what is looked for; overrides are asked.
        config = _hash([told.get("config"), info.timing])[:6]
    common = [info.accelerator, host, profile, config, told.get("max_stall_s")]
    ends = [one.evidence.end_ns for one in loaded.scenarios]
    return RunLine(
        name=info.run,
        started_ns=info.started_ns,
        ended_ns=max([info.started_ns, *ends]),
        digest=digest,
        folder=shown,
        series=_hash(common),
        accelerator=info.accelerator,
        profile=one_line(profile, 40),
        host=one_line(host, 100),
        config=config,
        code=one_line(str(told.get("code") or "?"), 40),
        versions={one_line(k, 60): one_line(v, 120) for k, v in info.versions.items()},
        harness=one_line(info.harness, 40),
        seed=info.seed,
        command=one_line(info.command),
        injecting=info.injecting,
        verdict=loaded.verdict,
        scenarios=tuple(merged(lines)),
    )


def merged(lines: Iterable[ScenarioLine]) -> list[ScenarioLine]:
    """One line for each name: of a scenario that a run has several times, the worst counts.

    Its stall is the median of all of them.
    """
    by_name: dict[str, list[ScenarioLine]] = {}
    for line in lines:
        by_name.setdefault(line.name, []).append(line)
    return [_merged(several) for several in by_name.values()]


def _merged(several: list[ScenarioLine]) -> ScenarioLine:
    worst = min(several, key=lambda line: SEVERITY[line.verdict])
    stalls = [line.stall_s for line in several if line.stall_s is not None]
    return replace(
        worst,
        attempts=tuple(verdict for line in several for verdict in line.attempts),
        stall_s=statistics.median(stalls) if stalls else None,
    )


def _line(loaded: LoadedScenario) -> ScenarioLine:
    scenario = loaded.scenario
    numbers = facts(loaded)
    judged = loaded.verdict.result("stall")
    # Without that check nothing was meant to be measured: what reads once a minute is no stall.
    conclusive = judged is not None and judged.earned().verdict is not Verdict.INCONCLUSIVE
    stall = numbers.stall if conclusive else None
    earlier = [one.verdict for one in loaded.earlier if one.verdict is not None]
    started_ns, ended_ns = scenario.started_ns, scenario.ended_ns or loaded.evidence.end_ns
    return ScenarioLine(
        name=one_line(scenario.name),
        feature=one_line(scenario.feature, 120),
        slug=loaded.evidence.folder.name,
        verdict=loaded.overall,
        attempts=(*earlier, loaded.verdict.verdict),
        stall_s=stall.seconds if stall is not None else None,
        bound_s=numbers.bound_s,
        phases=_phases(loaded),
        failovers=numbers.failovers,
        fencings=numbers.fencings,
        writes=numbers.writes.total,
        seconds=max(ended_ns - started_ns, 0) / 1e9 if started_ns else None,
        why=_why(loaded),
        checks=tuple(
            CheckLine(
                one_line(result.check, 60),
                result.verdict,
                "" if result.verdict is Verdict.VALID else one_line(result.seen, _WHY),
            )
            for result in (raw.earned() for raw in loaded.verdict.checks)
        ),
    )


def _why(loaded: LoadedScenario) -> str:
    if loaded.overall is Verdict.VALID:
        return ""
    parts = [f"{result.title}: {result.seen}" for result in loaded.failing[:2]]
    if loaded.verdict.error:
        parts.insert(0, loaded.verdict.error)
    if not parts:  # an earlier attempt of the same run
        parts = [one.said for one in loaded.earlier if one.verdict is not None][:1]
    return one_line("; ".join(parts), _WHY)


def _phases(loaded: LoadedScenario) -> dict[str, float]:
    """Seconds of each phase of the longest failover that the check on phases told of."""
    result = loaded.verdict.result("failover-phases")
    told = result.details.get("failovers") if result is not None else None
    found: list[dict[str, float]] = []
    for one in told if isinstance(told, list) else ():
        phases = one.get("phases") if isinstance(one, dict) else None
        if isinstance(phases, dict):
            found.append(
                {
                    one_line(str(name), 60): float(seconds)
                    for name, seconds in list(phases.items())[:12]
                    if type(seconds) in (int, float)
                }
            )
    return max(found, key=lambda phases: sum(phases.values()), default={})


def _overridden(run: dict[str, Any]) -> bool:
    """Whether any part of a run was asked for with overrides of the configuration."""
    return any(re.search(r"(?:^|\s)--config(?:[=\s]|$)", one) for one in run_commands(run))


def _tags(loaded: LoadedScenario) -> set[str]:
    return {tag.removeprefix("@") for tag in loaded.scenario.tags}


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
