"""How long a report with many writes takes to make, how large its page is, and how it feels.

A synthetic scenario of N writes (10^6 unless told otherwise): fio's latency logs of three jobs, and
a timeline with both block requests of each write and as much of journals as a failover has. The
baseline of the same run is the same scenario with 2,000 writes, which is what emulated guests do.

With a Chromium on this machine the page is opened from disk, and drawn at several zooms, once as it
is and once with 200,000 writes; --no-browser leaves that out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.report import write_report
from tests.browser.chrome import Chrome, browser
from tests.report import build, scenes

if TYPE_CHECKING:
    from collections.abc import Iterator

_BASELINE = 2_000
_FLUID = 200_000
_REDRAWS = 15
_OPENED = 3
# Draws, and waits until the pixels are there: reading one back makes the canvas finish.
_DRAW = """
(async () => {{
  const canvases = [...document.querySelectorAll("#plots canvas")];
  const begun = performance.now();
  failoverReport.show({start}, {end});
  await Promise.resolve().then(() => Promise.resolve());
  for (const canvas of canvases) canvas.getContext("2d").getImageData(0, 0, 1, 1);
  return performance.now() - begun;
}})()
"""


def make(folder: Path, writes: int) -> Path:
    """A run with one scenario of about ``writes`` writes; returns its folder."""
    run = folder / f"run-{writes}"
    build.run_json(run)
    scene = scenes.power_off(run, writes=300)
    for number, job in enumerate(scene.scenario["jobs"]):
        _log(scene.path / job["lat_log"], writes // 3, seed=number)
    for n in range(4000):
        scene.journal(-30 + n / 20, "bravo", "systemd", f"Started something of no account {n}.")
    scene.save()
    timeline = scene.path / "timeline.jsonl"
    lines = timeline.read_text(encoding="utf-8").splitlines(keepends=True)
    middle = len(lines) // 2
    with timeline.open("w", encoding="utf-8") as file:
        file.writelines(lines[:middle])
        file.writelines(_requests(writes))
        file.writelines(lines[middle:])
    return run


def _log(path: Path, writes: int, seed: int) -> None:
    """A latency log of exactly so many writes, none of them in the blackout from 0 to 98 s."""
    rng = np.random.default_rng(seed)
    done = np.sort(np.append(rng.uniform(-30, 0, writes // 6), rng.uniform(98, 240, writes)))
    done = np.sort(rng.choice(done, writes, replace=False))
    latency = rng.lognormal(np.log(9e6), 0.55, writes)
    held = np.flatnonzero(done > 98)[:8]
    latency[held] = done[held] * 1e9
    ms = ((build.ZERO_NS + build.OFFSET_NS) / 1e6 + done * 1e3).astype(np.int64)
    with path.open("w", encoding="ascii") as file:
        file.writelines(
            f"{t}, {int(ns)}, 1, 4096, {4096 * (n % 1024)}, 0\n"
            for n, (t, ns) in enumerate(zip(ms.tolist(), latency.tolist(), strict=True))
        )


def _requests(writes: int) -> Iterator[str]:
    """Both lines of each write, as harness.evidence.timeline writes them."""
    zero = build.ZERO_NS
    for n in range(writes):
        for kind in ("issue", "complete"):
            yield (
                f'{{"n":{n},"t_ns":{zero + n},"source":"client","channel":"block",'
                f'"kind":"{kind}","data":{{"disk":"8:16","op":"write","fua":false,"sector":{8 * n},'
                f'"sectors":8,"guest_ns":{zero + n}}}}}\n'
            )


def timed(run: Path) -> tuple[float, float]:
    """(seconds it takes to write the report, seconds of a CPU): others may be busy here."""
    begun, cpu = time.perf_counter(), time.process_time()
    write_report(run)
    return round(time.perf_counter() - begun, 2), round(time.process_time() - cpu, 2)


def looked_at(page: Path, profile: Path, program: str) -> dict[str, Any]:
    """What a browser measures of a page: seconds until it can be used, ms to draw at zooms."""
    with Chrome(program, profile) as chrome:
        chrome.window(1400, 1000)
        opened = []
        for _ in range(_OPENED):
            chrome.open(page)
            opened.append(chrome.run("performance.now()") / 1e3)
        told: dict[str, Any] = {
            "usable_s": round(statistics.median(opened), 2),
            "usable_best_s": round(min(opened), 2),
        }
        full = chrome.run("[Number(plots.dataset.from), Number(plots.dataset.to)]")
        span = full[1] - full[0]
        for name, share in (("all", 1.0), ("half", 0.5), ("a tenth", 0.1), ("a thousandth", 0.001)):
            times = []
            for n in range(_REDRAWS):
                start = full[0] + 0.15 * span + n * span / 2000
                end = min(start + share * span, full[1] - (_REDRAWS - n) * span / 2000)
                times.append(chrome.run(_DRAW.format(start=start, end=end)))
            told[f"{name}_ms"] = round(statistics.median(times), 1)
            told[f"{name}_best_ms"] = round(min(times), 1)
        # What the browser thinks of reading pixels back is about this benchmark.
        complaints = [line for line in chrome.console if "willReadFrequently" not in line]
        if complaints:
            raise SystemExit(f"the page complained: {complaints[0]}")
    return told


def main() -> None:
    """Print the figures as a table, and as JSON in the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--writes", type=int, default=1_000_000)
    parser.add_argument("--no-browser", action="store_true")
    arguments = parser.parse_args()
    program = None if arguments.no_browser else browser()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for writes in sorted({_BASELINE, _FLUID, arguments.writes}):
            run = make(Path(folder), writes)
            took, cpu = timed(run)
            (page,) = run.glob("scenarios/*.html")
            size = page.stat().st_size / 1e6
            row: dict[str, Any] = {"writes": writes, "report_s": took, "report_cpu_s": cpu}
            row |= {"page_MB": round(size, 2), "again_s": timed(run)[0]}
            if program is not None:
                row |= looked_at(page, Path(folder) / f"profile-{writes}", program)
            rows.append(row)
            print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    if program is None:
        print("not drawn: no Chromium was asked for, or there is none here")
    ratio = rows[-1]["report_cpu_s"] / max(rows[0]["report_cpu_s"], 1e-9)
    more = rows[-1]["writes"] / rows[0]["writes"]
    print(f"{more:g} times the writes take {ratio:.1f} times as long as the baseline")
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
