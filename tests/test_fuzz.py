"""A few generated inputs for every parser; bench/fuzz_parsers.py has a million for each."""

from __future__ import annotations

import random
import signal
import tempfile
from typing import TYPE_CHECKING

import pytest

from bench.fuzz_parsers import Parser, fuzz, mutate, parsers

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the input that broke a parser is left."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("parser", [pytest.param(one, id=one.name) for one in parsers()])
def test_a_result_or_the_typed_error(parser: Parser) -> None:
    seen = fuzz(parser, 150, seed=7)
    assert seen["parsed"] + seen["refused"] == 150
    # Inputs that are all refused, or none, would say little of a parser that can refuse.
    assert seen["parsed"] > 0
    assert seen["refused"] > 0 or not parser.errors


def test_another_error_is_not_passed_over(left: Path) -> None:
    def broken(raw: bytes) -> object:
        raise ZeroDivisionError(len(raw))

    with pytest.raises(SystemExit, match="ZeroDivisionError"):
        fuzz(Parser("a broken one", broken, (ValueError,), (b"seed",)), 3, seed=1)
    assert [path.name for path in left.iterdir()] == ["fuzz-a-broken-one.input"]
    # Nothing is left that would go off in another test of this process.
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGPROF) is signal.SIG_DFL


@pytest.mark.usefixtures("left")
def test_a_parser_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.fuzz_parsers._EACH_S", 1)

    def endless(raw: bytes) -> object:
        while raw is not None:
            pass
        return raw

    with pytest.raises(SystemExit, match="longer than 1 s"):
        fuzz(Parser("endless", endless, (ValueError,), (b"seed",)), 1, seed=1)


def test_the_same_seed_gives_the_same_inputs() -> None:
    seeds = (b"one 12 two 13", b"{}")
    made = [[mutate(random.Random(3), seeds) for _ in range(20)] for _ in range(2)]
    assert made[0] == made[1]
