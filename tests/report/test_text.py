"""How values look in a report."""

from __future__ import annotations

import pytest

from harness.report.text import clean, duration, latency, relative, seconds


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (seconds(31.44), "31.4 s"),
        (seconds(0.0573), "57.3 ms"),
        (latency(850_000), "850 µs"),
        (latency(1_240_000), "1.24 ms"),
        (latency(31_400_000_000), "31.4 s"),
        (duration(200), "3 min 20 s"),
        (duration(7500), "2 h 05 min"),
        (relative(500_000_000, 1_000_000_000), "−0.5 s"),
        (clean("a\x1b[1;31mb\x00c\nd"), "ab␀c\nd"),
        (relative(10**18, 0), "+1,000,000,000.0 s"),
    ],
)
def test_text(made: str, wanted: str) -> None:
    assert made == wanted
