"""An exploration: draw, run, judge, count; shrink what fails; go on where it was."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checks.verdict import Verdict
from harness.errors import BadInputError
from harness.evidence.files import write_json
from harness.explore import records as recording
from harness.explore.coverage import DRBD_STATES, PHASES, Cell, CoverageStore, pack
from harness.explore.draw import draw
from harness.explore.feature import Origin, write
from harness.explore.observing import Observed, observe
from harness.explore.records import (
    TROUBLE,
    Entry,
    Records,
    Settings,
    Shrinking,
    Try,
    doubted,
    violated,
)
from harness.explore.schedule import Schedule
from harness.explore.shrink import BudgetOverError, shrink
from harness.resuming import set_aside_unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from harness.explore.runner import Runner
    from harness.explore.schedule import Step


COVERAGE = "coverage.json"
"""In the run's folder: what this exploration covered (docs/exploring.md)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a user wants of an exploration.

    Attributes:
        budget_s: no schedule begins after so many seconds of running schedules.
        shrink_budget_s: no candidate begins after so many seconds of trying candidates, for each
            schedule that failed.
        keep_going: go on after a schedule that failed; else the exploration ends with it.
        count: at most so many schedules; 0 for as many as the budget allows.
        config: the configuration's file, as it is named in commands; empty for the reference.
    """

    budget_s: float
    shrink_budget_s: float
    keep_going: bool = False
    count: int = 0
    config: str = ""


class Exploration:
    """One exploration in one folder.

    Args:
        settings: what it draws.
        folder: of the run; ``explore.json`` and the evidence are in it.
        schedules: where feature files are saved, and ``shown`` how that folder is named.
        store: coverage of all explorations.
        say: told each line of progress.
        look: what is to be known of an evidence folder.

    Raises:
        BadInputError: the folder holds another exploration, or one of other code.
    """

    def __init__(
        self,
        settings: Settings,
        plan: Plan,
        folder: Path,
        runner: Runner,
        *,
        schedules: Path,
        shown: str,
        store: CoverageStore,
        say: Callable[[str], None] = print,
        look: Callable[[Path], Observed] = observe,
    ) -> None:
        self.settings = settings
        self.plan = plan
        self.folder = folder
        self._runner = runner
        self._schedules = schedules
        self._shown = shown
        self._store = store
        self._say = say
        self._look = look
        self.records = self._begin()

    # ------------------------------------------------------------------- begin

    def _begin(self) -> Records:
        found = recording.load(self.folder)
        if found is not None:
            if found.settings != self.settings:
                raise BadInputError(
                    f"{self.folder} holds another exploration: {_differing(found, self.settings)}",
                    hint="name another folder, or the settings and the code of that one",
                )
            # What was begun and never recorded was interrupted: it is run again.
            set_aside_unknown(self.folder, found.evidence())
            return found
        if (self.folder / "evidence").is_dir():
            raise BadInputError(
                f"{self.folder} holds a run that is no exploration", hint="name another folder"
            )
        try:
            before = self._store.seen(self.settings.config, but=self._name)
        except ValueError as error:
            raise BadInputError(
                str(error), hint="remove it, or name another one with --coverage"
            ) from error
        records = Records(self.settings, before)
        records.save(self.folder)
        return records

    @property
    def _name(self) -> str:
        return f"{self.folder.name} seed {self.settings.seed} code {self.settings.code}"

    # --------------------------------------------------------------------- run

    def run(self) -> None:
        """Explore until the budget is over, or a schedule fails."""
        number = 0
        while True:
            number += 1
            if self.plan.count and number > self.plan.count:
                break
            schedule = self._draw(number)
            entry = self.records.entry(number)
            if entry is None:
                if self.records.spent_s >= self.plan.budget_s:
                    break
                entry = self._explore(schedule)
            if entry.verdict == Verdict.INVALID:
                self._shrink(schedule, entry)
                if not self.plan.keep_going:
                    break

    def _draw(self, number: int) -> Schedule:
        """The schedule of this number, as it was drawn before if it was.

        Raises:
            BadInputError: it is drawn differently now than what was run.
        """
        settings = self.settings
        schedule = draw(
            settings.seed,
            number,
            self.records.seen(number),
            beyond=settings.beyond,
            without=settings.without,
        )
        entry = self.records.entry(number)
        if entry is not None and entry.steps != schedule.steps:
            raise BadInputError(
                f"{self.folder}: schedule {number} is another one than the seed draws",
                hint="the folder was changed; begin anew in another one",
            )
        return schedule

    def _explore(self, schedule: Schedule) -> Entry:
        seen = self.records.seen(schedule.number)
        file = self._save(schedule, seen)
        spent, most = self.records.spent_s / 60, self.plan.budget_s / 60
        self._say(
            f"◆ {schedule.name}: {len(schedule.steps)} steps, {spent:.1f} of {most:.1f} min, "
            f"{len(seen)} cells seen: {self._shown}/{file.name}"
        )
        ran = self._runner.run(file)
        observed = self._look(ran.evidence)
        entry = Entry(
            number=schedule.number,
            steps=schedule.steps,
            file=f"{self._shown}/{file.name}",
            evidence=ran.evidence.name,
            verdict=str(ran.verdict.verdict),
            seconds=round(ran.seconds, 1),
            invalid=violated(ran.verdict),
            doubts=doubted(ran.verdict),
            cells=list(observed.cells),
            reactions=list(observed.reactions),
            missed=list(observed.missed),
        )
        self.records.entries.append(entry)
        self.records.save(self.folder)
        self._store.put(self._name, self.settings.config, self._own_cells())
        self.write_coverage()
        self._say(f"◆ {schedule.name}: {_outcome(entry)}")
        return entry

    def write_coverage(self) -> Path:
        """Write what was covered so far into the folder, where the report looks for it."""
        path = self.folder / COVERAGE
        data = {
            "schema": 1,
            "schedules": len(self.records.entries),
            "drbd": list(DRBD_STATES),
            "phases": list(PHASES),
            "cells": pack(Counter(self._own_cells())),
            "before": pack(self.records.before),
        }
        write_json(path, data)
        return path

    def _own_cells(self) -> list[Cell]:
        return [cell for entry in self.records.entries for cell in entry.cells]

    def _save(self, schedule: Schedule, seen: Mapping[Cell, int]) -> Path:
        digest = hashlib.sha256(json.dumps(pack(seen)).encode()).hexdigest()[:12] if seen else ""
        origin = Origin(self.settings.code, self.plan.config, digest)
        return write(schedule, origin, self._schedules, self._shown)

    # ------------------------------------------------------------------ shrink

    def _shrink(self, schedule: Schedule, entry: Entry) -> None:
        """Look for a minimal schedule, unless that was done, or the same check was shrunk before.

        Goes on with a search whose budget was over: what was tried is not tried again.
        """
        if not entry.invalid or self.plan.shrink_budget_s <= 0:
            return
        check = entry.invalid[0]
        own = self.records.shrinking(entry.number)
        if own is None and any(one.check == check for one in self.records.shrinkings):
            self._say(f"◆ {schedule.name}: {check} was shrunk before")
            return
        if own is not None and own.done:
            return
        if own is None:
            own = Shrinking(entry.number, check, best=entry.steps)
            self.records.shrinkings.append(own)
            self.records.save(self.folder)
        self._say(f"◆ {schedule.name}: shrinking its {len(entry.steps)} steps for {check}")
        best, done = shrink(
            entry.steps,
            lambda steps: self._fails(schedule, own, steps),
            beyond=schedule.beyond,
            better=lambda steps: self._better(own, steps),
        )
        minimal = Schedule(schedule.seed, schedule.number, best, schedule.beyond, "minimal")
        own.best, own.done = best, done
        own.file = f"{self._shown}/{self._save(minimal, {}).name}"
        self.records.save(self.folder)
        ending = "" if done else "; the budget was over before the search"
        self._say(
            f"◆ {schedule.name}: from {len(entry.steps)} steps to {len(best)} for {check} "
            f"in {len(own.tries)} tries{ending}: {own.file}"
        )

    def _troubled(self, number: int) -> bool:
        """Whether the schedule itself ended in trouble, beside what it violated."""
        entry = self.records.entry(number)
        return entry is not None and any(one.startswith(TROUBLE) for one in entry.doubts)

    def _better(self, own: Shrinking, steps: tuple[Step, ...]) -> None:
        own.best = steps
        self.records.save(self.folder)

    def _fails(self, schedule: Schedule, own: Shrinking, steps: tuple[Step, ...]) -> bool:
        """Whether the same check is violated by a candidate; one that was tried is not run again.

        Raises:
            BudgetOverError: no more may be run.
        """
        known = next((one for one in own.tries if one.steps == steps), None)
        if known is not None:
            return known.fails
        if sum(one.seconds for one in own.tries) >= self.plan.shrink_budget_s:
            raise BudgetOverError
        number = len(own.tries) + 1
        candidate = Schedule(
            schedule.seed, schedule.number, steps, schedule.beyond, f"try {number}"
        )
        file = self._save(candidate, {})
        self._say(f"  ◇ try {number}: {len(steps)} steps, {own.check}?")
        ran = self._runner.run(file)
        one = Try(
            steps=steps,
            file=f"{self._shown}/{file.name}",
            evidence=ran.evidence.name,
            verdict=str(ran.verdict.verdict),
            # Trouble of the harness's own may look like anything; but a cluster that makes trouble
            # whenever it fails does so with every candidate.
            fails=own.check in violated(ran.verdict)
            and (ran.verdict.error is None or self._troubled(own.number)),
            seconds=round(ran.seconds, 1),
        )
        own.tries.append(one)
        self.records.save(self.folder)
        self._say(f"  ◇ try {number}: {'fails in the same way' if one.fails else one.verdict}")
        return one.fails


def _differing(found: Records, wanted: Settings) -> str:
    names = [
        name
        for name in ("seed", "beyond", "without", "config", "code")
        if getattr(found.settings, name) != getattr(wanted, name)
    ]
    return f"its {' and '.join(names)} differ"


def _outcome(entry: Entry) -> str:
    if entry.invalid:
        return f"{entry.verdict}: {', '.join(entry.invalid)}"
    if entry.verdict != Verdict.VALID:
        return f"{entry.verdict}: {'; '.join(entry.doubts)[:300]}"
    return entry.verdict
