"""``harness configure`` and ``harness run --config FOLDER``, up to where VMs would start."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.cluster.config import load_config
from harness.commands.own import prepare
from harness.errors import BadInputError
from harness.lab.paths import Cache
from harness.report.workedon import MAPPING, foreign
from harness.timing import PROFILES
from tests.lint.reference import lay_out, reference
from tests.lint.test_onto_lab import POST
from tests.report import build
from tests.report.pages import page_of
from tests.test_command_line import cache as cache
from tests.test_command_line import harness as harness

if TYPE_CHECKING:
    from pathlib import Path

    from tests.test_command_line import Harness


def test_configure_to_a_file_and_to_the_terminal(harness: Harness, tmp_path: Path) -> None:
    output = tmp_path / "mine.toml"
    code, out, _err = harness("configure", "--from", str(POST), "-o", str(output))
    assert code == 0
    assert "iscsi1 is alpha in the lab" in out
    assert "pacemaker.stonith_enabled = False, not True (iscsi1/crm.txt" in out
    assert "not in the lab: implementation=iet" in out
    code, out, _err = harness("configure", "--from", str(POST))
    assert code == 0
    assert out == output.read_text()
    assert load_config(output, PROFILES["kvm"]).pacemaker.colocation == "post"
    # What configure writes is what --config takes.
    code, out, _err = harness("run", "--config", str(output), "--list")
    assert code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("configure", "--from", "/nonexistent"), "no such folder"),
        (("configure", "--from", str(POST / "web1")), "has no subfolder"),
        (("configure", "--from", str(POST), "--accelerator", "fast"), "no accelerator 'fast'"),
        (("configure", "--from", str(POST), "-o", "/nonexistent/x.toml"), "cannot write"),
        (("run", "--list", "--config", str(POST / "iscsi1")), "is neither a cluster node nor"),
    ],
)
def test_bad_input(harness: Harness, arguments: tuple[str, ...], says: str) -> None:
    code, _out, err = harness(*arguments)
    assert code == 21
    assert says in " ".join(err.split())
    assert "hint:" in err or "cannot write" in err


def test_a_run_keeps_the_mapping(tmp_path: Path, cache: Path) -> None:
    run, place = tmp_path / "run", Cache(cache)
    path = prepare(POST, run, place, "tcg")
    assert path == run / "configuration.toml"
    config = load_config(path, PROFILES["tcg"])
    assert config.timing.replacement_timeout_s == 280  # 120 s, as much longer as the lab's own
    told = json.loads((run / MAPPING).read_text())
    assert (told["source"], told["accelerator"]) == ("the-post", "tcg")
    # Going on with the same is fine; with another it is not the same run.
    assert prepare(POST, run, place, "tcg") == path
    other = lay_out(reference(), tmp_path / "other")
    with pytest.raises(BadInputError, match="another configuration"):
        prepare(other, run, place, "tcg")


def test_the_report_says_what_the_run_does_not_tell_of(tmp_path: Path) -> None:
    run = tmp_path / "run"
    build.run_json(run)
    (run / "evidence").mkdir(exist_ok=True)
    assert foreign(run) is None
    text, _ = page_of(run)
    assert "Mapped from" not in text
    left = ["not in the lab: implementation=iet (x)", "<script>alert(1)</script>"]
    (run / MAPPING).write_text(json.dumps({"source": "the-post", "settings": 41, "left": left}))
    text, _ = page_of(run)
    assert "Mapped from the-post</b>: 41 settings" in text
    assert "says nothing of 2 things" in text
    assert "implementation=iet" in text
    assert "<script>alert" not in text
    (run / MAPPING).write_text(json.dumps({"source": 1, "settings": 3, "left": []}))
    text, _ = page_of(run)
    assert "All of it that was collected." in text
    (run / MAPPING).write_text('{"left": 3}')
    assert foreign(run) is None
