"""What a judgement is: three values, one result per check, one verdict per scenario.

Owns the shape of ``verdict.json``. The rules that keep a verdict honest live here too: a check
that was judged on nothing is INCONCLUSIVE, and a scenario without checks can never be VALID.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from harness.evidence.attempts import says_nothing, superseded
from harness.evidence.files import write_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA = 1


class Verdict(StrEnum):
    """VALID: the property held. INVALID: it was violated. INCONCLUSIVE: the evidence cannot say."""

    VALID = "VALID"
    INVALID = "INVALID"
    INCONCLUSIVE = "INCONCLUSIVE"


class VerdictError(ValueError):
    """A ``verdict.json`` that is not one."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found.

    Attributes:
        check: slug of the check, e.g. ``lost-writes``.
        title: the same for people.
        verdict: one of three values.
        expected: what should have been seen, one line.
        seen: what was seen, one line.
        when_ns: moments on the run's clock (ns since the epoch) that the finding is about.
        evidence: where it can be looked up: relative file, ``:line`` or ``:record`` appended.
        operations: how many operations, samples or events it was judged on; 0 is never a pass.
        details: JSON-able numbers and lists for the report.
    """

    check: str
    title: str
    verdict: Verdict
    expected: str
    seen: str
    when_ns: tuple[int, ...] = ()
    evidence: tuple[str, ...] = ()
    operations: int = 0
    details: dict[str, Any] = field(default_factory=dict)

    def earned(self) -> CheckResult:
        """This result, turned into INCONCLUSIVE where it was judged on nothing."""
        if self.verdict is not Verdict.INCONCLUSIVE and self.operations <= 0:
            return replace(
                self,
                verdict=Verdict.INCONCLUSIVE,
                seen=f"nothing to judge on ({self.seen})" if self.seen else "nothing to judge on",
            )
        return self

    def to_json(self) -> dict[str, Any]:
        """A dict that ``json.dumps`` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: object) -> CheckResult:
        """The result in ``raw``, as ``to_json`` wrote it.

        Raises:
            VerdictError: a field is missing or of the wrong type.
        """
        try:
            if not isinstance(raw, dict) or not isinstance(raw["details"], dict):
                raise TypeError("not an object")
            return cls(
                check=str(raw["check"]),
                title=str(raw["title"]),
                verdict=Verdict(raw["verdict"]),
                expected=str(raw["expected"]),
                seen=str(raw["seen"]),
                when_ns=tuple(int(t) for t in raw["when_ns"]),
                evidence=tuple(str(e) for e in raw["evidence"]),
                operations=int(raw["operations"]),
                details=raw["details"],
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise VerdictError(f"not a check result: {error!r}") from error


@dataclass(frozen=True, slots=True)
class ScenarioVerdict:
    """All results of one scenario.

    Attributes:
        slug: the scenario's slug (the evidence folder's name).
        checks: the results, in the order of the registry; checks that do not apply are absent.
        error: the harness's own trouble, one line; None when there was none.
    """

    slug: str
    checks: tuple[CheckResult, ...] = ()
    error: str | None = None

    @property
    def verdict(self) -> Verdict:
        """INVALID if any check is; else INCONCLUSIVE if any is, on error or without checks."""
        found = {result.earned().verdict for result in self.checks}
        if Verdict.INVALID in found:
            return Verdict.INVALID
        if self.error is not None or not found or Verdict.INCONCLUSIVE in found:
            return Verdict.INCONCLUSIVE
        return Verdict.VALID

    def count(self, verdict: Verdict) -> int:
        """How many checks came to ``verdict``."""
        return sum(result.verdict is verdict for result in self.checks)

    def result(self, slug: str) -> CheckResult | None:
        """The result of check ``slug``, or None where it did not apply."""
        return next((result for result in self.checks if result.check == slug), None)

    def to_json(self) -> dict[str, Any]:
        """A dict that ``json.dumps`` takes; ``verdict`` in it is derived, for readers."""
        return {
            "schema": SCHEMA,
            "slug": self.slug,
            "verdict": str(self.verdict),
            "error": self.error,
            "checks": [result.to_json() for result in self.checks],
        }

    @classmethod
    def from_json(cls, raw: object) -> ScenarioVerdict:
        """The verdict in ``raw``, as ``to_json`` wrote it.

        Raises:
            VerdictError: another schema, a missing field, or a ``verdict`` that the checks deny.
        """
        try:
            if not isinstance(raw, dict) or raw["schema"] != SCHEMA:
                raise VerdictError(f"not a verdict of schema {SCHEMA}")
            error = raw["error"]
            verdict = cls(
                slug=str(raw["slug"]),
                checks=tuple(CheckResult.from_json(item) for item in raw["checks"]),
                error=None if error is None else str(error),
            )
            stated = Verdict(raw["verdict"])
        except VerdictError:
            raise
        except (KeyError, TypeError, ValueError) as problem:
            raise VerdictError(f"not a verdict: {problem!r}") from problem
        if verdict.verdict is not stated:
            raise VerdictError(f"says {stated}, but its checks say {verdict.verdict}")
        return verdict

    def save(self, path: Path) -> None:
        """Write ``verdict.json`` (whole or not at all)."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> ScenarioVerdict:
        """Read ``verdict.json``.

        Raises:
            VerdictError: it is not one.
            FileNotFoundError: there is none.
        """
        try:
            return cls.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, RecursionError) as error:
            raise VerdictError(f"{path.name}: {error}") from error


def read_run_verdicts(run_folder: Path) -> dict[str, ScenarioVerdict | VerdictError]:
    """The verdict of each scenario of a run, in the order of their slugs, or why it has none."""
    read: dict[str, ScenarioVerdict | VerdictError] = {}
    for folder in sorted((run_folder / "evidence").glob("*/")):
        try:
            read[folder.name] = ScenarioVerdict.load(folder / "verdict.json")
        except VerdictError as error:
            read[folder.name] = error
        except FileNotFoundError:
            read[folder.name] = VerdictError("no verdict.json")
        except OSError as error:
            read[folder.name] = VerdictError(f"verdict.json: {error.strerror}")
    return read


def _earlier_verdicts(run_folder: Path) -> list[dict[str, Any]]:
    """The verdicts of attempts that were set aside, each with its place."""
    told = []
    for folder in superseded(run_folder):
        if says_nothing(folder) or not (folder / "verdict.json").exists():
            continue
        try:
            one = ScenarioVerdict.load(folder / "verdict.json")
        except (VerdictError, OSError) as error:
            one = ScenarioVerdict(folder.name, error=str(error))
        told.append({"place": f"{folder.parent.name}/{folder.name}", **one.to_json()})
    return told


def write_run_verdicts(
    run_folder: Path, verdicts: Mapping[str, ScenarioVerdict | VerdictError]
) -> Path:
    """Put all verdicts of a run (``read_run_verdicts``) in ``verdicts.json``; returns its path.

    Nothing else is in it, so that the same evidence judged by the same checks gives the same bytes
    on every machine. A verdict that could not be read is told as one with an error.
    """
    told = [
        ScenarioVerdict(slug, error=str(one)) if isinstance(one, VerdictError) else one
        for slug, one in verdicts.items()
    ]
    earlier = _earlier_verdicts(run_folder)
    content = {"schema": SCHEMA, "scenarios": [one.to_json() for one in told], "earlier": earlier}
    path = run_folder / "verdicts.json"
    write_json(path, content)
    return path
