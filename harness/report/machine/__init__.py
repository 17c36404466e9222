"""A stored run for machines: ``cucumber.json`` and ``run-report.json``, written with its page.

What is printed rather than kept (annotations of a CI's log, the job's summary) is made here too.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.evidence.files import write_whole
from harness.report.load import load_run
from harness.report.machine.cucumber import cucumber
from harness.report.machine.runjson import run_report

if TYPE_CHECKING:
    from pathlib import Path

CUCUMBER = "cucumber.json"
RUN_REPORT = "run-report.json"


def write_machine_files(run_folder: Path) -> tuple[Path, Path]:
    """Write ``cucumber.json`` and ``run-report.json`` of a run folder, each whole or not at all.

    Returns:
        Their paths.

    Raises:
        OSError: one cannot be written.
    """
    run = load_run(run_folder)
    features, report = run_folder / CUCUMBER, run_folder / RUN_REPORT
    write_whole(features, json.dumps(cucumber(run), indent=1) + "\n")
    write_whole(report, json.dumps(run_report(run).model_dump(mode="json"), indent=1) + "\n")
    return features, report
