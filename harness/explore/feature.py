"""A schedule as a feature file: what a person reads and edits, and what ``harness replay`` runs.

The file says everything: its steps are the schedule, and its expectations are the forecast's. The
comments at its head tell where it comes from; nothing that runs it reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.explore.forecast import LIMITS
from harness.explore.vocabulary import check, text

if TYPE_CHECKING:
    from pathlib import Path

    from harness.explore.forecast import Forecast
    from harness.explore.schedule import Schedule

TITLE = "Schedules that harness explore has drawn"
# Before the first fault and after the last; together the 1,000 writes that a verdict wants.
BEFORE, AFTER = 300, 200

_THEN = (
    "there was no split-brain",
    "the failover was transparent",
    "no acknowledged write was lost",
    "both replicas are identical",
    "exactly the expected failovers and fencings happened",
    "the cluster is whole again",
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a schedule comes from, for the head of its file.

    Attributes:
        code: hash of the code that drew it.
        config: the configuration's file as it was named; empty for the reference configuration.
        coverage: hash of the coverage that the draw preferred against.
    """

    code: str
    config: str = ""
    coverage: str = ""


def render(schedule: Schedule, origin: Origin, path: str) -> str:
    """The feature file of a schedule; ``path`` is where it will lie, for the command in its head.

    Raises:
        ValueError: the schedule breaks its limits.
    """
    forecast, problems = check(schedule.steps, beyond=schedule.beyond)
    if problems:
        raise ValueError(f"{schedule.name}: {'; '.join(problems)}")
    config = f" --config {origin.config}" if origin.config else ""
    head = [
        f"# {schedule.name}: drawn by harness explore, code {origin.code}.",
        f"# Configuration: {origin.config or 'the reference'}. Coverage before it: "
        f"{origin.coverage or 'none'}.",
        f"# Again: .venv/bin/harness replay {path}{config}",
        "# Limits" + (" (beyond: the first one is lifted)" if schedule.beyond else "") + ":",
        *(f"# * {limit}" for limit in LIMITS),
    ]
    body = [
        "",
        "@explored",
        f"Feature: {TITLE}",
        "",
        f"  Scenario: {schedule.name}",
        "    What writes may stand still for, between two proofs that they went on:",
        *(f"    {line}" for line in forecast.derivation()),
        "",
        *(f"    {line}" for line in scenario_lines(schedule, forecast)),
    ]
    return "\n".join([*head, *body]) + "\n"


def scenario_lines(schedule: Schedule, forecast: Forecast) -> list[str]:
    """The lines of the scenario, with their keywords."""
    given = [
        "the healthy cluster",
        f"{_at_most(forecast.failovers, 'failover')}, {_at_most(forecast.fencings, 'fencing')} "
        f"and no stall above {forecast.bound_s('tcg')} s ({forecast.bound_s('kvm')} s with KVM) "
        "are expected",
        "the initiator writes to both raw LUNs and to a file",
    ]
    when = [
        f"{BEFORE} more writes of each raw LUN were acknowledged",
        *(text(step) for step in schedule.steps),
        *_ending(forecast),
    ]
    then = [*_THEN[:1], *(["every reboot ended in time"] if forecast.reboots else []), *_THEN[1:]]
    lines = []
    for keyword, steps in (("Given", given), ("When", when), ("Then", then)):
        lines += [f"{keyword} {steps[0]}", *(f"And {step}" for step in steps[1:])]
    return lines


def _ending(forecast: Forecast) -> list[str]:
    """What comes after every schedule: nothing is left broken, and writes span all of it."""
    last = f"{AFTER} more writes of each raw LUN were acknowledged"
    if forecast.stuck:
        # Somebody was asked to promote what could not be, as it may be.
        return [
            "everything is healed",
            "the writes go on again",
            "the failed actions are cleaned up",
            last,
        ]
    healed = ["everything is healed"] if forecast.broken else []
    # Of a fence device that was gone: who found it failed never looks again by itself.
    cleaned = ["the failed actions are cleaned up"] if forecast.uncleaned else []
    return [*(["the writes go on again"] if forecast.under_way else []), *healed, *cleaned, last]


def _at_most(number: int, thing: str) -> str:
    return f"at most {number} {thing}{'' if number == 1 else 's'}" if number else f"0 {thing}s"


def write(schedule: Schedule, origin: Origin, folder: Path, shown: str) -> Path:
    """Save a schedule's file below ``folder``; its name holds a hash, so that none is overwritten.

    Args:
        shown: the folder as the file's head is to name it.

    Raises:
        ValueError: the schedule breaks its limits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{schedule.stem}.feature"
    path.write_text(render(schedule, origin, f"{shown}/{path.name}"), encoding="utf-8")
    return path
