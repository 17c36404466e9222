"""fio's CRC-32C over many equally long blocks at once, in numpy.

fio_crc32c() (crc/crc32c.c of fio) is the Castagnoli CRC, reflected polynomial 0x82F63B78, started
at all ones, and, unlike iSCSI's, without the final inversion.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_POLYNOMIAL = np.uint32(0x82F63B78)
# So many blocks at a time keep the transposed copy of their words small (8 MiB at 4 KiB).
_CHUNK_BLOCKS = 2048
# Fewer rows than this are cut into lanes first: a step over few rows is nothing but overhead.
_FEW_BLOCKS = 64
_LANES = 64


def _table(bits: int) -> npt.NDArray[np.uint32]:
    """The CRC's state after ``bits`` bits, by their value: shape (2**bits,)."""
    state = np.arange(1 << bits, dtype=np.uint32)
    for _ in range(bits):
        state = (state >> np.uint32(1)) ^ (_POLYNOMIAL * (state & np.uint32(1)))
    return state


_BYTE_TABLE = _table(8)
# Two bytes per step: twice as fast as bytes, and still small enough (256 KiB) for the cache.
_WORD_TABLE = _table(16)


def crc32c(blocks: npt.NDArray[np.uint8], start: int = 0xFFFFFFFF) -> npt.NDArray[np.uint32]:
    """fio's CRC-32C of every row.

    Args:
        blocks: shape (n, bytes), of uint8.
        start: what the CRC begins with; others than fio begin at 0.

    Returns:
        shape (n,), of uint32.
    """
    if 0 < len(blocks) < _FEW_BLOCKS and blocks.shape[1] >= 4 * _LANES:
        return _crc_lanes(blocks, start)
    result = np.empty(len(blocks), np.uint32)
    for first in range(0, len(blocks), _CHUNK_BLOCKS):
        chunk = blocks[first : first + _CHUNK_BLOCKS]
        result[first : first + len(chunk)] = _crc_columns(chunk, start)
    return result


def _crc_lanes(blocks: npt.NDArray[np.uint8], start: int) -> npt.NDArray[np.uint32]:
    """Rows cut into lanes; the CRC is linear, so a state goes on by what zeroes make of it."""
    rows, width = blocks.shape
    each = width // _LANES & ~1
    whole = each * _LANES
    lanes = np.ascontiguousarray(blocks[:, :whole]).reshape(rows * _LANES, each)
    parts = _crc_columns(lanes, 0).reshape(rows, _LANES)
    tables = _over_zeroes(each)
    state = np.full(rows, start, np.uint32)
    for lane in parts.T:
        moved = lane.copy()
        for byte, table in enumerate(tables):
            moved ^= table[(state >> np.uint32(8 * byte)) & np.uint32(0xFF)]
        state = moved
    return _crc_columns(blocks[:, whole:], state)


@lru_cache(maxsize=8)
def _over_zeroes(count: int) -> npt.NDArray[np.uint32]:
    """What ``count`` zero bytes make of a state, by each of its four bytes: shape (4, 256)."""
    state = np.arange(256, dtype=np.uint32) << (np.arange(4, dtype=np.uint32)[:, None] * 8)
    state = state.astype(np.uint32)
    for _ in range(count):
        state = _BYTE_TABLE[state & np.uint32(0xFF)] ^ (state >> np.uint32(8))
    return state


def _crc_columns(
    chunk: npt.NDArray[np.uint8], start: int | npt.NDArray[np.uint32]
) -> npt.NDArray[np.uint32]:
    """Column by column, every step over all rows; ``start`` may be one for each row."""
    state = np.full(len(chunk), start, np.uint32)
    even = chunk.shape[1] & ~1
    if even:
        words = np.ascontiguousarray(chunk[:, :even]).view("<u2")
        for word in np.ascontiguousarray(words.T):
            state = _WORD_TABLE[(state ^ word) & np.uint32(0xFFFF)] ^ (state >> np.uint32(16))
    if even != chunk.shape[1]:
        last = chunk[:, even]
        state = _BYTE_TABLE[(state ^ last) & np.uint32(0xFF)] ^ (state >> np.uint32(8))
    return state
