"""headers.bin and digests.bin: what was written is read; anything else is refused."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.evidence.blocks import (
    RECORD_DTYPE,
    STATUS_GOOD,
    STATUS_NO_HEADER,
    STATUS_TORN,
    STATUS_UNCHECKED,
    BlocksError,
    Digests,
    Headers,
    read_digests,
    read_headers,
    with_payloads,
    write_digests,
    write_headers,
)
from harness.fio_parser import HEADER_DTYPE, FioParseError, parse_headers

if TYPE_CHECKING:
    from collections.abc import Callable

# 12 blocks that fio 3.33 wrote with verify=crc32c; tests/fio_parser/fixtures/README.md.
IMAGE = (Path(__file__).parents[1] / "fio_parser" / "fixtures" / "crc32c.img").read_bytes()
BLOCKS = len(IMAGE) // 4096


def test_the_record_is_as_the_contract_says() -> None:
    assert RECORD_DTYPE.itemsize == 45
    packed = struct.pack("<HHIQQIIHHII", 0xACCA, 5, 4096, 7, 8192, 11, 12, 1, 3, 99, 5) + b"\x01"
    record = np.frombuffer(packed, dtype=RECORD_DTYPE)[0]
    assert (record["offset"], record["numberio"], record["crc32"]) == (8192, 3, 99)
    assert (record["payload_crc"], record["status"]) == (5, 1)


def test_round_trips(tmp_path: Path) -> None:
    records = np.zeros(5, dtype=RECORD_DTYPE)
    records["time_sec"], records["time_nsec"], records["status"] = 2, 7, 3
    write_headers(tmp_path / "h.bin", Headers(4096, records))
    assert (tmp_path / "h.bin").stat().st_size == 20 + 5 * 45
    read = read_headers(tmp_path / "h.bin")
    assert np.array_equal(read.records, records)
    assert read.times_ns().tolist() == [2_000_000_007] * 5
    crc = np.arange(9, dtype=np.uint32)
    write_digests(tmp_path / "d.bin", Digests(4096, crc))
    assert (tmp_path / "d.bin").read_bytes()[:20] == b"FHDIG001" + struct.pack("<IQ", 4096, 9)
    assert np.array_equal(read_digests(tmp_path / "d.bin").crc, crc)


GOOD = b"FHHDR001" + struct.pack("<IQ", 4096, 1) + b"\x00" * 44 + b"\x02"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "too short"),
        (GOOD[:-1], "44 bytes for 1 records"),
        (GOOD + b"\x00", "46 bytes for 1 records"),
        (b"FHDIG001" + GOOD[8:], "magic"),
        (GOOD[:8] + struct.pack("<I", 512) + GOOD[12:], "block size 512"),
        (GOOD[:-1] + b"\x04", "status byte 4"),
        (b"FHHDR001" + struct.pack("<IQ", 4096, 2**63) + b"\x00" * 45, "45 bytes for"),
    ],
)
def test_what_is_not_a_headers_file(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "h.bin").write_bytes(content)
    with pytest.raises(BlocksError, match=message):
        read_headers(tmp_path / "h.bin")


# -------------------------------------------------------------------------------- payloads


def read_back(image: bytes, more: int = 0) -> Headers:
    """The headers of an image as the guest's tool tells them, and ``more`` blocks after it."""
    table = parse_headers(image, block_size=4096)
    records = np.zeros(len(table) + more, dtype=RECORD_DTYPE)
    for name in HEADER_DTYPE.names or ():
        records[name][: len(table)] = table.headers[name]
    records["status"] = STATUS_UNCHECKED
    records["status"][: len(table)][~table.present] = STATUS_NO_HEADER
    return Headers(4096, records)


def statuses(headers: Headers) -> list[int]:
    return [int(status) for status in headers.records["status"]]


def test_payloads_that_fio_wrote_are_good_and_blocks_beyond_stay_unchecked() -> None:
    headers = read_back(IMAGE, more=3)
    told = with_payloads(headers, IMAGE)
    assert statuses(told) == [STATUS_GOOD] * BLOCKS + [STATUS_UNCHECKED] * 3
    assert statuses(headers) == [STATUS_UNCHECKED] * (BLOCKS + 3), "the given one is as it was"
    assert told.block_size == 4096
    for name in HEADER_DTYPE.names or ():
        assert np.array_equal(told.records[name], headers.records[name]), name


@pytest.mark.parametrize("position", [44, 45, 2048, 4095])
def test_one_wrong_byte_of_a_payload_is_a_torn_block(position: int) -> None:
    image = bytearray(IMAGE)
    image[5 * 4096 + position] ^= 1
    told = with_payloads(read_back(IMAGE), bytes(image))
    expected = [STATUS_GOOD] * BLOCKS
    expected[5] = STATUS_TORN
    assert statuses(told) == expected


def test_a_payload_of_another_write_is_torn_although_its_header_is_whole() -> None:
    """Half of a block from before, half from after: what a lost half of a write looks like."""
    first, second = IMAGE[:4096], IMAGE[4096:8192]
    image = first[:2048] + second[2048:] + IMAGE[4096:]
    assert statuses(with_payloads(read_back(IMAGE), image))[:2] == [STATUS_TORN, STATUS_GOOD]


@pytest.mark.parametrize(
    "damage",
    [
        lambda block: bytes(4096),  # empty after all
        lambda block: block[:2] + bytes(40) + block[42:],  # its header does not count
    ],
)
def test_a_block_whose_header_was_seen_and_is_gone_is_torn(
    damage: Callable[[bytes], bytes],
) -> None:
    image = damage(IMAGE[:4096]) + IMAGE[4096:]
    assert statuses(with_payloads(read_back(IMAGE), image))[:2] == [STATUS_TORN, STATUS_GOOD]


def test_a_block_that_fio_never_wrote_stays_without_header() -> None:
    image = IMAGE[:4096] + bytes(4096) + IMAGE[8192:]
    told = with_payloads(read_back(image), image)
    assert statuses(told)[:3] == [STATUS_GOOD, STATUS_NO_HEADER, STATUS_GOOD]
    # Nor does a payload turn up where no header was: it was not there when headers were read.
    assert statuses(with_payloads(read_back(image), IMAGE))[1] == STATUS_NO_HEADER


def test_no_payloads_change_nothing_and_half_a_block_is_refused() -> None:
    headers = read_back(IMAGE)
    assert statuses(with_payloads(headers, b"")) == statuses(headers)
    with pytest.raises(FioParseError):
        with_payloads(headers, IMAGE[:-1])


def test_checked_headers_survive_the_disk(tmp_path: Path) -> None:
    told = with_payloads(read_back(IMAGE, more=1), IMAGE)
    write_headers(tmp_path / "h.bin", told)
    read = read_headers(tmp_path / "h.bin")
    assert np.array_equal(read.records, told.records)
    # What was read is not writable; it can be checked all the same.
    assert statuses(with_payloads(read, IMAGE)) == statuses(told)
