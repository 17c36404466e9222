"""Per-block evidence: ``headers.bin`` (fio's stamps) and ``digests.bin`` (CRC-32 of a replica).

Both formats are defined in docs/evidence.md: little-endian, no padding, one record per 4 KiB
block, in order. Readers are strict: a torn or foreign file is an error, never half an answer.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.fio_parser import HEADER_DTYPE, check_payloads

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

BLOCK_SIZE = 4096
HEADERS_MAGIC = b"FHHDR001"
DIGESTS_MAGIC = b"FHDIG001"

STATUS_TORN = 0  # the payload does not match its CRC
STATUS_GOOD = 1
STATUS_NO_HEADER = 2
STATUS_UNCHECKED = 3  # a header, but the payload was not read or not checked

_PREFIX = struct.Struct("<8sIQ")

# fio's verify header (40 bytes, harness.fio_parser), the payload's crc32c and our status byte.
RECORD_DTYPE = np.dtype([*HEADER_DTYPE.descr, ("payload_crc", "<u4"), ("status", "u1")])


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


def with_payloads(headers: Headers, data: bytes) -> Headers:
    """The headers with the status of the first blocks told by their payloads.

    Args:
        headers: as read back; the given object stays as it is.
        data: the LUN's first bytes, whole blocks.
    """
    good = check_payloads(data, block_size=headers.block_size)[: len(headers.records)]
    records = headers.records.copy()
    there = records["status"][: len(good)] != STATUS_NO_HEADER
    records["status"][: len(good)][there] = np.where(good, STATUS_GOOD, STATUS_TORN)[there]
    return Headers(headers.block_size, records)


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
