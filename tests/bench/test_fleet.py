"""The benchmark of many clusters: what it compares, and when it refuses to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from bench.fleet import Timed, timed, told
from harness.checks.verdict import CheckResult, ScenarioVerdict, Verdict
from harness.evidence.files import write_json
from harness.evidence.model import SpanFile

if TYPE_CHECKING:
    from pathlib import Path

# In place of the harness: 0.4 s of work, shared by the clusters, after 0.1 s of a lab.
HARNESS = """
import sys, time
from pathlib import Path
from tests.bench.test_fleet import leave
arguments = sys.argv[1:]
clusters = int(arguments[arguments.index("-n") + 1])
folder = Path(arguments[arguments.index("--folder") + 1])
names = arguments[arguments.index("--folder") + 2:]
time.sleep(0.1 + 0.4 * len(names) / clusters)
for number, name in enumerate(names):
    leave(folder, name, number % clusters)
profile = "tcg" if clusters == 1 else "tcg-shared"
(folder / "run.json").write_text('{"timing": {"name": "%s"}}' % profile)
sys.exit(1)
"""


def leave(folder: Path, name: str, worker: int, verdict: Verdict = Verdict.VALID) -> None:
    """Evidence of a scenario that took 0.4 s."""
    evidence = folder / "evidence" / name
    evidence.mkdir(parents=True)
    write_json(evidence / "scenario.json", {"name": name})
    write_json(evidence / "worker.json", {"worker": f"gw{worker}"})
    check = CheckResult("stall", "Stall", verdict, "short", "seen", operations=1)
    ScenarioVerdict(name, (check,)).save(evidence / "verdict.json")
    # The lab's end belongs to the last one, and is no work.
    SpanFile(from_ns=0, to_ns=90 * 10**9, judged_from_ns=1, judged_to_ns=400_000_000).save(
        evidence / "span.json"
    )


def test_the_same_set_is_timed_on_one_cluster_and_on_two(tmp_path: Path) -> None:
    command = (sys.executable, "-B", "-c", HARNESS)
    names = ["a", "b", "c", "d"]
    one, two = (timed(command, number, tmp_path / str(number), names) for number in (1, 2))
    assert one.verdicts == two.verdicts == dict.fromkeys(names, "VALID")
    assert one.busy_s == two.busy_s == pytest.approx(1.6)
    assert (one.workers, two.workers) == (1, 2)
    assert one.wall_s > 1.7
    assert two.wall_s > 0.9
    lines, alike = told(one, two)
    assert alike
    assert lines[-1].startswith("ratio")
    assert lines[1].endswith("4 VALID, timing tcg")
    assert lines[2].endswith("4 VALID, timing tcg-shared")


def run(clusters: int, wall_s: float, workers: int | None = None, **verdicts: str) -> Timed:
    many = clusters if workers is None else workers
    return Timed(clusters, wall_s, 80.0, verdicts, many)


def test_the_figures() -> None:
    lines, alike = told(run(1, 100, a="VALID", b="INVALID"), run(2, 60, a="VALID", b="INVALID"))
    assert alike
    assert " ".join(lines[1].split()) == "-n 1 100.0 s 2 80.0 s 80 % 1 INVALID, 1 VALID"
    assert " ".join(lines[2].split()) == "-n 2 60.0 s 2 80.0 s 67 % 1 INVALID, 1 VALID"
    assert " ".join(lines[3].split()) == "ratio 1.67 × (at best 2)"
    assert len(lines) == 4


@pytest.mark.parametrize(
    ("one", "many", "said"),
    [
        (run(1, 100, a="VALID", b="VALID"), run(2, 60, a="VALID"), "not judged in both: b"),
        (run(1, 100), run(2, 60), "nothing was judged"),
        (run(1, 100, a="VALID"), run(2, 60, 1, a="VALID"), "only 1 of 2 clusters took part"),
    ],
)
def test_what_does_not_compare_has_no_ratio(one: Timed, many: Timed, said: str) -> None:
    lines, alike = told(one, many)
    assert not alike
    assert lines[-1] == f"no ratio: {said}"
    assert "ratio " not in "\n".join(lines[:-1])


def test_other_verdicts_are_named() -> None:
    lines, alike = told(run(1, 100, a="VALID"), run(2, 60, a="INCONCLUSIVE"))
    assert not alike
    assert lines[-1] == "a: VALID with -n 1, INCONCLUSIVE with -n 2"
