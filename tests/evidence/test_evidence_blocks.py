"""headers.bin and digests.bin: what was written is read; anything else is refused."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.evidence.blocks import (
    RECORD_DTYPE,
    BlocksError,
    Digests,
    Headers,
    read_digests,
    read_headers,
    write_digests,
    write_headers,
)

if TYPE_CHECKING:
    from pathlib import Path


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
