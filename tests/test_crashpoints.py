"""Crash points: the named one kills this process at once, and every name is a place in the code."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from harness.crashpoints import POINTS, die_here_if_asked
from harness.lab.paths import PROJECT


def test_only_the_named_point_kills() -> None:
    script = (
        "from harness.crashpoints import POINTS, die_here_if_asked\n"
        "for point in POINTS:\n"
        "    print(point, flush=True)\n"
        "    die_here_if_asked(point)\n"
    )
    for name in ("fault", POINTS[-1], "", "nonsense"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "FAILOVER_HARNESS_DIE_AT": name},
            capture_output=True,
            text=True,
            check=False,
        )
        reached = done.stdout.split()
        if name in POINTS:
            assert done.returncode == -signal.SIGKILL
            assert reached == list(POINTS[: POINTS.index(name) + 1])
        else:
            assert done.returncode == 0
            assert reached == list(POINTS)


def test_a_misspelt_point_in_the_code_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAILOVER_HARNESS_DIE_AT", raising=False)
    die_here_if_asked("fault")
    with pytest.raises(AssertionError):
        die_here_if_asked("fualt")


def test_every_point_is_a_place_in_the_code() -> None:
    code = "".join(path.read_text() for path in (PROJECT / "harness").rglob("*.py"))
    used = re.findall(r'die_here_if_asked\("(\w+)"\)', code)
    assert set(used) == set(POINTS)
