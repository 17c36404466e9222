"""How values look in a report: durations, latencies, clock times, and guest text made harmless.

Markup is escaped where it is written (jinja2, markupsafe); here only what escaping leaves alone
is dealt with: control characters, terminal sequences and bidirectional overrides.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

MINUS = "\N{MINUS SIGN}"
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_VISIBLE = {code: 0x2400 + code for code in range(0x20) if code not in (0x09, 0x0A)} | {
    0x7F: 0x2421
}
_VISIBLE |= dict.fromkeys([*range(0x80, 0xA0), 0xFFFE, 0xFFFF, *map(ord, _BIDI)], 0xFFFD)
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def clean(text: str) -> str:
    """``text`` without terminal sequences; other control characters become visible signs."""
    if text.isascii() and text.isprintable():
        return text  # most are: nothing of the like is in it
    return _SURROGATE.sub("\ufffd", _ANSI.sub("", text).translate(_VISIBLE))


def one_line(text: str, longest: int = 300) -> str:
    """``text`` cleaned, on one line, cut to ``longest`` characters."""
    return shorten(" ".join(clean(text).split()), longest)


def shorten(text: str, longest: int) -> str:
    """``text`` cut to ``longest`` characters, with an ellipsis where something is missing."""
    return text if len(text) <= longest else text[: max(longest - 1, 0)] + "…"


def seconds(value: float) -> str:
    """A length of time given in seconds, to three digits or so: ``31.4 s``, ``850 ms``."""
    if abs(value) < 0.9995:
        return f"{value * 1e3:.3g} ms"
    return f"{value:.1f} s" if abs(value) < 999.5 else f"{value:,.0f} s"


def duration(value: float) -> str:
    """A length of time given in seconds, for people: ``2 h 05 min``, ``3 min 20 s``, ``12 s``."""
    whole = round(value)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    if whole >= 60:
        return f"{whole // 60} min {whole % 60:02d} s"
    return seconds(value) if value < 10 else f"{whole} s"


def latency(ns: float) -> str:
    """A latency given in nanoseconds: ``850 µs``, ``1.24 ms``, ``31.4 s``."""
    if ns < 999_500:
        return f"{ns / 1e3:.3g} µs"
    return f"{ns / 1e6:.3g} ms" if ns < 999_500_000 else f"{ns / 1e9:.3g} s"


def count(value: int) -> str:
    """``12,345``."""
    return f"{value:,}"


def plural(value: int, noun: str) -> str:
    """``1 check``, ``2 checks``."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def _moment(t_ns: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(t_ns // 1_000_000_000, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def clock(t_ns: int) -> str:
    """Time of day in UTC of nanoseconds since the epoch: ``14:03:22.123``."""
    moment = _moment(t_ns)
    return f"{moment:%H:%M:%S}.{t_ns // 1_000_000 % 1000:03d}" if moment else "?"


def date(t_ns: int) -> str:
    """Date and time in UTC of nanoseconds since the epoch: ``2026-11-25 14:03:22 UTC``."""
    moment = _moment(t_ns)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "?"


def relative(t_ns: int, zero_ns: int) -> str:
    """Seconds from ``zero_ns``, with sign: ``+12.3 s``, ``−0.5 s``."""
    value = (t_ns - zero_ns) / 1e9
    return f"{MINUS if value < 0 else '+'}{abs(value):,.1f} s"
