"""The run as JUnit XML: INVALID is a failure, INCONCLUSIVE an error, VALID a pass.

Format: what Jenkins, GitLab and pytest agree on (testsuites, testsuite, testcase with failure or
error). INCONCLUSIVE is never a skip: a test that could not be judged must not look green. Nor may
a run whose exit code is not 0, so what else is wrong with it is a case too.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from harness.checks.verdict import Verdict
from harness.report.facts import facts
from harness.report.load import load_run
from harness.report.machine.troubles import reasons, run_troubles
from harness.report.text import clean, one_line
from harness.report.view import stall_text

if TYPE_CHECKING:
    from pathlib import Path

    from harness.report.load import LoadedScenario

_TAGS = {Verdict.INVALID: "failure", Verdict.INCONCLUSIVE: "error"}


def write_junit(run_folder: Path) -> Path:
    """Write ``junit.xml`` of a run folder, whole or not at all; returns its path.

    Raises:
        OSError: the file cannot be written.
    """
    run = load_run(run_folder)
    troubles = run_troubles(run)
    verdicts = [*(loaded.overall for loaded in run.scenarios), *(one.verdict for one in troubles)]
    suites = ET.Element("testsuites")
    suite = ET.SubElement(
        suites,
        "testsuite",
        name=clean(run.name),
        tests=str(len(verdicts)),
        failures=str(verdicts.count(Verdict.INVALID)),
        errors=str(verdicts.count(Verdict.INCONCLUSIVE)),
        skipped="0",
        time=f"{run.seconds or 0:.3f}",
    )
    for loaded in run.scenarios:
        _case(suite, loaded)
    for trouble in troubles:
        name = one_line(trouble.name)
        case = ET.SubElement(suite, "testcase", classname=clean(run.name), name=name, time="0")
        ET.SubElement(case, _TAGS[trouble.verdict], message=trouble.text)
    ET.indent(suites)
    path = run_folder / "junit.xml"
    temporary = path.with_name("junit.xml.tmp")
    ET.ElementTree(suites).write(temporary, encoding="utf-8", xml_declaration=True)
    os.replace(temporary, path)
    return path


def _case(suite: ET.Element, loaded: LoadedScenario) -> None:
    scenario, verdict = loaded.scenario, loaded.overall
    took_s = max(loaded.evidence.end_ns - scenario.started_ns, 0) / 1e9
    case = ET.SubElement(
        suite,
        "testcase",
        classname=clean(scenario.feature),
        name=clean(scenario.name),
        time=f"{took_s:.3f}",
    )
    if verdict in _TAGS:
        lines = reasons(loaded)
        tag = ET.SubElement(case, _TAGS[verdict], message=lines[0], type=str(verdict))
        tag.text = "\n".join([*lines, f"reproduce: {clean(scenario.reproduce)}"])
    known = facts(loaded)
    ET.SubElement(case, "system-out").text = (
        f"{len(loaded.verdict.checks)} checks; {known.stall_name} {stall_text(known)}; "
        f"evidence/{clean(loaded.evidence.folder.name)}"
    )
