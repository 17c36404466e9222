"""Reads a run folder as it is: whole, half-written or damaged.

The judges are strict; a report must show what there is. So everything that cannot be read becomes
a note on the page, and the verdict of what could not be judged is INCONCLUSIVE.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from harness.checks.verdict import CheckResult, ScenarioVerdict, Verdict, VerdictError
from harness.evidence.model import (
    TIMELINE,
    WITNESS_CHANNELS,
    Evidence,
    EvidenceError,
    Expect,
    RunInfo,
    Scenario,
    Seen,
)
from harness.evidence.timeline import Channel
from harness.report.earlier import Attempt, earlier_attempts
from harness.report.fleet import fleet_notes
from harness.report.leftovers import leftover_notes
from harness.report.reading import events_at, read_events
from harness.report.text import one_line, plural

if TYPE_CHECKING:
    from pathlib import Path

SEVERITY = {Verdict.INVALID: 0, Verdict.INCONCLUSIVE: 1, Verdict.VALID: 2}


class LenientEvidence(Evidence):
    """An evidence folder of which nothing has to be whole.

    Attributes:
        notes: what could not be read, one line each; complete once everything was read.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.notes: list[str] = []
        self._last_ns = 0

    @cached_property
    def scenario(self) -> Scenario:
        """scenario.json, or what can be guessed from the timeline where that is not readable."""
        try:
            return Scenario.load(self.folder / "scenario.json")
        except FileNotFoundError:
            self.notes.append("scenario.json is missing: names and expectations are not known")
        except (EvidenceError, OSError) as error:
            self.notes.append(one_line(str(error)))
        sources = {seen.source for seen in self.timeline}
        nodes = sorted(
            {s.source for s in self.timeline if s.event.channel is Channel.EVENTS2} - {"host"}
        )
        names = {
            one_line(str(fields.get("name")), 60)
            for seen in self.timeline
            if seen.event.channel is Channel.EVENTS2
            and isinstance(fields := seen.event.data.get("fields"), dict)
            and "name" in fields
        }
        return Scenario(
            slug=self.folder.name,
            name=self.folder.name,
            feature="(not known)",
            started_ns=self.timeline[0].t_ns if self.timeline else 0,
            outcome="running",
            expect=Expect(failovers=0, fencings=0, max_stall_s=0, workload=False, fault=False),
            nodes=nodes[:8],
            initiator=next(iter(sorted(sources - {*nodes, "host"})), "client"),
            resources=sorted(names)[:16],
            vip="",
        )

    @cached_property
    def timeline(self) -> tuple[Seen, ...]:
        """Every event that can be read, without single block requests; empty if there is none."""
        read = read_events(self.folder / TIMELINE)
        if read is None:
            self.notes.append(f"{TIMELINE} is missing: nothing was witnessed")
            return ()
        self._last_ns = read.last_ns
        if read.torn:
            self.notes.append(f"the last line of {TIMELINE} is torn: the harness was stopped")
        if read.bad:
            self.notes.append(f"{plural(read.bad, 'line')} of {TIMELINE} could not be read")
        return read.events

    @cached_property
    def end_ns(self) -> int:
        """As the judges have it: block requests count, though they are not kept."""
        last = max((seen.t_ns for seen in self.timeline), default=self.scenario.started_ns)
        return max(last, self._last_ns, self.scenario.ended_ns or 0)

    def ended_at(self, end_ns: int) -> None:
        """Say what ``end_ns`` is, so that the timeline need not be read for it."""
        self.__dict__["end_ns"] = end_ns

    def forget(self) -> None:
        """Let go of the timeline, which is long; it is read again if it is asked for."""
        for name in ("timeline", "by_line", "nonces", "_own", "_events"):
            self.__dict__.pop(name, None)

    @cached_property
    def nonces(self) -> dict[tuple[str, Channel], Seen]:
        """As the judges have it, but a stream without a nonce is shown from its beginning."""
        first: dict[tuple[str, Channel], Seen] = {}
        streams: dict[tuple[str, Channel], Seen] = {}
        for seen in self.timeline:
            if seen.event.channel not in WITNESS_CHANNELS:
                continue
            key = seen.source, seen.event.channel
            streams.setdefault(key, Seen(seen.event, 0))
            if seen.event.kind == "nonce":
                first.setdefault(key, seen)
        without = sorted(f"{source} {channel}" for source, channel in streams.keys() - first.keys())
        if without:
            self.notes.append(
                f"no nonce in {', '.join(without)}: what is shown of it may be older than "
                "this scenario"
            )
        return streams | first

    @cached_property
    def by_line(self) -> dict[int, Seen]:
        """Every event that was read by the number of its line in the timeline, from 1."""
        return {seen.line: seen for seen in self.timeline}

    def at_lines(self, numbers: set[int]) -> dict[int, Seen]:
        """The events of these lines, block requests included; absent where there is none."""
        here = {number: self.by_line[number] for number in numbers & self.by_line.keys()}
        return here | events_at(self.folder / TIMELINE, numbers - here.keys())

    @property
    def zero_ns(self) -> int:
        """Zero of all relative times: the first inject, else the workload's, else the start."""
        for channel, kind in ((Channel.FAULT, "inject"), (Channel.WORKLOAD, "start")):
            events = self.select(channel, kind)
            if events:
                return events[0].t_ns
        return self.scenario.started_ns


@dataclass(frozen=True, slots=True)
class LoadedScenario:
    """One scenario of a run.

    Attributes:
        verdict: of the last attempt.
        judged: there is a verdict.json.
        earlier: attempts before it in the same run, the oldest first.
    """

    evidence: LenientEvidence
    verdict: ScenarioVerdict
    judged: bool
    earlier: tuple[Attempt, ...] = ()

    @property
    def overall(self) -> Verdict:
        """The worst of all attempts: what was once seen red is not green for being tried again."""
        told = [attempt.verdict for attempt in self.earlier if attempt.verdict is not None]
        return min((self.verdict.verdict, *told), key=SEVERITY.__getitem__)

    @property
    def scenario(self) -> Scenario:
        """scenario.json, or a guess."""
        return self.evidence.scenario

    @property
    def results(self) -> list[CheckResult]:
        """Every check's result, the loudest first; a pass judged on nothing is none."""
        earned = [result.earned() for result in self.verdict.checks]
        return sorted(earned, key=lambda result: SEVERITY[result.verdict])

    @property
    def failing(self) -> list[CheckResult]:
        """Checks that are not VALID, INVALID ones first."""
        return [result for result in self.results if result.verdict is not Verdict.VALID]


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """A run folder."""

    folder: Path
    name: str
    info: RunInfo | None
    scenarios: tuple[LoadedScenario, ...]
    notes: list[str] = field(default_factory=list)
    pending: tuple[Attempt, ...] = ()
    """Attempts at scenarios that were set aside, and never begun again."""

    @property
    def verdict(self) -> Verdict:
        """INVALID if any scenario is; else INCONCLUSIVE if any is or there is none."""
        found = {scenario.overall for scenario in self.scenarios}
        found |= {attempt.verdict or Verdict.INCONCLUSIVE for attempt in self.pending}
        return min(found, key=SEVERITY.__getitem__) if found else Verdict.INCONCLUSIVE

    def count(self, verdict: Verdict) -> int:
        """How many scenarios came to ``verdict``, all their attempts considered."""
        return sum(scenario.overall is verdict for scenario in self.scenarios)

    @property
    def started_ns(self) -> int | None:
        """Start of the run, ns on its clock; None where nothing says."""
        if self.info is not None:
            return self.info.started_ns
        return min((s.scenario.started_ns for s in self.scenarios), default=None)

    @property
    def seconds(self) -> float | None:
        """From the start of the run to the last thing known of it, in seconds."""
        if self.started_ns is None or not self.scenarios:
            return None
        end_ns = max(scenario.evidence.end_ns for scenario in self.scenarios)
        return max(end_ns - self.started_ns, 0) / 1e9


def load_run(folder: Path) -> LoadedRun:
    """Everything that can be read of ``reports/<run>``; nothing is raised for what cannot."""
    notes: list[str] = []
    info: RunInfo | None = None
    try:
        info = RunInfo.load(folder / "run.json")
    except FileNotFoundError:
        notes.append("run.json is missing: accelerator, timing and versions are not known")
    except (EvidenceError, OSError) as error:
        notes.append(one_line(str(error)))
    root = folder / "evidence"
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    if not folders:
        notes.append("no scenario left evidence: nothing was tested")
    attempts = earlier_attempts(folder)
    scenarios = [_load_scenario(path, attempts) for path in folders]
    scenarios.sort(key=lambda s: (SEVERITY[s.overall], s.scenario.started_ns))
    names = {scenario.scenario.name for scenario in scenarios}
    pending = tuple(one for one in attempts if one.scenario and one.scenario not in names)
    notes += [f"not begun again: {one.scenario}: {one.said}" for one in pending]
    notes += [f"set aside: {one.said}" for one in attempts if not one.scenario]
    if info is not None and not info.injecting:
        notes.append("nothing was broken in this run: it tests the proofs, and may prove nothing")
    notes += fleet_notes(folder)
    notes += leftover_notes(folder)
    name = info.run if info else folder.name
    return LoadedRun(folder, name, info, tuple(scenarios), notes, pending)


def run_commands(raw: dict[str, Any]) -> list[str]:
    """The commands that made the parts of a run, as its run.json has them."""
    parts = raw.get("parts")
    told = [part.get("command") for part in (parts if isinstance(parts, list) else [])
            if isinstance(part, dict)]  # fmt: skip
    return [text for text in (*told, raw.get("command")) if isinstance(text, str)]


def _load_scenario(folder: Path, attempts: list[Attempt]) -> LoadedScenario:
    loaded = _load_attempt(folder)
    name = loaded.scenario.name
    return replace(loaded, earlier=tuple(one for one in attempts if one.scenario == name))


def _load_attempt(folder: Path) -> LoadedScenario:
    evidence = LenientEvidence(folder)
    path = folder / "verdict.json"
    try:
        return LoadedScenario(evidence, ScenarioVerdict.load(path), True)
    except FileNotFoundError:
        why = "not judged: there is no verdict.json"
        if evidence.scenario.outcome == "running":
            why += ", and the scenario never ended (it is still running, or was stopped)"
        elif evidence.scenario.error:
            why = f"{evidence.scenario.error} ({why})"
        return LoadedScenario(evidence, ScenarioVerdict(folder.name, (), why), False)
    except (VerdictError, OSError) as error:
        # What can be read of it is shown: a failed check must not disappear behind damage.
        results = _readable_checks(path)
        why = one_line(f"verdict.json cannot be trusted: {error}")
        return LoadedScenario(evidence, ScenarioVerdict(folder.name, results, why), True)


def _readable_checks(path: Path) -> tuple[CheckResult, ...]:
    results = []
    try:
        raw = json.loads(path.read_bytes())
        items = raw["checks"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ()
    for item in items if isinstance(items, list) else ():
        try:
            results.append(CheckResult.from_json(item))
        except VerdictError:
            continue
    return tuple(results)
