"""docs/ci: files to copy, which nobody tries before they are needed; so all of them is checked.

Their shape by the published schemas of GitHub's and GitLab's files (check-jsonschema ships both),
their shell by bash, and every command of ours in them by our own command line.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import check_jsonschema
import pytest
import typer
from click.testing import CliRunner
from ruamel.yaml import YAML

from harness import cli
from harness.lab.paths import PROJECT
from harness.nightly.budget import parse_budget
from harness.report.machine import CUCUMBER, RUN_REPORT
from tests.trend.build import Came, stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER = PROJECT / "docs" / "ci"
GITHUB = ("github-kvm.yml", "github-hosted.yml")
GITLAB = "gitlab-ci.yml"
ALL = (*GITHUB, GITLAB)
NIGHTLY = PROJECT / "docs" / "nightly.md"
FILES = pytest.mark.parametrize("name", ALL)
# Where hashFiles() and the like may stand: within steps only, says GitHub's table of contexts.
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}")


@cache
def read(name: str) -> dict[str, Any]:
    value = YAML(typ="safe").load(FOLDER / name)
    assert isinstance(value, dict)
    return value


def steps(name: str) -> list[dict[str, Any]]:
    (job,) = read(name)["jobs"].values()
    return list(job["steps"])


def scripts(name: str) -> list[str]:
    """Every piece of shell in a file, as it is run."""
    if name in GITHUB:
        return [_EXPRESSION.sub("x", step["run"]) for step in steps(name) if "run" in step]
    job = read(name)["failover-nightly"]
    return [*job["before_script"], "\n".join(job["script"]), *job["after_script"]]


def commands(name: str) -> Iterator[list[str]]:
    """The words behind ``harness`` of every call of it."""
    for script in scripts(name):
        for line in script.replace("\\\n", " ").splitlines():
            if match := re.search(r"\.venv/bin/harness (.*)", line):
                words = shlex.shlex(match[1], posix=True, punctuation_chars=True)
                words.whitespace_split = True
                told = []
                for word in words:
                    if word[0] in "|&;<>()":
                        break
                    told.append(word)
                yield told


def parse(words: list[str]) -> None:
    """Parse a command as the command line would; nothing is run."""
    # typer brings a click of its own: its classes are not those of the package of that name.
    group: Any = typer.main.get_command(cli.app)
    context = group.make_context("harness", list(words))
    command = group.get_command(context, words[0])
    assert command is not None, words
    with command.make_context(words[0], list(words[1:]), parent=context):
        pass


def schema_says(path: Path, kind: str, *more: str) -> str:
    """What the linter finds; empty where nothing."""
    done = CliRunner().invoke(check_jsonschema.main, ["--builtin-schema", kind, *more, str(path)])
    assert (done.exit_code == 0) == ("ok --" in done.output), done.output
    return "" if done.exit_code == 0 else done.output


# ------------------------------------------------------------------------------------------ linter


def test_all_files_are_known() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(ALL)


@pytest.mark.parametrize("name", GITHUB)
def test_github_files_keep_their_schema(name: str) -> None:
    assert schema_says(FOLDER / name, "vendor.github-workflows") == ""


def test_the_gitlab_file_keeps_its_schema() -> None:
    more = ("--data-transform", "gitlab-ci")
    assert schema_says(FOLDER / GITLAB, "vendor.gitlab-ci", *more) == ""


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (GITHUB[0], "runs-on:", "run-on:"),
        (GITHUB[0], "timeout-minutes: 450", "timeout-minutes: soon"),
        (GITHUB[1], "contents: read", "contents: look"),
        (GITLAB, "when: always", "when: sometimes"),
    ],
)
def test_the_linter_sees_a_mistake(tmp_path: Path, name: str, old: str, new: str) -> None:
    text = (FOLDER / name).read_text()
    assert old in text
    path = tmp_path / name
    path.write_text(text.replace(old, new))
    kind = "vendor.gitlab-ci" if name == GITLAB else "vendor.github-workflows"
    assert schema_says(path, kind)


@pytest.mark.parametrize("name", GITHUB)
def test_expressions_stand_where_github_knows_them(name: str) -> None:
    text = (FOLDER / name).read_text()
    # Not in env of a workflow or job, where a file's hash is not known yet.
    assert "hashFiles" not in text.split("    steps:")[0]
    ids = {step["id"] for step in steps(name) if "id" in step}
    outputs = "\n".join(step.get("run", "") for step in steps(name))
    for expression in _EXPRESSION.findall(text):
        for known in re.findall(r"steps\.(\w+)\.", expression):
            assert known in ids
        for output in re.findall(r"outputs\.(\w+)", expression):
            assert f'echo "{output}=' in outputs
    for step in steps(name):
        for known in re.findall(r"steps\.(\w+)\.", str(step.get("if", ""))):
            assert known in ids


# ------------------------------------------------------------------------------------------- shell


@FILES
def test_the_shell_can_be_parsed(name: str) -> None:
    assert len(scripts(name)) >= 3
    for script in scripts(name):
        done = subprocess.run(
            ["bash", "-n"], input=script, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), script


@FILES
def test_every_command_is_one_of_ours(name: str) -> None:
    told = list(commands(name))
    assert {words[0] for words in told} == {
        "gc", "doctor", "nightly", "report", "bundle", "trend",
    }  # fmt: skip
    for words in told:
        parse(words)


def test_a_command_that_is_none_of_ours_is_seen() -> None:
    for wrong in (["bundel", "x"], ["bundle"], ["nightly", "--bugdet", "1h"], ["trend", "--gaet"]):
        # A usage error of the click that typer brings along, or no such command.
        with pytest.raises(Exception, match=r"No such|[Mm]issing|bundel"):
            parse(wrong)


@FILES
def test_make_targets_and_files_exist(name: str) -> None:
    targets = re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    for script in scripts(name):
        for target in re.findall(r"\bmake ([a-z]+)", script):
            assert target in targets
        for path in re.findall(r"\bbash ([\w./-]+\.sh)", script):
            assert (PROJECT / path).is_file()
    for named in re.findall(r"\bdocs/[\w./-]+\.md", (FOLDER / name).read_text()):
        assert (PROJECT / named).is_file()


# -------------------------------------------------------------------------------- what they promise


def put_together(name: str) -> str:
    """The lines that make the folder which is kept."""
    (script,) = [one for one in scripts(name) if "rm -rf report && mkdir" in one]
    lines = script.splitlines()
    first = next(n for n, line in enumerate(lines) if line.strip().startswith("own="))
    last = next(n for n, line in enumerate(lines) if line.strip().endswith("harness trend report"))
    return "\n".join(lines[first : last + 1])


@FILES
def test_every_link_of_what_is_kept_leads_to_something(tmp_path: Path, name: str) -> None:
    """Run for real: the runner has three nights, the artifact only the last one."""
    reports = tmp_path / "reports"
    runs = [stored(reports, night, {"power off": Came()}) for night in range(3)]
    for run in runs:
        (run / "scenarios").mkdir()
        (run / "scenarios" / "power-off.html").touch()
        for page in ("junit.xml", "index.html"):
            (run / page).touch()
    (tmp_path / "bundle.tar.gz").touch()
    tool = tmp_path / ".venv" / "bin" / "harness"
    tool.parent.mkdir(parents=True)
    call = "from harness.cli import main; main()"
    tool.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{call}" "$@"\n')
    tool.chmod(0o755)
    own = shlex.quote(f"reports/{runs[-1].name}")
    script = f"set -e; run={own}; RUN={own}; .venv/bin/harness trend reports; {put_together(name)}"
    subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, check=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )  # fmt: skip
    on_the_runner, kept = (
        set(re.findall(r'href="([^"]+)"', (tmp_path / folder / "index.html").read_text()))
        for folder in ("reports", "report")
    )
    assert len(on_the_runner) == 6, "three runs, and the page of a scenario in each"
    assert kept == {
        f"{runs[-1].name}/index.html", f"{runs[-1].name}/scenarios/power-off.html",
    }  # fmt: skip
    assert all((tmp_path / "report" / link).is_file() for link in kept)
    text = (tmp_path / "report" / "index.html").read_text()
    assert text.count('class="cell VALID"') == 3, "the history is there all the same"


@FILES
def test_what_is_kept_is_that_folder(name: str) -> None:
    if name == GITLAB:
        artifacts = read(name)["failover-nightly"]["artifacts"]
        assert artifacts["expose_as"]
        # A folder ends with a slash, and no pattern is exposed: the keyword's reference.
        assert artifacts["paths"] == ["report/", "summary.md", "bundle.tar.gz"]
        assert artifacts["reports"]["junit"] == "report/nightly-*/junit.xml"
        return
    (upload,) = [step for step in steps(name) if "upload-artifact" in step.get("uses", "")]
    assert upload["with"]["path"] == "report/"


@FILES
def test_what_a_night_ends_with_is_done_whatever_came_of_it(name: str) -> None:
    if name == GITLAB:
        job = read(name)["failover-nightly"]
        assert any("harness gc" in line for line in job["after_script"])
        assert job["artifacts"]["when"] == "always"
        assert job["artifacts"]["reports"]["junit"].endswith("junit.xml")
        assert {cache["when"] for cache in job["cache"]} == {"always"}
        return
    run = next(n for n, step in enumerate(steps(name)) if step.get("id") == "run")
    assert all("always()" in step["if"] for step in steps(name)[run + 1 :])
    assert any("harness gc" in step.get("run", "") for step in steps(name)[run + 1 :])
    assert any("upload-artifact" in step.get("uses", "") for step in steps(name)[run + 1 :])


@FILES
def test_nights_do_not_meet_and_end_in_time(name: str) -> None:
    if name == GITLAB:
        job = read(name)["failover-nightly"]
        assert job["resource_group"]
        assert job["interruptible"] is False
        budget_s, minutes = parse_budget(job["variables"]["BUDGET"]), 450
        assert job["timeout"] == "7h 30m"
    else:
        assert read(name)["concurrency"]["group"]
        assert read(name)["concurrency"]["cancel-in-progress"] is False
        (told,) = re.findall(r"'(\w+)'", read(name)["env"]["BUDGET"])
        budget_s = parse_budget(told)
        (job,) = read(name)["jobs"].values()
        minutes = job["timeout-minutes"]
    # An hour at least for what is not a scenario.
    assert budget_s / 60 + 60 <= minutes


def test_hosted_jobs_end_before_github_ends_them() -> None:
    (job,) = read(GITHUB[1])["jobs"].values()
    assert job["timeout-minutes"] < 360


@pytest.mark.parametrize("name", GITHUB)
def test_nothing_that_guests_say_is_a_command(name: str) -> None:
    (run,) = [step["run"] for step in steps(name) if step.get("id") == "run"]
    order = [
        run.index(part) for part in ("::stop-commands::$token", "harness nightly", '"::$token::"')
    ]
    assert order == sorted(order)
    assert "--annotations auto" in "\n".join(scripts(name))


def test_what_is_saved_on_hosted_runners_was_restored() -> None:
    saved, restored = (
        {
            (re.sub(r"-\$\{\{ github\.run_id \}\}$", "", step["with"]["key"]), step["with"]["path"])
            for step in steps(GITHUB[1])
            if f"actions/cache/{what}@" in step.get("uses", "")
        }
        for what in ("save", "restore")
    )
    assert saved == restored
    assert len(saved) == 3
    for step in steps(GITHUB[1]):
        if "restore-keys" in step.get("with", {}):
            prefix = step["with"]["restore-keys"].strip()
            assert step["with"]["key"].startswith(prefix)


@FILES
def test_the_document_tells_of_each_file_and_exit_code(name: str) -> None:
    text = NIGHTLY.read_text(encoding="utf-8")
    assert f"ci/{name}" in text
    for code in ("0", "1", "10", "20", "21"):
        assert re.search(rf"^\| {code} \|", text, re.MULTILINE)
    for file in (CUCUMBER, RUN_REPORT, "junit.xml", "bundle.json"):
        assert f"`{file}`" in text


def test_commands_in_the_document_are_ours_too() -> None:
    blocks = re.findall(r"(?ms)^```(?:sh)?\n(.*?)^```", NIGHTLY.read_text(encoding="utf-8"))
    told = re.findall(r"(?m)^(?:sudo )?\.venv/bin/harness (.*?)(?:\s+#.*)?$", "\n".join(blocks))
    assert len(told) >= 4
    for line in told:
        parse(shlex.split(line))


def test_the_tools_are_named_as_what_the_tests_need() -> None:
    text = (PROJECT / "pyproject.toml").read_text()
    for name in ("check-jsonschema", "jsonschema", "ruamel.yaml"):
        assert f'"{name}>=' in text
    assert json.loads((PROJECT / "docs/schemas/run-report-1.schema.json").read_text())
