"""DRBD 8.4's metadata as it lies on a backing disk: superblock, bitmap, activity log.

Self-contained: needs NumPy and the CRC of ``harness.fio_parser``, no DRBD and no kernel.
"""

from harness.drbd_metadata.activity_log import AL_EXTENT_BYTES, Transaction, active_extents
from harness.drbd_metadata.device import DeviceMetadata, read_metadata
from harness.drbd_metadata.superblock import (
    JUST_CREATED,
    Flags,
    MetadataError,
    Superblock,
    parse_superblock,
    superblock_offset,
)

__all__ = [
    "AL_EXTENT_BYTES",
    "JUST_CREATED",
    "DeviceMetadata",
    "Flags",
    "MetadataError",
    "Superblock",
    "Transaction",
    "active_extents",
    "parse_superblock",
    "read_metadata",
    "superblock_offset",
]
