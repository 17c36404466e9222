"""The history checkers on 10^4 to 10^7 operations over 64 Ki blocks.

Baseline: the sweep's rule in plain Python, one operation at a time, on 10^6 operations of the same
run. Each size and shape runs in a process of its own, on one CPU, so that its peak memory is
its own. Shapes:

* clean: writes of a block follow one another, as fio's serialize_overlap gives them.
* crowded: writes overlap, and 1 % of them were never answered.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.history.fidelity import fidelity
from harness.history.floor import flush_floor
from harness.history.model import INITIAL, NEVER, Flushes, History, Kind, Outcome
from harness.history.store import load, save
from harness.history.sweep import sweep
from harness.history.zones import zombies, zones

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCKS = 1 << 16
STEP_NS = 1_000_000


def make(count: int, *, crowded: bool, seed: int = 1) -> History:
    """A linearizable history: half writes, half reads, each taking effect at its own instant."""
    rng = np.random.default_rng(seed)
    block = np.sort(rng.integers(0, BLOCKS, count, dtype=np.uint32))
    order = np.arange(count)
    first = np.searchsorted(block, block)
    instant = (order - first + 2) * STEP_NS * (1 + BLOCKS * 4 // count)
    write = rng.random(count) < 0.5
    unknown = write & crowded & (rng.random(count) < 0.01)
    landed = write & (~unknown | (rng.random(count) < 0.5))
    newest = np.maximum.accumulate(np.where(landed, order, -1))
    found = np.where(newest >= first, newest, INITIAL)
    reach = STEP_NS * 3 // 2 if crowded else STEP_NS // 3
    issue = instant - rng.integers(0, reach, count)
    done = instant + rng.integers(0, reach, count)
    flush = np.arange(STEP_NS, int(instant.max()), 50 * STEP_NS)
    return History.build(
        block=block,
        kind=np.where(write, Kind.WRITE, Kind.READ),
        outcome=np.where(unknown, Outcome.UNKNOWN, Outcome.ACKNOWLEDGED),
        wrote=found,
        issue_ns=issue,
        done_ns=np.where(unknown, NEVER, done),
        flushes=Flushes(flush, flush + STEP_NS, np.zeros(len(flush), np.uint8)),
    )


def in_plain_python(history: History) -> int:
    """The sweep's rule, one operation at a time: the baseline."""
    bad = 0
    newest: dict[int, list[tuple[int, int]]] = {}
    rows = zip(
        history.block.tolist(),
        history.kind.tolist(),
        history.wrote.tolist(),
        history.issue_ns.tolist(),
        history.done_ns.tolist(),
        strict=True,
    )
    for block, kind, wrote, issue, done in rows:
        known = newest.setdefault(block, [])
        if kind == Kind.READ:
            bad += any(at > wrote and end < issue for end, at in known)
        known.append((done, wrote))
    return bad


def one(count: int, shape: str) -> dict[str, Any]:
    """Figures of one size; runs alone in its process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "h.npz"
        subprocess.run(
            [sys.executable, __file__, "--write", str(path), str(count), shape], check=True
        )
        idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        seconds: dict[str, float] = {}

        def timed(name: str, action: Callable[[], Any]) -> Any:
            began = time.perf_counter()
            result = action()
            seconds[name] = time.perf_counter() - began
            return result

        history = timed("load", lambda: load(path))
        cut = history.span[1] // 2
        swept = timed("sweep", lambda: sweep(history))
        zoned = timed("zones", lambda: zones(history))
        assert swept.total == zoned.total == 0, "the history is right, and was called wrong"
        timed("zombies", lambda: zombies(history, cut))
        timed("floor", lambda: flush_floor(history, cut))
        timed("fidelity", lambda: fidelity(history, cut))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        figures = {
            "seconds": seconds,
            "peak_mib": peak / 1024,
            "bytes_per_operation": (peak - idle) * 1024 / count,
            "swept": swept.operations,
        }
        if count == 1_000_000:
            began = time.perf_counter()
            assert in_plain_python(history) == 0 or shape == "crowded"
            figures["baseline_s"] = time.perf_counter() - began
        return figures


def main() -> None:
    """Run all sizes and shapes, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="10000,100000,1000000,10000000")
    parser.add_argument("--one", nargs=2, metavar=("COUNT", "SHAPE"), help=argparse.SUPPRESS)
    parser.add_argument("--write", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        path, count, shape = arguments.write
        save(make(int(count), crowded=shape == "crowded"), Path(path))
        return
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if arguments.one:
        print(json.dumps(one(int(arguments.one[0]), arguments.one[1])))
        return
    for shape in ("clean", "crowded"):
        before: dict[str, float] = {}
        print(f"{shape}: seconds; growth to the row above in brackets")
        for size in (int(size) for size in arguments.sizes.split(",")):
            said = subprocess.run(
                [sys.executable, __file__, "--one", str(size), shape],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            figures = json.loads(said)
            seconds = figures["seconds"]
            seconds["all"] = sum(seconds.values())
            told = "  ".join(
                f"{name} {value:.3f}" + (f" ({value / before[name]:.1f} ×)" if before else "")
                for name, value in seconds.items()
            )
            print(
                f"{size:>9,} operations: {told}; {size / seconds['sweep']:,.0f} operations/s swept,"
                f" {size / seconds['all']:,.0f} in all; peak {figures['peak_mib']:.0f} MiB,"
                f" {figures['bytes_per_operation']:.0f} B per operation;"
                f" {figures['swept'] / size:.0%} taken by the sweep",
                flush=True,
            )
            if "baseline_s" in figures:
                print(
                    f"{'':>9} plain Python (baseline): {figures['baseline_s']:.3f} s, "
                    f"{figures['baseline_s'] / seconds['sweep']:.1f} × the sweep's"
                )
            before = seconds


if __name__ == "__main__":
    main()
