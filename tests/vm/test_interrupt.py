"""Ctrl-C or SIGTERM in the middle of a fault: the run ends at once and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from harness.lab.paths import PROJECT
from harness.waiting import wait_until
from tests.vm.conftest import HostState

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.vm

# Commands in guests that are gone are not waited for: they had two minutes.
_AT_ONCE_S = 60.0


@pytest.mark.parametrize(
    "told", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.nightly)]
)
def test_ctrl_c_during_a_cut_leaves_nothing(told: signal.Signals, tmp_path: Path) -> None:
    """No gc is needed, the report of what there is was written, and the exit code is not 0."""
    before = HostState.now()
    folder = tmp_path / "run"
    scenario = "The mgmt link is cut during writes [silently]"
    command = [sys.executable, "-m", "harness", "run", "--scenario", scenario]
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, "--folder", str(folder)],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            # A shell's background job ignores SIGINT, and so would its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    try:
        wait_until(
            "the cut",
            lambda: "" if '"kind":"bitten"' in _timeline(folder) else _ended(process, log),
            deadline_s=900,
        )
        process.send_signal(told)
        asked = time.monotonic()
        code = process.wait(timeout=300)
    finally:
        process.kill()
        process.wait()
    seconds = time.monotonic() - asked
    print(f"ended {seconds:.0f} s after it was asked to")
    assert seconds < _AT_ONCE_S
    assert code != 0
    assert HostState.now() == before
    assert "interrupted" in (folder / "index.html").read_text(encoding="utf-8")


def _ended(process: subprocess.Popen[bytes], log: Path) -> str:
    assert process.poll() is None, log.read_text()[-2000:]
    return "a fault that bit"


def _timeline(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.glob("evidence/*/timeline.jsonl"))
