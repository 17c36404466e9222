"""Runs mutants one after the other, each by a ``harness run`` of its own.

A process of its own for each run: whatever a mutant does, the next one starts clean, and a campaign
that was killed goes on where it was.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.cluster.formed import forget_cluster
from harness.errors import BadInputError
from harness.evidence.clock import now_ns
from harness.evidence.files import read_json, write_json
from harness.lab.paths import PROJECT
from harness.mutants.ledger import Tried, tried
from harness.mutants.score import Fate, Score, Trial, judge_trial
from harness.progress import console
from harness.report.ledger import record
from harness.session import code_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from harness.lab.paths import Cache
    from harness.mutants.model import Mutant

    Launch = Callable[[Sequence[str]], int]

STATE = "mutants.json"
"""In a campaign's folder: the code that it is of, and when it began."""


@dataclass(frozen=True, slots=True)
class Control:
    """A mutant's scenario on the reference configuration: it must be VALID there."""

    scenario: str
    valid: bool
    said: str


def run_options(
    cache: Cache, accelerator: str, connect: str = "", guest: str = ""
) -> tuple[str, ...]:
    """What every ``harness run`` of a campaign is told: one place, one kind of guests."""
    place = (*(("--guest", guest) if guest else ()), *(("--connect", connect) if connect else ()))
    return ("--cache", str(cache.root), "--accelerator", accelerator, *place)


def launch(arguments: Sequence[str]) -> int:
    """``harness`` with these arguments in a process of its own; its exit code."""
    return run_to_its_end([sys.executable, "-B", "-m", "harness", *arguments])


def run_to_its_end(command: Sequence[str]) -> int:
    """Run a command that cleans up after itself when it is interrupted; its exit code.

    subprocess.run would kill it a quarter of a second after an interrupt, and its lab would stay.
    In a process group of its own it is told once, by us, and has the time that it takes.
    """
    process = subprocess.Popen(command, cwd=PROJECT, process_group=0)
    try:
        return process.wait()
    except BaseException:
        process.send_signal(signal.SIGTERM)
        process.wait()
        raise


class Campaign:
    """Runs of mutants below one folder.

    Args:
        folder: where everything lands: ``NAME/N`` for each run, ``control/SCENARIO``, the state.
        options: more arguments of every ``harness run`` (cache, accelerator, …).
        guest: name of the guests' profile that all runs are told, which is among the options;
            empty where each has what its configuration says.
        resume: the folder may hold runs of the same code already.
        cache: where the mutants' clusters are formed; given, a mutant's cluster is removed from
            it after its last try. Hundreds of megabytes each, and nobody needs them again.
        ledger: a file that each run of a mutant is added to.
        start: how a run is started; for tests.

    Raises:
        BadInputError: the folder holds runs and ``resume`` is not set, or they are of other code
            or guests.
    """

    def __init__(
        self,
        folder: Path,
        options: Sequence[str] = (),
        *,
        guest: str = "",
        resume: bool = False,
        cache: Cache | None = None,
        ledger: Path | None = None,
        start: Launch = launch,
    ) -> None:
        self.folder = folder
        self._options = tuple(options)
        self._start = start
        self._cache = cache
        self._ledger = ledger
        state = folder / STATE
        code = code_hash()
        before = read_json(state)
        if state.exists():
            if not resume:
                raise BadInputError(f"{folder} holds a campaign", hint="--resume goes on with it")
            if before.get("code") != code:
                raise BadInputError(
                    f"{folder} holds results of other code than this",
                    hint="start a new campaign, or check out the code of that one",
                )
            if (there := before.get("guest", "")) != guest:
                raise BadInputError(
                    f"{folder} holds runs with {_told(there)}, not with {_told(guest)}",
                    hint="start a new campaign, or go on with that one as it was begun",
                )
        folder.mkdir(parents=True, exist_ok=True)
        self._code = code
        self._guest = guest
        self._formed = set(before.get("formed", ()))
        self._begun_ns = int(before.get("begun_ns") or now_ns())
        self._save()

    def control(self, scenario: str) -> Control:
        """Run a scenario on the reference configuration, unless that was done."""
        run = self.folder / "control" / _slug(scenario)
        if not _has_verdict(run):
            self._run(scenario, run, ())
        return judge_control(scenario, run)

    def mutant(self, mutant: Mutant, times: int) -> Score:
        """Try a mutant so many times; a try is over as soon as one of its runs caught it."""
        tries = []
        for number in range(1, times + 1):
            trials: list[Trial] = []
            for run in range(1, mutant.runs + 1):
                label = str(number) if mutant.runs == 1 else f"{number}.{run}"
                trials.append(self._trial(mutant, label))
                if trials[-1].fate is Fate.CAUGHT:
                    break
            tries.append(tuple(trials))
        self._forget_clusters()
        return Score(mutant, tuple(tries))

    def _remember(self, run: Path) -> None:
        """Note the cluster that a run formed; the next run of the same try overwrites its word."""
        cluster = read_json(run / "run.json").get("cluster")
        entry = cluster.get("entry") if isinstance(cluster, dict) else None
        formed = isinstance(cluster, dict) and cluster.get("how") == "formed"
        if formed and isinstance(entry, str) and re.fullmatch(r"[0-9a-f]{16}", entry):
            self._formed.add(entry)
            self._save()

    def _save(self) -> None:
        formed = sorted(self._formed)
        state = {"code": self._code, "begun_ns": self._begun_ns, "formed": formed}
        guest = {"guest": self._guest} if self._guest else {}
        write_json(self.folder / STATE, state | guest)

    def _forget_clusters(self) -> None:
        """Remove what the mutants' runs formed."""
        if self._cache is None:
            return
        for entry in sorted(self._formed):
            forget_cluster(self._cache, entry)
        self._formed.clear()
        self._save()

    def _trial(self, mutant: Mutant, label: str) -> Trial:
        run = self.folder / mutant.name / label
        own, kept = mutant.path.read_bytes(), run / mutant.path.name
        if not _has_verdict(run):
            run.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(own)
            self._remember(run)
            self._run(mutant.scenario, run, ("--config", str(mutant.path)))
            self._remember(run)
        elif not kept.exists() or kept.read_bytes() != own:
            raise BadInputError(
                f"{run} is a run of another version of {mutant.path.name}",
                hint="remove that folder, and --resume tries the mutant anew",
            )
        trial = judge_trial(mutant, label, run)
        console.print(f"  {mutant.name} {label} {trial.fate!s}: {trial.said}", markup=False)
        if self._ledger is not None and _has_verdict(run):  # what has none is run again
            line = tried(mutant, trial, run, code=self._code, campaign=self._begun_ns)
            record(self._ledger, [line], Tried)
        return trial

    def _run(self, scenario: str, run: Path, more: Iterable[str]) -> None:
        console.print(f"▷ {run.relative_to(self.folder)}: {scenario}", markup=False)
        run.mkdir(parents=True, exist_ok=True)
        self._start(["run", scenario, "--folder", str(run), *more, *self._options])


def judge_control(scenario: str, run: Path) -> Control:
    """What the run on the reference configuration says."""
    for path in sorted((run / "evidence").glob("*/verdict.json")):
        verdict = read_json(path).get("verdict")
        return Control(scenario, verdict == "VALID", str(verdict))
    return Control(scenario, False, "no verdict")


def _told(guest: object) -> str:
    return f"--guest {guest}" if guest else "the guests of each mutant's file"


def _has_verdict(run: Path) -> bool:
    return any((run / "evidence").glob("*/verdict.json"))


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:80]
