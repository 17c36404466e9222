"""Outcomes for people and for programs, and the rules as the table of docs/linting.md."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from harness.errors import ExitCode
from harness.lint.registry import ALL_RULES, Severity, Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.lint.registry import Found, Outcome

_WIDTH = 100
_ORDER = (Severity.ERROR, Severity.WARNING, Severity.NOTE)
_WHO = {
    Source.POST: "asked for by the post",
    Source.SEEN: "seen with this harness, or tried with the real programs",
    Source.DOCS: "from the documentation",
}


def exit_code(outcomes: Iterable[Outcome]) -> ExitCode:
    """INVALID with an error among the findings; INCONCLUSIVE where anything was not judged."""
    everything = list(outcomes)
    if any(one.severity is Severity.ERROR for outcome in everything for one in outcome.found):
        return ExitCode.INVALID
    return ExitCode.INCONCLUSIVE if any(o.missing for o in everything) else ExitCode.VALID


def lines(outcomes: Iterable[Outcome]) -> list[str]:
    """Findings with their reasons, the gravest first; then what was not judged; then the count."""
    everything = list(outcomes)
    told: list[str] = []
    for severity in _ORDER:
        for outcome in everything:
            found = [one for one in outcome.found if one.severity is severity]
            if found:
                told += [*_findings(found, severity), *_reason(outcome), ""]
    lacking = [(outcome.rule.slug, what) for outcome in everything for what in outcome.missing]
    if lacking:
        told.append("Not judged:")
        told += _lacking(lacking)
        told.append("")
    return [*told, _count(everything)]


def _findings(found: list[Found], severity: Severity) -> list[str]:
    told = []
    for one in found:
        told.append(f"{severity!s:8} {one.rule}: {_plain(one.place)}")
        told += textwrap.wrap(
            _plain(one.what), _WIDTH, initial_indent=" " * 9, subsequent_indent=" " * 9
        )
    return told


def _reason(outcome: Outcome) -> list[str]:
    text = f"why: {outcome.rule.reason} ({_WHO[outcome.rule.source]})"
    return textwrap.wrap(text, _WIDTH, initial_indent=" " * 9, subsequent_indent=" " * 14)


def _lacking(lacking: list[tuple[str, str]]) -> list[str]:
    """By what is lacking, since one file that was not collected concerns many rules."""
    by_what: dict[str, list[str]] = {}
    for slug, what in lacking:
        by_what.setdefault(what, []).append(slug)
    told = []
    for what, slugs in by_what.items():
        text = f"{_plain(what)}: {', '.join(dict.fromkeys(slugs))}"
        told += textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="      ")
    return told


def _count(outcomes: list[Outcome]) -> str:
    counts = []
    for severity in _ORDER:
        number = sum(one.severity is severity for o in outcomes for one in o.found)
        counts.append(f"{number} {severity}" + ("" if number == 1 else "s"))
    whole = sum(not outcome.missing for outcome in outcomes)
    return f"{', '.join(counts)}; {whole} of {len(outcomes)} rules judged everything they look at"


def _plain(text: object) -> str:
    """One line without control characters: it may come from a node's files."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(str(text).split()))


def as_json(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """Findings and what was not judged, for programs."""
    everything = list(outcomes)
    return {
        "schema": 1,
        "findings": [
            {
                "rule": one.rule,
                "severity": str(one.severity),
                "file": one.place.file,
                "line": one.place.line,
                "element": one.place.element,
                "what": one.what,
                "reason": outcome.rule.reason,
            }
            for outcome in everything
            for one in outcome.found
        ],
        "not_judged": [
            {"rule": outcome.rule.slug, "why": what}
            for outcome in everything
            for what in outcome.missing
        ],
    }


def rule_table() -> list[str]:
    """The rules as a table in Markdown; docs/linting.md has it, and a test compares."""
    table = ["| rule | finds | severity | from | why |", "|---|---|---|---|---|"]
    for rule in ALL_RULES.values():
        cells = (f"`{rule.slug}`", rule.title, str(rule.severity), str(rule.source), rule.reason)
        table.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return table
