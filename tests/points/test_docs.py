"""docs/seed.md and docs/findings.md refer to what exists, and say of it what is recorded."""

from __future__ import annotations

import functools
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness import cli
from harness.cluster.config import load_config
from harness.commands.seed import DOCUMENT, RECORD, what_there_is
from harness.lab.paths import PROJECT
from harness.mutants.model import load_mutants
from harness.points import Record, State, read_points, resolve, state_of, unknown
from harness.points.document import cells
from harness.timing import PROFILES
from harness.variants.model import load_variants

if TYPE_CHECKING:
    from harness.points import Known, Point

FINDINGS = PROJECT / "docs" / "findings.md"
REPRODUCED = re.compile(r"reproduced \(\d{4}-\d{2}-\d{2}, .+\)")
NOT_YET = "not yet reproduced here"


@functools.cache
def known() -> Known:
    return what_there_is()


@functools.cache
def points() -> tuple[Point, ...]:
    return tuple(read_points(DOCUMENT.read_text(encoding="utf-8")))


# --------------------------------------------------------------------------------- docs/seed.md


def test_every_reference_is_to_something_that_exists() -> None:
    assert known().scenarios
    assert unknown(points(), known()) == []


def test_the_states_are_those_of_the_last_full_run() -> None:
    """`harness seed RUN --record` writes both; a lint or a measurement needs no run."""
    record = Record.load(RECORD)
    for point in points():
        assert point.state == state_of(point, known(), record), f"line {point.line}: {point.text}"


def test_every_point_passed_in_the_last_full_run() -> None:
    """As soon as a full run is recorded; until then the states say what has not been run."""
    record = Record.load(RECORD)
    open_ = [
        f"line {point.line}: {reference}"
        for point in points()
        for reference in point.references
        if resolve(reference, known(), record) is not State.PASSED
    ]
    if record.full:
        assert open_ == []
    else:
        assert record.run is None or record.missing
        states = {point.state for point in points()}
        assert not open_ or states - {State.PASSED}, "what is open is told in the document"


@pytest.mark.parametrize(
    "word",
    ["default route", "backup", "clean reboot", "taken out of service", "jumbo", "two rings",
     "subnet", "NetworkManager", "ifdown", "multicast", "no LUNs", "split-brain", "document",
     "colocation", "cut power", "two switches", "netmtu", "demoted", "Corosync is configured"],
)  # fmt: skip
def test_no_point_of_the_post_is_forgotten(word: str) -> None:
    assert any(word in point.text for point in points())


# ----------------------------------------------------------------------------- docs/findings.md


def findings() -> list[dict[str, str]]:
    rows = [
        cells(line)
        for line in FINDINGS.read_text(encoding="utf-8").splitlines()
        if line.startswith("|") and not set(line) <= set("|-: ")
    ]
    assert rows[0] == [
        "what",
        "where",
        "how it shows",
        "reproduction",
        "what we do about it",
        "state",
    ]
    assert all(len(row) == len(rows[0]) for row in rows), [len(row) for row in rows]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


FINDING = pytest.mark.parametrize(
    "finding", [pytest.param(one, id=one["what"]) for one in findings()]
)


@FINDING
def test_a_finding_says_all_of_it(finding: dict[str, str]) -> None:
    for column, text in finding.items():
        assert len(text) >= 8, column
    assert finding["state"] == NOT_YET or REPRODUCED.fullmatch(finding["state"])
    assert re.search(r"\d|default|post", finding["where"]), "a version, a default, or the post's"


@FINDING
def test_its_reproduction_is_a_command_that_can_be_given(finding: dict[str, str]) -> None:
    text = finding["reproduction"]
    if text.startswith("none yet: "):
        assert finding["state"] == NOT_YET
        return
    assert text.startswith("`")
    assert text.endswith("`")
    check_command(text[1:-1])


def check_command(command: str) -> None:
    """Whether a command can be given: what it names exists."""
    first, _, then = command.partition(" && ")
    if match := re.fullmatch(r"git checkout ([0-9a-f]{7,40})(~\d+)?", first):
        assert re.fullmatch(r"sudo make \w+", then)
        known_here = subprocess.run(
            ["git", "cat-file", "-e", f"{match[1]}^{{commit}}"], cwd=PROJECT, check=False,
            capture_output=True,
        )  # fmt: skip
        whole = subprocess.run(
            ["git", "rev-parse", "--is-shallow-repository"], cwd=PROJECT, check=False,
            capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        assert known_here.returncode == 0 or whole != "false"
        return
    match shlex.split(command):
        case ["sh", "-c", script]:
            done = subprocess.run(["sh", "-n", "-c", script], capture_output=True, check=False)
            assert done.returncode == 0, done.stderr
        case ["harness", "mutants", *names]:
            assert {one.name for one in load_mutants()} >= set(names)
            assert names
        case ["harness", "variants", *names]:
            assert load_variants(names)
            assert names
        case ["harness", "run", name]:
            assert known().examples(name)
        case ["harness", "run", "--config", file, name]:
            assert known().examples(name)
            assert load_config(PROJECT / file, PROFILES["tcg"]) != load_config(
                None, PROFILES["tcg"]
            )
        case ["harness", "up" | "lint" as verb, "--config", file]:
            assert verb in {command.name or "" for command in cli.app.registered_commands} | {
                str(getattr(command.callback, "__name__", ""))
                for command in cli.app.registered_commands
            }
            assert load_config(PROJECT / file, PROFILES["tcg"]) != load_config(
                None, PROFILES["tcg"]
            )
        case words:
            raise AssertionError(f"no command that this test knows: {words}")


@pytest.mark.parametrize(
    "wrong",
    [
        "harness mutants no-such-mutant",
        "harness mutants",
        "harness variants no-such-variant",
        "harness variants",
        "harness run 'No such scenario'",
        "harness up --config scenarios/mutants/nosuch.toml",
        "sh -c 'if'",
        "rm -rf /",
        "git checkout 0000000~1 && rm x",
    ],
)
def test_a_command_that_cannot_be_given_is_noticed(wrong: str) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011  (an assertion, or the configuration's error)
        check_command(wrong)


def test_the_known_ones_are_there() -> None:
    told = " ".join(one["what"] + one["where"] + one["how it shows"] for one in findings())
    for word in ("portblock", "crm-fence-peer.sh", "colocation set", "systemd-networkd", "SCSI",
                 "(154)", "exc_int3", "clear_page_erms", "qcow2", "nsenter"):  # fmt: skip
        assert word in told
