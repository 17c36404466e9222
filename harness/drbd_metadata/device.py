"""All of a backing disk's metadata, and where two disks may rightly differ."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from harness.drbd_metadata.activity_log import AL_EXTENT_BYTES, active_extents
from harness.drbd_metadata.superblock import (
    BLOCK_BYTES,
    SECTOR_BYTES,
    Flags,
    MetadataError,
    Superblock,
    parse_superblock,
    superblock_offset,
)

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class DeviceMetadata:
    """Metadata of one backing disk.

    Attributes:
        superblock: the superblock.
        dirty: blocks of 4 KiB that the bitmap says the peer lacks; shape (blocks,).
        extents: active extents of the activity log, 4 MiB each.
    """

    superblock: Superblock
    dirty: npt.NDArray[np.bool_]
    extents: tuple[int, ...]

    def may_differ(self) -> npt.NDArray[np.bool_]:
        """Blocks that a resync with the peer would copy; shape (blocks,).

        The bitmap's, and the active extents of a Primary that did not shut down: it keeps newer
        bits in memory only, and the kernel marks those extents when it attaches again
        (drbd_al_apply_to_bm).
        """
        may = self.dirty.copy()
        if not self.superblock.clean and self.superblock.flags & (
            Flags.PRIMARY | Flags.CRASHED_PRIMARY
        ):
            per_extent = AL_EXTENT_BYTES // BLOCK_BYTES
            for extent in self.extents:
                may[extent * per_extent : (extent + 1) * per_extent] = True
        return may


def read_metadata(disk: BinaryIO) -> DeviceMetadata:
    """Read the metadata of a raw backing disk (a file or a device, open for reading).

    Raises:
        MetadataError: it has none, or it is damaged.
    """
    size = disk.seek(0, os.SEEK_END)
    at = superblock_offset(size)
    superblock = parse_superblock(_read(disk, at, BLOCK_BYTES))
    ring_at = at + superblock.al_offset_sectors * SECTOR_BYTES
    bitmap_at = at + superblock.bm_offset_sectors * SECTOR_BYTES
    if bitmap_at < 0 or superblock.data_bytes > bitmap_at:
        raise MetadataError(f"{superblock.data_bytes} bytes of data reach into the metadata")
    blocks = -(-superblock.data_bytes // BLOCK_BYTES)
    if bitmap_at + -(-blocks // 8) > ring_at:
        raise MetadataError("the bitmap reaches into the activity log")
    # A little-endian bit string: bit 0 of byte 0 is block 0.
    raw = np.frombuffer(_read(disk, bitmap_at, -(-blocks // 8)), dtype=np.uint8)
    dirty = np.unpackbits(raw, count=blocks, bitorder="little").astype(bool)
    extents = active_extents(_read(disk, ring_at, superblock.al_blocks * BLOCK_BYTES))
    last = -(-superblock.data_bytes // AL_EXTENT_BYTES)
    if extents and extents[-1] >= last:
        raise MetadataError(f"active extent {extents[-1]} of {last}")
    return DeviceMetadata(superblock, dirty, extents)


def _read(disk: BinaryIO, offset: int, length: int) -> bytes:
    disk.seek(offset)
    raw = disk.read(length)
    if len(raw) != length:
        raise MetadataError(f"{len(raw)} of {length} bytes at {offset}")
    return raw
