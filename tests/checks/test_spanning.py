"""A job that stood in its flush while the fault lasted had I/O in flight, though no write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.checks import judge_one
from tests.checks.build import healthy

if TYPE_CHECKING:
    from pathlib import Path

INJECTED_S, HEALED_S = 20, 60


@pytest.mark.parametrize(
    ("every", "longest_s", "more", "verdict"),
    [
        ("1", 41, 0, "VALID"),
        ("0", 41, 0, "INCONCLUSIVE"),  # it never flushes
        ("", 41, 0, "INCONCLUSIVE"),
        ("1", 39, 0, "INCONCLUSIVE"),  # no flush lasted as long as the fault
        ("4", 41, 1, "INCONCLUSIVE"),  # its turn to flush had not come
        ("4", 41, 0, "VALID"),
    ],
)
def test_a_flush_in_flight_spans_the_fault(
    tmp_path: Path, every: str, longest_s: int, more: int, verdict: str
) -> None:
    folder = healthy()
    name = next(iter(folder.writes))
    before = [w for w in folder.writes[name] if w.issue_s + w.latency_s < INJECTED_S - 0.1]
    after = [w for w in folder.writes[name] if w.issue_s > HEALED_S + 0.1]
    assert before
    assert after
    turn = before[: len(before) // 4 * 4 + more - (4 if more else 0)]
    folder.writes[name] = turn + after
    evidence = folder.save(tmp_path)
    path = next(evidence.glob(f"fio/{name}*.json"))
    result = json.loads(path.read_text())
    if every:
        result["jobs"][0]["job options"]["fsync"] = every
    result["jobs"][0]["sync"]["lat_ns"]["max"] = longest_s * 10**9
    path.write_text(json.dumps(result))
    finding = judge_one(evidence, "spanning-writes")
    problem = f"{name}: no write in flight during the fault"
    assert (problem in finding.seen) == (verdict != "VALID"), finding.seen
