"""Stored runs for the tests of the trend, written with the project's own models and writers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.checks.verdict import (
    CheckResult,
    ScenarioVerdict,
    Verdict,
    read_run_verdicts,
    write_run_verdicts,
)
from harness.evidence.files import write_json
from harness.evidence.model import Expect, Scenario
from harness.report.trend.model import RunLine, ScenarioLine

if TYPE_CHECKING:
    from pathlib import Path

VALID, INVALID, INCONCLUSIVE = Verdict.VALID, Verdict.INVALID, Verdict.INCONCLUSIVE
DAY_NS = 86_400_000_000_000
FIRST_NS = 1_764_000_000_000_000_000
VERSIONS = {"pacemaker": "2.1.5", "kernel": "6.1.0", "fio": "3.33"}


@dataclass(frozen=True, slots=True)
class Came:
    """How a scenario came out: verdict, longest stall in seconds, more of scenario.json."""

    verdict: Verdict | None = VALID
    stall_s: float | None = 30.0
    more: dict[str, Any] = field(default_factory=dict)


def began_ns(night: int) -> int:
    """When the run of a night began."""
    return FIRST_NS + night * DAY_NS


def slug_of(name: str) -> str:
    """The name of a scenario's evidence folder."""
    return name.lower().replace(" ", "-")


def evidence(run: Path, name: str, came: Came, started_ns: int, place: str = "") -> Path:
    """An evidence folder as the harness leaves it, without the witnesses' words."""
    folder = run / (place or f"evidence/{slug_of(name)}")
    Scenario(
        slug=folder.name,
        name=name,
        feature="Power" if "power" in name else "Links",
        started_ns=started_ns,
        ended_ns=started_ns + 120_000_000_000,
        outcome="finished",
        expect=Expect(failovers=1, fencings=1, max_stall_s=180.0, workload=True, fault=True),
        nodes=["alpha", "bravo"],
        initiator="client",
        resources=["r0", "r1"],
        vip="10.99.3.100",
    ).model_copy(update=came.more).save(folder / "scenario.json")
    (folder / "timeline.jsonl").write_bytes(b"")
    if came.verdict is not None:
        ScenarioVerdict(folder.name, _checks(came, started_ns)).save(folder / "verdict.json")
    return folder


def _checks(came: Came, started_ns: int) -> tuple[CheckResult, ...]:
    assert came.verdict is not None
    seen = "none" if came.verdict is VALID else "8 are lost"
    title = "No acknowledged write is lost"
    lost = CheckResult("lost-writes", title, came.verdict, "none", seen, operations=100)
    if came.stall_s is None:
        return (lost,)
    start = started_ns + 40_000_000_000
    blackout = {
        "job": "raw1", "kind": "gap", "seconds": came.stall_s, "start_ns": start,
        "end_ns": start + round(came.stall_s * 1e9),
    }  # fmt: skip
    details = {"bound_s": 180.0, "per_job": [blackout], "blackout": blackout}
    phases = {"detected": came.stall_s / 4, "promoted": 3 * came.stall_s / 4}
    return (
        lost,
        CheckResult("stall", "Stall", VALID, "180 s", "less", operations=9, details=details),
        CheckResult("failovers", "Failovers", VALID, "1", "1", operations=1,
                    details={"by_resource": {"r0": 1, "r1": 1}}),
        CheckResult("fencings", "Fencings", VALID, "1", "1", operations=1,
                    details={"journal": {"alpha": 1}}),
        CheckResult("failover-phases", "Phases", VALID, "all", "all", operations=2,
                    details={"failovers": [{"phases": phases}]}),
    )  # fmt: skip


def stored(reports: Path, night: int, came: dict[str, Came], **facts: Any) -> Path:
    """A finished run of that night below ``reports``; ``facts`` are of run.json."""
    started_ns = began_ns(night)
    run = reports / f"night-{night:02d}"
    run.mkdir(parents=True, exist_ok=True)
    told = {
        "run": run.name, "started_ns": started_ns, "accelerator": "tcg",
        "timing": {"name": "tcg", "corosync_token_ms": 3000}, "versions": VERSIONS,
        "harness": "0.1.0", "seed": None, "command": "harness run --all", "kept": None,
        "host": "private", "code": "c0de", "config": {"drbd": {"protocol": "C"}},
        "max_stall_s": None, "injecting": True,
    }  # fmt: skip
    write_json(run / "run.json", told | facts)
    for number, (name, one) in enumerate(came.items()):
        evidence(run, name, one, started_ns + number * 200_000_000_000)
    judged(run)
    (run / "index.html").write_text("a report")
    return run


def judged(run: Path) -> None:
    """Put the verdicts of a run together, as the end of a run does."""
    write_run_verdicts(run, read_run_verdicts(run))


def line(
    name: str, verdict: Verdict = VALID, stall_s: float | None = 30.0, **more: Any
) -> ScenarioLine:
    """A scenario's line without a folder behind it."""
    given = {"attempts": (verdict,), "stall_s": stall_s, "bound_s": 180.0, "failovers": 1}
    return ScenarioLine(name, "Power", slug_of(name), verdict, **given | more)


def run_line(night: int, *lines: ScenarioLine, **more: Any) -> RunLine:
    """A run's line without a folder behind it."""
    name = f"night-{night:02d}"
    given: dict[str, Any] = {
        "name": name, "started_ns": began_ns(night), "ended_ns": began_ns(night) + 10**12,
        "digest": hashlib.sha256(name.encode()).hexdigest(), "folder": name, "series": "s",
        "accelerator": "tcg", "profile": "tcg", "host": "private", "config": "reference",
        "code": "c0de", "versions": VERSIONS, "harness": "0.1.0", "seed": None,
        "command": "harness run", "injecting": True, "verdict": VALID, "scenarios": lines,
    }  # fmt: skip
    return RunLine(**given | more)


def noisy_stalls(
    scenarios: int, nights: int, seed: int, spread: float = 0.06
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Longest stalls in seconds, shape (scenarios, nights): each scenario about its own."""
    rng = np.random.default_rng(seed)
    usual = np.exp(rng.uniform(np.log(8), np.log(120), scenarios))
    return usual[:, None] * np.exp(spread * rng.standard_normal((scenarios, nights)))
