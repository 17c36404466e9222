"""From references to states: does it exist, and did it pass?

* ``scenario: NAME`` passed if it was VALID in the recorded run; without an example, all of them.
* ``check: SLUG`` passed if it was VALID somewhere in that run and never INVALID.
* ``mutant: NAME`` stands for the scenario that has to catch it: VALID on the right configuration.
  Whether the mutant itself is caught is the campaign's score (docs/mutants.md).
* ``lint: RULE`` passed if it judged the reference configuration and found nothing; it needs no run.
* ``measurement: HEADING`` passed if that section of docs/measurements.md does not say that it is
  not yet measured.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.checks.verdict import Verdict
from harness.points.document import Kind, Point, Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.points.record import Record

_NOT_MEASURED = "not yet measured"


class State(StrEnum):
    """What is known of a point, the worst last."""

    PASSED = "passed"
    UNMEASURED = "not yet measured"
    ABSENT = "not in the last full run"
    FAILED = "failed in the last full run"


@dataclass(frozen=True, slots=True)
class Known:
    """What there is to refer to.

    Attributes:
        scenarios: names, with their examples in brackets.
        checks: slugs.
        rules: slug of each rule of the lint to whether it found nothing in the reference
            configuration.
        mutants: name to the scenario that has to catch it.
        measurements: heading of each section of docs/measurements.md to its text.
    """

    scenarios: frozenset[str]
    checks: frozenset[str]
    rules: Mapping[str, bool]
    mutants: Mapping[str, str]
    measurements: Mapping[str, str]

    def examples(self, name: str) -> list[str]:
        """The scenarios that a name stands for: itself, or all examples of an outline."""
        if name in self.scenarios:
            return [name]
        return sorted(one for one in self.scenarios if one.startswith(f"{name} ["))


def sections(text: str) -> dict[str, str]:
    """The sections of a Markdown document by their headings, without what they hold below."""
    found = {}
    parts = re.split(r"^#{1,6} +(.+?)\s*$", text, flags=re.MULTILINE)
    for heading, body in zip(parts[1::2], parts[2::2], strict=True):
        found[heading] = body
    return found


def exists(reference: Reference, known: Known) -> bool:
    """Whether there is such a thing."""
    match reference.kind:
        case Kind.SCENARIO:
            return bool(known.examples(reference.name))
        case Kind.CHECK:
            return reference.name in known.checks
        case Kind.LINT:
            return reference.name in known.rules
        case Kind.MUTANT:
            return reference.name in known.mutants
        case Kind.MEASUREMENT:
            return reference.name in known.measurements


def unknown(points: Iterable[Point], known: Known) -> list[str]:
    """References to what does not exist, one line each."""
    return [
        f"line {point.line}: there is no {reference}"
        for point in points
        for reference in point.references
        if not exists(reference, known)
    ]


def resolve(reference: Reference, known: Known, record: Record) -> State:
    """Whether what is referred to passed."""
    match reference.kind:
        case Kind.SCENARIO:
            return _scenarios(known.examples(reference.name), record)
        case Kind.MUTANT:
            return _scenarios(known.examples(known.mutants.get(reference.name, "")), record)
        case Kind.CHECK:
            counts = record.checks.get(reference.name, {})
            if counts.get(Verdict.INVALID):
                return State.FAILED
            return State.PASSED if counts.get(Verdict.VALID) else State.ABSENT
        case Kind.LINT:
            return State.PASSED if known.rules.get(reference.name) else State.FAILED
        case Kind.MEASUREMENT:
            text = known.measurements.get(reference.name)
            measured = text is not None and _NOT_MEASURED not in text.lower()
            return State.PASSED if measured else State.UNMEASURED


def why(reference: Reference, known: Known, record: Record) -> list[str]:
    """What keeps a reference from having passed, one line each; empty if it has."""
    if resolve(reference, known, record) is State.PASSED:
        return []
    match reference.kind:
        case Kind.SCENARIO:
            return _not_valid(known.examples(reference.name), record)
        case Kind.MUTANT:
            return _not_valid(known.examples(known.mutants.get(reference.name, "")), record)
        case Kind.CHECK:
            if where := record.failures.get(reference.name):
                return [f"{Verdict.INVALID} in {name}" for name in where]
            if counts := record.checks.get(reference.name):
                unclear = counts.get(Verdict.INCONCLUSIVE, 0)
                return [f"{Verdict.INCONCLUSIVE} wherever it applied ({unclear})"]
            return [
                "it judged no scenario of that run: those it is about were not run, or were "
                "judged before there was this check (harness recheck judges them again)"
            ]
        case Kind.LINT:
            return ["it has a finding in the reference configuration, or was not given a file"]
        case Kind.MEASUREMENT:
            return ["docs/measurements.md says so"]


def _not_valid(names: list[str], record: Record) -> list[str]:
    return [
        f"{record.scenarios.get(name, 'not run')}: {name}"
        for name in names
        if record.scenarios.get(name) is not Verdict.VALID
    ]


def _scenarios(names: list[str], record: Record) -> State:
    verdicts = [record.scenarios.get(name) for name in names]
    if Verdict.INVALID in verdicts:
        return State.FAILED
    # One that is INCONCLUSIVE says nothing: as if it had not been run.
    all_valid = bool(verdicts) and all(verdict is Verdict.VALID for verdict in verdicts)
    return State.PASSED if all_valid else State.ABSENT


def state_of(point: Point, known: Known, record: Record) -> State:
    """The worst of its references."""
    order = list(State)
    return max((resolve(one, known, record) for one in point.references), key=order.index)
