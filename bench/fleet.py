"""The same scenarios on one cluster and on two at once: wall time, and the ratio, in one go.

Baseline: ``harness run -n 1``. Measured: the same with ``-n 2``, or as many as are asked for. Both
begin with clusters that are in the cache: first runs of a few scenarios see to that, and do not
count. Emulated clusters that share cores have a timing profile of their own, and so others in the
cache; the figures name the profiles. Needs real VMs, and 3 GiB of memory for each cluster.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.checks.verdict import ScenarioVerdict
from harness.evidence.files import read_json
from harness.evidence.phases import span_of

if TYPE_CHECKING:
    from collections.abc import Sequence

HARNESS = (sys.executable, "-m", "harness", "run")


@dataclass(frozen=True, slots=True)
class Timed:
    """A run of the harness.

    Attributes:
        clusters: how many at once.
        wall_s: from its start to its end, seconds: labs, scenarios, report.
        busy_s: what the scenarios took, one after the other, seconds.
        verdicts: by scenario.
        workers: how many had any of them.
        profile: the timing profile.
    """

    clusters: int
    wall_s: float
    busy_s: float
    verdicts: dict[str, str]
    workers: int
    profile: str = ""

    @property
    def timing(self) -> str:
        """The profile, to be added to a line; nothing where the run told none."""
        return f", timing {self.profile}" if self.profile else ""

    @property
    def share(self) -> float:
        """Part of the clusters' time in which they had a scenario."""
        return self.busy_s / (self.wall_s * self.clusters)


def timed(command: Sequence[str], clusters: int, folder: Path, names: Sequence[str]) -> Timed:
    """Run the scenarios in a new folder, and see what came of it."""
    began = time.monotonic()
    subprocess.run([*command, "-n", str(clusters), "--folder", str(folder), *names], check=False)
    wall_s = time.monotonic() - began
    verdicts, workers, busy_s = {}, set(), 0.0
    for path in sorted((folder / "evidence").glob("*/verdict.json")):
        name = str(read_json(path.with_name("scenario.json")).get("name"))
        verdicts[name] = str(ScenarioVerdict.load(path).verdict)
        workers.add(read_json(path.with_name("worker.json")).get("worker"))
        span = span_of(path.parent)
        # To the moment of its verdict: the last one's span goes on until its lab is gone.
        busy_s += 0.0 if span is None else (span.judged_to_ns - span.from_ns) / 1e9
    timing = read_json(folder / "run.json").get("timing")
    profile = str(timing.get("name", "")) if isinstance(timing, dict) else ""
    return Timed(clusters, wall_s, busy_s, verdicts, len(workers), profile)


def told(one: Timed, many: Timed) -> tuple[list[str], bool]:
    """The figures, and whether they compare the same work."""
    lines = [
        f"{'':10}{'wall':>10}{'scenarios':>11}{'busy':>10}{'of the time':>13}  verdicts",
        *(
            f"-n {run.clusters:<7}{run.wall_s:8.1f} s{len(run.verdicts):11}{run.busy_s:8.1f} s"
            f"{100 * run.share:11.0f} %  {_counts(run)}{run.timing}"
            for run in (one, many)
        ),
    ]
    if not one.verdicts or one.verdicts.keys() != many.verdicts.keys():
        odd = sorted(one.verdicts.keys() ^ many.verdicts.keys())
        why = "not judged in both: " + "; ".join(odd) if odd else "nothing was judged"
        return [*lines, f"no ratio: {why}"], False
    if many.workers < many.clusters:
        return [
            *lines,
            f"no ratio: only {many.workers} of {many.clusters} clusters took part",
        ], False
    ratio = one.wall_s / many.wall_s
    lines.append(f"ratio     {ratio:8.2f} ×  (at best {many.clusters / one.clusters:.0f})")
    changed = [name for name in one.verdicts if one.verdicts[name] != many.verdicts[name]]
    lines += [
        f"{name}: {one.verdicts[name]} with -n {one.clusters}, "
        f"{many.verdicts[name]} with -n {many.clusters}"
        for name in changed
    ]
    return lines, not changed


def _counts(run: Timed) -> str:
    found = list(run.verdicts.values())
    return ", ".join(f"{found.count(one)} {one}" for one in sorted(set(found))) or "none"


def main() -> int:
    """Warm up, run both, print the figures; 1 where they do not compare the same."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="scenarios; by default those of harness run")
    parser.add_argument("-n", "--clusters", type=int, default=2)
    parser.add_argument("--pool", help="the file of hosts for the second run")
    parser.add_argument("--warm", help="a short scenario that makes image and cluster first")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-fleet-") as root:
        if asked.warm:
            timed(HARNESS, 1, Path(root) / "warm", [asked.warm])
        command = [*HARNESS, *(["--pool", asked.pool] if asked.pool else [])]
        if asked.warm:
            # No more clusters are made than there are scenarios.
            first = list(dict.fromkeys([asked.warm, *asked.names]))[: asked.clusters]
            timed(command, asked.clusters, Path(root) / "warm-many", first)
        one = timed(HARNESS, 1, Path(root) / "one", asked.names)
        many = timed(command, asked.clusters, Path(root) / "many", asked.names)
    lines, alike = told(one, many)
    print(*lines, sep="\n")
    return 0 if alike else 1


if __name__ == "__main__":
    sys.exit(main())
