"""What the page of a scenario shows: one object, everything in it plain or safe.

A part that cannot be made of the evidence at hand is left out and said so on the page: a report
on a broken run matters more than one on a good run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from harness.checks import ALL_CHECKS
from harness.checks.verdict import Verdict
from harness.report.blackouts import LETTERS, MEANING, Blackout, blackouts
from harness.report.checkrows import CheckRow, check_rows, file_href
from harness.report.interactive import Interactive, interactive
from harness.report.logs import Log, merged_log
from harness.report.phasebar import PhaseBar, phase_bar
from harness.report.picture import Picture, draw
from harness.report.serving import CALM
from harness.report.statelanes import NAMES, Look, look
from harness.report.steps import StepRow, step_rows
from harness.report.text import date, duration, one_line, relative, seconds
from harness.report.tracks import OFF

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.report.facts import Facts
    from harness.report.load import LoadedScenario

T = TypeVar("T")
MARKS = {Verdict.VALID: "✓", Verdict.INVALID: "✕", Verdict.INCONCLUSIVE: "?"}
LOUDEST_FIRST = (Verdict.INVALID, Verdict.INCONCLUSIVE, Verdict.VALID)


@dataclass(frozen=True, slots=True)
class PhaseCell:
    """One phase of a blackout, for a row of them."""

    letter: str
    name: str
    meaning: str
    took: str
    percent: float


@dataclass(frozen=True, slots=True)
class BlackoutRow:
    """A failover's blackout in words.

    Attributes:
        when: (from, to), relative.
    """

    old: str
    new: str
    took: str
    when: tuple[str, str]
    unsure: str
    phases: tuple[PhaseCell, ...]


@dataclass(frozen=True, slots=True)
class ScenarioView:
    """One scenario on its page.

    Attributes:
        when, took: start and length, in words.
        notes: what is missing or damaged.
        counts: (verdict, how many checks).
        moments: (relative, source, letter, meaning, text) of every cluster event.
        legend: (lanes, state, look) of every state in the picture.
        files: (name, address) of the evidence.
        descriptions: what each check proves, by its slug.
        log_file: address of the whole log beside the page; empty where there is none.
    """

    loaded: LoadedScenario
    verdict: Verdict
    facts: Facts
    picture: Picture | None
    interactive: Interactive | None
    checks: list[CheckRow]
    steps: list[StepRow]
    log: Log | None
    phases: PhaseBar | None
    blackouts: list[BlackoutRow]
    when: str
    took: str
    notes: list[str]
    counts: list[tuple[Verdict, int]]
    moments: list[tuple[str, str, str, str, str]]
    legend: list[tuple[str, str, Look]]
    files: list[tuple[str, str]]
    descriptions: dict[str, str]
    log_file: str

    @property
    def failing(self) -> list[CheckRow]:
        """The checks that are not VALID."""
        return [check for check in self.checks if check.verdict is not Verdict.VALID]


def scenario_view(loaded: LoadedScenario, known: Facts, log_file: str = "") -> ScenarioView:
    """One scenario; never raises on bad evidence."""
    evidence, scenario = loaded.evidence, loaded.scenario
    notes: list[str] = []
    picture = _part("picture", notes, lambda: draw(evidence, known, f"Timeline of {scenario.name}"))
    outages = _part("blackouts", notes, lambda: blackouts(loaded)) or []
    log = _part("log", notes, lambda: merged_log(evidence))
    steps = _part("list of steps", notes, lambda: step_rows(evidence)) or []
    phases = _part("bar of phases", notes, lambda: phase_bar(evidence))
    live = None
    if picture is not None:
        drawn = picture
        live = _part("zoomable view", notes, lambda: interactive(evidence, known, drawn, outages))
    checks = check_rows(loaded)
    notes = [*evidence.notes, *known.writes.notes, *notes]
    if loaded.verdict.error:
        notes.insert(0, loaded.verdict.error)
    return ScenarioView(
        loaded=loaded,
        verdict=loaded.overall,
        facts=known,
        picture=picture,
        interactive=live,
        checks=checks,
        steps=steps,
        log=log,
        phases=phases,
        blackouts=[_blackout_row(one, evidence.zero_ns) for one in outages],
        when=date(scenario.started_ns) if scenario.started_ns else "not known",
        took=duration(max(evidence.end_ns - scenario.started_ns, 0) / 1e9)
        + ("" if scenario.ended_ns else " (not ended)"),
        notes=list(dict.fromkeys(one_line(note, 500) for note in notes)),
        counts=verdict_counts(loaded),
        moments=_moments(picture),
        legend=_legend(picture),
        files=_files(loaded),
        descriptions={
            check.slug: ALL_CHECKS[check.slug].description
            for check in checks
            if check.slug in ALL_CHECKS
        },
        log_file=log_file,
    )


def verdict_counts(loaded: LoadedScenario) -> list[tuple[Verdict, int]]:
    """(verdict, how many checks came to it), the loudest first."""
    return [
        (verdict, sum(result.verdict is verdict for result in loaded.results))
        for verdict in LOUDEST_FIRST
    ]


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


def _blackout_row(one: Blackout, zero_ns: int) -> BlackoutRow:
    whole = max(one.seconds, 1e-9)
    return BlackoutRow(
        one.old,
        one.new,
        seconds(one.seconds),
        (relative(one.start_ns, zero_ns), relative(one.end_ns, zero_ns)),
        seconds(one.uncertainty_s),
        tuple(
            PhaseCell(
                LETTERS[stretch.phase],
                str(stretch.phase),
                MEANING[stretch.phase],
                seconds(stretch.seconds),
                100 * stretch.seconds / whole,
            )
            for stretch in one.phases
        ),
    )


def _legend(picture: Picture | None) -> list[tuple[str, str, Look]]:
    """States that look alike in a lane are told of together; so is one state of several lanes."""
    lanes: dict[tuple[str, Look], list[str]] = {}
    for aspect, state in picture.states if picture else ():
        if state not in (OFF, CALM) or aspect == "vm":
            lanes.setdefault((state, look(aspect, state)), []).append(NAMES[aspect])
    alike: dict[tuple[str, Look], list[str]] = {}
    for (state, how), names in lanes.items():
        alike.setdefault((", ".join(names), how), []).append(state)
    return [(name, one_line(", ".join(states), 120), how) for (name, how), states in alike.items()]


def _moments(picture: Picture | None) -> list[tuple[str, str, str, str, str]]:
    if picture is None:
        return []
    zero_ns = picture.axis.zero_ns
    return [
        (relative(m.t_ns, zero_ns), m.source, m.sort.letter, m.sort.meaning, m.text)
        for m in picture.moments
    ]


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
