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
    from harness.report.load import LenientEvidence, LoadedScenario

_REF = re.compile(r"^(?P<file>[^:]+)(?::(?P<place>.*))?$", re.DOTALL)
_MOST_REFS = 20
_MOST_WHEN = 4
_LONGEST_DETAILS = 6000


@dataclass(frozen=True, slots=True)
class Reference:
    """A place in the evidence.

    Attributes:
        href: relative address of the file, from the report; None where there is no such file.
        quoted: what stands there, one line; empty where that is no text.
    """

    text: str
    href: str | None
    quoted: str = ""


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One check's result, ready to be shown.

    Attributes:
        when: (relative, clock) of its first moments; ``more_when`` says how many are left out.
        more_references: how many of them are left out.
    """

    slug: str
    title: str
    verdict: Verdict
    expected: str
    seen: str
    operations: int
    when: tuple[tuple[str, str], ...]
    more_when: int
    references: tuple[Reference, ...]
    more_references: int
    details: str


def check_rows(loaded: LoadedScenario) -> list[CheckRow]:
    """All results, INVALID first, then INCONCLUSIVE, then VALID in the order of the registry."""
    return [_row(result, loaded.evidence) for result in loaded.results]


def file_href(evidence: LenientEvidence, relative_path: str) -> str | None:
    """Address of a file of the evidence folder, relative to the report; None if not there."""
    folder = evidence.folder
    try:
        path = (folder / relative_path).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            return None
    except (OSError, ValueError):
        return None
    return "/".join(quote(part) for part in ("evidence", folder.name, *relative_path.split("/")))


def _row(result: CheckResult, evidence: LenientEvidence) -> CheckRow:
    moments = sorted(set(result.when_ns))
    details = json.dumps(result.details, indent=1, default=str) if result.details else ""
    return CheckRow(
        result.check,
        result.title,
        result.verdict,
        clean(result.expected),
        clean(result.seen),
        result.operations,
        tuple((relative(t, evidence.zero_ns), clock(t)) for t in moments[:_MOST_WHEN]),
        max(len(moments) - _MOST_WHEN, 0),
        tuple(_reference(text, evidence) for text in result.evidence[:_MOST_REFS]),
        max(len(result.evidence) - _MOST_REFS, 0),
        shorten(clean(details), _LONGEST_DETAILS),
    )


def _reference(text: str, evidence: LenientEvidence) -> Reference:
    match = _REF.match(text)
    if match is None:
        return Reference(text, None)
    href = file_href(evidence, match["file"])
    place = match["place"] or ""
    if match["file"] != TIMELINE or not place.isdecimal() or len(place) > 12:
        return Reference(text, href)
    seen = evidence.by_line.get(int(place))
    if seen is None:
        return Reference(text, href)
    quoted = (
        f"{relative(seen.t_ns, evidence.zero_ns)} {seen.source} {seen.event.channel}: "
        f"{describe(seen)}"
    )
    return Reference(text, href, quoted)
