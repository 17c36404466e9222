"""The numbers of a scenario that the summary shows: stall, failovers, fencings, writes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.checks.fencelog import fence_reports
from harness.checks.roles import holders, primary_intervals
from harness.checks.stall import stall as measured_stall
from harness.report.writes import load_writes, longest_pause, slowest

if TYPE_CHECKING:
    from harness.report.load import LoadedScenario
    from harness.report.writes import Writes


@dataclass(frozen=True, slots=True)
class Stall:
    """The longest time without an answer; ns on the run's clock.

    Attributes:
        source: who measured it, in words.
    """

    start_ns: int
    end_ns: int
    source: str

    @property
    def seconds(self) -> float:
        """Its length in seconds."""
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True)
class Facts:
    """What the summary shows of a scenario; None where nothing says.

    Attributes:
        bound_s: longest stall allowed, seconds; None where none was stated.
        failovers, fencings: as seen; the expectation is in scenario.json.
    """

    stall: Stall | None
    bound_s: float | None
    failovers: int | None
    fencings: int | None
    writes: Writes

    @property
    def stall_name(self) -> str:
        """What the longest stall is called: it is the failover's when there was one."""
        return "failover time" if self.failovers else "longest stall"

    @property
    def over_bound(self) -> bool:
        """Whether the longest stall exceeds its bound."""
        if self.stall is None or self.bound_s is None:
            return False
        return self.stall.seconds > self.bound_s

    @property
    def percent(self) -> float | None:
        """The longest stall as a percentage of its bound; None without either."""
        if self.stall is None or self.bound_s is None:
            return None
        return 100 * self.stall.seconds / self.bound_s if self.bound_s else 100.0


def facts(loaded: LoadedScenario) -> Facts:
    """The numbers of ``loaded``: the judges' where they found any, else straight from evidence."""
    evidence = loaded.evidence
    writes = load_writes(evidence)
    return Facts(
        stall=_stall(loaded, writes),
        bound_s=evidence.scenario.expect.stall_bound_s,
        failovers=_failovers(loaded),
        fencings=_fencings(loaded),
        writes=writes,
    )


def _details(loaded: LoadedScenario, check: str) -> dict[str, Any]:
    result = loaded.verdict.result(check)
    return result.details if result else {}


def _stall(loaded: LoadedScenario, writes: Writes) -> Stall | None:
    details = _details(loaded, "stall")
    if not details:
        with suppress(Exception):  # not judged (yet): the judge's own measure all the same
            details = measured_stall(loaded.evidence).details
    found = details.get("blackout")
    if isinstance(found, dict):
        start, end = found.get("start_ns"), found.get("end_ns")
        if isinstance(start, int) and isinstance(end, int) and end >= start > 0:
            return Stall(start, end, f"the stall check ({found.get('kind', 'longest')})")
    if (write := slowest(writes)) is not None:
        return Stall(*write, "the slowest write in fio's logs")
    # The counters stand still as well where nobody was to write: that is no stall.
    wrote = loaded.evidence.scenario.expect.workload
    if wrote and (pause := longest_pause(writes)) is not None:
        return Stall(*pause, "the initiator's block counters")
    return None


def _failovers(loaded: LoadedScenario) -> int | None:
    by_resource = _details(loaded, "failovers").get("by_resource")
    if isinstance(by_resource, dict):
        counts = [n for n in by_resource.values() if isinstance(n, int)]
        if counts:
            return max(counts)
    with suppress(Exception):  # a judge's helper on evidence that no judge accepted
        moves = [holders(i) for i in primary_intervals(loaded.evidence).values() if i]
        return max((len(changes) - 1 for changes in moves), default=None)
    return None


def _fencings(loaded: LoadedScenario) -> int | None:
    journal = _details(loaded, "fencings").get("journal")
    if isinstance(journal, dict):
        return sum(n for n in journal.values() if isinstance(n, int))
    with suppress(Exception):
        reports = fence_reports(loaded.evidence)
        return sum(report.success for report in reports) if loaded.evidence.timeline else None
    return None
