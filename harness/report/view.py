"""What the templates show: one object per run and per scenario, everything in it plain or safe.

A part that cannot be made of the evidence at hand is left out and said so on the page: a report
on a broken run matters more than one on a good run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from harness.checks.verdict import Verdict
from harness.evidence.phases import Phase
from harness.report.checkrows import CheckRow, check_rows, file_href
from harness.report.facts import Facts, facts
from harness.report.leftovers import leftover_summary
from harness.report.logs import Excerpt, excerpt
from harness.report.phasebar import PhaseBar, phase_bar
from harness.report.picture import Picture, draw
from harness.report.statelanes import NAMES, Look, look
from harness.report.steps import StepRow, step_rows
from harness.report.text import date, duration, one_line, relative, seconds
from harness.report.tracks import OFF

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.report.load import LoadedRun, LoadedScenario

T = TypeVar("T")
MARKS = {Verdict.VALID: "✓", Verdict.INVALID: "✕", Verdict.INCONCLUSIVE: "?"}
_FEWER_LINES = 150  # of the log of a scenario that is VALID


@dataclass(frozen=True, slots=True)
class ScenarioView:
    """One scenario on the page.

    Attributes:
        anchor: its id on the page.
        when, took: start and length, in words.
        notes: what is missing or damaged.
        counts: (verdict, how many checks).
        moments: (relative, source, letter, meaning, text) of every cluster event.
        legend: (lanes, state, look) of every state in the picture.
        files: (name, address) of the evidence.
    """

    loaded: LoadedScenario
    anchor: str
    verdict: Verdict
    facts: Facts
    picture: Picture | None
    checks: list[CheckRow]
    steps: list[StepRow]
    log: Excerpt | None
    phases: PhaseBar | None
    when: str
    took: str
    notes: list[str]
    counts: list[tuple[Verdict, int]]
    moments: list[tuple[str, str, str, str, str]]
    legend: list[tuple[str, str, Look]]
    files: list[tuple[str, str]]

    @property
    def failing(self) -> list[CheckRow]:
        """The checks that are not VALID."""
        return [check for check in self.checks if check.verdict is not Verdict.VALID]


@dataclass(frozen=True, slots=True)
class RunView:
    """The page.

    Attributes:
        facts: (name, value) for the head.
        counts: (verdict, how many scenarios).
        untested: (scenario, anchor, reason) of what says nothing of the cluster.
        checks_run, checks_kinds: checks that ran in all scenarios, and how many different ones.
    """

    loaded: LoadedRun
    verdict: Verdict
    facts: list[tuple[str, str]]
    counts: list[tuple[Verdict, int]]
    scenarios: list[ScenarioView]
    untested: list[tuple[str, str, str]]
    versions: list[tuple[str, str]]
    timing: list[tuple[str, Any]]
    checks_run: int
    checks_kinds: int
    descriptions: list[tuple[str, str, str]]


def run_view(loaded: LoadedRun, descriptions: dict[str, str]) -> RunView:
    """Everything the page shows.

    Args:
        descriptions: what each check proves, by its slug.
    """
    views = [scenario_view(scenario, n) for n, scenario in enumerate(loaded.scenarios, start=1)]
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
        if info.seed is not None:
            head.append(("seed", str(info.seed)))
        if info.kept:
            head.append(("lab kept", info.kept))
    if left := leftover_summary(loaded.folder):
        head.append(("left behind", left))
    if average := _average(views):
        head.append(("of a scenario's time, on average", average))
    used = {check.slug: check.title for view in views for check in view.checks}
    return RunView(
        loaded,
        loaded.verdict,
        head,
        [(verdict, loaded.count(verdict)) for verdict in _LOUDEST_FIRST],
        views,
        [untested for view in views for untested in _untested(view)],
        sorted(info.versions.items()) if info else [],
        list(info.timing.items()) if info else [],
        sum(len(view.checks) for view in views),
        len(used),
        [(slug, title, descriptions[slug]) for slug, title in used.items() if slug in descriptions],
    )


def _average(views: list[ScenarioView]) -> str:
    """What the harness itself and its verification cost, on average over the scenarios."""
    bars = [view.phases for view in views if view.phases is not None]
    if not bars:
        return ""
    told = [
        f"{phase} {seconds(sum(bar.seconds[phase] for bar in bars) / len(bars))}"
        for phase in (Phase.HARNESS, Phase.VERIFICATION)
    ]
    return ", ".join(told)


_LOUDEST_FIRST = (Verdict.INVALID, Verdict.INCONCLUSIVE, Verdict.VALID)


def scenario_view(loaded: LoadedScenario, number: int) -> ScenarioView:
    """One scenario; never raises on bad evidence."""
    evidence, scenario = loaded.evidence, loaded.scenario
    notes: list[str] = []
    known = facts(loaded)
    picture = _part("picture", notes, lambda: draw(evidence, known, f"Timeline of {scenario.name}"))
    stall_end_ns = known.stall.end_ns if known.stall else None
    fewer = _FEWER_LINES if loaded.verdict.verdict is Verdict.VALID else None
    log = _part(
        "log",
        notes,
        lambda: (
            excerpt(evidence, stall_end_ns, fewer) if fewer else excerpt(evidence, stall_end_ns)
        ),
    )
    steps = _part("list of steps", notes, lambda: step_rows(evidence)) or []
    phases = _part("bar of phases", notes, lambda: phase_bar(evidence))
    notes = [*evidence.notes, *known.writes.notes, *notes]
    if loaded.verdict.error:
        notes.insert(0, loaded.verdict.error)
    return ScenarioView(
        loaded=loaded,
        anchor=f"s{number}-{_anchor(evidence.folder.name)}",
        verdict=loaded.overall,
        facts=known,
        picture=picture,
        checks=check_rows(loaded),
        steps=steps,
        log=log,
        phases=phases,
        when=date(scenario.started_ns) if scenario.started_ns else "not known",
        took=duration(max(evidence.end_ns - scenario.started_ns, 0) / 1e9)
        + ("" if scenario.ended_ns else " (not ended)"),
        notes=list(dict.fromkeys(one_line(note, 500) for note in notes)),
        counts=[
            (verdict, sum(result.verdict is verdict for result in loaded.results))
            for verdict in _LOUDEST_FIRST
        ],
        moments=_moments(picture),
        legend=_legend(picture),
        files=_files(loaded),
    )


def stall_text(known: Facts) -> str:
    """Longest stall against its bound: ``31.4 s of 180 s``."""
    if known.stall is None:
        return "not measured"
    bound = f" of {seconds(known.bound_s)}" if known.bound_s is not None else ""
    return seconds(known.stall.seconds) + bound


def _part(name: str, notes: list[str], make: Callable[[], T]) -> T | None:
    try:
        return make()
    except Exception as error:  # whatever is in the evidence, the rest of the page must appear
        notes.append(f"the {name} could not be made: {type(error).__name__}: {error}")
        return None


def _anchor(text: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in text)


def _legend(picture: Picture | None) -> list[tuple[str, str, Look]]:
    lanes: dict[tuple[str, Look], list[str]] = {}
    for aspect, state in picture.states if picture else ():
        if state != OFF or aspect == "vm":
            lanes.setdefault((state, look(aspect, state)), []).append(NAMES[aspect])
    return [(", ".join(names), state, how) for (state, how), names in lanes.items()]


def _moments(picture: Picture | None) -> list[tuple[str, str, str, str, str]]:
    if picture is None:
        return []
    zero_ns = picture.axis.zero_ns
    return [
        (relative(m.t_ns, zero_ns), m.source, m.sort.letter, m.sort.meaning, m.text)
        for m in picture.moments
    ]


def _untested(view: ScenarioView) -> list[tuple[str, str, str]]:
    """Why a scenario, or a check of it, says nothing."""
    name = view.loaded.scenario.name
    reasons = [
        f"an earlier attempt: {attempt.said}"
        for attempt in view.loaded.earlier
        if attempt.verdict is not Verdict.VALID
    ]
    if view.loaded.verdict.error:
        reasons.append(view.loaded.verdict.error)
    reasons += [
        f"{check.title}: {check.seen}"
        for check in view.checks
        if check.verdict is Verdict.INCONCLUSIVE
    ]
    if view.loaded.judged and not view.checks and not view.loaded.verdict.error:
        reasons.append("no check applied")
    return [(name, view.anchor, one_line(reason, 400)) for reason in reasons]


def _files(loaded: LoadedScenario) -> list[tuple[str, str]]:
    evidence, found = loaded.evidence, []
    names = ["timeline.jsonl", "scenario.json", "verdict.json"]
    for job in loaded.scenario.jobs:
        names += [name for name in (job.result, job.lat_log) if name]
    names += [f"console/{vm}.log" for vm in evidence.vms]
    for name in dict.fromkeys(names):
        href = file_href(evidence, name)
        if href is not None:
            found.append((name, href))
    return found
