"""What is copied from the initiator at the end, and what is said of what cannot be."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from harness.cluster.render import lun_link
from harness.evidence.blocks import (
    RECORD_DTYPE,
    STATUS_GOOD,
    STATUS_NO_HEADER,
    STATUS_TORN,
    STATUS_UNCHECKED,
    Headers,
    read_headers,
    write_headers,
)
from harness.evidence.timeline import Channel, TimelineWriter, read_timeline
from harness.fio_parser import HEADER_DTYPE, parse_headers
from harness.lab.topology import Topology
from harness.remote.ssh import GuestUnreachableError
from harness.workload.fio import _PAYLOAD_MIB, FILE_JOB, RAW_JOBS, Job, Workload

if TYPE_CHECKING:
    from harness.lab.lab import Lab

# 12 blocks that fio 3.33 wrote with verify=crc32c; tests/fio_parser/fixtures/README.md.
IMAGE = (Path(__file__).parents[1] / "fio_parser" / "fixtures" / "crc32c.img").read_bytes()
BLOCKS = len(IMAGE) // 4096
READ = _PAYLOAD_MIB * 256  # blocks that are read whole
JOB = RAW_JOBS[1]  # a whole LUN: longer than what is read of it
LINK = lun_link(Topology(), str(JOB.lun))


def headers_bin(folder: Path, blocks: int) -> bytes:
    """What the guest's tool says of a LUN that begins with IMAGE."""
    table = parse_headers(IMAGE, block_size=4096)
    records = np.zeros(blocks, dtype=RECORD_DTYPE)
    for name in HEADER_DTYPE.names or ():
        records[name][:BLOCKS] = table.headers[name]
    records["status"] = STATUS_NO_HEADER
    records["status"][:BLOCKS] = STATUS_UNCHECKED
    records["status"][-1] = STATUS_UNCHECKED
    write_headers(folder / "made.bin", Headers(4096, records))
    return (folder / "made.bin").read_bytes()


class Guest:
    """An initiator that answers with what was prepared for the first word of a command."""

    def __init__(self, **answers: bytes | Exception) -> None:
        self.answers = answers
        self.commands: list[str] = []

    def read_binary(self, command: str, **_options: Any) -> bytes:
        self.commands.append(command)
        answer = self.answers[Path(command.split()[0]).name]
        if isinstance(answer, Exception):
            raise answer
        return answer


def collected(folder: Path, guest: Guest, *jobs: Job, stuck: bool = False) -> list[str]:
    """Collect to ``folder``; returns what was said of what is not there."""
    lab = SimpleNamespace(topology=Topology(), initiator=SimpleNamespace(guest=guest))
    writer = TimelineWriter(folder / "timeline.jsonl")
    workload = Workload(cast("Lab", lab), jobs, writer)
    workload.stuck = stuck
    workload.collect(folder)
    writer.close()
    events = read_timeline(folder / "timeline.jsonl")
    assert all((e.channel, e.kind) == (Channel.WORKLOAD, "not-collected") for e in events)
    return [str(e.data["text"]) for e in events]


def statuses(folder: Path) -> list[int]:
    path = folder / "fio" / f"{JOB.lun}.headers.bin"
    return [int(status) for status in read_headers(path).records["status"]]


def data(image: bytes = IMAGE) -> bytes:
    return image + bytes(READ * 4096 - len(image))


def test_the_first_blocks_are_read_whole_and_judged_by_their_payloads(tmp_path: Path) -> None:
    torn = bytearray(IMAGE)
    torn[3 * 4096 + 2000] ^= 1
    guest = Guest(cat=b"log", headers=headers_bin(tmp_path, READ + 5), dd=data(bytes(torn)))
    assert collected(tmp_path, guest, JOB) == []
    expected = [STATUS_GOOD] * BLOCKS + [STATUS_NO_HEADER] * (READ + 5 - BLOCKS)
    expected[3] = STATUS_TORN
    expected[-1] = STATUS_UNCHECKED  # beyond what was read
    assert statuses(tmp_path) == expected
    (dd,) = [command for command in guest.commands if command.startswith("dd ")]
    assert f"if={LINK} " in dd
    # Around the page cache: what is on the replicas counts.
    assert "iflag=direct" in dd
    assert f"bs=1M count={_PAYLOAD_MIB}" in dd
    names = sorted(path.name for path in (tmp_path / "fio").iterdir())
    assert names == ["lun2.headers.bin", "raw2.json", "raw2.out", "raw2_lat.1.log"]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (GuestUnreachableError("client does not answer"), "client does not answer"),
        (IMAGE[:-1], "4095 bytes"),
    ],
)
def test_payloads_that_cannot_be_read_leave_the_headers_unchecked(
    tmp_path: Path, answer: bytes | Exception, says: str
) -> None:
    guest = Guest(cat=b"log", headers=headers_bin(tmp_path, READ), dd=answer)
    (said,) = collected(tmp_path, guest, JOB)
    assert said.startswith("payloads of raw2 not checked: ")
    assert says in said
    assert statuses(tmp_path)[:BLOCKS] == [STATUS_UNCHECKED] * BLOCKS


def test_headers_that_are_not_there_or_torn_are_said(tmp_path: Path) -> None:
    guest = Guest(cat=b"log", headers=GuestUnreachableError("client is gone"), dd=data())
    first, second = collected(tmp_path, guest, JOB)
    assert first == "lun2.headers.bin: client is gone"
    assert second.startswith("payloads of raw2 not checked: ")
    assert not (tmp_path / "fio" / "lun2.headers.bin").exists()
    other = tmp_path / "other"
    other.mkdir()
    torn = headers_bin(tmp_path, READ)[:-1]
    (said,) = collected(other, Guest(cat=b"log", headers=torn, dd=data()), JOB)
    assert "bytes for 1024 records" in said
    assert (other / "fio" / "lun2.headers.bin").read_bytes() == torn, "as it came"


def test_of_a_stuck_workload_and_of_a_file_there_are_no_headers(tmp_path: Path) -> None:
    guest = Guest(cat=b"log")
    assert collected(tmp_path, guest, JOB, stuck=True) == []
    other = tmp_path / "other"
    other.mkdir()
    assert collected(other, guest, FILE_JOB) == []
    assert all(command.startswith("cat ") for command in guest.commands)
