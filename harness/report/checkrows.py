"""The checks of a scenario for the page: result, moments, and the evidence it points to."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from harness.evidence.model import TIMELINE
from harness.report.logs import describe
from harness.report.text import clean, clock, relative, shorten

if TYPE_CHECKING:
    from harness.checks.verdict import CheckResult, Verdict
    from harness.evidence.model import Seen
    from harness.report.load import LenientEvidence, LoadedScenario

_REF = re.compile(r"^(?P<file>[^:]+)(?::(?P<place>.*))?$", re.DOTALL)
_MOST_REFS = 20
_MOST_WHEN = 4
_LONGEST_DETAILS = 6000


@dataclass(frozen=True, slots=True)
class Reference:
    """A place in the evidence.

    Attributes:
        href: address of the file from the scenario's page; None where there is no such file.
        quoted: what stands there, one line; empty where that is no text.
        at_s: when, in seconds from the first fault; None where that is not known.
    """

    text: str
    href: str | None
    quoted: str = ""
    at_s: float | None = None


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One check's result, ready to be shown.

    Attributes:
        when: (relative, clock, seconds) of its first moments.
        more_when: how many of them are left out.
        more_references: how many of them are left out.
    """

    slug: str
    title: str
    verdict: Verdict
    expected: str
    seen: str
    operations: int
    when: tuple[tuple[str, str, float], ...]
    more_when: int
    references: tuple[Reference, ...]
    more_references: int
    details: str


def check_rows(loaded: LoadedScenario) -> list[CheckRow]:
    """All results, INVALID first, then INCONCLUSIVE, then VALID in the order of the registry."""
    results = loaded.results
    lines = {
        line
        for result in results
        for line in map(_line, result.evidence[:_MOST_REFS])
        if line is not None
    }
    seen = loaded.evidence.at_lines(lines)
    return [_row(result, loaded.evidence, seen) for result in results]


def file_href(evidence: LenientEvidence, relative_path: str) -> str | None:
    """Address of a file of the evidence folder from the scenario's page; None if not there."""
    folder = evidence.folder
    try:
        path = (folder / relative_path).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            return None
    except (OSError, ValueError):
        return None
    parts = ("evidence", folder.name, *relative_path.split("/"))
    return "../" + "/".join(quote(part) for part in parts)


def _row(result: CheckResult, evidence: LenientEvidence, events: dict[int, Seen]) -> CheckRow:
    moments = sorted(set(result.when_ns))
    details = json.dumps(result.details, indent=1, default=str) if result.details else ""
    return CheckRow(
        result.check,
        result.title,
        result.verdict,
        clean(result.expected),
        clean(result.seen),
        result.operations,
        tuple(
            (relative(t, evidence.zero_ns), clock(t), round((t - evidence.zero_ns) / 1e9, 3))
            for t in moments[:_MOST_WHEN]
        ),
        max(len(moments) - _MOST_WHEN, 0),
        tuple(_reference(text, evidence, events) for text in result.evidence[:_MOST_REFS]),
        max(len(result.evidence) - _MOST_REFS, 0),
        shorten(clean(details), _LONGEST_DETAILS),
    )


def _line(text: str) -> int | None:
    """The line of the timeline that a reference names; None where it names something else."""
    match = _REF.match(text)
    place = (match["place"] or "") if match is not None and match["file"] == TIMELINE else ""
    return int(place) if place.isascii() and place.isdecimal() and len(place) <= 12 else None


def _reference(text: str, evidence: LenientEvidence, events: dict[int, Seen]) -> Reference:
    match = _REF.match(text)
    if match is None:
        return Reference(text, None)
    href = file_href(evidence, match["file"])
    line = _line(text)
    seen = events.get(line) if line is not None else None
    if seen is None:
        return Reference(text, href)
    at = relative(seen.t_ns, evidence.zero_ns)
    quoted = f"{at} {seen.source} {seen.event.channel}: {describe(seen)}"
    return Reference(text, href, quoted, round((seen.t_ns - evidence.zero_ns) / 1e9, 3))
