"""Damaged and hostile evidence: a page all the same, and nothing in it but text."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from harness.checks.verdict import Verdict
from harness.evidence.timeline import Channel
from harness.report import summary_lines, write_junit
from harness.report.load import load_run
from tests.report import build, scenes
from tests.report.pages import page_of, scene_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("missing", ["scenario.json", "timeline.jsonl", "verdict.json", "fio"])
def test_anything_may_be_missing(run: Path, missing: str) -> None:
    folder = scenes.green(run).path
    if missing == "fio":
        shutil.rmtree(folder / missing)
    else:
        (folder / missing).unlink()
    text, _ = scene_of(run)
    assert "missing" in text or "no verdict.json" in text
    assert summary_lines(run)


DAMAGE: dict[str, Callable[[str], str]] = {
    "cut": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "not JSON": lambda text: "\x00{]" + text,
    "another type": lambda text: "[1, 2]",
    "numbers as text": lambda text: re.sub(r": (\d+)", r': "\1"', text),
    "huge numbers": lambda text: text.replace(str(build.ZERO_NS)[:6], "99999999999999999999"),
    "null": lambda text: re.sub(r": \{", r": null, \"x\": {", text),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    "name",
    ["scenario.json", "timeline.jsonl", "verdict.json", "../../run.json", "fio/raw0_lat.1.log"],
)
def test_anything_may_be_damaged(run: Path, name: str, damage: str) -> None:
    folder = scenes.power_off(run, writes=300)
    folder.save()
    path = folder.path / name
    path.write_text(DAMAGE[damage](path.read_text()))
    page_of(run)
    summary_lines(run)
    write_junit(run)


HOSTILE = (
    "<script>alert(1)</script>",
    "</title></svg></style><img src=x onerror=alert(2)>",
    "\x1b[31mred\x1b]8;;http://evil.example/\x07link\x1b]8;;\x07\x00\x07",
    "&lt;b&gt; \" ' onmouseover=alert(3) \u202egnirts",
    "{{ 7 * 7 }} {% raw %} ]]> --> \ud800",
    "javascript:alert(4)",
    "</script><script>alert(5)</script><!--<script>",
    "line\u2028separator\u2029 \u2066isolated\u2069",
)


def test_hostile_text_stays_text(run: Path) -> None:
    folder = scenes.power_off(run)
    for n, line in enumerate(HOSTILE):
        folder.kernel(1 + n, "alpha", f"drbd r0: error {line}")
        folder.journal(30 + n, "bravo", f"pacemaker-{line}", f"fence {line}", p=2)
        folder.events2(35 + n, "bravo", "change", "resource", name="r0", role=line)
        folder.add(40 + n, "host", Channel.FENCE, "line", text=line)
        folder.add(44 + n, "host", Channel.WORKLOAD, "stuck", jobs=[line], text=line)
        folder.step(50 + n, 1, "And", line, error=line)
        folder.fault(line, line, ("inject", 60 + n), ("bitten", 61 + n), id_=f"h{n}")
        folder.check(
            f"hostile-{n}",
            line,
            Verdict.INVALID,
            expected=line,
            seen=line,
            evidence=(line, f"../../{line}", "timeline.jsonl:60", "/etc/passwd"),
            details={line: line},
        )
    every = " ".join(HOSTILE)
    folder.scenario |= {
        "name": every,
        "feature": every,
        "tags": [every],
        "reproduce": every,
        "gherkin": list(HOSTILE),
        "error": every,
    }
    folder.save()
    (run / "run.json").write_text(
        json.dumps(
            json.loads((run / "run.json").read_text())
            | {"run": every, "command": every, "versions": {every: every}, "timing": {every: every}}
        )
    )
    for text, page in (page_of(run), scene_of(run)):
        assert "<script>alert" not in text
        assert "img" not in page.tags
        assert "{{ 7 * 7 }}" in text
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
        ours = ("../evidence/power-off-active/", "../index.html", "power-off-active.log")
        assert all(
            link.startswith((*ours, "scenarios/power-off-active.html")) for link in page.links
        )
    for line in summary_lines(run):
        assert line.isprintable()
    cases = ET.parse(write_junit(run)).getroot()[0]
    assert cases[0].find("failure") is not None


def test_the_data_of_the_scripts_ends_nothing_and_is_what_was_said(run: Path) -> None:
    folder = scenes.power_off(run, writes=300)
    for n, line in enumerate(HOSTILE):
        folder.fault(line, line, ("inject", 60 + n), ("bitten", 61 + n), id_=f"h{n}")
        folder.add(44 + n, "host", Channel.WORKLOAD, "stuck", jobs=[line], text=line)
    folder.save()
    _, page = scene_of(run)
    block = page.data["data"]
    assert block.isascii()
    assert not set("<>&") & set(block)
    names = " ".join(fault["name"] for fault in page.json["faults"])
    assert "</script><script>alert(5)</script><!--<script>" in names
    assert page.tags.count("script") == 4


def test_a_line_of_megabytes_is_cut_and_said_to_be(run: Path) -> None:
    """Each alone is longer than the page and the log with all of them may be."""
    folder = scenes.power_off(run, writes=300)
    folder.kernel(30, "bravo", "drbd r0: error " + "A" * 3_000_000 + "END")
    folder.journal(31, "bravo", "pacemaker-fenced", "B" * 3_000_000, p=2)
    folder.events2(32, "bravo", "change", "resource", name="r0", role="C" * 3_000_000)
    folder.save()
    text, _ = scene_of(run)
    assert len(text) < 2_000_000
    assert "3 lines shown in part" in text
    whole = (run / "scenarios/power-off-active.log").read_text()
    assert len(whole) < 1_000_000
    assert "characters, whole in timeline.jsonl:" in whole


def test_bytes_that_are_no_text(run: Path) -> None:
    folder = scenes.power_off(run, writes=300)
    folder.kernel(30, "bravo", "drbd r0: error MARK")
    folder.save()
    path = folder.path / "timeline.jsonl"
    path.write_bytes(path.read_bytes().replace(b"MARK", b"M\\udcffK"))
    text, _ = scene_of(run)
    assert "error M\ufffdK" in text
    assert "error M\ufffdK" in (run / "scenarios/power-off-active.log").read_text()
    path.write_bytes(path.read_bytes().replace(b"M\\udcffK", b"M\xff\x00K"))
    assert "1 line of timeline.jsonl could not be read" in scene_of(run)[0]


def test_requests_are_counted_and_the_one_that_is_referred_to_is_read(run: Path) -> None:
    folder = scenes.power_off(run, writes=300)
    folder.check("block-requests", "Requests", evidence=("timeline.jsonl:2",))
    folder.save()
    path = folder.path / "timeline.jsonl"
    request = (
        f'{{"n":2,"t_ns":{build.at(400)},"source":"client","channel":"block","kind":"issue",'
        '"data":{"sector":77}}\n'
    )
    first, *rest = path.read_text().splitlines(keepends=True)
    path.write_text("".join([first, request, *rest]))
    evidence = load_run(run).scenarios[0].evidence
    assert 2 not in evidence.by_line
    assert evidence.end_ns == build.at(400)
    assert "sector=77" in scene_of(run)[0]
