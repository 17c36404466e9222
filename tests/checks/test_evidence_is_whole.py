"""What is taken from evidence, or changed in it, never goes unnoticed: over many positions."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from harness.checks import ScenarioVerdict, Verdict, judge, judge_one
from harness.checks.verdict import read_run_verdicts, write_run_verdicts
from harness.evidence.blocks import BLOCK_SIZE, read_digests
from harness.history.store import load
from tests.checks.build import NODES, RESOURCES, healthy
from tests.checks.planting import INCONCLUSIVE, INVALID, with_samples

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = with_samples(healthy()).save(tmp_path_factory.mktemp("whole") / "evidence/scenario")
    assert judge(folder).verdict is Verdict.VALID
    return folder


def without_line(path: Path, number: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    del lines[number]
    path.write_bytes(b"".join(lines))


def test_any_line_of_the_timeline_that_is_missing(whole: Path, tmp_path: Path) -> None:
    count = len((whole / "timeline.jsonl").read_bytes().splitlines())
    folder = shutil.copytree(whole, tmp_path / "copy")
    for number in range(0, count, count // 40):
        shutil.copy(whole / "timeline.jsonl", folder)
        without_line(folder / "timeline.jsonl", number)
        assert judge(folder).verdict is INCONCLUSIVE, number
    without_line(shutil.copytree(whole, tmp_path / "last") / "timeline.jsonl", count - 1)
    assert judge(tmp_path / "last").verdict is INCONCLUSIVE


def test_any_line_of_a_log_that_is_missing(whole: Path, tmp_path: Path) -> None:
    for job in ("raw0", "raw1"):
        name = f"fio/{job}_lat.1.log"
        count = len((whole / name).read_bytes().splitlines())
        folder = shutil.copytree(whole, tmp_path / job)
        for number in range(0, count, count // 12):
            shutil.copy(whole / name, folder / name)
            without_line(folder / name, number)
            assert judge_one(folder, "lost-writes").verdict is INCONCLUSIVE, number
            assert judge(folder).verdict is INCONCLUSIVE, number


def test_two_lines_that_changed_places(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "copy")
    lines = (folder / "timeline.jsonl").read_bytes().splitlines(keepends=True)
    lines[40], lines[41] = lines[41], lines[40]
    (folder / "timeline.jsonl").write_bytes(b"".join(lines))
    assert judge(folder).verdict is INCONCLUSIVE


@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("node", NODES)
def test_any_byte_of_a_replica_that_differs(tmp_path: Path, resource: str, node: str) -> None:
    """The digests are of the bytes, so a byte changed anywhere changes that block's digest."""
    rng = np.random.default_rng(5)
    data = rng.integers(0, 256, size=64 * BLOCK_SIZE, dtype=np.uint8)
    built = healthy()
    for position in rng.choice(data.size, size=12, replace=False):
        changed = data.copy()
        changed[position] ^= 1 << int(rng.integers(0, 8))
        for one in NODES:
            held = changed if one == node else data
            blocks = held.reshape(-1, BLOCK_SIZE)
            built.crcs[resource, one] = np.array(
                [zlib.crc32(b.tobytes()) for b in blocks], dtype=np.uint32
            )
        result = judge_one(built.save(tmp_path / str(position)), "replica-digests")
        assert result.verdict is INVALID
        assert result.details[resource]["first"] == [int(position) // BLOCK_SIZE]


@pytest.mark.parametrize("resource", RESOURCES)
def test_any_digest_that_differs(whole: Path, tmp_path: Path, resource: str) -> None:
    folder = shutil.copytree(whole, tmp_path / "copy")
    path = folder / f"replicas/{resource}.alpha.digests.bin"
    content = path.read_bytes()
    for position in range(0, 64 * 4, 13):
        raw = bytearray(content)
        raw[len(raw) - 64 * 4 + position] ^= 0x10
        path.write_bytes(raw)
        assert len(read_digests(path).crc) == 64
        assert judge(folder).verdict is INVALID, position


@pytest.mark.parametrize("earlier_s", [12.0, 13.5, 15.0, 18.0, 22.0, 26.0, 29.0])
def test_a_promotion_that_moved_into_the_peers_reign(tmp_path: Path, earlier_s: float) -> None:
    """alpha is Primary until its power goes at 20 s; bravo was promoted at 31 s."""
    overlap = _promoted_earlier(earlier_s, tmp_path).result("dual-primary")
    assert overlap is not None
    assert overlap.verdict is INVALID


@pytest.mark.parametrize("earlier_s", [4.0, 5.5, 7.0, 9.0, 10.5])
def test_a_promotion_that_moved_before_the_fence(tmp_path: Path, earlier_s: float) -> None:
    """Fencing succeeded at 28 s."""
    early = _promoted_earlier(earlier_s, tmp_path).result("fence-before-promotion")
    assert early is not None
    assert early.verdict is INVALID


def _promoted_earlier(earlier_s: float, path: Path) -> ScenarioVerdict:
    built = with_samples(healthy())
    for event in built.events:
        if event.source == "bravo" and 30.9 < event.t_s < 31.4:
            event.t_s -= earlier_s
            if "monotonic_us" in event.data:
                event.data["monotonic_us"] -= int(earlier_s * 1e6)
    return judge(built.save(path))


RECHECK = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("libvirt", "libvirtmod", "paramiko"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
sys.argv = ["harness", "recheck", sys.argv[1]]
from harness.cli import app
app()
"""


def test_the_same_verdicts_on_a_machine_without_libvirt(whole: Path, tmp_path: Path) -> None:
    run = whole.parent.parent
    for folder in (run / "evidence").iterdir():
        judge(folder).save(folder / "verdict.json")
    expected = write_run_verdicts(run, read_run_verdicts(run)).read_bytes()
    copy = shutil.copytree(run, tmp_path / "elsewhere")
    (copy / "verdicts.json").unlink()
    for path in copy.glob("evidence/*/verdict.json"):
        path.unlink()
    done = subprocess.run(
        [sys.executable, "-c", RECHECK, str(copy)],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (copy / "verdicts.json").read_bytes() == expected
    assert len(load(copy / "evidence/scenario/history/lun1.npz"))
    (scenario,) = json.loads(expected)["scenarios"]
    assert ScenarioVerdict.from_json(scenario).verdict is Verdict.VALID


def test_a_scenario_without_a_verdict_is_told(tmp_path: Path) -> None:
    (tmp_path / "evidence/cut-short").mkdir(parents=True)
    (tmp_path / "evidence/damaged").mkdir()
    (tmp_path / "evidence/damaged/verdict.json").write_text("{")
    (tmp_path / "evidence/no-folder").write_text("")
    (tmp_path / "evidence/odd/verdict.json").mkdir(parents=True)
    path = write_run_verdicts(tmp_path, read_run_verdicts(tmp_path))
    told = json.loads(path.read_text())["scenarios"]
    assert [one["slug"] for one in told] == ["cut-short", "damaged", "odd"]
    begins = [one["error"].split(":")[0] for one in told]
    assert begins == ["no verdict.json", "verdict.json", "verdict.json"]
    assert {one["verdict"] for one in told} == {"INCONCLUSIVE"}
