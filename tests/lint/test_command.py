"""``harness lint``: what it prints, and its exit codes."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from harness import cli
from harness.cluster.lintable import COLLECTOR
from harness.lab.paths import PROJECT
from harness.lint import ALL_RULES, cluster_of, lint
from harness.lint.telling import as_json, exit_code, lines, rule_table
from harness.mutants.model import MUTANTS
from tests.lint.reference import edit, lay_out, reference

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Harness = Callable[..., tuple[int, str, str]]


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Harness:
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["harness", "lint", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


def test_our_own_configuration(harness: Harness) -> None:
    code, out, _err = harness()
    assert code == 0
    count = len(ALL_RULES)
    assert out == (
        f"0 errors, 0 warnings, 0 notes; {count} of {count} rules judged everything they look at\n"
    )
    assert harness("--accelerator", "kvm")[0] == 0


def test_a_mutant_is_found_with_its_place_and_its_reason(harness: Harness) -> None:
    code, out, _err = harness("--config", str(MUTANTS / "single-ring-mgmt.toml"))
    assert code == 1
    assert "error    redundant-rings: alpha/corosync.conf:14 (ring 0)\n" in out
    assert "alpha is on 1 ring(s)\n" in out
    assert "why: With one ring, the failure of one link parts the cluster" in out
    assert "(asked for by the post)" in " ".join(out.split())
    assert "\n2 errors, 0 warnings, 0 notes; " in out
    assert all(len(line) <= 100 for line in out.splitlines())


def test_a_folder_and_what_is_missing_from_it(harness: Harness, tmp_path: Path) -> None:
    files = reference()
    lay_out(files, tmp_path / "whole")
    assert harness("--from", str(tmp_path / "whole"))[0] == 0
    for own in files.values():
        own.pop("corosync.conf", None)
    lay_out(files, tmp_path / "part")
    code, out, _err = harness("--from", str(tmp_path / "part"))
    assert code == 10
    assert "Not judged:\n" in out
    told = " ".join(out.split())
    assert "alpha/corosync.conf was not collected: redundant-rings," in told
    # Warnings alone are no error.
    files = reference()
    edit(files, "unit-files.txt", "pacemaker.service enabled", "pacemaker.service disabled")
    lay_out(files, tmp_path / "warned")
    code, out, _err = harness("--from", str(tmp_path / "warned"))
    assert code == 0
    assert "warning  cluster-at-boot: alpha/unit-files.txt (pacemaker.service)" in out
    assert "0 errors, 2 warnings" in out


def test_findings_as_json(harness: Harness) -> None:
    code, out, _err = harness("--json", "--config", str(MUTANTS / "no-order.toml"))
    assert code == 1
    told = json.loads(out)
    (one,) = told["findings"]
    assert (one["rule"], one["severity"], one["file"]) == ("order", "error", "alpha/crm.txt")
    assert one["reason"] == ALL_RULES["order"].reason
    assert told["not_judged"] == []


def test_the_collector_and_the_rules_are_printed(harness: Harness) -> None:
    assert harness("--collector") == (0, COLLECTOR.read_text(), "")
    code, out, _err = harness("--rules")
    assert (code, out.splitlines()) == (0, rule_table())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--config", "a.toml", "--lab", "lab0"],
            "--config, --from and --lab are three different things",
        ),
        (["--from", "/nonexistent/folder"], "no such folder: /nonexistent/folder"),
        (["--config", "/nonexistent/x.toml"], "cannot read the configuration /nonexistent/x.toml"),
        (["--accelerator", "xen"], "no accelerator 'xen'"),
        (["--lab", "nosuch", "--cache", "/tmp/fh-none"], "no lab called nosuch"),
    ],
)
def test_a_mistake_is_one_line_and_a_hint(
    harness: Harness, arguments: list[str], says: str
) -> None:
    code, out, err = harness(*arguments)
    said = " ".join((out + err).split())
    assert code in (20, 21)
    assert f"error: {says}" in said
    assert "Traceback" not in said


def test_what_comes_from_a_node_cannot_write_to_the_terminal() -> None:
    files = reference()
    edit(files, "crm.txt", "stonith-enabled=true", "'stonith-enabled=false\x1b[31m'")
    edit(files, "drbd.d/global_common.conf", "protocol C", "protocol \x1b]0;hi\x07")
    outcomes = lint(cluster_of(files))
    assert int(exit_code(outcomes)) == 1
    assert not [line for line in lines(outcomes) if "\x1b" in line or "\x07" in line]
    assert json.loads(json.dumps(as_json(outcomes)))["findings"]


def test_the_rules_in_the_docs_are_those_of_the_registry() -> None:
    text = (PROJECT / "docs" / "linting.md").read_text(encoding="utf-8")
    assert "\n".join(rule_table()) in text, "harness lint --rules prints the table"
