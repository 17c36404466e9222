"""fio's command lines: what the checks rely on is in them, and fio itself accepts them."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from harness.cluster.form import MOUNT_POINT
from harness.evidence.timeline import Channel, read_timeline
from harness.lab.topology import BACKING_BYTES, LUN_OF, Topology
from harness.workload.files import _sums
from harness.workload.fio import _PAYLOAD_MIB, FILE_JOB, RAW_JOBS, Job

if TYPE_CHECKING:
    from harness.lab.lab import Lab

LAB = cast("Lab", SimpleNamespace(topology=Topology()))
TAKEOVER = Path(__file__).parents[1] / "evidence" / "fixtures" / "takeover.jsonl"
JOBS = (*RAW_JOBS, FILE_JOB)


def options(job: Job) -> dict[str, str]:
    program, *words = shlex.split(job.command(LAB))
    assert program == "fio"
    pairs = [word.removeprefix("--").split("=", 1) for word in words]
    assert all(len(pair) == 2 for pair in pairs)
    result = dict(pairs)
    assert len(result) == len(pairs), "an option twice: the last one would win"
    return result


@pytest.mark.parametrize("job", JOBS, ids=lambda j: j.name)
def test_every_job_stamps_its_blocks_and_logs_every_acknowledgement(job: Job) -> None:
    given = options(job)
    assert given["name"] == job.name
    # Stamps to find lost writes by, and no verification by fio itself, which would stop at one.
    assert (given["verify"], given["do_verify"]) == ("crc32c", "0")
    # Every completion with its offset, on a clock that can be compared with the run's.
    assert given["write_lat_log"] == job.name
    assert (given["log_offset"], given["log_unix_epoch"]) == ("1", "1")
    # A lost write is only one if the page cache was not in between.
    assert given["direct"] == "1"
    assert given["rw"] == "randwrite"
    # So many writes, then a pause; a rate would be caught up with after a stall.
    assert given["thinktime"] == f"{job.pause_ms}ms"
    assert given["thinktime_blocks"] == str(job.burst)
    assert not [name for name in given if name.startswith("rate")]
    # Two writes of one block in flight have no order, and so no history.
    assert given["serialize_overlap"] == "1"
    # fio is stopped from outside: its own end must lie beyond every scenario.
    assert given["time_based"] == "1"
    assert int(given["runtime"]) >= 3600


@pytest.mark.parametrize("job", RAW_JOBS, ids=lambda j: j.name)
def test_a_raw_job_writes_to_its_lun_and_never_to_a_file_in_its_place(job: Job) -> None:
    given = options(job)
    assert given["allow_file_create"] == "0"
    assert job.resource is not None
    assert LUN_OF[job.resource] == job.lun
    # The very device that was written to in a real run.
    (seen,) = [
        re.findall(r"--filename=(\S+)", e.data["message"])[0]
        for e in read_timeline(TAKEOVER)
        if e.channel is Channel.JOURNAL
        and e.kind == "entry"
        and f"Started fio-{job.name}.service" in e.data["message"]
    ]
    assert given["filename"] == seen
    assert len(Path(seen).name.removeprefix("scsi-")) == 33  # type 3 (NAA) and 32 digits


def test_one_raw_job_overwrites_and_the_other_keeps_every_write() -> None:
    """fio visits every block of its region once before any twice."""
    first, second = map(options, RAW_JOBS)
    assert first["size"] == "4M"
    region = int(first["size"].removesuffix("M")) << 20
    assert region < BACKING_BYTES, "it must fit the LUN"
    # All of it is read whole at the end, to check its payloads.
    assert region <= _PAYLOAD_MIB << 20
    # No size is the whole device: without --allow_file_create=0 fio would ask for one.
    assert "size" not in second
    # At the job's pace the whole LUN is not filled within a scenario.
    job = RAW_JOBS[1]
    assert BACKING_BYTES / int(second["bs"]) / job.burst * job.pause_ms / 1000 > 300


def test_the_file_job_writes_in_the_mounted_file_system_and_syncs() -> None:
    given = options(FILE_JOB)
    assert given["directory"] == MOUNT_POINT
    assert "filename" not in given
    assert int(given["fsync"]) > 0
    assert FILE_JOB.lun is None


def test_jobs_share_neither_a_name_nor_a_lun() -> None:
    assert len({job.name for job in JOBS}) == len(JOBS)
    assert len({job.lun for job in JOBS}) == len(JOBS)


@pytest.mark.parametrize("job", JOBS, ids=lambda j: j.name)
def test_the_description_names_the_files_that_fio_writes(job: Job) -> None:
    told, given = job.describe(), options(job)
    assert told["json"] == f"fio/{given['output']}"
    assert told["lat_log"] == f"fio/{given['write_lat_log']}_lat.1.log"
    assert told["block_size"] == int(given["bs"])
    assert told["headers"] == (f"fio/{job.lun}.headers.bin" if job.kind == "raw" else None)
    assert (told["name"], told["kind"], told["lun"], told["resource"]) == (
        job.name, job.kind, job.lun, job.resource,
    )  # fmt: skip


@pytest.mark.skipif(shutil.which("fio") is None, reason="fio is not installed")
@pytest.mark.parametrize("job", JOBS, ids=lambda j: j.name)
def test_fio_takes_the_command_and_writes_what_is_described(job: Job, tmp_path: Path) -> None:
    """A short run on a file instead of the LUN; everything else is as in the guest."""
    given = options(job)
    if job.kind == "raw":
        disk = tmp_path / "lun1"
        disk.write_bytes(bytes(4 << 20))
        given["filename"] = str(disk)
    else:
        given["directory"] = str(tmp_path)
        given["size"] = "1M"
    # The host may have neither libaio nor O_DIRECT on its /tmp.
    given.update(runtime="1", ioengine="psync", iodepth="1", direct="0")
    command = ["fio", *(f"--{name}={value}" for name, value in given.items())]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    told = job.describe()
    (result,) = json.loads((tmp_path / Path(told["json"]).name).read_text())["jobs"]
    assert result["jobname"] == job.name
    log = (tmp_path / Path(told["lat_log"]).name).read_text().splitlines()
    # Completion ms, latency ns, direction (1 = write), block size, offset.
    rows = [[int(field) for field in line.split(",")[:5]] for line in log]
    writes = [row for row in rows if row[2] == 1]
    assert len(writes) == result["write"]["total_ios"] > 0
    assert {row[3] for row in writes} == {told["block_size"]}


def test_a_raw_job_refuses_to_make_a_file_where_its_lun_should_be(tmp_path: Path) -> None:
    if shutil.which("fio") is None:
        pytest.skip("fio is not installed")
    given = options(RAW_JOBS[0])
    given.update(filename=str(tmp_path / "gone"), runtime="1", ioengine="psync",
                 direct="0")  # fmt: skip
    command = ["fio", *(f"--{name}={value}" for name, value in given.items())]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert not (tmp_path / "gone").exists()


def test_sums_are_those_of_sha256sum(tmp_path: Path) -> None:
    (tmp_path / "known").mkdir()
    for name, content in (("1", b"one"), ("with space", b"two")):
        (tmp_path / "known" / name).write_bytes(content)
    done = subprocess.run(
        "sha256sum known/*", cwd=tmp_path, shell=True, capture_output=True, text=True, check=True
    )
    assert _sums(done.stdout) == {
        "known/1": hashlib.sha256(b"one").hexdigest(),
        "known/with space": hashlib.sha256(b"two").hexdigest(),
    }
    assert _sums("") == {}
