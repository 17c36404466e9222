"""The superblock of internal metadata (DRBD 8.4): sizes, generation identifiers, flags.

Format: ``struct meta_data_on_disk`` of the kernel's drivers/block/drbd/drbd_main.c (up to 5.x),
big-endian, in the last whole 4 KiB of the backing disk. Checked against ``drbdmeta`` of drbd-utils.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag

SECTOR_BYTES = 512
BLOCK_BYTES = 4096
JUST_CREATED = 4
"""``UUID_JUST_CREATED``: the current UUID of a device that has never seen data."""

_LAYOUT = struct.Struct(">Q4QQQ10I")
# DRBD_MD_MAGIC_08 and _84_UNCLEAN of linux/drbd.h: with the latter the activity log says which
# extents may be ahead of the bitmap.
_MAGIC_CLEAN = 0x8374026B
_MAGIC_UNCLEAN = 0x8374026C
_MAGIC_09 = 0x8374026D


class MetadataError(ValueError):
    """Bytes that are no DRBD 8.4 metadata; the message says what is wrong."""


class Flags(IntFlag):
    """``MDF_*`` of linux/drbd.h."""

    CONSISTENT = 0x01
    PRIMARY = 0x02
    CONNECTED = 0x04
    FULL_SYNC = 0x08
    WAS_UP_TO_DATE = 0x10
    PEER_OUTDATED = 0x20
    CRASHED_PRIMARY = 0x40
    AL_CLEAN = 0x80


@dataclass(frozen=True, slots=True)
class Superblock:
    """One device's superblock.

    Attributes:
        la_size_sectors: size of the replicated device, in sectors of 512 bytes.
        current, bitmap, history1, history2: generation identifiers. Bit 0 is no part of the
            identity (it says whether the node was Primary).
        device_uuid: of this disk.
        flags: Flags; unknown bits are kept.
        clean: whether the bitmap is complete without the activity log.
        md_size_sectors: size of the metadata.
        al_offset_sectors, bm_offset_sectors: where activity log and bitmap begin, from the
            superblock on; negative for internal metadata.
        al_extents: slots of the activity log.
        bytes_per_bit: what one bit of the bitmap stands for.
        al_stripes, al_stripe_size_4k: shape of the activity log's ring.
    """

    la_size_sectors: int
    current: int
    bitmap: int
    history1: int
    history2: int
    device_uuid: int
    flags: Flags
    clean: bool
    md_size_sectors: int
    al_offset_sectors: int
    bm_offset_sectors: int
    al_extents: int
    bytes_per_bit: int
    al_stripes: int
    al_stripe_size_4k: int

    @property
    def data_bytes(self) -> int:
        """Size of the replicated device."""
        return self.la_size_sectors * SECTOR_BYTES

    @property
    def al_blocks(self) -> int:
        """Transactions that the activity log's ring holds, 4 KiB each."""
        return self.al_stripes * self.al_stripe_size_4k


def superblock_offset(device_bytes: int) -> int:
    """Where a device of this size has its superblock (drbd_md_ss of drbd_int.h).

    Raises:
        MetadataError: it is too small for one.
    """
    offset = (device_bytes & ~(BLOCK_BYTES - 1)) - BLOCK_BYTES
    if offset < 0:
        raise MetadataError(f"a device of {device_bytes} bytes has no place for metadata")
    return offset


def parse_superblock(raw: bytes) -> Superblock:
    """The superblock in the first bytes of ``raw``.

    Raises:
        MetadataError: no magic, a size or an offset that cannot be, or too few bytes.
    """
    if len(raw) < _LAYOUT.size:
        raise MetadataError(f"{len(raw)} bytes are too few for a superblock")
    (
        la_size,
        current,
        bitmap,
        history1,
        history2,
        device_uuid,
        _reserved,
        flags,
        magic,
        md_size,
        al_offset,
        al_extents,
        bm_offset,
        bytes_per_bit,
        _peer_max_bio_bytes,
        al_stripes,
        al_stripe_size_4k,
    ) = _LAYOUT.unpack_from(raw)
    if magic == _MAGIC_09:
        raise MetadataError("metadata of DRBD 9, which this harness does not read")
    if magic not in (_MAGIC_CLEAN, _MAGIC_UNCLEAN):
        raise MetadataError(f"magic {magic:#010x} is not DRBD 8.4's")
    # Devices of 8.3 have zero here: one stripe of 32 KiB (drbd_md_read of drbd_main.c).
    if al_stripes == 0 and al_stripe_size_4k == 0:
        al_stripes, al_stripe_size_4k = 1, 8
    found = Superblock(
        la_size_sectors=la_size,
        current=current,
        bitmap=bitmap,
        history1=history1,
        history2=history2,
        device_uuid=device_uuid,
        flags=Flags(flags),
        clean=magic == _MAGIC_CLEAN,
        md_size_sectors=md_size,
        al_offset_sectors=_signed(al_offset),
        bm_offset_sectors=_signed(bm_offset),
        al_extents=al_extents,
        bytes_per_bit=bytes_per_bit,
        al_stripes=al_stripes,
        al_stripe_size_4k=al_stripe_size_4k,
    )
    _check(found)
    return found


def _signed(value: int) -> int:
    """A 32-bit two's complement."""
    return value - (1 << 32) if value >> 31 else value


def _check(found: Superblock) -> None:
    if found.bytes_per_bit != BLOCK_BYTES:
        raise MetadataError(f"{found.bytes_per_bit} bytes per bit of the bitmap, expected 4096")
    # DRBD_AL_EXTENTS_MAX of drbd_limits.h.
    if not 7 <= found.al_extents <= 65534:
        raise MetadataError(f"an activity log of {found.al_extents} extents")
    if not 1 <= found.al_stripes <= 64 or not 1 <= found.al_stripe_size_4k <= 1 << 16:
        raise MetadataError(
            f"an activity log of {found.al_stripes} stripes of {found.al_stripe_size_4k} blocks"
        )
    if not found.bm_offset_sectors < found.al_offset_sectors < 0:
        raise MetadataError(
            f"bitmap at {found.bm_offset_sectors} and activity log at {found.al_offset_sectors} "
            "sectors: not internal metadata"
        )
    if found.al_blocks * BLOCK_BYTES > -found.al_offset_sectors * SECTOR_BYTES:
        raise MetadataError("the activity log does not fit before the superblock")
