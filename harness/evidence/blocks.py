"""Per-block evidence: ``headers.bin`` (fio's stamps) and ``digests.bin`` (CRC-32 of a replica).

Both formats are defined in docs/evidence.md: little-endian, no padding, one record per 4 KiB
block, in order. Readers are strict: a torn or foreign file is an error, never half an answer.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

BLOCK_SIZE = 4096
HEADERS_MAGIC = b"FHHDR001"
DIGESTS_MAGIC = b"FHDIG001"
FIO_MAGIC = 0xACCA  # FIO_HDR_MAGIC in fio's verify.h

STATUS_TORN = 0  # the payload does not match its CRC
STATUS_GOOD = 1
STATUS_NO_HEADER = 2
STATUS_UNCHECKED = 3  # a header, but the payload was not read or not checked

_PREFIX = struct.Struct("<8sIQ")

# struct verify_header of fio 3.x (verify.h), 40 bytes, the payload's crc32c and our status byte.
RECORD_DTYPE = np.dtype(
    [
        ("magic", "<u2"),
        ("verify_type", "<u2"),
        ("len", "<u4"),
        ("rand_seed", "<u8"),
        ("offset", "<u8"),
        ("time_sec", "<u4"),
        ("time_nsec", "<u4"),
        ("thread", "<u2"),
        ("numberio", "<u2"),
        ("crc32", "<u4"),
        ("payload_crc", "<u4"),
        ("status", "u1"),
    ]
)
HEADER_BYTES = 44  # what is copied from each block
_CRC_OFFSET = 36  # the header's CRC covers the bytes before it


class BlocksError(ValueError):
    """A file that is not what its name says; the message names it and what is wrong."""


@dataclass(frozen=True, slots=True)
class Headers:
    """The verify headers of a LUN.

    Attributes:
        block_size: bytes per block.
        records: array of RECORD_DTYPE, shape (number of blocks,).
    """

    block_size: int
    records: npt.NDArray[np.void]

    def times_ns(self) -> npt.NDArray[np.int64]:
        """Issue time of the write that stamped each block, ns on fio's own clock."""
        seconds: npt.NDArray[np.int64] = self.records["time_sec"].astype(np.int64)
        return seconds * 1_000_000_000 + self.records["time_nsec"].astype(np.int64)


@dataclass(frozen=True, slots=True)
class Digests:
    """The digests of one replica: ``crc`` is u4, shape (number of blocks,)."""

    block_size: int
    crc: npt.NDArray[np.uint32]


def write_headers(path: Path, headers: Headers) -> None:
    """Write ``headers.bin``; raises BlocksError where the records are of another dtype."""
    if headers.records.dtype != RECORD_DTYPE:
        raise BlocksError(f"{path.name}: records of dtype {headers.records.dtype}")
    _write(path, HEADERS_MAGIC, headers.block_size, len(headers.records), headers.records.tobytes())


def read_headers(path: Path) -> Headers:
    """Read ``headers.bin``.

    Raises:
        BlocksError: wrong magic, torn, trailing bytes, or a status byte that is not defined.
        FileNotFoundError: there is no such file.
    """
    block_size, body = _read(path, HEADERS_MAGIC, RECORD_DTYPE.itemsize)
    records = np.frombuffer(body, dtype=RECORD_DTYPE)
    if len(records) and int(records["status"].max()) > STATUS_UNCHECKED:
        first = int(np.argmax(records["status"] > STATUS_UNCHECKED))
        raise BlocksError(f"{path.name}:{first}: status byte {int(records['status'][first])}")
    return Headers(block_size, records)


def write_digests(path: Path, digests: Digests) -> None:
    """Write ``digests.bin``."""
    _write(
        path,
        DIGESTS_MAGIC,
        digests.block_size,
        len(digests.crc),
        digests.crc.astype("<u4").tobytes(),
    )


def read_digests(path: Path) -> Digests:
    """Read ``digests.bin``; raises as read_headers does."""
    block_size, body = _read(path, DIGESTS_MAGIC, 4)
    return Digests(block_size, np.frombuffer(body, dtype="<u4"))


def header_crcs(records: npt.NDArray[np.void]) -> npt.NDArray[np.uint32]:
    """What the field ``crc32`` of each header should be: crc32c of the 36 bytes before it.

    fio's fill_hdr() (verify.c) computes ``fio_crc32c(hdr, offsetof(struct verify_header, crc32))``,
    seeded with ~0 and not inverted at the end.
    """
    table = _crc32c_table()
    data = np.frombuffer(records.tobytes(), dtype=np.uint8).reshape(len(records), -1)
    crc = np.full(len(records), 0xFFFFFFFF, dtype=np.uint32)
    for column in range(_CRC_OFFSET):
        crc = table[(crc ^ data[:, column]) & 0xFF] ^ (crc >> np.uint32(8))
    return crc


def _crc32c_table() -> npt.NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, np.uint32(0x82F63B78), np.uint32(0)) ^ (table >> np.uint32(1))
    return table


def _write(path: Path, magic: bytes, block_size: int, blocks: int, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(_PREFIX.pack(magic, block_size, blocks))
        file.write(body)


def _read(path: Path, magic: bytes, record_bytes: int) -> tuple[int, bytes]:
    content = path.read_bytes()
    if len(content) < _PREFIX.size:
        raise BlocksError(f"{path.name}: {len(content)} bytes, too short for a header")
    seen, block_size, blocks = _PREFIX.unpack_from(content)
    if seen != magic:
        raise BlocksError(f"{path.name}: magic {seen!r}, expected {magic!r}")
    if block_size != BLOCK_SIZE:
        raise BlocksError(f"{path.name}: block size {block_size}, expected {BLOCK_SIZE}")
    body = content[_PREFIX.size :]
    if len(body) != blocks * record_bytes:
        raise BlocksError(
            f"{path.name}: {len(body)} bytes for {blocks} records of {record_bytes} bytes"
        )
    return block_size, body
