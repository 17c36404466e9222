"""A bundle is bounded, safe, the same each time, and gives the same verdicts elsewhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from harness import cli
from harness.checks import judge
from harness.checks.verdict import Verdict, read_run_verdicts, write_run_verdicts
from harness.commands.bundle import _bytes, bundle
from harness.errors import BadInputError, HarnessError
from harness.report import write_report
from harness.report.bundle import bundle_name, make_bundle, redact
from harness.report.bundle.archive import Spool
from harness.report.bundle.patterns import PATTERNS
from harness.reporting import judge_again, report
from tests.checks.build import healthy
from tests.checks.planting import with_samples
from tests.checks.test_evidence_is_whole import RECHECK, REPOSITORY
from tests.report import build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Command = Callable[..., tuple[int, str, str]]

SECRET = "5e" * 24
# Several blocks of what is compressed at once; that is all that its length is for.
CONSOLE = "kernel: a line of the console\n" * 500


def evidence(folder: Path, name: str, *, split_brain: bool = False) -> None:
    """A scenario as a lab leaves it, with secrets in places where they were seen."""
    built = with_samples(healthy())
    built.scenario |= {"name": name, "slug": folder.name}
    options = [f'r0 / net / shared-secret   \t"{SECRET}";', "r0 / net / timeout \t40;"]
    for node in ("alpha", "bravo"):
        built.add(40, "host", "state", "sample", what="options", when="before", node=node,
                  value={"drbd": options})  # fmt: skip
    built.journal(41, "alpha", "iscsid: node.session.auth.password = hunter2", "iscsid")
    if split_brain:
        built.kernel(
            60, "bravo", "drbd r0: Split-Brain detected but unresolved, dropping connection!"
        )
    built.save(folder)
    (folder / "console").mkdir()
    (folder / "console" / "alpha.log").write_text(f"{CONSOLE}{SECRET}\n")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two scenarios and an earlier attempt, judged and reported."""
    run = tmp_path_factory.mktemp("runs") / "run-1"
    build.run_json(run)
    told = json.loads((run / "run.json").read_text())
    told["command"] = "harness run --proxy http://me:pa55word@proxy.example:3128"
    (run / "run.json").write_text(json.dumps(told))
    evidence(run / "evidence" / "good", "A good one")
    evidence(run / "evidence" / "bad", "A bad one [silently]", split_brain=True)
    evidence(run / "superseded" / "good-1", "A good one")
    judge(run / "superseded" / "good-1").save(run / "superseded" / "good-1" / "verdict.json")
    judge_again(run)
    report(run)
    return run


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return shutil.copytree(made, tmp_path / "runs" / "run-1")


def unpack(path: Path, where: Path) -> Path:
    """As tar does; returns the run's folder."""
    where.mkdir()
    subprocess.run(["tar", "xzf", str(path), "-C", str(where)], check=True)
    (folder,) = where.iterdir()
    return folder


def names(path: Path) -> set[str]:
    with tarfile.open(path) as archive:
        return {name.split("/", 1)[1] for name in archive.getnames()}


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


# -------------------------------------------------------------------------------------- elsewhere


def test_the_same_verdicts_byte_for_byte_without_libvirt(run: Path, tmp_path: Path) -> None:
    assert {one.verdict for one in read_run_verdicts(run).values()
            if not isinstance(one, Exception)} == {Verdict.VALID, Verdict.INVALID}  # fmt: skip
    made = make_bundle(run, tmp_path / "b.tar.gz")
    folder = unpack(made.path, tmp_path / "there")
    assert folder.name == "run-1"
    shipped = (folder / "verdicts.json").read_bytes()
    assert shipped == (run / "verdicts.json").read_bytes()
    (folder / "verdicts.json").unlink()
    for path in folder.glob("*/*/verdict.json"):
        path.write_text(path.read_text().replace('"INVALID"', '"VALID"'))
    done = subprocess.run(
        [sys.executable, "-c", RECHECK, str(folder)],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert (folder / "verdicts.json").read_bytes() == shipped
    assert (folder / "index.html").is_file()


def test_a_report_can_be_written_of_it_as_it_is(run: Path, tmp_path: Path) -> None:
    folder = unpack(make_bundle(run, tmp_path / "b.tar.gz").path, tmp_path / "there")
    assert "A bad one" in write_report(folder).read_text()


def test_one_scenario_with_its_earlier_attempts(run: Path, tmp_path: Path) -> None:
    made = make_bundle(run, tmp_path / "b.tar.gz", scenario="A good one")
    there = names(made.path)
    assert {"run.json", "evidence/good/timeline.jsonl", "superseded/good-1/scenario.json"} <= there
    assert not [name for name in there if name.startswith("evidence/bad")]
    left = {one["path"]: one["why"] for one in made.manifest["left_out"]}
    assert left["verdicts.json"].startswith("also tells of scenarios")
    for asked in ("A bad one", "A bad one [silently]", "bad"):
        made = make_bundle(run, tmp_path / "c.tar.gz", scenario=asked)
        assert "evidence/bad/timeline.jsonl" in names(made.path)
        assert not [name for name in names(made.path) if "good" in name]


def test_a_scenario_that_is_not_there(run: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no scenario 'Another'") as error:
        make_bundle(run, tmp_path / "b.tar.gz", scenario="Another")
    assert "A good one" in error.value.hint
    assert list(tmp_path.glob("*.gz*")) == []


# ---------------------------------------------------------------------------------------- secrets


def test_no_secret_is_in_it_and_the_manifest_counts(run: Path, tmp_path: Path) -> None:
    made = make_bundle(run, tmp_path / "b.tar.gz")
    data = everything(unpack(made.path, tmp_path / "there"))
    for secret in (SECRET, "hunter2", "pa55word"):
        assert secret.encode() in everything(run)
        assert secret.encode() not in data
    redactions = made.manifest["redactions"]
    assert {kind: one["distinct"] for kind, one in redactions.items()} == {
        "chap": 1,
        "drbd-secret": 1,
        "url": 1,
    }
    # Two samples and a console in each of three folders.
    assert redactions["drbd-secret"]["places"] == 9


def test_files_that_are_keys_or_cannot_be_searched_stay_here(run: Path, tmp_path: Path) -> None:
    for name in ("ssh_key", "fence_xvm.key", "secrets.json", "capture.pcap"):
        (run / "evidence/good" / name).write_text("key")
    made = make_bundle(run, tmp_path / "b.tar.gz")
    left = {one["path"]: one["why"] for one in made.manifest["left_out"]}
    for name in ("ssh_key", "fence_xvm.key", "secrets.json"):
        assert left[f"evidence/good/{name}"] == "a file of this name holds a key"
    assert left["evidence/good/capture.pcap"] == "it cannot be searched for secrets"
    assert not [one for one in made.manifest["left_out"] if "sha256" in one]


def test_a_stand_in_that_would_change_a_verdict_is_noticed(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here everything that is said of a split-brain is taken for a secret."""
    planted = (("planted", re.compile("(?P<secret>Split-Brain) detected")), *PATTERNS)
    monkeypatch.setattr(redact, "PATTERNS", planted)
    monkeypatch.setattr(redact, "SUSPECT", re.compile(b"split-brain|secret|password"))
    with pytest.raises(HarnessError, match="bad would be judged differently"):
        make_bundle(run, tmp_path / "b.tar.gz")
    assert list(tmp_path.glob("b.tar.gz*")) == []
    assert make_bundle(run, tmp_path / "b.tar.gz", scenario="good").size


# ---------------------------------------------------------------------------------------- bounded


def test_a_limit_leaves_out_what_is_only_for_reading(run: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("good", "bad")):
        noise = os.urandom(200_000 + number)
        (run / "evidence" / name / "console" / "bravo.log").write_bytes(noise)
    whole = make_bundle(run, tmp_path / "whole.tar.gz")
    made = make_bundle(run, tmp_path / "b.tar.gz", limit=whole.size - 100_000)
    assert made.size == made.path.stat().st_size <= whole.size - 100_000
    left = [one for one in made.manifest["left_out"] if one["why"].startswith("there was no room")]
    # The failure's stay.
    assert [one["path"] for one in left] == ["evidence/good/console/bravo.log"]
    assert left[0]["bytes"] == 200_000
    assert len(left[0]["sha256"]) == 64
    folder = unpack(made.path, tmp_path / "there")
    assert json.loads((folder / "bundle.json").read_text()) == made.manifest


def test_what_is_needed_is_never_left_out(run: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="what is needed to judge again takes") as error:
        make_bundle(run, tmp_path / "b.tar.gz", limit=20_000)
    assert list(tmp_path.glob("*.gz*")) == []
    least = error.value.hint.split()[1].rstrip(",")
    # The limit that it names is enough.
    made = make_bundle(run, tmp_path / "b.tar.gz", limit=cli_bytes(least))
    needed = {"evidence/good/timeline.jsonl", "evidence/bad/fio/raw1_lat.1.log", "run.json",
              "evidence/bad/replicas/r1.alpha.digests.bin", "superseded/good-1/timeline.jsonl",
              "verdicts.json"}  # fmt: skip
    assert needed <= names(made.path)


def cli_bytes(text: str) -> int:
    return _bytes(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("200MB", 200_000_000), ("64MiB", 64 << 20), ("1.5GB", 1_500_000_000), ("10k", 10_000),
     ("7", 7), ("2 MB", 2_000_000)],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert cli_bytes(text) == size


@pytest.mark.parametrize("text", ["", "0MB", "-1MB", "much", "1XB", "1MBB", "1e9"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(BadInputError, match="--limit"):
        cli_bytes(text)


# ------------------------------------------------------------------------------------------- safe


def test_the_same_bytes_each_time(run: Path, tmp_path: Path) -> None:
    first = make_bundle(run, tmp_path / "a.tar.gz").path.read_bytes()
    for path in run.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    assert make_bundle(run, tmp_path / "b.tar.gz").path.read_bytes() == first


def test_members_are_plain_files_below_one_folder_in_order(run: Path, tmp_path: Path) -> None:
    made = make_bundle(run, tmp_path / "b.tar.gz")
    with tarfile.open(made.path) as archive:
        members = archive.getmembers()
    assert [one.name for one in members] == sorted(one.name for one in members)
    began_s = build.at(-60) // 1_000_000_000
    for one in members:
        assert one.isreg()
        assert one.name.startswith("run-1/")
        assert ".." not in one.name
        assert (one.uid, one.gid, one.uname, one.gname, one.mode, one.mtime) == (
            0, 0, "", "", 0o644, began_s,
        )  # fmt: skip


def test_links_and_odd_names_are_not_followed(run: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_text("not ours")
    good = run / "evidence/good"
    (good / "link").symlink_to(outside / "x")
    (good / "folder").symlink_to(outside)
    (run / "evidence/linked").symlink_to(good)
    os.mkfifo(good / "fifo")
    (good / "new\nline").write_text("x")
    (good / os.fsdecode(b"bad\xff")).write_text("x")
    made = make_bundle(run, tmp_path / "b.tar.gz")
    assert b"not ours" not in everything(unpack(made.path, tmp_path / "there"))
    left = {one["path"]: one["why"] for one in made.manifest["left_out"]}
    for name in ("link", "folder", "fifo"):
        assert left[f"evidence/good/{name}"] == "not a regular file"
    assert sum("its name has" in why for why in left.values()) == 2
    assert not [name for name in names(made.path) if "linked" in name or "bad\\" in name]


def test_a_link_where_evidence_is_needed_is_an_error(run: Path, tmp_path: Path) -> None:
    path = run / "evidence/good/timeline.jsonl"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInputError, match="is not a regular file"):
        make_bundle(run, tmp_path / "b.tar.gz")


@pytest.mark.parametrize(
    ("name", "there"), [("..x", "x"), ("a b/", "a-b"), (".hidden", "hidden"), ("---", "run")]
)
def test_the_folder_that_it_unpacks_to(tmp_path: Path, name: str, there: str) -> None:
    assert bundle_name(tmp_path / name) == there


def test_a_half_written_run_is_bundled_too(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "evidence" / "x"
    folder.mkdir(parents=True)
    (folder / "timeline.jsonl").write_bytes(b'{"t_ns": 1, "password": "x"')
    (folder / "scenario.json").write_bytes(b"\xff")
    made = make_bundle(tmp_path / "run", tmp_path / "b.tar.gz")
    assert {"evidence/x/timeline.jsonl", "bundle.json"} <= names(made.path)


def test_a_bundle_of_a_bundle_is_the_same_evidence(run: Path, tmp_path: Path) -> None:
    first = make_bundle(run, tmp_path / "a.tar.gz")
    again = make_bundle(unpack(first.path, tmp_path / "there"), tmp_path / "b.tar.gz")
    assert again.manifest["files"] == first.manifest["files"]
    assert again.manifest["redactions"] == {}


def test_pieces_are_one_archive_for_python_and_for_tar(tmp_path: Path) -> None:
    long = "d/" * 60 + "ü" * 60
    with Spool(tmp_path, 1_000_000_000) as spool:
        packed = [spool.pack("a", [b"x" * 512]), spool.pack(long, [b"1", b"2"])]
        spool.forget(spool.pack("gone", [b"y"]))
        packed.append(spool.pack("c", []))
        spool.write(tmp_path / "x.tar.gz", packed)
    with tarfile.open(tmp_path / "x.tar.gz") as archive:
        found = {one.name: archive.extractfile(one) for one in archive.getmembers()}
        assert {name: file.read() for name, file in found.items() if file} == {
            "a": b"x" * 512, long: b"12", "c": b"",
        }  # fmt: skip
    told = subprocess.run(
        ["tar", "tzf", str(tmp_path / "x.tar.gz")], capture_output=True, check=True
    )
    assert len(told.stdout.splitlines()) == 3
    assert told.stderr == b""


# -------------------------------------------------------------------------------------- command


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """``harness`` in an empty folder; returns exit code, output and errors."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["harness", *arguments])
        try:
            cli.main()
        except SystemExit as end:
            said = capsys.readouterr()
            return int(end.code or 0), said.out, said.err
        raise AssertionError

    return call


def test_the_command(run: Path, command: Command, tmp_path: Path) -> None:
    code, out, _ = command("bundle", str(run))
    assert code == 0
    assert out.startswith("run-1.tar.gz: ")
    assert "3 secrets replaced" in out
    assert command("bundle", str(run), "A bad one")[0] == 0
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == [
        "run-1-a-bad-one.tar.gz",
        "run-1.tar.gz",
    ]
    assert command("bundle", str(run), "-o", str(tmp_path / "none/x"))[0] == 21
    assert command("bundle", str(tmp_path))[0] == 21
    code, _, err = command("bundle", str(run), "--limit", "1k")
    assert code == 21
    assert "hint: --limit" in err


def test_the_verdicts_of_a_whole_run_are_those_of_its_parts(run: Path, tmp_path: Path) -> None:
    folder = unpack(make_bundle(run, tmp_path / "b.tar.gz").path, tmp_path / "there")
    before = (folder / "verdicts.json").read_bytes()
    assert write_run_verdicts(folder, read_run_verdicts(folder)).read_bytes() == before


def test_nothing_in_memory_at_once(tmp_path: Path) -> None:
    """A file is read in pieces: its header, which comes first, knows its size all the same."""

    def pieces() -> Iterator[bytes]:
        for _ in range(64):
            yield b"\0" * (1 << 20)

    with Spool(tmp_path, 1_000_000_000) as spool:
        packed = spool.pack("zeros", pieces())
    assert (packed.size, packed.length < 200_000) == (64 << 20, True)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "run" / "evidence").mkdir(parents=True)
    with pytest.raises(BadInputError) as raised:
        bundle(tmp_path / "run", output=tmp_path / "none" / "b.tar.gz")
    assert raised.value.message == f"no folder {tmp_path / 'none'}"
