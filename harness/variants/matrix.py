"""docs/support-matrix.md: a row for each variant, of its last run. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.verdict import Verdict
from harness.report.text import date, one_line, plural

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.variants.ledger import Outcome
    from harness.variants.model import Variant

_HEAD = (
    "# Support matrix\n\n"
    "What came of the acceptance features on each variant of the cluster, in its last run. Written "
    "by `harness variants`; docs/variants.md says how.\n"
    "INVALID is an answer: that variant does not do what the features ask for, and the row says "
    "what it does instead. INCONCLUSIVE, a run that was cut\n"
    "short and *not run* are none.\n\n"
    "| variant | what is other | verdict | of scenarios | what is red | when | code | on |\n"
    "|---|---|---|---|---|---|---|---|\n"
)


def last_of(variant: Variant, outcomes: Iterable[Outcome]) -> Outcome | None:
    """The last run of a variant with its file as it is now; None where there is none."""
    own = [one for one in outcomes if (one.variant, one.file) == (variant.name, variant.digest)]
    return max(own, key=lambda one: one.started_ns, default=None)


def answered(outcome: Outcome | None) -> bool:
    """Whether a run answers the question: VALID or INVALID, and all of it was judged."""
    if outcome is None or outcome.missing:
        return False
    return outcome.verdict in (Verdict.VALID, Verdict.INVALID)


def matrix(variants: Iterable[Variant], outcomes: Iterable[Outcome]) -> str:
    """The whole document."""
    told = list(outcomes)
    rows = [_row(variant, last_of(variant, told)) for variant in variants]
    return _HEAD + "\n".join(rows) + "\n"


def _row(variant: Variant, outcome: Outcome | None) -> str:
    cells = [f"`{variant.name}`", _cell(variant.title)]
    if outcome is None:
        return _line([*cells, "not run", "", "", "", "", ""])
    total = outcome.valid + len(outcome.red) + len(outcome.missing)
    verdict = "cut short" if outcome.verdict is None else str(outcome.verdict)
    if outcome.missing and outcome.verdict is not None:
        verdict += ", cut short"
    red = [
        f"{_cell(one.scenario, 80)}: {', '.join(one.checks) or _cell(one.said, 80)}"
        + (" (INCONCLUSIVE)" if one.verdict is Verdict.INCONCLUSIVE else "")
        for one in outcome.red
    ]
    if outcome.missing:
        red.append(f"{plural(len(outcome.missing), 'scenario')} not judged")
    versions = outcome.versions
    on = [f"kernel {versions['kernel']}"] if "kernel" in versions else []
    on += [f"{name} {versions[name]}" for name in ("pacemaker", "drbd-utils") if name in versions]
    cells += [verdict, f"{outcome.valid} of {total} VALID", "<br>".join(red)]
    cells += [date(outcome.started_ns)[:10], outcome.code, _cell(", ".join(on))]
    return _line([*cells[:-1], f"{cells[-1]}, {outcome.accelerator}"])


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(text: str, most: int = 200) -> str:
    """Text in a cell of a table: a line, and no sign that ends the cell or is HTML."""
    plain = one_line(text, most)
    return plain.replace("|", "\\|").replace("<", "&lt;")
