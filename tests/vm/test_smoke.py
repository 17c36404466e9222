"""The main job on real VMs, short: image, cluster, the most robust scenarios, the report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.vm


def test_power_off_of_the_active_node_is_transparent(
    harness: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """One command gives a report whose verdict rests on writes that span a real failover."""
    folder = tmp_path / "run"
    name = "The active node loses power during writes"
    done = harness("run", "--scenario", name, "--folder", str(folder))
    assert done.returncode == 0, done.stdout[-3000:]
    (evidence,) = (folder / "evidence").iterdir()
    verdict = json.loads((evidence / "verdict.json").read_text())
    assert verdict["verdict"] == "VALID"
    checks = {check["check"]: check for check in verdict["checks"]}
    assert checks["lost-writes"]["operations"] >= 1000
    assert checks["failovers"]["operations"] > 0
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert name in page
    assert done.stdout.rstrip().splitlines()[-1].startswith("Report: ")
