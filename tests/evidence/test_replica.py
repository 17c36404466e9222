"""What is kept of a replica: stamps, digests and metadata of a backing disk."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.drbd_metadata import Flags, MetadataError
from harness.evidence.blocks import BLOCK_SIZE, read_digests, read_headers
from harness.evidence.replica import Facts, ReplicaError, read_replica

METADATA = Path(__file__).parent.parent / "drbd_metadata/fixtures"
MIB = 1 << 20


def backing_disk(path: Path, name: str, size_mib: int) -> Path:
    """A backing disk with real metadata at its end and zeroes before it."""
    end = gzip.decompress((METADATA / f"{name}-{size_mib}MiB.tail.gz").read_bytes())
    with path.open("wb") as file:
        file.truncate(size_mib * MIB - len(end))
        file.seek(0, 2)
        file.write(end)
    return path


def test_every_block_below_drbds_size_is_read(tmp_path: Path) -> None:
    disk = backing_disk(tmp_path / "disk", "restored", 150)
    with disk.open("r+b") as file:
        file.seek(5 * BLOCK_SIZE)
        file.write(b"x" * BLOCK_SIZE)
        file.seek(300000 * 512)  # DRBD's size: what lies behind it is not the initiator's
        file.write(b"y" * BLOCK_SIZE)
    found = read_replica(disk)
    found.save(tmp_path, "r1", "alpha")
    digests = read_digests(tmp_path / "r1.alpha.digests.bin")
    assert len(digests.crc) == 300000 * 512 // BLOCK_SIZE == found.facts.blocks
    nothing, other = zlib.crc32(bytes(BLOCK_SIZE)), zlib.crc32(b"x" * BLOCK_SIZE)
    assert digests.crc[5] == other
    assert (np.delete(digests.crc, 5) == nothing).all()
    assert (read_headers(tmp_path / "r1.alpha.headers.bin").records["status"] == 2).all()
    facts = Facts.load(tmp_path / "r1.alpha.metadata.json")
    assert facts == found.facts
    assert facts.may_differ == ((0, 1), (127, 1), (196, 4))
    assert np.flatnonzero(facts.excused()).tolist() == [0, 127, 196, 197, 198, 199]
    assert (facts.current, facts.bitmap) == (0x1122334455667788, 0x99AABBCCDDEEFF01)
    assert facts.flags == Flags.CONSISTENT | Flags.PRIMARY | Flags.WAS_UP_TO_DATE


def test_the_extents_of_a_primary_may_differ(tmp_path: Path) -> None:
    found = read_replica(backing_disk(tmp_path / "disk", "primary", 65))
    assert found.facts.dirty == 0
    assert found.facts.extents
    assert found.facts.excused().any()
    assert not read_replica(backing_disk(tmp_path / "other", "secondary", 65)).facts.excused().any()


def test_a_disk_without_metadata(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(MIB))
    with pytest.raises(MetadataError, match="magic"):
        read_replica(disk)
    with pytest.raises(FileNotFoundError):
        read_replica(tmp_path / "none")


FACTS = Facts(
    blocks=100, current=0xFFFFFFFFFFFFFFFF, bitmap=0, history=(1, 2), flags=Flags.CONNECTED,
    clean=True, dirty=3, extents=(0,), may_differ=((0, 3),),
)  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", 2), ("blocks", "many"), ("current", "xyz"), ("current", 5), ("history", ["1"]),
        ("flags", "CONSISTENT"), ("clean", "yes"), ("dirty", 101), ("dirty", -1),
        ("extents", None), ("may_differ", [[99, 2]]), ("may_differ", [[5, 0]]),
        ("may_differ", [[-1, 3]]), ("may_differ", [5]), ("blocks", 1e999), ("blocks", 1 << 40),
    ],
)  # fmt: skip
def test_facts_that_cannot_be(tmp_path: Path, key: str, value: Any) -> None:
    path = tmp_path / "r1.alpha.metadata.json"
    FACTS.save(path)
    assert Facts.load(path) == FACTS
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(ReplicaError, match=r"r1\.alpha\.metadata\.json"):
        Facts.load(path)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=50).map(str.encode))
def test_any_bytes(raw: bytes) -> None:
    path = Path(tempfile.gettempdir()) / f"facts-of-any-bytes-{os.getpid()}.json"
    path.write_bytes(raw)
    try:
        with pytest.raises(ReplicaError):
            Facts.load(path)
    finally:
        path.unlink()


def test_runs_are_exact() -> None:
    assert replace(FACTS, may_differ=()).excused().sum() == 0
    assert FACTS.excused().tolist() == [True] * 3 + [False] * 97
