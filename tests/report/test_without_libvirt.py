"""Where there is neither libvirt nor paramiko: stored evidence is judged, and files are looked at.

In a process of its own whose imports of either fail, as where they are not installed. That a module
only works as long as nobody has removed the package is not seen otherwise: a test's own process
has both.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from harness.lab.paths import PROJECT
from harness.reporting import judge_again
from tests.checks.build import healthy

if TYPE_CHECKING:
    from pathlib import Path

WITHOUT = """\
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"libvirt", "libvirtmod", "libvirt_qemu", "paramiko"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Without())
sys.argv[0] = "harness"
from harness.cli import main
main()
"""


def harness(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command line, elsewhere."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments], capture_output=True, text=True, check=False,
        cwd=folder, env=os.environ | {"PYTHONPATH": str(PROJECT), "COLUMNS": "200"},
    )  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with one scenario, as it was when it had been judged."""
    folder = tmp_path / "reports" / "run"
    healthy().save(folder / "evidence" / "one")
    return folder


def test_a_stored_run_is_judged_again(run: Path, tmp_path: Path) -> None:
    done = harness("recheck", str(run), folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "VALID: 1 scenario" in done.stdout
    told = json.loads((run / "verdicts.json").read_text())
    assert [one["verdict"] for one in told["scenarios"]] == ["VALID"]
    assert (run / "index.html").exists()
    assert (run / "scenarios" / "one.html").exists()


def test_what_is_wrong_is_found_there_too(run: Path, tmp_path: Path) -> None:
    folder = healthy()
    folder.value("failed_actions", "after").append("vip_monitor_20000 on alpha: not running")
    folder.save(run / "evidence" / "two")
    done = harness("recheck", str(run), folder=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "vip_monitor_20000" in done.stdout + (run / "verdicts.json").read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "RUN"],
        ["report", "--schema"],
        ["bundle", "RUN", "--output", "run.tar.gz"],
        ["tally", "RUN"],
        ["trend", "reports"],
        ["prune", "--keep", "5"],
        ["lint", "--rules"],
        ["lint"],
        ["lint", "--from", str(PROJECT / "docs" / "examples" / "the-post")],
        ["configure", "--from", str(PROJECT / "docs" / "examples" / "the-post")],
    ],
    ids=" ".join,
)
def test_commands_that_touch_no_lab_need_no_libvirt(
    run: Path, tmp_path: Path, arguments: list[str]
) -> None:
    judge_again(run)
    done = harness(*(str(run) if one == "RUN" else one for one in arguments), folder=tmp_path)
    assert "Traceback" not in done.stderr
    assert "No module named" not in done.stderr
    assert done.returncode in (0, 1, 10)


def test_without_them_nothing_else_pretends_to_work(tmp_path: Path) -> None:
    """The import really fails there."""
    done = harness("steps", folder=tmp_path)
    assert "No module named" in done.stderr
