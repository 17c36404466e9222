"""One replica as its backing disk holds it: digests, fio's stamps and DRBD's metadata.

What is kept is small; the disk images are not. Formats: docs/evidence.md.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from harness.drbd_metadata import DeviceMetadata, Flags, MetadataError, read_metadata
from harness.evidence.blocks import (
    BLOCK_SIZE,
    RECORD_DTYPE,
    STATUS_NO_HEADER,
    STATUS_UNCHECKED,
    Digests,
    Headers,
    with_payloads,
    write_digests,
    write_headers,
)
from harness.evidence.files import write_json
from harness.fio_parser import HEADER_MAGIC

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

_KEPT_BYTES = 44  # of each block: fio's header and the payload's CRC
_MOST_BLOCKS = 1 << 28  # 1 TiB; a count beyond that is not believed
_WRONG = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)
SCHEMA = 1


class ReplicaError(ValueError):
    """A file about a replica that is not what its name says; the message names it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What DRBD's metadata on a backing disk says (``RESOURCE.NODE.metadata.json``).

    Attributes:
        blocks: how many blocks of 4 KiB the replicated device has (the last may be shorter).
        current, bitmap, history: generation identifiers, as on disk.
        flags: Flags of the superblock.
        clean: the bitmap is complete without the activity log.
        dirty: how many blocks the bitmap says the peer lacks.
        extents: active extents of the activity log.
        may_differ: runs (first, count) of blocks that a resync would copy.
    """

    blocks: int
    current: int
    bitmap: int
    history: tuple[int, int]
    flags: Flags
    clean: bool
    dirty: int
    extents: tuple[int, ...]
    may_differ: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, metadata: DeviceMetadata) -> Self:
        """The facts of metadata that was read."""
        block = metadata.superblock
        return cls(
            blocks=len(metadata.dirty),
            current=block.current,
            bitmap=block.bitmap,
            history=(block.history1, block.history2),
            flags=block.flags,
            clean=block.clean,
            dirty=int(metadata.dirty.sum()),
            extents=metadata.extents,
            may_differ=_runs(metadata.may_differ()),
        )

    def excused(self) -> npt.NDArray[np.bool_]:
        """The blocks of ``may_differ`` as a mask; shape (blocks,)."""
        mask = np.zeros(self.blocks, dtype=bool)
        for first, count in self.may_differ:
            mask[first : first + count] = True
        return mask

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        raw = {
            "schema": SCHEMA,
            "blocks": self.blocks,
            "current": f"{self.current:016X}",
            "bitmap": f"{self.bitmap:016X}",
            "history": [f"{one:016X}" for one in self.history],
            "flags": int(self.flags),
            "clean": self.clean,
            "dirty": self.dirty,
            "extents": list(self.extents),
            "may_differ": [list(run) for run in self.may_differ],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, raw)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote.

        Raises:
            ReplicaError: it is not of this shape.
            FileNotFoundError: there is no such file.
        """
        try:
            raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if raw["schema"] != SCHEMA or type(raw["clean"]) is not bool:
                raise ValueError("another schema")
            first, second = (int(one, 16) for one in raw["history"])
            found = cls(
                blocks=int(raw["blocks"]),
                current=int(raw["current"], 16),
                bitmap=int(raw["bitmap"], 16),
                history=(first, second),
                flags=Flags(int(raw["flags"])),
                clean=raw["clean"],
                dirty=int(raw["dirty"]),
                extents=tuple(int(one) for one in raw["extents"]),
                may_differ=tuple((int(a), int(n)) for a, n in raw["may_differ"]),
            )
        except FileNotFoundError:
            raise
        except _WRONG as error:
            raise ReplicaError(f"{path.name}: {error!r}") from error
        if not 0 <= found.dirty <= found.blocks <= _MOST_BLOCKS or any(
            not 0 <= a < a + n <= found.blocks for a, n in found.may_differ
        ):
            raise ReplicaError(f"{path.name}: blocks beyond the {found.blocks} that there are")
        return found


@dataclass(frozen=True, slots=True)
class Replica:
    """What is kept of one replica.

    Attributes:
        facts: DRBD's metadata.
        digests: CRC-32 of every block.
        headers: fio's stamp of every block, payloads checked.
    """

    facts: Facts
    digests: Digests
    headers: Headers

    def save(self, folder: Path, resource: str, node: str) -> None:
        """Write the three files of a replica into ``folder``."""
        base = f"{resource}.{node}"
        write_digests(folder / f"{base}.digests.bin", self.digests)
        write_headers(folder / f"{base}.headers.bin", self.headers)
        self.facts.save(folder / f"{base}.metadata.json")


def read_replica(disk: Path) -> Replica:
    """Read a raw backing disk.

    Raises:
        MetadataError: it has no DRBD metadata, or damaged one.
        OSError: it cannot be read.
    """
    with disk.open("rb") as file:
        metadata = read_metadata(file)
        file.seek(0)
        data = file.read(metadata.superblock.data_bytes // BLOCK_SIZE * BLOCK_SIZE)
    if len(data) != metadata.superblock.data_bytes // BLOCK_SIZE * BLOCK_SIZE:
        raise MetadataError(f"{disk.name}: only {len(data)} bytes of data")
    view = memoryview(data)
    crc = np.fromiter(
        (zlib.crc32(view[at : at + BLOCK_SIZE]) for at in range(0, len(data), BLOCK_SIZE)),
        dtype="<u4",
        count=len(data) // BLOCK_SIZE,
    )
    return Replica(Facts.of(metadata), Digests(BLOCK_SIZE, crc), _headers(data))


def _headers(data: bytes) -> Headers:
    blocks = np.frombuffer(data, dtype=np.uint8).reshape(-1, BLOCK_SIZE)
    records = np.zeros(len(blocks), dtype=RECORD_DTYPE)
    records.view(np.uint8).reshape(len(blocks), -1)[:, :_KEPT_BYTES] = blocks[:, :_KEPT_BYTES]
    there = records["magic"] == HEADER_MAGIC
    records["status"] = np.where(there, STATUS_UNCHECKED, STATUS_NO_HEADER)
    return with_payloads(Headers(BLOCK_SIZE, records), data)


def _runs(mask: npt.NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return tuple((int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True))
