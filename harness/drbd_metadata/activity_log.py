"""The activity log: which 4 MiB extents a Primary may have been writing to.

A ring of 4 KiB transactions (``struct al_transaction_on_disk`` of the kernel's
drivers/block/drbd/drbd_actlog.c, big-endian). Each tells a few slots that changed, and a window of
all slots, so that the newest unbroken run of transactions gives the whole table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.drbd_metadata.superblock import BLOCK_BYTES, MetadataError
from harness.fio_parser.crc32c import crc32c

if TYPE_CHECKING:
    import numpy.typing as npt

AL_EXTENT_BYTES = 4 << 20
"""What one entry of the log covers (AL_EXTENT_SHIFT of drbd_int.h)."""

_MAGIC = 0x69CB65A2
_UPDATES = 64
_CONTEXT = 919
_FREE = 0xFFFFFFFF  # an extent number that is none (LC_FREE)
_INITIALIZED = 0xFFFF

_TRANSACTION = np.dtype(
    [
        ("magic", ">u4"),
        ("number", ">u4"),
        ("crc32c", ">u4"),
        ("type", ">u2"),
        ("updates", ">u2"),
        ("slots", ">u2"),
        ("window", ">u2"),
        ("reserved", ">u4", (4,)),
        ("update_slot", ">u2", (_UPDATES,)),
        ("update_extent", ">u4", (_UPDATES,)),
        ("context", ">u4", (_CONTEXT,)),
    ]
)


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction of the ring.

    Attributes:
        number: its place in the sequence, modulo 2**32.
        initial: written when the log was made; changes nothing.
        slots: how many slots the log has (``al-extents``).
        updates: extent by slot that changed.
        window_start: first slot of ``window``.
        window: extents of the slots from there on; None for a free slot.
    """

    number: int
    initial: bool
    slots: int
    updates: dict[int, int]
    window_start: int
    window: tuple[int | None, ...]


def transactions(ring: bytes) -> list[Transaction]:
    """The transactions of a ring that are whole, in order of their place on disk.

    A block that is torn or was never written is left out, as the kernel does: the log is written
    in place, and a power cut may tear the newest.

    Raises:
        MetadataError: the ring is no whole number of blocks, or no transaction of it is whole.
    """
    if not ring or len(ring) % BLOCK_BYTES:
        raise MetadataError(f"an activity log of {len(ring)} bytes")
    rows = np.frombuffer(ring, dtype=_TRANSACTION)
    found = [_transaction(row) for row in rows[_whole(ring, rows)]]
    if not found:
        raise MetadataError("no transaction of the activity log is whole")
    return found


def active_extents(ring: bytes) -> tuple[int, ...]:
    """Numbers of the extents that were active when the log was last written, sorted.

    Raises:
        MetadataError: the log cannot be read.
    """
    found = transactions(ring)
    # What drbdmeta wrote when it made the metadata: eight of them, with the number 0, which the
    # kernel's own first one has as well.
    found = [one for one in found if not one.initial] or found
    found = sorted(found, key=lambda one: one.number)
    newest = found[-1]
    if newest.number - found[0].number > 1 << 31:
        # The sequence went round: numbers that are small are the newer ones.
        found.sort(key=lambda one: (one.number + (1 << 31)) % (1 << 32))
        newest = found[-1]
    run = [newest]
    for one in reversed(found[:-1]):
        if (run[-1].number - one.number) % (1 << 32) != 1:
            break
        run.append(one)
    table: dict[int, int | None] = {}
    for one in reversed(run):
        if one.initial:
            continue
        for i, extent in enumerate(one.window):
            if one.window_start + i < one.slots:
                table[one.window_start + i] = extent
        table |= one.updates
    return tuple(sorted({extent for extent in table.values() if extent is not None}))


def _whole(ring: bytes, rows: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    blocks = np.frombuffer(ring, dtype=np.uint8).reshape(-1, BLOCK_BYTES).copy()
    blocks[:, 8:12] = 0  # the CRC is of the block with this field zero
    good: npt.NDArray[np.bool_] = (rows["magic"] == _MAGIC) & (
        rows["crc32c"] == crc32c(blocks, start=0)
    )
    return good & (rows["updates"] <= _UPDATES)


def _transaction(row: np.void) -> Transaction:
    count = int(row["updates"])
    slots = row["update_slot"][:count].tolist()
    extents = row["update_extent"][:count].tolist()
    return Transaction(
        number=int(row["number"]),
        initial=int(row["type"]) == _INITIALIZED,
        slots=int(row["slots"]),
        updates={s: e for s, e in zip(slots, extents, strict=True) if e != _FREE},
        window_start=int(row["window"]),
        window=tuple(None if e == _FREE else e for e in row["context"].tolist()),
    )
