"""docs/last-full-run.json: what passed in the last full run, small enough to be kept with the code.

A run is full if it has a verdict for every scenario that there is. Anything less can be recorded as
well: then the record says what is missing.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.checks.verdict import Verdict, VerdictError, read_run_verdicts
from harness.evidence.files import write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

SCHEMA = 1


class RecordError(ValueError):
    """Not a record, or a run of which none can be made."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a run said.

    Attributes:
        run: its name; None while nothing has been recorded.
        code: the hash of the code that it ran (harness.session.code_hash).
        accelerator: kvm or tcg.
        recorded: the day, YYYY-MM-DD.
        scenarios: name to verdict.
        checks: slug to how often it came to which verdict.
        failures: slug to the scenarios in which it was INVALID.
        missing: scenarios that there were when it was recorded, and that it has no verdict for.
    """

    run: str | None = None
    code: str | None = None
    accelerator: str | None = None
    recorded: str | None = None
    scenarios: dict[str, Verdict] = field(default_factory=dict)
    checks: dict[str, dict[Verdict, int]] = field(default_factory=dict)
    failures: dict[str, tuple[str, ...]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @property
    def full(self) -> bool:
        """Whether it is of a full run."""
        return bool(self.scenarios) and not self.missing

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        raw = {
            "schema": SCHEMA,
            "run": self.run,
            "code": self.code,
            "accelerator": self.accelerator,
            "recorded": self.recorded,
            "missing": list(self.missing),
            "scenarios": {name: str(one) for name, one in sorted(self.scenarios.items())},
            "checks": {
                slug: {str(verdict): count for verdict, count in sorted(counts.items())}
                for slug, counts in sorted(self.checks.items())
            },
            "failures": {slug: list(names) for slug, names in sorted(self.failures.items())},
        }
        write_json(path, raw)

    @classmethod
    def load(cls, path: Path) -> Record:
        """Read what ``save`` wrote.

        Raises:
            RecordError: it is none.
        """
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            if raw["schema"] != SCHEMA:
                raise RecordError(f"{path.name}: not a record of schema {SCHEMA}")
            return cls(
                run=_text(raw["run"]),
                code=_text(raw["code"]),
                accelerator=_text(raw["accelerator"]),
                recorded=_text(raw["recorded"]),
                scenarios={str(n): Verdict(v) for n, v in raw["scenarios"].items()},
                checks={
                    str(slug): {Verdict(v): int(count) for v, count in counts.items()}
                    for slug, counts in raw["checks"].items()
                },
                failures={
                    str(slug): tuple(str(name) for name in names)
                    for slug, names in raw["failures"].items()
                },
                missing=tuple(str(name) for name in raw["missing"]),
            )
        except RecordError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise RecordError(f"{path.name}: no record of a run: {error!r}") from error


def _text(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise RecordError(f"not a text: {value!r}")
    return value


def record_of(
    run_folder: Path, names: Iterable[str], *, reference: Mapping[str, Any], today: str
) -> Record:
    """The record of a stored run.

    Args:
        run_folder: reports/<run>.
        names: all scenarios that there are.
        reference: the reference configuration, as run.json has it.
        today: the day, YYYY-MM-DD.

    Raises:
        RecordError: its run.json cannot be read, or it was made with another configuration or with
            a bound of its own: such a run says nothing of the cluster that the post is compared to.
    """
    try:
        facts = json.loads((run_folder / "run.json").read_text(encoding="utf-8"))
        code, accelerator = str(facts["code"]), str(facts["accelerator"])
        config, command = facts["config"], str(facts["command"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{run_folder}: no run.json that can be read: {error}") from error
    if config != dict(reference):
        raise RecordError(f"{run_folder} is not a run of the reference configuration")
    if "--max-stall" in command:
        raise RecordError(f"{run_folder} was judged by a bound of its own (--max-stall)")
    scenarios: dict[str, Verdict] = {}
    checks: dict[str, Counter[Verdict]] = {}
    failures: dict[str, list[str]] = {}
    for slug, verdict in read_run_verdicts(run_folder).items():
        name = _name(run_folder / "evidence" / slug) or slug
        if isinstance(verdict, VerdictError):
            scenarios[name] = Verdict.INCONCLUSIVE
            continue
        scenarios[name] = verdict.verdict
        for result in verdict.checks:
            checks.setdefault(result.check, Counter())[result.verdict] += 1
            if result.verdict is Verdict.INVALID:
                failures.setdefault(result.check, []).append(name)
    missing = tuple(sorted(set(names) - scenarios.keys()))
    return Record(
        run_folder.resolve().name,
        code,
        accelerator,
        today,
        scenarios,
        {slug: dict(counts) for slug, counts in checks.items()},
        {slug: tuple(sorted(where)) for slug, where in failures.items()},
        missing,
    )


def _name(evidence: Path) -> str | None:
    try:
        return str(json.loads((evidence / "scenario.json").read_text(encoding="utf-8"))["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
