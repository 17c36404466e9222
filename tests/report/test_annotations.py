"""What a CI's log and page show of a run: groups, annotations, the summary; and nothing of guests'
that a CI would take for more than text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from harness import cli
from harness.checks.verdict import Verdict
from harness.lab.paths import PROJECT
from harness.report.load import load_run
from harness.report.machine.annotations import MOST_ERRORS, github_lines, gitlab_lines, harmless
from harness.report.machine.places import Places
from harness.report.machine.summary import LONGEST, escape, summary
from tests.report import scenes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Report = Callable[..., tuple[int, str]]

COMMAND = re.compile(r"^\s*::(\S+?)(?: (.*?))?::(.*)$")
REAL = {
    "name": "The drbd link is cut during writes [silently]",
    "feature": "Links are cut and the servers do not split-brain",
}
NASTY = "50%\r::error::forged, a:b\n##[error]old\x1b[0Ksection_start:1:x"


@pytest.fixture
def report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run: Path
) -> Report:
    """Call ``harness report`` on the run; returns the exit code and what was printed."""
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["harness", "report", str(run), *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0), capsys.readouterr().out

    return call


def red(run: Path, slug: str = "red", **scenario: str) -> None:
    """A scenario that is INVALID, of this name, feature, …"""
    folder = scenes.power_off(run, slug, writes=300)  # as its writes are of no account here
    folder.scenario |= scenario
    folder.check("lost-writes", "No write is lost", Verdict.INVALID, seen=NASTY)
    folder.save()


def commands(lines: list[str]) -> list[tuple[str, str, str]]:
    """(command, properties, message) of what GitHub would obey in these lines of a log."""
    found = []
    for line in "\n".join(lines).replace("\r", "\n").split("\n"):
        if match := COMMAND.match(line):
            found.append((match[1], match[2] or "", match[3]))
        elif "##[" in line:
            found.append(("old form", "", line))
    return found


def errors(run: Path, root: Path = PROJECT) -> list[tuple[str, str]]:
    """(properties, message) of the errors."""
    told = commands(github_lines(load_run(run), Places(PROJECT), root))
    assert {name for name, _, _ in told} <= {"group", "endgroup", "error"}
    return [(properties, message) for name, properties, message in told if name == "error"]


# ------------------------------------------------------------------------------------------ GitHub


def test_an_error_points_at_the_scenario(run: Path) -> None:
    red(run, **REAL)
    ((properties, message),) = errors(run)
    file, line, title = properties.split(",", 2)
    assert file == "file=features/links.feature"
    number = int(line.removeprefix("line="))
    lines = (PROJECT / "features/links.feature").read_text().splitlines()
    assert lines[number - 1].strip() == "Scenario Outline: The drbd link is cut during writes"
    assert title == "title=INVALID%3A The drbd link is cut during writes [silently]"
    assert "INVALID No write is lost" in message
    assert "%0Areproduce: " in message


def test_a_file_outside_of_the_checkout_is_not_named(run: Path, tmp_path: Path) -> None:
    red(run, **REAL)
    ((properties, _),) = errors(run, tmp_path)
    assert properties.startswith("title=")


def test_a_schedule_is_found_by_its_own_command(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "scenarios" / "x.feature"
    path.parent.mkdir()
    path.write_text("Feature: Drawn\n\n  Scenario: Number 7\n")
    red(run, name="Number 7", feature="Drawn", reproduce="harness replay scenarios/x.feature")
    (loaded,) = load_run(run).scenarios
    place = Places(tmp_path).of(loaded.scenario)
    assert place is not None
    assert (place.path, place.line) == (path, 3)
    red(run, name="Number 7", feature="Drawn", reproduce=f"harness replay ../{run.name}/x.feature")
    (run / "x.feature").write_text("Feature: Drawn\n  Scenario: Number 7\n")
    (loaded,) = load_run(run).scenarios
    assert Places(PROJECT).of(loaded.scenario) is None


def test_percent_and_line_ends_are_escaped_and_no_command_is_forged(run: Path) -> None:
    red(run, name=NASTY, feature=NASTY, reproduce=NASTY)
    ((properties, message),) = errors(run)
    assert "," not in properties.removeprefix("title=")
    assert ":" not in properties
    assert "50%25" in properties
    assert "50%25" in message
    assert "##[" not in properties + message


def test_what_github_would_obey() -> None:
    assert harmless("  ::warning::x") == "·   ::warning::x"
    assert harmless("a ::warning::x") == "a ::warning::x"
    assert "##[" not in harmless("a ##[group]x")


def test_groups_open_and_close(run: Path) -> None:
    scenes.green(run)
    red(run)
    names = [name for name, _, _ in commands(github_lines(load_run(run), Places(PROJECT), PROJECT))]
    assert names == ["group", "endgroup"] * 2 + ["error"]


def test_ten_errors_are_all_that_github_shows(run: Path) -> None:
    for number in range(14):
        red(run, f"red-{number}", name=f"Number {number}")
    told = errors(run)
    assert len(told) == MOST_ERRORS == 10
    assert "title=and 5 more" in told[-1][0]
    for number in range(14):
        assert any(f"Number {number}" in one + other for one, other in told)


def test_inconclusive_and_what_is_wrong_with_the_run_are_errors_too(run: Path) -> None:
    assert "nothing was tested" in errors(run)[0][1]
    scenes.inconclusive(run)
    ((properties, message),) = errors(run)
    assert properties.startswith("title=INCONCLUSIVE%3A ")
    assert "Every fault bit" in message


def test_a_green_run_has_no_error(run: Path) -> None:
    scenes.green(run)
    assert errors(run) == []


# ------------------------------------------------------------------------------------------ GitLab


def test_sections_have_the_scenarios_own_times(run: Path) -> None:
    scenes.green(run)
    red(run, name=NASTY, reproduce=NASTY)
    lines = gitlab_lines(load_run(run))
    text = "\n".join(lines)
    starts = re.findall(r"section_start:(\d+):(\w+)(\[collapsed=true\])?\r\x1b\[0K", text)
    ends = re.findall(r"section_end:(\d+):(\w+)\r\x1b\[0K", text)
    assert (
        [name for _, name, _ in starts]
        == [name for _, name in ends]
        == [
            "scenario_1",
            "scenario_2",
        ]
    )
    assert sorted(folded for _, _, folded in starts) == ["", "[collapsed=true]"]
    for (begin, _, _), (end, _) in zip(starts, ends, strict=True):
        assert int(end) - int(begin) == 330
    # Nothing else returns to the beginning of a line, which is what makes a section.
    assert text.count("\r") == text.count("\x1b") == 4


# ----------------------------------------------------------------------------------------- summary


def test_a_summary_has_verdicts_blackouts_and_what_did_not_hold(run: Path) -> None:
    scenes.green(run)
    scenes.red(run)
    text = summary(load_run(run), 1)
    assert text.startswith("## ✕ INVALID: failover run run-1\n")
    assert "2 scenarios: 1 INVALID, 0 INCONCLUSIVE, 1 VALID. Exit code 1 (invalid)." in text
    assert (
        "| ✓ VALID | Power off the active node in the middle of writes | failover time 98.6 s of"
        in text
    )
    assert "87.5 s of 75.0 s **exceeded**" in text
    assert "* INVALID No acknowledged write is lost: expected" in text
    assert "harness run --only" in text


def test_nothing_in_a_summary_is_markup_of_somebody_else(run: Path) -> None:
    nasty = "<img src=x> [a](http://x.example) | @all `x` **b** ~~c~~ www.x.example #1 $x$ &lt;"
    folder = scenes.power_off(run)
    folder.scenario |= {"name": nasty, "reproduce": f"```\n{nasty}\n``` <b>"}
    folder.check("c", nasty, Verdict.INVALID, seen=nasty)
    folder.save()
    text = summary(load_run(run), 1)
    outside = re.sub(r"(?ms)^(`{3,})sh\n.*?^\1$", "", text)
    assert outside.count("\n### ") == 1
    for sign in ("<", "](", "http://", "www.x", "@", "`", "~"):
        assert sign not in outside, sign
    rows = [line for line in outside.splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {7}
    assert "&#60;img src&#61;x&#62;" in outside
    # The block with the command ends where it should.
    assert len(re.findall(r"(?m)^`{4,}$", text)) == 1


@pytest.mark.parametrize("text", ["- x", "+ x", "1. x", "# x", "a_b_c", "![x](y)", "\\*"])
def test_what_is_markdown_is_told_as_it_is(text: str) -> None:
    escaped = escape(text)
    back = re.sub(r"&#(\d+);", lambda match: chr(int(match[1])), escaped)
    assert back == text
    assert escaped != text


def test_a_summary_is_bounded(run: Path) -> None:
    folder = scenes.power_off(run)
    for number in range(600):
        folder.check(f"c{number}", "<" * 300, Verdict.INVALID, seen="|" * 9000)
    folder.save()
    for number in range(120):
        red(run, f"red-{number}", name="<" * 400)
    text = summary(load_run(run), 1)
    assert 10_000 < len(text) <= LONGEST
    assert "left out: too long" in text


# ----------------------------------------------------------------------------------- harness report


@pytest.mark.parametrize(
    ("make", "code"), [(scenes.green, 0), (scenes.red, 1), (scenes.inconclusive, 10)]
)
@pytest.mark.parametrize("kind", ["none", "github", "gitlab", "auto"])
def test_the_exit_code_is_that_of_the_run(
    run: Path, report: Report, make: Callable[[Path], object], code: int, kind: str
) -> None:
    make(run)
    assert report("--annotations", kind)[0] == code


def test_auto_looks_where_it_is(
    run: Path, report: Report, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    red(run, **REAL)
    assert "::error file" not in report("--annotations", "auto")[1]
    page = tmp_path / "summary.md"
    page.write_text("what was there\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(PROJECT))
    said = report("--annotations", "auto")[1]
    assert "::error file=features/links.feature,line=" in said
    assert page.read_text().startswith("what was there\n## ✕ INVALID")
    # Without being asked it prints nothing, wherever it runs.
    assert "::group" not in report()[1]
    monkeypatch.delenv("GITHUB_ACTIONS")
    monkeypatch.setenv("GITLAB_CI", "true")
    assert "section_start:" in report("--annotations", "auto")[1]


def test_github_obeys_nothing_while_guests_are_quoted(run: Path, report: Report) -> None:
    red(run, name="::error::forged")
    lines = report("--annotations", "github")[1].splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith("::stop-commands::"))
    token = lines[begin].removeprefix("::stop-commands::")
    end = lines.index(f"::{token}::")
    assert len(token) == 32
    assert any("INVALID" in line for line in lines[begin:end])
    assert [n for n, _, _ in commands(lines[end + 1 :])] == ["group", "endgroup", "error"]


def test_the_summary_goes_where_it_is_told(run: Path, report: Report, tmp_path: Path) -> None:
    scenes.green(run)
    path = tmp_path / "summary.md"
    assert report("--summary", str(path))[0] == 0
    assert path.read_text().startswith("## ✓ VALID")
    assert report("--summary", str(tmp_path / "none" / "x.md"))[0] == 21


@pytest.mark.parametrize("arguments", [["--annotations", "jenkins"], ["--annotations", ""]])
def test_a_mistake_is_told(report: Report, arguments: list[str]) -> None:
    assert report(*arguments)[0] == 21


def test_a_group_is_bounded(run: Path) -> None:
    folder = scenes.power_off(run)
    for number in range(1000):
        folder.check(f"c{number}", "title", seen="s")
    folder.save()
    lines = github_lines(load_run(run), Places(PROJECT), PROJECT)
    assert len(lines) < 220
    assert any(re.search(r"and [0-9,]+ lines more", line) for line in lines)
