"""What runs of variants came to, in a ledger (harness.report.ledger)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from harness.checks.verdict import ScenarioVerdict, Verdict, VerdictError
from harness.evidence.attempts import says_nothing, superseded
from harness.evidence.files import read_json
from harness.report.ledger import Line
from harness.report.text import one_line

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from harness.variants.model import Variant


class Red(BaseModel):
    """A scenario that was not VALID.

    Attributes:
        scenario: its name.
        verdict: what it came to.
        checks: the checks that say so; empty where it could not be judged.
        said: what the first of them saw, in a line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scenario: str
    verdict: Verdict
    checks: tuple[str, ...]
    said: str


class Outcome(Line):
    """A whole run of the acceptance features on a variant.

    Attributes:
        code: hash of lab, faults and checks that it was made with.
        accelerator: kvm or tcg.
        variant: its name.
        file: SHA-256 of its file; empty of the reference.
        run: name of the run's folder.
        started_ns: when it began, nanoseconds since 1970.
        versions: of the packages that matter, by name.
        valid: how many scenarios were VALID.
        red: those that were not.
        missing: names of scenarios that there is no verdict of.
    """

    code: str
    accelerator: str
    variant: str
    file: str
    run: str
    started_ns: int
    versions: dict[str, str]
    valid: int
    red: tuple[Red, ...]
    missing: tuple[str, ...]

    @property
    def key(self) -> tuple[object, ...]:
        """One run."""
        return (self.code, self.variant, self.file, self.started_ns)

    @property
    def verdict(self) -> Verdict | None:
        """The worst of all; None where not all were judged."""
        verdicts = [one.verdict for one in self.red]
        if Verdict.INVALID in verdicts:
            return Verdict.INVALID
        if self.missing:
            return None
        return Verdict.INCONCLUSIVE if verdicts else Verdict.VALID


def outcome_of(variant: Variant, run: Path, scenarios: Collection[str]) -> Outcome:
    """What a stored run says of a variant.

    Args:
        scenarios: names of all that had to be run.
    """
    facts = read_json(run / "run.json")
    attempts = sorted((run / "evidence").glob("*/"))
    # What was judged and set aside when the run went on counts as well.
    attempts += [one for one in superseded(run) if not says_nothing(one)]
    red, valid, judged = [], 0, set()
    for evidence in attempts:
        name = read_json(evidence / "scenario.json").get("name")
        try:
            verdict = ScenarioVerdict.load(evidence / "verdict.json")
        except (OSError, VerdictError):
            continue
        if not isinstance(name, str):
            continue
        judged.add(name)
        if verdict.verdict is Verdict.VALID:
            valid += 1
            continue
        bad = [check for check in verdict.checks if check.verdict is verdict.verdict]
        said = verdict.error or (bad[0].seen if bad else "")
        checks = tuple(check.check for check in bad)
        red.append(
            Red(scenario=name, verdict=verdict.verdict, checks=checks, said=one_line(said, 300))
        )
    versions = facts.get("versions")
    started_ns = facts.get("started_ns")
    return Outcome(
        code=str(facts.get("code", "?")),
        accelerator=str(facts.get("accelerator", "?")),
        variant=variant.name,
        file=variant.digest,
        run=run.resolve().name,
        started_ns=started_ns if isinstance(started_ns, int) else 0,
        versions={str(k): str(v) for k, v in versions.items()}
        if isinstance(versions, dict)
        else {},
        valid=valid,
        red=tuple(red),
        missing=tuple(sorted(set(scenarios) - judged)),
    )
