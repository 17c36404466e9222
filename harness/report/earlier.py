"""Earlier attempts at a run's scenarios: set aside when the run was resumed, and not forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checks.verdict import ScenarioVerdict, Verdict, VerdictError
from harness.evidence.attempts import says_nothing, superseded
from harness.evidence.files import read_json
from harness.report.text import date, one_line

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that was set aside.

    Attributes:
        scenario: its scenario's name; empty where nothing tells.
        verdict: None where it was cut short and says nothing.
        why: what was not VALID, or why there is no verdict, one line.
        started_ns: on the run's clock; 0 where nothing tells.
        place: its folder, relative to the run's.
    """

    scenario: str
    verdict: Verdict | None
    why: str
    started_ns: int
    place: str

    @property
    def said(self) -> str:
        """The attempt in words, one line."""
        when = f" {date(self.started_ns)}" if self.started_ns else ""
        return f"{self.verdict or 'cut short'}{when}: {self.why} ({self.place})"


def earlier_attempts(run_folder: Path) -> list[Attempt]:
    """Every attempt that was set aside in a run, the oldest first."""
    attempts = [_attempt(run_folder, path) for path in superseded(run_folder)]
    return sorted(attempts, key=lambda attempt: attempt.started_ns)


def _attempt(run_folder: Path, folder: Path) -> Attempt:
    scenario = read_json(folder / "scenario.json")
    name, started_ns = scenario.get("name"), scenario.get("started_ns")
    verdict: Verdict | None = None
    why = "not judged"
    try:
        stored = ScenarioVerdict.load(folder / "verdict.json")
    except FileNotFoundError:
        pass
    except (VerdictError, OSError) as error:
        # It was judged, and what it said is not known any more: that is no reason to leave it out.
        verdict, why = Verdict.INCONCLUSIVE, f"verdict.json cannot be trusted: {error}"
    else:
        bad = [r.title for r in stored.checks if r.earned().verdict is not Verdict.VALID]
        verdict = stored.verdict
        why = stored.error or "; ".join(bad) or f"{len(stored.checks)} checks held"
    if says_nothing(folder):
        verdict, why = None, str(scenario.get("error") or "it never ended")
    return Attempt(
        name if isinstance(name, str) else "",
        verdict,
        one_line(why),
        started_ns if isinstance(started_ns, int) else 0,
        f"{folder.parent.name}/{folder.name}",
    )
