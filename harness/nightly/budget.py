"""Which scenarios fit into a given time, and a list of them with the minutes that they take."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import BadInputError
from harness.nightly.durations import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.nightly.durations import Durations

LENGTHS = {"short": 150.0, "medium": 270.0, "long": 480.0}
"""What a scenario with such a tag is assumed to take, emulated, that nobody has measured: seconds.
The middle of what the tag means (docs/catalogue.md); without one as if it were medium."""
_WITH = {"tcg": 1.0, "kvm": 0.5}
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h)")


def parse_budget(text: str) -> float:
    """Seconds of ``90m``, ``2h``, ``1h30m`` or ``45 min``.

    Raises:
        BadInputError: it is no time, or none at all.
    """
    parts = _PART.findall(text)
    rest = _PART.sub("", text).strip()
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if rest or seconds <= 0:
        raise BadInputError(f"--budget {text!r}?", hint="for example 40m, 2h or 1h30m")
    return seconds


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run within a budget.

    Attributes:
        chosen: names, in the order in which they are due.
        left_out: those that do not fit, in the same order.
    """

    chosen: tuple[str, ...]
    left_out: tuple[str, ...]


def assumed_s(name: str, length: str, durations: Durations) -> float:
    """How long to reckon with, in seconds.

    Args:
        length: the scenario's tag of its length; empty for none.
    """
    known = durations.expected(name)
    if known is not None:
        return known.seconds
    return LENGTHS.get(length, LENGTHS["medium"]) * _WITH[durations.accelerator]


def plan(lengths: Mapping[str, str], durations: Durations, budget_s: float) -> Plan:
    """Choose what fits: what was not run here for longest comes first, never run before all.

    Of several that are due alike, the order of ``lengths`` counts. One that does not fit any more
    is left out, and a shorter one after it may still be taken. The time until the first scenario
    begins is part of the budget.

    Args:
        lengths: by scenario, the tag of its length.
    """
    due = sorted(lengths, key=durations.last_ns)
    left_s = budget_s - durations.lab_s()
    chosen, left_out = [], []
    for name in due:
        takes_s = assumed_s(name, lengths[name], durations)
        if takes_s <= left_s:
            chosen.append(name)
            left_s -= takes_s
        else:
            left_out.append(name)
    return Plan(tuple(chosen), tuple(left_out))


def listed(lengths: Mapping[str, str], durations: Durations, now_ns: int) -> list[str]:
    """One line for each scenario, with expected minutes and when it was last run; then the sum."""
    lines, total_s, unknown = [], 0.0, 0
    sources: dict[Source, int] = {}
    for name, length in lengths.items():
        known = durations.expected(name)
        total_s += assumed_s(name, length, durations)
        if known is None:
            unknown += 1
            minutes = "?"
        else:
            sources[known.source] = sources.get(known.source, 0) + 1
            about = "" if known.source is Source.HERE else "~"
            minutes = f"{about}{known.seconds / 60:.1f}"
        lines.append(f"{minutes:>6} min  {_ago(durations.last_ns(name), now_ns):>9}  {name}")
    kind = "KVM" if durations.accelerator == "kvm" else "emulation"
    said = [f"{number} {source}" for source, number in sources.items()]
    if unknown:
        said.append(f"{unknown} not known, reckoned by their tags")
    told = f"{len(lengths)} scenarios, about {total_s / 60:.0f} min with {kind}"
    return [*lines, f"{told} ({'; '.join(said)})" if said else told]


def _ago(last_ns: int, now_ns: int) -> str:
    if not last_ns:
        return "never"
    hours = max(0, now_ns - last_ns) / 3.6e12
    return f"{hours:.0f} h ago" if hours < 48 else f"{hours / 24:.0f} d ago"
