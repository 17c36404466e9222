"""What the page of a run shows: one row per scenario, and everything over all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.checks.verdict import Verdict
from harness.evidence.phases import Phase
from harness.report.blackouts import Blackout, blackouts
from harness.report.distribution import Distribution, distribution
from harness.report.explored import Covered, Replayed, covered, replayed
from harness.report.fleet import clusters_at_once, place_of
from harness.report.leftovers import leftover_summary
from harness.report.nottested import Untested, not_begun
from harness.report.phasebar import phase_bar
from harness.report.qualified import qualification
from harness.report.text import date, duration, one_line, seconds
from harness.report.view import LOUDEST_FIRST, verdict_counts
from harness.report.workedon import Difference, Foreign, configuration, foreign

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.evidence.model import RunInfo
    from harness.report.facts import Facts
    from harness.report.load import LoadedRun, LoadedScenario
    from harness.report.qualified import Told


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario in the table of a run.

    Attributes:
        href: address of its page.
        counts: (verdict, how many checks).
        checks: slugs of what was judged.
        untested: why it, or a check of it, says nothing of the cluster; one line each.
        seconds: what its phases took.
        place: which worker it ran on; empty in a run with one cluster.
    """

    loaded: LoadedScenario
    href: str
    verdict: Verdict
    facts: Facts
    counts: list[tuple[Verdict, int]]
    checks: list[str]
    first_finding: str
    untested: list[str]
    blackouts: list[Blackout]
    seconds: dict[Phase, float] | None
    place: str


@dataclass(frozen=True, slots=True)
class Group:
    """Scenarios that have a feature or a tag in common."""

    name: str
    counts: dict[Verdict, int]

    @property
    def verdict(self) -> Verdict:
        """The worst of them."""
        return next(verdict for verdict in LOUDEST_FIRST if self.counts.get(verdict))

    @property
    def total(self) -> int:
        """How many scenarios."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class RunView:
    """The page.

    Attributes:
        facts: (name, value) for the head.
        counts: (verdict, how many scenarios).
        untested: (scenario, address, reason) of what says nothing of the cluster.
        not_begun: scenarios of the features that this run has no evidence of.
        covered: what an exploration covered; None where the run is none.
        replayed: how alike replays were; None where the run has none.
        packages: (where, names and versions) of every package.
        checks_run, checks_kinds: checks that ran in all scenarios, and how many different ones.
        differences: of the cluster's configuration from the reference; None where not known.
        foreign: the cluster that the lab stands for; None for the lab's own.
        qualified: whether the host is a qualified one; None where nobody noted anything of it.
    """

    loaded: LoadedRun
    verdict: Verdict
    facts: list[tuple[str, str]]
    counts: list[tuple[Verdict, int]]
    rows: list[Row]
    features: list[Group]
    themes: list[Group]
    failovers: Distribution
    untested: list[tuple[str, str, str]]
    not_begun: Untested
    versions: list[tuple[str, str]]
    packages: list[tuple[str, list[tuple[str, str]]]]
    timing: list[tuple[str, Any]]
    differences: list[Difference] | None
    foreign: Foreign | None
    qualified: Told | None
    covered: Covered | None
    replayed: Replayed | None
    checks_run: int
    checks_kinds: int


def seconds_spent(loaded: LoadedScenario) -> dict[Phase, float] | None:
    """What the phases of a scenario took; None where its evidence does not tell."""
    try:
        bar = phase_bar(loaded.evidence)
    except Exception:  # the scenario's own page says what is wrong with it
        return None
    return bar.seconds if bar is not None else None


def scenario_row(
    loaded: LoadedScenario, known: Facts, href: str, spent: dict[Phase, float] | None
) -> Row:
    """A scenario's row.

    Args:
        href: address of its page.
        spent: what its phases took.
    """
    failing = loaded.failing
    return Row(
        loaded,
        href,
        loaded.overall,
        known,
        verdict_counts(loaded),
        [result.check for result in loaded.results],
        one_line(f"{failing[0].title}: {failing[0].seen}", 200) if failing else "",
        _says_nothing(loaded),
        blackouts(loaded),
        spent,
        place_of(loaded.evidence.folder),
    )


def run_view(loaded: LoadedRun, rows: list[Row]) -> RunView:
    """Everything the page of a run shows."""
    info = loaded.info
    return RunView(
        loaded,
        loaded.verdict,
        _head(loaded, rows),
        [(verdict, loaded.count(verdict)) for verdict in LOUDEST_FIRST],
        rows,
        _groups((row.loaded.scenario.feature, row.verdict) for row in rows),
        _groups(
            (tag.removeprefix("@").removeprefix("theme-"), row.verdict)
            for row in rows
            for tag in row.loaded.scenario.tags
            if tag.removeprefix("@").startswith("theme-")
        ),
        distribution([(row.loaded.scenario.name, row.href, row.verdict, one)
                      for row in rows for one in row.blackouts],
                     sum(_wants_failover(row) and not row.blackouts for row in rows)),
        [(row.loaded.scenario.name, row.href, why) for row in rows for why in row.untested],
        not_begun(loaded),
        sorted(info.versions.items()) if info else [],
        _packages(info) if info else [],
        list(info.timing.items()) if info else [],
        configuration(loaded.folder),
        foreign(loaded.folder),
        qualification(loaded.folder),
        covered(loaded.folder),
        replayed(loaded.folder),
        sum(len(row.checks) for row in rows),
        len({slug for row in rows for slug in row.checks}),
    )  # fmt: skip


def _wants_failover(row: Row) -> bool:
    expect = row.loaded.scenario.expect
    return expect.failovers > 0 and expect.workload


def _head(loaded: LoadedRun, rows: list[Row]) -> list[tuple[str, str]]:
    info = loaded.info
    head = []
    if loaded.started_ns is not None:
        head.append(("started", date(loaded.started_ns)))
    if loaded.seconds is not None:
        head.append(("took", duration(loaded.seconds)))
    if info is not None:
        name = info.timing.get("name")
        head.append(("accelerator", info.accelerator.upper()))
        head.append(("timing profile", str(name) if name else "not named"))
        head.append(("harness", info.harness))
        head.append(("seed", "none" if info.seed is None else str(info.seed)))
        if info.kept:
            head.append(("lab kept", info.kept))
    if clusters := clusters_at_once(loaded.folder):
        head.append(("clusters at once", clusters))
    if qualified := qualification(loaded.folder):
        head.append(("this host", qualified.text))
    if left := leftover_summary(loaded.folder):
        head.append(("left behind", left))
    if average := _average(rows):
        head.append(("of a scenario's time, on average", average))
    return head


# As run.json has them, and for people.
_PLACES = {
    "guests": "in the guests, all from one image",
    "host": "on this host",
    "python": "of Python, for the harness",
}
_MOST_PACKAGES = 5000


def _packages(info: RunInfo) -> list[tuple[str, list[tuple[str, str]]]]:
    """(where, names and versions) of all packages; guests first."""
    return [
        (_PLACES.get(place, one_line(place, 60)),
         [(one_line(name, 120), one_line(version, 120))
          for name, version in list(packages.items())[:_MOST_PACKAGES]])
        for place, packages in sorted(
            info.packages.items(), key=lambda one: ([*_PLACES, one[0]].index(one[0]), one[0])
        )
        if packages
    ]  # fmt: skip


def _average(rows: list[Row]) -> str:
    """What the harness itself and its verification cost, on average over the scenarios."""
    spent = [row.seconds for row in rows if row.seconds is not None]
    if not spent:
        return ""
    told = [
        f"{phase} {seconds(sum(one[phase] for one in spent) / len(spent))}"
        for phase in (Phase.HARNESS, Phase.VERIFICATION)
    ]
    return ", ".join(told)


def _groups(told: Iterable[tuple[str, Verdict]]) -> list[Group]:
    groups: dict[str, dict[Verdict, int]] = {}
    for name, verdict in told:
        counts = groups.setdefault(one_line(name, 120), {})
        counts[verdict] = counts.get(verdict, 0) + 1
    found = [Group(name, counts) for name, counts in groups.items()]
    return sorted(found, key=lambda group: (LOUDEST_FIRST.index(group.verdict), group.name))


def _says_nothing(loaded: LoadedScenario) -> list[str]:
    """Why a scenario, or a check of it, says nothing."""
    reasons = [
        f"an earlier attempt: {attempt.said}"
        for attempt in loaded.earlier
        if attempt.verdict is not Verdict.VALID
    ]
    if loaded.verdict.error:
        reasons.append(loaded.verdict.error)
    reasons += [
        f"{result.title}: {result.seen}"
        for result in loaded.results
        if result.verdict is Verdict.INCONCLUSIVE
    ]
    if loaded.judged and not loaded.results and not loaded.verdict.error:
        reasons.append("no check applied")
    return [one_line(reason, 400) for reason in reasons]
