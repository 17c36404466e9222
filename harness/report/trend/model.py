"""What the trend keeps: a line for each run, for each of its scenarios, for each check."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.report.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.checks.verdict import Verdict


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One check's result: slug, verdict, and for one that is not VALID what was seen."""

    check: str
    verdict: Verdict
    seen: str = ""


@dataclass(frozen=True, slots=True)
class ScenarioLine:
    """One scenario of one run.

    Attributes:
        slug: name of its evidence folder.
        verdict: the worst of all attempts that were judged.
        attempts: verdicts of all of them, the oldest first; not those that were cut short.
        stall_s: the longest stall that the stall check measured, seconds; None where it did not.
        bound_s: the most it was allowed.
        phases: of the longest failover, seconds each; empty where none was told.
        failovers, fencings, writes: as seen; None where nothing says. ``writes`` are acknowledged.
        seconds: from its start to its end.
        why: what was not VALID, one line; empty where all was.
    """

    name: str
    feature: str
    slug: str
    verdict: Verdict
    attempts: tuple[Verdict, ...] = ()
    stall_s: float | None = None
    bound_s: float | None = None
    phases: Mapping[str, float] = field(default_factory=dict)
    failovers: int | None = None
    fencings: int | None = None
    writes: int | None = None
    seconds: float | None = None
    why: str = ""
    checks: tuple[CheckLine, ...] = ()


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run, in as many parts as it took. ``name`` and ``started_ns`` are its identity.

    Attributes:
        started_ns, ended_ns: of its first part; of its last scenario. Ns on the run's clock.
        digest: of its ``verdicts.json``: another one after it was judged again.
        folder: where it lay when it was read; below the reports' folder relative to that.
        series: hash of all that runs must have in common to be compared: accelerator, libvirt,
            timing profile, overrides of the configuration, ``--max-stall``. Code and versions are
            not among it: what they change is what is looked for.
        profile: name of the timing profile.
        config: ``reference``, or a short hash where ``--config`` overrode it.
        code: hash of everything that a result depends on.
        injecting: False in a run that tests the proofs; it is never compared with any.
        scenarios: those that have a history; none that an exploration drew.
    """

    name: str
    started_ns: int
    ended_ns: int
    digest: str
    folder: str
    series: str
    accelerator: str
    profile: str
    host: str
    config: str
    code: str
    versions: Mapping[str, str]
    harness: str
    seed: int | None
    command: str
    injecting: bool
    verdict: Verdict
    scenarios: tuple[ScenarioLine, ...] = ()

    def scenario(self, name: str) -> ScenarioLine | None:
        """The scenario of that name, or None where it was not run."""
        return next((one for one in self.scenarios if one.name == name), None)

    @property
    def shown(self) -> str:
        """Its name as it is shown: whatever run.json says, a line without control characters."""
        return one_line(self.name, 80)

    @property
    def conditions(self) -> str:
        """What its series is, in words."""
        kind = "KVM" if self.accelerator == "kvm" else "emulation"
        where = "" if self.host == "private" else f", on {self.host}"
        asked = "reference" if self.config == "reference" else f"overridden ({self.config})"
        return f"{kind}, timing profile {self.profile}, {asked} configuration{where}"
