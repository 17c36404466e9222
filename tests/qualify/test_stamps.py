"""Stamps: where they are kept, for which host they are valid, and what reports tell of them."""

from __future__ import annotations

import json
import re
import socket
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from harness import cli, running
from harness.commands import qualify as command
from harness.errors import ExitCode
from harness.evidence.files import read_json, write_json
from harness.lab import doctor
from harness.lab.doctor import Ran, real_host
from harness.lab.paths import PROJECT, Cache
from harness.qualify import campaign
from harness.qualify.fingerprint import fingerprint
from harness.qualify.stamps import keep_stamp, note, noted_here, read_stamp, stamp_path, take_back
from harness.report import summary_lines, write_report
from harness.report.qualified import NOTED, Stamp, qualification, qualification_line
from harness.resuming import code_hash
from harness.session import RunOptions
from tests.qualify.build import HOST, run_json, stamp
from tests.report import build as reports
from tests.report import scenes

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = PROJECT / "docs" / "schemas" / "run-report-1.schema.json"
FINE = doctor.Finding("root", "ok", "running as root")
LATER_NS = 1_764_100_000_000_000_000
CPUINFO = """processor\t: 0
model name\t: A Processor @ 2 GHz
flags\t\t: fpu vmx {more}

processor\t: 1
model name\t: A Processor @ 2 GHz
"""


@pytest.fixture
def cache() -> Iterator[Cache]:
    with tempfile.TemporaryDirectory(prefix="fh-", dir="/tmp") as root:
        yield Cache(Path(root))


def told(cache: Cache, run: Path, **facts: Any) -> str:
    """What a run on ``HOST`` would tell."""
    note(cache, run, lambda: HOST)
    run_json(run, **({"code": "c0de", "started_ns": LATER_NS} | facts))
    return qualification_line(run)


def test_a_stamp_that_says_two_things_is_none() -> None:
    with pytest.raises(ValidationError, match="exactly if nothing says why not"):
        stamp(qualified=True, why_not=("x",))
    with pytest.raises(ValidationError, match="exactly if nothing says why not"):
        stamp(qualified=False, why_not=())
    with pytest.raises(ValidationError, match="extra"):
        stamp(host_name="mine")


def test_a_stamp_comes_back_as_it_was_kept(cache: Cache) -> None:
    kept = keep_stamp(cache, stamp())
    assert read_stamp(cache, "tcg") == kept == stamp()
    assert read_stamp(cache, "kvm") is None
    assert stamp_path(cache, "tcg") == cache.root / "qualified-tcg.json"


@pytest.mark.parametrize("damage", ["{", "[]", '{"format": "failover-harness qualification"}'])
def test_a_damaged_stamp_is_none(cache: Cache, damage: str) -> None:
    keep_stamp(cache, stamp())
    stamp_path(cache, "tcg").write_text(damage)
    assert read_stamp(cache, "tcg") is None
    keep_stamp(cache, stamp())
    assert read_stamp(cache, "tcg") == stamp()


def test_a_new_stamp_tells_of_those_before_of_the_same_host(cache: Cache) -> None:
    keep_stamp(cache, stamp(when_ns=1, why_not=("x",)))
    kept = keep_stamp(cache, stamp(when_ns=2))
    assert [(one.when_ns, one.qualified) for one in kept.before] == [(1, False)]
    kept = keep_stamp(cache, stamp(when_ns=3))
    assert [(one.when_ns, one.qualified) for one in kept.before] == [(1, False), (2, True)]
    other = HOST.model_copy(update={"cores": 8})
    assert keep_stamp(cache, stamp(when_ns=4, host=other)).before == ()


def test_a_stamp_is_valid_for_its_host_only(cache: Cache) -> None:
    keep_stamp(cache, stamp())
    assert noted_here(cache, lambda: HOST).stamps == (stamp(),)
    other = HOST.model_copy(update={"kernel": "Linux 6.2 x86_64", "cores": 8})
    noted = noted_here(cache, lambda: other)
    assert noted.stamps == ()
    kernels = "kernel: Linux 6.1 x86_64, then Linux 6.2 x86_64"
    assert noted.changed == {"tcg": ("cores: 4, then 8", kernels)}


def test_the_fingerprint_has_what_timing_depends_on_and_no_name(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(CPUINFO.format(more="hypervisor"))
    (tmp_path / "meminfo").write_text("MemTotal:       32768000 kB\n")
    said = {
        "qemu-system-x86_64": "QEMU emulator version 7.2.22 (Debian 1:7.2)\n",
        "libvirtd": "/usr/sbin/libvirtd (libvirt) 9.0.0\n",
    }
    host = replace(real_host(), which=lambda name: name, run=lambda line: Ran(0, said[line[0]]))
    found = fingerprint(host, tmp_path)
    assert (found.cpu, found.cores, found.memory_gib) == ("A Processor @ 2 GHz", 2, 31)
    assert (found.qemu, found.libvirt, found.virtual) == ("7.2.22", "9.0.0", True)
    (tmp_path / "cpuinfo").write_text(CPUINFO.format(more="svm"))
    assert not fingerprint(host, tmp_path).virtual
    bare = fingerprint(replace(host, which=lambda _name: None), tmp_path / "nothing")
    assert (bare.cpu, bare.cores, bare.qemu) == ("not known", 0, "not installed")


def test_this_host_has_one_and_it_does_not_change() -> None:
    assert fingerprint() == fingerprint()
    assert fingerprint().cores >= 1
    assert socket.gethostname() not in fingerprint().model_dump_json()


def test_a_run_tells_of_its_host(cache: Cache, tmp_path: Path) -> None:
    assert told(cache, tmp_path / "0") == "This host has not been qualified (harness qualify)"
    keep_stamp(cache, stamp())
    assert re.fullmatch(
        r"This host was qualified on 2025-11-24 16:00\S* UTC with this run's code",
        told(cache, tmp_path / "1"),
    )
    assert "with code c0de, other code than this run's" in told(cache, tmp_path / "2", code="n3w")
    early = told(cache, tmp_path / "3", started_ns=5)
    assert early.endswith("this run's code, after this run was begun")


def test_a_run_with_other_emulation_than_the_stamp(cache: Cache, tmp_path: Path) -> None:
    keep_stamp(cache, stamp())
    assert told(cache, tmp_path, accelerator="kvm") == (
        "This host has not been qualified with KVM (harness qualify); it was with TCG"
    )
    keep_stamp(cache, stamp(accelerator="kvm", when_ns=0))
    assert "qualified on 1970-01-01" in told(cache, tmp_path / "kvm", accelerator="kvm")
    assert "qualified on 2025-11-24" in told(cache, tmp_path / "tcg", accelerator="tcg")


def test_a_host_that_is_not_qualified_and_why(cache: Cache, tmp_path: Path) -> None:
    keep_stamp(cache, stamp(why_not=("start: too slow", "b", "c", "d", "e")))
    said = told(cache, tmp_path)
    assert said.startswith("This host is not qualified (2025-11-24")
    assert said.endswith("this run's code): start: too slow; b; c; and 2 more")


def test_a_host_that_has_changed(cache: Cache, tmp_path: Path) -> None:
    keep_stamp(cache, stamp(host=HOST.model_copy(update={"qemu": "7.2.1"})))
    assert told(cache, tmp_path) == (
        "This host has changed since it was qualified (harness qualify): qemu: 7.2.1, then 7.2.22"
    )


def test_trying_until_it_is_green_shows(cache: Cache, tmp_path: Path) -> None:
    for when_ns, why in ((1, ("x",)), (2, ("x",)), (3, ())):
        keep_stamp(cache, stamp(when_ns=when_ns, why_not=why))
    assert told(cache, tmp_path).endswith("this run's code, at attempt 3 with that code")


def test_what_a_host_is_not_qualified_for_is_said(cache: Cache, tmp_path: Path) -> None:
    keep_stamp(cache, stamp())
    place = {"worker": "gw0", "host": "private", "slot": 0}
    assert "with a private lab, and this run's was on qemu:///system" in told(
        cache, tmp_path / "0", host="qemu:///system"
    )
    write_json_at(tmp_path / "1" / "evidence" / "s" / "worker.json", place)
    assert "and this run had several" in told(cache, tmp_path / "1")


def write_json_at(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True)
    write_json(path, value)


def test_without_a_note_nothing_is_said(tmp_path: Path) -> None:
    run_json(tmp_path)
    assert qualification(tmp_path) is None
    assert qualification_line(tmp_path) == ""


@pytest.mark.parametrize("damage", ["{", '{"stamps": 3}', "\x1b[31m"])
def test_a_note_that_cannot_be_read_says_so(tmp_path: Path, damage: str) -> None:
    run_json(tmp_path)
    (tmp_path / NOTED).write_text(damage)
    assert qualification_line(tmp_path).startswith(f"This host is not known: {NOTED}: ")


def test_a_run_of_other_code_keeps_its_note(cache: Cache, tmp_path: Path) -> None:
    run_json(tmp_path, code="other")
    note(cache, tmp_path, lambda: HOST)
    assert not (tmp_path / NOTED).exists()
    run_json(tmp_path, code=code_hash())
    note(cache, tmp_path, lambda: HOST)
    assert (tmp_path / NOTED).exists()


def test_a_run_that_ended_before_it_began_leaves_no_note(cache: Cache, tmp_path: Path) -> None:
    note(cache, tmp_path / "run", lambda: HOST)
    (tmp_path / "run" / "more").mkdir()
    take_back(tmp_path / "run")
    assert (tmp_path / "run" / NOTED).exists()
    (tmp_path / "run" / "more").rmdir()
    take_back(tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []


def test_harness_run_notes_it_before_anything_is_run(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "check_clusters", lambda *_arguments: None)
    keep_stamp(cache, stamp(host=fingerprint()))
    seen: list[Path] = []

    def run(options: RunOptions, _suite: Path, *, leaving: str = "") -> int:
        assert options.folder is not None
        seen.extend(options.folder.iterdir())
        if leaving:
            (options.folder / leaving).mkdir()
        return 0

    monkeypatch.setattr(running, "run_scenarios", run)
    options = RunOptions(cache=cache, folder=tmp_path / "run")
    cli._run(options, tmp_path)
    assert [path.name for path in seen] == [NOTED]
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(running, "run_scenarios", lambda o, s: run(o, s, leaving="evidence"))
    cli._run(options, tmp_path)
    assert len(read_json(tmp_path / "run" / NOTED)["stamps"]) == 1


def test_every_form_of_the_report_tells(cache: Cache, run: Path) -> None:
    scenes.green(run)
    write_report(run)
    assert json.loads((run / "run-report.json").read_text())["qualification"] is None
    assert "this host" not in (run / "index.html").read_text()
    run_told = read_json(run / "run.json")
    hostile = "<script>alert(1)</script> \x1b[31mred"
    keep_stamp(cache, stamp(why_not=(hostile,), code=run_told["code"]))
    # As a run that is stored elsewhere has it: nothing of this host is asked.
    noted = noted_here(cache, lambda: HOST)
    (run / NOTED).write_text(noted.model_dump_json())
    write_report(run)
    page = (run / "index.html").read_text()
    assert "<script>alert(1)" not in page
    assert "\x1b" not in page
    assert "not qualified (2025-11-24" in page
    assert "&lt;caught&gt;" in page
    assert re.search(r"<td[^>]*>start</td><td[^>]*>90.0 s</td>.*3.00", page)
    report = json.loads((run / "run-report.json").read_text())
    jsonschema.validate(report, json.loads(SCHEMA.read_text()))
    assert report["qualification"]["state"] == "not qualified"
    assert report["qualification"]["same_code"] is True
    assert report["qualification"]["margins"] == {"start": 3.0}
    lines = [line for line in summary_lines(run) if line.startswith("This host")]
    assert len(lines) == 1
    assert "\x1b" not in lines[0]


def test_a_report_of_before_is_still_one_by_the_schema(run: Path) -> None:
    scenes.green(run)
    write_report(run)
    report = json.loads((run / "run-report.json").read_text())
    del report["qualification"]
    jsonschema.validate(report, json.loads(SCHEMA.read_text()))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    reports.run_json(tmp_path / "run-1")
    return tmp_path / "run-1"


class Commands:
    """``harness qualify`` with a qualification that is made up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cache: Cache) -> None:
        self._cache = cache
        self.made = stamp(host=fingerprint())
        self.began: list[tuple[Path, tuple[str, ...]]] = []
        outer = self

        class Made:
            def __init__(
                self,
                folder: Path,
                here: campaign.Here,
                options: tuple[str, ...],
                *,
                guest: str,
                connect: str,
                cache: Cache,
            ) -> None:
                assert ("--guest" in options, "--connect" in options) == (
                    bool(guest),
                    bool(connect),
                )
                assert here.host == fingerprint()
                assert here.findings == [FINE]
                assert cache == outer._cache
                outer.began.append((folder, options))

            def stamp(self) -> Stamp:
                return outer.made

        monkeypatch.setattr(campaign, "Qualification", Made)
        monkeypatch.setattr(doctor, "run_doctor", lambda *_arguments, connect: [FINE])

    def __call__(self, *arguments: str) -> tuple[int, str]:
        told = ["qualify", "--cache", str(self._cache.root), *arguments]
        done = CliRunner().invoke(cli.app, told)
        return done.exit_code, done.output


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, cache: Cache) -> Commands:
    return Commands(monkeypatch, cache)


def test_the_command_keeps_the_stamp_and_says_what_it_means(
    commands: Commands, cache: Cache, tmp_path: Path
) -> None:
    code, said = commands("--folder", str(tmp_path / "q"))
    assert code == ExitCode.VALID
    assert commands.began == [
        (tmp_path / "q", ("--cache", str(cache.root), "--accelerator", "auto"))
    ]
    assert f"Folder: {tmp_path / 'q'}" in said
    assert "This host is qualified with emulation" in said
    assert read_stamp(cache, "tcg") == commands.made
    commands.made = stamp(host=fingerprint(), why_not=("start: too slow",))
    code, said = commands("--folder", str(tmp_path / "q"), "--accelerator", "tcg")
    assert code == ExitCode.INVALID
    assert "This host is NOT qualified" in said
    kept = read_stamp(cache, "tcg")
    assert kept is not None
    assert len(kept.before) == 1


def test_a_stamp_of_other_guests_is_not_this_host_s(
    commands: Commands, cache: Cache, tmp_path: Path
) -> None:
    """Every later report tells of the one in the cache, whatever guests its run has."""
    told = ("--folder", str(tmp_path / "q"), "--guest", "debian13")
    (tmp_path / "q").mkdir()
    code, said = commands(*told, "--connect", "qemu:///system")
    assert code == ExitCode.VALID
    ((_folder, options),) = commands.began
    assert options[-4:] == ("--guest", "debian13", "--connect", "qemu:///system")
    assert "guests debian13" in said
    assert read_stamp(cache, "tcg") is None
    there = Stamp.model_validate_json((tmp_path / "q" / "stamp.json").read_bytes())
    assert there == commands.made
    assert commands("--folder", str(tmp_path / "q"), "--guest", "debian12")[0] == ExitCode.VALID
    assert read_stamp(cache, "tcg") is not None


def test_show_runs_nothing(commands: Commands, cache: Cache) -> None:
    assert commands("--show") == (0, "This host has not been qualified (harness qualify)\n")
    keep_stamp(cache, commands.made)
    assert "This host is qualified with emulation" in commands("--show")[1]
    keep_stamp(cache, stamp(accelerator="kvm"))
    assert "KVM: this host has changed since: " in commands("--show")[1]
    assert commands.began == []


def test_a_host_that_cannot_run_a_lab_is_not_tried(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, cache: Cache, tmp_path: Path
) -> None:
    bad = doctor.Finding("nft", "fail", "not installed", "make install")
    monkeypatch.setattr(doctor, "run_doctor", lambda *_arguments, connect: [bad])
    assert commands("--folder", str(tmp_path / "q"))[0] == ExitCode.MISSING_ENVIRONMENT
    assert commands.began == []
    assert not (tmp_path / "q").exists()
    assert read_stamp(cache, "tcg") is None


def test_what_the_command_lists() -> None:
    lines = list(command._listed())
    assert lines[0] == "control: The cluster is left alone during writes"
    assert any(line.startswith("mutant mtu-on-one-node: ") for line in lines)
    assert all(len(line) <= 100 for line in lines)
    assert len([line for line in lines if not line.startswith(" ")]) == 12


def test_a_stamp_for_the_terminal() -> None:
    lines = list(command.lines(stamp(why_not=("start: x",))))
    assert lines[0] == "FAILED  mutants: both <caught>"
    assert lines[2].split() == ["3.00", "enough", "start:", "4", "times"]
    assert lines[-1].startswith("This host is NOT qualified with emulation, timing tcg, by code")
    assert lines[-1].endswith("after 30 min 00 s")
    assert "is qualified with KVM" in list(command.lines(stamp(accelerator="kvm")))[-1]
