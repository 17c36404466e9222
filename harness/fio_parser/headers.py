"""The header fio writes at the start of every block it can verify, and the payload behind it.

Source of the format: struct verify_header in verify.h and __fill_hdr() in verify.c of fio, checked
against images of fio 3.33. 40 bytes in the writer's byte order, taken to be little-endian here::

    magic 0xacca, verify_type, len, rand_seed, offset, time_sec, time_nsec, thread, numberio, crc32

``crc32`` is fio's CRC-32C of the 36 bytes before it. With verify=crc32c the payload's CRC-32C
follows at byte 40, and the payload, which it covers to the block's end, at byte 44.

Recent fio versions set the high bit of byte 2 (a header version, with verify_type in byte 3);
some of them have a longer header. Neither is read: such a block raises rather than pass for empty.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from .crc32c import crc32c
from .errors import FioParseError

if TYPE_CHECKING:
    import mmap

    import numpy.typing as npt

    # collections.abc.Buffer is of Python 3.12.
    Buffer = bytes | bytearray | memoryview | mmap.mmap

HEADER_MAGIC = 0xACCA

HEADER_DTYPE = np.dtype(
    [
        ("magic", "<u2"),
        ("verify_type", "<u2"),  # VerifyType
        ("len", "<u4"),  # bytes the header answers for: itself and the payload
        ("rand_seed", "<u8"),
        ("offset", "<u8"),  # bytes, in the file or device
        ("time_sec", "<u4"),  # when it was issued, by the job's clocksource; no date as a rule
        ("time_nsec", "<u4"),
        ("thread", "<u2"),  # number of the job, from 1
        ("numberio", "<u2"),  # sequence number of the write within the job, modulo 2**16
        ("crc32", "<u4"),
    ]
)

_HEADER_BYTES = HEADER_DTYPE.itemsize
_CRC_AT = 36
_PAYLOAD_CRC_AT = 40
_PAYLOAD_AT = 44


class VerifyType(IntEnum):
    """verify_type: what covers the payload (the enum in verify.h of fio)."""

    NONE = 0
    HDR_ONLY = 1
    MD5 = 2
    CRC64 = 3
    CRC32 = 4
    CRC32C = 5
    CRC32C_INTEL = 6  # verify=crc32c-intel; written as CRC32C by fio 3
    CRC16 = 7
    CRC7 = 8
    SHA256 = 9
    SHA512 = 10
    SHA3_224 = 11
    SHA3_256 = 12
    SHA3_384 = 13
    SHA3_512 = 14
    XXHASH = 15
    SHA1 = 16
    PATTERN = 17
    PATTERN_NO_HDR = 18
    NULL = 19


@dataclass(frozen=True, slots=True, eq=False)
class HeaderTable:
    """The headers of n consecutive blocks.

    Attributes:
        headers: shape (n,), of HEADER_DTYPE; without meaning where not present.
        present: shape (n,), bool: the magic is there, and the header's own CRC is right.
        block_size: bytes from one block to the next.
    """

    headers: npt.NDArray[np.void] = field(repr=False)
    present: npt.NDArray[np.bool_] = field(repr=False)
    block_size: int

    def __len__(self) -> int:
        return len(self.headers)

    @property
    def in_place(self) -> npt.NDArray[np.bool_]:
        """Present, and written for just this block, if the first one is at offset 0: shape (n,)."""
        expected = np.arange(len(self.headers), dtype=np.uint64) * np.uint64(self.block_size)
        result: npt.NDArray[np.bool_] = self.present & (self.headers["offset"] == expected)
        return result


def parse_headers(
    buffer: Buffer, *, block_size: int, record_size: int | None = None
) -> HeaderTable:
    """The header of every block; whatever else is in a block makes it not present.

    Args:
        buffer: consecutive blocks; or, with ``record_size``, only their beginnings.
        block_size: bytes per block, at least 40.
        record_size: bytes kept of each block, at least 40; None: whole blocks.

    Raises:
        FioParseError: the buffer ends within a block or record (``offset``: where that starts),
            or a block has a versioned header.
        ValueError: a size below 40 bytes.
    """
    if block_size < _HEADER_BYTES:
        raise ValueError(f"block_size {block_size}: a header alone has {_HEADER_BYTES} bytes")
    records = _records(buffer, block_size if record_size is None else record_size)
    raw = np.ascontiguousarray(records[:, :_HEADER_BYTES])
    headers = raw.view(HEADER_DTYPE).reshape(-1)
    present = headers["magic"] == HEADER_MAGIC
    # Most of a device can be empty: only what bears the magic is worth its CRC.
    rows = np.flatnonzero(present)
    present[rows] = crc32c(raw[rows, :_CRC_AT]) == headers["crc32"][rows]
    _refuse_versioned(records, rows[raw[rows, 2] >= 0x80])
    return HeaderTable(headers, present, block_size)


def check_payloads(buffer: Buffer, block_size: int) -> npt.NDArray[np.bool_]:
    """Whether each block is, byte for byte, one that fio wrote with verify=crc32c.

    Args:
        buffer: consecutive whole blocks.
        block_size: bytes per block, more than 44: the job's block size, or its verify_interval.

    Returns:
        shape (blocks,): the header is present, its type is CRC-32C, it answers for just
        ``block_size`` bytes, and the payload's CRC is right. False says only that one of these
        is not so; :func:`parse_headers` tells a torn payload from an empty block.

    Raises:
        FioParseError: as :func:`parse_headers`.
        ValueError: a block size with no room for a payload.
    """
    if block_size <= _PAYLOAD_AT:
        raise ValueError(f"block_size {block_size}: no payload within {_PAYLOAD_AT} bytes")
    table = parse_headers(buffer, block_size=block_size)
    kinds = (VerifyType.CRC32C, VerifyType.CRC32C_INTEL)
    good: npt.NDArray[np.bool_] = (
        table.present
        & np.isin(table.headers["verify_type"], kinds)
        & (table.headers["len"] == block_size)
    )
    records = _records(buffer, block_size)
    rows = np.flatnonzero(good)
    stored = (
        np.ascontiguousarray(records[rows, _PAYLOAD_CRC_AT:_PAYLOAD_AT]).view("<u4").reshape(-1)
    )
    payloads = records[:, _PAYLOAD_AT:]
    # The copy for a selection costs as much as the blocks themselves: avoid it when all count.
    good[rows] = crc32c(payloads if len(rows) == len(good) else payloads[rows]) == stored
    return good


def _records(buffer: Buffer, size: int) -> npt.NDArray[np.uint8]:
    """shape (records, size), a view of the buffer."""
    if size < _HEADER_BYTES:
        raise ValueError(f"record_size {size}: a header alone has {_HEADER_BYTES} bytes")
    if not len(buffer):  # which numpy refuses
        return np.empty((0, size), np.uint8)
    data = np.frombuffer(buffer, np.uint8)
    rest = len(data) % size
    if rest:
        reason = f"{rest} bytes of a record of {size}"
        raise FioParseError(reason, offset=len(data) - rest)
    return data.reshape(-1, size)


def _refuse_versioned(records: npt.NDArray[np.uint8], rows: npt.NDArray[np.intp]) -> None:
    """Raise if one of the rows is a versioned header and not just chance bytes."""
    for crc_at in (_CRC_AT, 44):
        if not len(rows) or records.shape[1] < crc_at + 4:
            continue
        head = records[rows, : crc_at + 4]
        stored = np.ascontiguousarray(head[:, crc_at:]).view("<u4").reshape(-1)
        bad = crc32c(head[:, :crc_at]) == stored
        if bad.any():
            row = int(rows[bad.argmax()])
            version = int(records[row, 2])
            raise FioParseError(
                f"header version {version:#x}: only unversioned headers are supported",
                offset=row * records.shape[1],
            )
