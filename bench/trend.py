"""How often the trend cries wolf, and how soon it sees a slowdown of 25 %: simulated, fixed seeds.

Stalls are drawn as they were measured: every scenario about a length of its own, with a spread that
was seen of real scenarios run again on an emulated lab (standard deviations of logarithms, from
docs/measurements.md and the runs behind it), a host that is a bit slower in some runs, and now and
then something that stands in the way. Baseline: "longer than the mean of the runs before and
two of their standard deviations", for each scenario by itself.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.report.trend.slower import longer

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

SPREADS = (0.03, 0.06, 0.06, 0.08, 0.08, 0.11, 0.11, 0.14, 0.16, 0.21, 0.29, 0.41)
"""Of twelve scenarios of the acceptance features, three to seven runs each."""
HOST = 0.05
"""Spread of what all scenarios of a run have in common."""
IN_THE_WAY = 0.02
"""Share of results that are longer for a reason of their own, by up to the double."""
SLOWER = 1.25


@dataclass(frozen=True, slots=True)
class Rate:
    """How many of so many trials, with the 95 % interval (Wilson)."""

    hits: int
    trials: int

    def __str__(self) -> str:
        share, n, z = self.hits / self.trials, self.trials, 1.96
        middle = (share + z * z / (2 * n)) / (1 + z * z / n)
        half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return f"{100 * share:.1f} % ({100 * (middle - half):.1f} to {100 * (middle + half):.1f})"


def stalls(rng: np.random.Generator, scenarios: int, runs: int) -> Floats:
    """Longest stalls without any change, seconds, shape (scenarios, runs)."""
    usual = np.exp(rng.uniform(np.log(0.4), np.log(200), scenarios))
    spread = rng.choice(SPREADS, scenarios)
    logs = np.log(usual)[:, None] + spread[:, None] * rng.standard_normal((scenarios, runs))
    logs += HOST * rng.standard_normal(runs)
    hit = rng.random((scenarios, runs)) < IN_THE_WAY
    return np.exp(logs + hit * rng.uniform(0, np.log(2), (scenarios, runs)))


def naive(seconds: Floats) -> bool:
    """Whether the baseline flags anything in the last run."""
    before = seconds[:, :-1]
    return bool((seconds[:, -1] > before.mean(axis=1) + 2 * before.std(axis=1, ddof=1)).any())


def false_alarms(scenarios: int, runs: int, trials: int) -> tuple[Rate, Rate]:
    """How often anything is flagged in unchanged runs: by the test, by the baseline."""
    rng = np.random.default_rng((1, scenarios, runs))
    names = [str(number) for number in range(scenarios)]
    own = base = 0
    for _ in range(trials):
        seconds = stalls(rng, scenarios, runs)
        own += bool(longer(names, seconds))
        base += naive(seconds)
    return Rate(own, trials), Rate(base, trials)


def power(scenarios: int, runs: int, slow: int, spread: float, trials: int) -> Rate:
    """How often a scenario of that spread is named that is 25 % slower in the last runs."""
    rng = np.random.default_rng((2, scenarios, runs, slow, round(1000 * spread)))
    names = [str(number) for number in range(scenarios)]
    hits = 0
    for _ in range(trials):
        seconds = stalls(rng, scenarios, runs)
        common = np.log(seconds / np.median(seconds, axis=1)[:, None])
        night = np.median(common, axis=0)
        seconds[0] = 30 * np.exp(night + spread * rng.standard_normal(runs))
        seconds[0, runs - slow :] *= SLOWER
        hits += any(one.name == "0" for one in longer(names, seconds))
    return Rate(hits, trials)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--trials", type=int, default=1000, help="for false alarms; a fifth of them for power"
    )
    parser.add_argument("--scenarios", type=int, nargs="+", default=[16, 91])
    parser.add_argument("--runs", type=int, nargs="+", default=[10, 20])
    asked = parser.parse_args()
    began = time.process_time()
    print("unchanged runs: nights in which anything is flagged, and the baseline's")
    for scenarios in asked.scenarios:
        for runs in asked.runs:
            own, base = false_alarms(scenarios, runs, asked.trials)
            ratio = base.hits / max(own.hits, 1)
            print(
                f"{scenarios:4} scenarios, {runs:3} runs: {own}; baseline {base}; "
                f"{ratio:.0f} times as many",
                flush=True,
            )
    print("one scenario 25 % slower: how often it is named, by its spread")
    for scenarios in asked.scenarios:
        for runs in asked.runs:
            for slow in (2, 3, 5):
                told = ", ".join(
                    f"spread {spread:.0%}: "
                    f"{power(scenarios, runs, slow, spread, asked.trials // 5)}"
                    for spread in (0.03, 0.06, 0.11)
                )
                print(
                    f"{scenarios:4} scenarios, {runs:3} runs, the last {slow} slower: {told}",
                    flush=True,
                )
    print(f"{time.process_time() - began:.0f} s of computing")


if __name__ == "__main__":
    main()
