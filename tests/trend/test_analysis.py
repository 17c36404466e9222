"""Runs side by side: new failures, what is flaky and what is not, and what is never compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import ExitCode
from harness.report.trend.analysis import Analysis, News, analyse, by_series
from harness.report.trend.gate import decide
from tests.trend.build import INCONCLUSIVE, INVALID, VALID, VERSIONS, line, noisy_stalls, run_line

if TYPE_CHECKING:
    from harness.checks.verdict import Verdict

LETTERS = {"V": VALID, "F": INVALID, "I": INCONCLUSIVE}


def history(told: str, codes: str = "", **more: object) -> Analysis:
    """One scenario, a letter for each run; ``codes``: a letter for each run's code."""
    codes = codes or "a" * len(told)
    runs = tuple(
        run_line(night, line("power off", LETTERS[letter]), code=codes[night], **more)
        for night, letter in enumerate(told)
        if letter != "-"
    )
    return analyse(runs)


@pytest.mark.parametrize(
    ("told", "news", "code"),
    [
        ("V", News.SAME, ExitCode.VALID),
        ("F", News.NEW_FAILURE, ExitCode.INVALID),
        ("I", News.NEWLY_UNCLEAR, ExitCode.INCONCLUSIVE),
        ("VV", News.SAME, ExitCode.VALID),
        ("VF", News.NEW_FAILURE, ExitCode.INVALID),
        ("FF", News.STILL_FAILING, ExitCode.VALID),
        ("FV", News.MENDED, ExitCode.VALID),
        ("IV", News.MENDED, ExitCode.VALID),
        ("VI", News.NEWLY_UNCLEAR, ExitCode.INCONCLUSIVE),
        ("FI", News.NEWLY_UNCLEAR, ExitCode.INCONCLUSIVE),
        ("II", News.STILL_UNCLEAR, ExitCode.VALID),
        ("FIF", News.STILL_FAILING, ExitCode.VALID),
        ("VIF", News.NEW_FAILURE, ExitCode.INVALID),
        ("IF", News.NEW_FAILURE, ExitCode.INVALID),
    ],
)
def test_the_last_run_beside_those_before(told: str, news: News, code: ExitCode) -> None:
    own = history(told)
    assert [one.news for one in own.standings] == [news]
    assert decide(own).code is code


def test_since_when_it_fails() -> None:
    (standing,) = history("VVFIF").standings
    assert standing.news is News.NEW_FAILURE or standing.since == 2
    (still,) = history("VVFFF").standings
    assert (still.news, still.since, still.before) == (News.STILL_FAILING, 2, 3)


@pytest.mark.parametrize(
    ("told", "codes", "flaky"),
    [
        ("VVVVVVVV", "", False),
        ("VVVVFFFF", "", False),  # began to fail
        ("VVVVVVVF", "", False),
        ("FFFF", "", False),
        ("VVFVVVVV", "", True),
        ("VFVF", "", True),
        ("VVIVV", "", True),
        ("FFVV", "", True),  # mended by nothing
        ("VVFFVV", "aabbcc", False),  # broken by b, mended by c
        ("FFVVVV", "aabbbb", False),
        ("VFVFV", "abcde", True),  # too often for mending
        ("VFVV", "abcd", False),
        ("VVFVFFFF", "aaaabbbb", True),
    ],
)
def test_flaky(told: str, codes: str, flaky: bool) -> None:
    assert bool(history(told, codes).flaky) is flaky


def test_the_evidence_of_what_is_flaky() -> None:
    own = history("VFVVI", "aabbb")
    (found,) = own.flaky
    assert found.code == "b"  # the newest one at which both were seen
    seen = [(one.run, one.verdict) for one in found.outcomes]
    assert seen == [(2, VALID), (3, VALID), (4, INCONCLUSIVE)]
    told = "\n".join(decide(own).lines)
    assert (
        "flaky: power off: 2 of 3 attempts were VALID at code b; INCONCLUSIVE in night-04" in told
    )


def test_other_versions_are_not_the_same_thing() -> None:
    runs = [
        run_line(night, line("power off", LETTERS[letter]), versions=VERSIONS | {"kernel": kernel})
        for night, (letter, kernel) in enumerate([("V", "1"), ("F", "2"), ("V", "3")])
    ]
    assert not analyse(tuple(runs)).flaky


def test_attempts_within_one_run_count() -> None:
    """It was INVALID, was run again, and was VALID: the run is INVALID, and it is flaky."""
    tried = line("power off", INVALID, attempts=(INVALID, VALID))
    (found,) = analyse((run_line(0, tried),)).flaky
    assert (found.valid, len(found.outcomes)) == (1, 2)


def test_only_the_window_counts() -> None:
    assert history("F" + "V" * 19).flaky
    assert not history("F" + "V" * 20).flaky


def test_series_are_never_mixed() -> None:
    slow = [run_line(n, line("power off", stall_s=90.0), series="tcg") for n in range(0, 8, 2)]
    quick = [run_line(n, line("power off", stall_s=9.0), series="kvm") for n in range(1, 9, 2)]
    found = by_series([*slow, *quick])
    assert [[run.series for run in own] for own in found] == [["kvm"] * 4, ["tcg"] * 4]
    assert [run.started_ns for run in found[0]] == sorted(run.started_ns for run in quick)


def test_runs_without_injecting_or_history_are_no_nights() -> None:
    idle = run_line(1, line("power off", INVALID), injecting=False)
    assert by_series([run_line(0), idle]) == []


def fleet(slow_from: int | None, verdicts: dict[int, Verdict] | None = None) -> Analysis:
    """Ten runs of twelve scenarios; ``power 3`` is a quarter slower from a run on."""
    stalls = noisy_stalls(12, 10, seed=3, spread=0.05)
    if slow_from is not None:
        stalls[3, slow_from:] *= 1.25
    runs = []
    for night in range(10):
        verdict = (verdicts or {}).get(night, VALID)
        lines = [
            line(
                f"power {n}",
                verdict if n == 5 else VALID,
                float(stalls[n, night]),
                phases={"detected": 4.0, "promoted": float(stalls[n, night]) - 4.0},
            )
            for n in range(12)
        ]
        code = "new" if slow_from is not None and night >= slow_from else "old"
        runs.append(run_line(night, *lines, code=code))
    return analyse(tuple(runs))


def test_ten_unchanged_runs_pass() -> None:
    own = fleet(None)
    assert (own.longer, own.flaky) == ((), ())
    decision = decide(own)
    assert decision.code is ExitCode.VALID
    assert decision.lines[-2:] == (
        "blackouts of 12 scenarios were compared over 10 runs",
        "the gate is open",
    )


def test_the_slow_one_and_the_flaky_one_are_named() -> None:
    own = fleet(6, {2: INVALID, 4: INCONCLUSIVE})
    assert [one.name for one in own.longer] == ["power 3"]
    assert [one.name for one in own.flaky] == ["power 5"]
    decision = decide(own)
    assert decision.code is ExitCode.INVALID
    (told,) = [said for said in decision.lines if said.startswith("longer blackout")]
    for words in (
        "power 3: ",
        "since night-06",
        "code new",
        "the run before, night-05, is of code old",
        "most of it until 'promoted' (+",
        "permutation test",
        "the last 4 runs and the 6 before",
        "p = 0.0",
    ):
        assert words in told


def test_what_the_last_run_does_not_have_is_not_held_against_it() -> None:
    slow = fleet(6)
    last = run_line(10, line("power 0", stall_s=float(slow.stalls_s[0, 0])))
    own = analyse((*slow.runs, last))
    assert [one.name for one in own.longer] == ["power 3"]
    assert own.longer_now == []
    assert decide(own).code is ExitCode.VALID


def test_an_inconclusive_stall_is_no_measurement() -> None:
    runs = [run_line(n, line("power off", INCONCLUSIVE, 0.4)) for n in range(3)]
    assert analyse(tuple(runs)).comparable == 0
    assert not (analyse(tuple(runs)).stalls_s == 0.4).any()


def test_the_first_run_says_so() -> None:
    told = "\n".join(decide(history("V")).lines)
    assert "the first run of its conditions" in told
    few = "\n".join(decide(history("VVV")).lines)
    assert "nothing is said of how long blackouts were: no scenario has 7 results" in few
