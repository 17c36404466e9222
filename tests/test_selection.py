"""Which scenarios a run takes: all but the nightly ones, unless they are asked for."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ExitCode
from harness.lab.paths import PROJECT, Cache
from harness.running import list_scenarios
from harness.session import RunOptions

NIGHTLY = "The active node is reset during writes"
ALWAYS = "The active node loses power during writes"


@cache
def listed(
    *, everything: bool = False, tags: tuple[str, ...] = (), only: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Names of what is listed, in that order; each choice is collected once."""
    place = Cache(Path("/nonexistent"))
    options = RunOptions(
        cache=place, accelerator="tcg", everything=everything, tags=tags, only=only
    )
    with redirect_stdout(io.StringIO()) as said:
        assert list_scenarios(options, PROJECT / "scenarios") == ExitCode.VALID
    *rows, _sum = said.getvalue().splitlines()
    return tuple(row[23:] for row in rows)


def test_a_run_takes_all_but_the_nightly_ones() -> None:
    names = listed()
    assert ALWAYS in names
    assert NIGHTLY not in names
    assert names[0] == "The cluster is left alone during writes"


@pytest.mark.parametrize(
    ("options", "also"),
    [
        ({"everything": True}, True),
        ({"tags": ("nightly",)}, False),
        ({"only": (NIGHTLY, ALWAYS)}, True),
    ],
)
def test_nightly_ones_are_taken_when_asked_for(options: dict[str, Any], also: bool) -> None:
    names = listed(**options)
    assert NIGHTLY in names
    assert (ALWAYS in names) is also


def test_every_feature_is_bound() -> None:
    """A feature file that nothing binds would never be run, and nobody would notice."""
    names = {name.split(" [")[0] for name in listed(everything=True)}
    written = {
        line.split(":", 1)[1].strip()
        for path in (PROJECT / "features").rglob("*.feature")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip().startswith(("Scenario:", "Scenario Outline:"))
    }
    assert names == written


def test_no_match_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    options = RunOptions(cache=Cache(Path("/nonexistent")), tags=("no-such-tag",))
    assert list_scenarios(options, PROJECT / "scenarios") == ExitCode.MISSING_ENVIRONMENT
    assert "no scenario matches" in capsys.readouterr().out
