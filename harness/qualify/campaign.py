"""Qualifies a host: scenarios and mutants, each by a ``harness run`` of its own, and the stamp.

Everything lands below one folder: ``scenarios/`` is a run, ``mutants/`` a campaign of mutants, and
``qualify.json`` says of which host and code they are. What was judged there is not run again, so
that a qualification that was killed goes on where it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.checks.verdict import Verdict
from harness.errors import BadInputError, ExitCode, HarnessError
from harness.evidence.clock import now_ns
from harness.evidence.files import read_json, write_json
from harness.evidence.model import Evidence, EvidenceError
from harness.evidence.timeline import TimelineError
from harness.mutants.campaign import Campaign, launch
from harness.mutants.model import load_mutants
from harness.progress import console
from harness.qualify import chosen
from harness.qualify.margins import Seen, margins, objections
from harness.report.leftovers import left_behind
from harness.report.load import load_run
from harness.report.qualified import Fingerprint, Kind, Margin, Part, Stamp
from harness.report.text import one_line, plural
from harness.resuming import RUN, check_code, code_hash, done_before, made_hash
from harness.timing import Timing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from harness.lab.accelerator import Accelerator
    from harness.lab.doctor import Finding
    from harness.lab.paths import Cache
    from harness.mutants.campaign import Launch
    from harness.mutants.score import Score
    from harness.report.load import LoadedRun

STATE = "qualify.json"
_LONGEST = 400  # of a line in a stamp


@dataclass(frozen=True, slots=True)
class Here:
    """What is known of this host before anything is run.

    Attributes:
        host: its fingerprint.
        findings: the doctor's.
        probe: whether KVM truly works; asked when there is a guest's kernel to try it with.
    """

    host: Fingerprint
    findings: Sequence[Finding]
    probe: Callable[[], Accelerator]


class Qualification:
    """A qualification in a folder.

    Args:
        folder: where everything lands, or has landed.
        here: this host.
        options: more arguments of every ``harness run`` (cache, accelerator, …).
        guest: name of the guests' profile, which is among the options; empty for the usual one.
        connect: URI of an existing libvirt, which is among them; empty for a private one.
        cache: where the mutants' clusters are formed; they are removed from it after their try.
        start: how a run is started; for tests.

    Raises:
        BadInputError: the folder has something else in it, or was begun by other code or on another
            host.
    """

    def __init__(
        self,
        folder: Path,
        here: Here,
        options: Sequence[str] = (),
        *,
        guest: str = "",
        connect: str = "",
        cache: Cache | None = None,
        start: Launch = launch,
    ) -> None:
        self.folder = folder
        self._guest = guest
        self._asked = {"guest": guest, "connect": connect}
        self.run = folder / "scenarios"
        self._here = here
        self._options = tuple(options)
        self._cache = cache
        self._start = start
        self._begun_ns = self._open()

    def _open(self) -> int:
        """Begin, or see to it that it may go on; when it began."""
        before = read_json(self.folder / STATE)
        told = {"code": code_hash(), "host": self._here.host.model_dump(mode="json")}
        if not before:
            if self.folder.is_dir() and any(self.folder.iterdir()):
                raise BadInputError(
                    f"{self.folder} is not empty, and no qualification is in it",
                    hint="--folder names a new folder, or one of an earlier harness qualify",
                )
            begun_ns = now_ns()
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self.folder / STATE, told | self._asked | {"begun_ns": begun_ns})
            return begun_ns
        if before.get("code") != told["code"]:
            raise BadInputError(
                f"{self.folder} holds results of other code than this",
                hint="begin a new qualification, or check out the code of that one",
            )
        check_code(self.run)
        if before.get("host") != told["host"]:
            raise BadInputError(
                f"{self.folder} was begun on another host, or this one has changed since",
                hint="begin a new qualification: harness qualify",
            )
        for option, asked in self._asked.items():
            if (there := before.get(option, "")) != asked:
                raise BadInputError(
                    f"{self.folder} was begun with --{option} {there or 'left out'}, not with "
                    f"{asked or 'none'}",
                    hint="begin a new qualification, or go on with that one as it was begun",
                )
        return int(before.get("begun_ns") or now_ns())

    def stamp(self) -> Stamp:
        """Run what is left, and say what came of all of it.

        Raises:
            HarnessError: a run ended before everything in it was judged.
        """
        scenarios, run = self._scenarios()
        mutants = self._mutants(run)
        facts = read_json(self.run / RUN)
        calibration, seen, found = self._calibration(facts)
        accelerator: Kind = "kvm" if facts.get("accelerator") == "kvm" else "tcg"
        probe = self._here.probe()
        doctor = self._doctor(accelerator, probe)
        parts = (doctor, scenarios, mutants, calibration)
        why_not = [
            f"{part.name}: {line}" for part in parts if not part.passed for line in part.said
        ]
        ended_ns = now_ns()
        return Stamp(
            when_ns=ended_ns,
            seconds=max(0, ended_ns - self._begun_ns) / 1e9,
            code=code_hash(),
            made=made_hash(),
            accelerator=accelerator,
            proof=probe.proof,
            timing=str(_timing(facts).name),
            host=self._here.host,
            parts=parts,
            margins=tuple(found),
            failover={phase: round(took, 3) for phase, took in seen.failover.items()},
            qualified=not why_not,
            why_not=_lines(why_not),
            before=(),
        )

    def _doctor(self, ran_with: Kind, probe: Accelerator) -> Part:
        """What the doctor found, and whether KVM works as the runs took it to."""
        findings = self._here.findings
        bad = [f"{one.check}: {one.seen}" for one in findings if one.ok == "fail"]
        if ran_with == "kvm" and (probe.kind != "kvm" or probe.weak):
            bad.append(f"the scenarios ran under KVM, of which is known: {probe.reason}")
        good = [f"{one.check}: {one.seen}" for one in findings if one.ok == "warn"]
        said = bad or [*good, f"accelerator: {probe.reason}"]
        return Part(name="doctor", passed=not bad, said=_lines(said))

    def _scenarios(self) -> tuple[Part, LoadedRun]:
        """Run what was not judged yet of the scenarios."""
        if _unjudged(self.run):
            console.print(f"▷ {plural(len(chosen.SCENARIOS), 'scenario')}, one lab", markup=False)
            self._start(["run", *chosen.names(), "--resume", str(self.run), *self._options])
        if left := _unjudged(self.run):
            raise HarnessError(
                f"{plural(len(left), 'scenario')} of the qualification "
                f"{'was' if len(left) == 1 else 'were'} not judged: {', '.join(left)}",
                hint=f"harness qualify --folder {self.folder} goes on",
            )
        run = load_run(self.run)
        wanted = set(chosen.names())
        told = [one for one in run.scenarios if one.scenario.name in wanted]
        red = [one for one in told if one.overall is not Verdict.VALID]
        said = [
            f"{one.overall} {one.scenario.name}"
            + (f" ({', '.join(result.check for result in one.failing)})" if one.failing else "")
            for one in red
        ]
        said += [f"left behind: {text}" for text in left_behind(self.run)]
        if not said:
            return Part(name="scenarios", passed=True, said=(f"all {len(told)} VALID",)), run
        return Part(name="scenarios", passed=False, said=_lines(said)), run

    def _mutants(self, run: LoadedRun) -> Part:
        """Try what was not tried yet of the mutants; their controls are among the scenarios."""
        campaign = Campaign(
            self.folder / "mutants",
            self._options,
            guest=self._guest,
            resume=True,
            cache=self._cache,
            start=self._start,
        )
        valid = {one.scenario.name for one in run.scenarios if one.overall is Verdict.VALID}
        good, bad = [], []
        for mutant in load_mutants(chosen.MUTANTS):
            score = campaign.mutant(mutant, 1)
            self._needs_verdicts(score)
            trial = score.trials[-1]
            if not score.perfect:
                bad.append(f"{mutant.name} {trial.fate!s}: {trial.said}")
            elif mutant.scenario not in valid:
                bad.append(f"{mutant.name}: its scenario is not VALID without it either")
            else:
                good.append(f"{mutant.name} {trial.fate!s} by {', '.join(trial.by)}")
        return Part(name="mutants", passed=not bad, said=_lines(bad or good))

    def _needs_verdicts(self, score: Score) -> None:
        for trial in score.trials:
            run = self.folder / "mutants" / score.mutant.name / trial.label
            if not any((run / "evidence").glob("*/verdict.json")):
                raise HarnessError(
                    f"the run of the mutant {score.mutant.name} was not judged",
                    hint=f"harness qualify --folder {self.folder} goes on",
                )

    def _calibration(self, facts: dict[str, Any]) -> tuple[Part, Seen, list[Margin]]:
        """What was measured against what the timing profile allows: of the reference only."""
        seen, trouble = Seen(), []
        for folder in sorted((self.run / "evidence").glob("*/")):
            try:
                seen.add(Evidence(folder))
            except (EvidenceError, TimelineError, OSError) as error:
                # Without the folder's path: a stamp lies in reports, which are given away.
                why = str(error).replace(f"{folder}/", "")
                trouble.append(f"{folder.name} cannot be measured: {why}")
        found = margins(seen, _timing(facts))
        bad = [*trouble, *objections(found)]
        least = min((one for one in found if one.margin is not None and one.count),
                    key=lambda one: one.margin or 0.0, default=None)  # fmt: skip
        good = f"the smallest margin is {least.margin:.2f}: {least.name}" if least else ""
        part = Part(name="calibration", passed=not bad, said=_lines(bad or [good]))
        return part, seen, found


def exit_code(stamp: Stamp) -> ExitCode:
    """VALID if the host is qualified; INCONCLUSIVE if nothing else but doubt keeps it from that."""
    if stamp.qualified:
        return ExitCode.VALID
    doubts = ("INCONCLUSIVE", " unjudged: ")
    unclear = all(any(doubt in line for doubt in doubts) for line in stamp.why_not)
    return ExitCode.INCONCLUSIVE if unclear else ExitCode.INVALID


def _timing(facts: dict[str, Any]) -> Timing:
    """The profile that the scenarios ran with.

    Raises:
        HarnessError: the run does not tell.
    """
    try:
        return Timing.model_validate(facts.get("timing"))
    except ValueError as error:
        raise HarnessError(
            f"{RUN} of the scenarios does not tell the timing profile: {error}",
            hint="begin a new qualification: harness qualify",
        ) from error


def _unjudged(run: Path) -> list[str]:
    """Those of the chosen scenarios that have no verdict yet, in their order."""
    done = done_before(run, chosen.names(), again=False)
    return [name for name in chosen.names() if name not in done]


def _lines(said: Iterable[str]) -> tuple[str, ...]:
    return tuple(one_line(line, _LONGEST) for line in said)
