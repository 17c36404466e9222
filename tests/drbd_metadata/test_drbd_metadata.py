"""DRBD's metadata: real disks, and disks that are damaged."""

from __future__ import annotations

import gzip
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.drbd_metadata import (
    JUST_CREATED,
    DeviceMetadata,
    Flags,
    MetadataError,
    active_extents,
    parse_superblock,
    read_metadata,
    superblock_offset,
)
from harness.drbd_metadata.activity_log import transactions
from harness.fio_parser.crc32c import crc32c

FIXTURES = Path(__file__).parent / "fixtures"
NAMES = {"created": 150, "restored": 150, "secondary": 65, "primary": 65}
RING = 8 * 4096


def tail(name: str) -> bytes:
    """The end of a backing disk."""
    return gzip.decompress((FIXTURES / f"{name}-{NAMES[name]}MiB.tail.gz").read_bytes())


def disk(name: str) -> bytearray:
    """A whole backing disk."""
    end = tail(name)
    return bytearray((NAMES[name] << 20) - len(end)) + end


SMALL = bytes(100 << 12) + tail("primary")


def read(raw: bytes | bytearray) -> DeviceMetadata:
    return read_metadata(io.BytesIO(raw))


def test_a_new_device() -> None:
    found = read(disk("created"))
    assert found.superblock.current == JUST_CREATED
    assert found.superblock.flags == Flags.AL_CLEAN
    assert found.superblock.clean
    assert (found.superblock.data_bytes, len(found.dirty), found.extents) == (0, 0, ())


def test_bits_and_identifiers() -> None:
    found = read(disk("restored"))
    block = found.superblock
    assert (block.current, block.bitmap) == (0x1122334455667788, 0x99AABBCCDDEEFF01)
    assert (block.history1, block.history2) == (0x0102030405060708, 0x1112131415161718)
    assert block.device_uuid == 0xA1A2A3A4A5A6A7A8
    assert block.flags == Flags.CONSISTENT | Flags.PRIMARY | Flags.WAS_UP_TO_DATE
    assert block.data_bytes == 300000 * 512
    assert np.flatnonzero(found.dirty).tolist() == [0, 127, 196, 197, 198, 199]
    assert np.array_equal(found.may_differ(), found.dirty)


def test_a_primary_that_lost_its_peer() -> None:
    primary, secondary = read(disk("primary")), read(disk("secondary"))
    assert primary.superblock.flags & (Flags.PRIMARY | Flags.PEER_OUTDATED)
    assert not secondary.superblock.flags & Flags.PRIMARY
    assert primary.superblock.current == secondary.superblock.current | 1
    assert primary.superblock.bitmap & ~1 == 0x9FCE8D5DC5D64610
    assert not primary.superblock.clean
    assert primary.extents == tuple(range(17))
    assert secondary.extents == ()
    assert not primary.dirty.any()
    assert primary.may_differ().all()
    assert not secondary.may_differ().any()


def ring(name: str = "primary") -> bytearray:
    return bytearray(tail(name)[-RING - 4096 : -4096])


def test_the_ring_of_transactions() -> None:
    found = transactions(bytes(ring()))
    assert [one.number for one in found] == [8, 9, 10, 11, 12, 5, 6, 7]
    assert found[0].updates == {1224: 11}
    assert found[6].updates == {1226: 4, 1227: 15}
    assert {one.slots for one in found} == {1237}
    assert not any(one.initial for one in found)
    assert all(one.initial for one in transactions(bytes(ring("secondary"))))


def seal(raw: bytearray, at: int) -> None:
    """Give a changed transaction its CRC."""
    raw[at + 8 : at + 12] = bytes(4)
    row = np.frombuffer(bytes(raw[at : at + 4096]), dtype=np.uint8).reshape(1, -1)
    raw[at + 8 : at + 12] = struct.pack(">I", int(crc32c(row, start=0)[0]))


def test_a_torn_newest_transaction_leaves_the_one_before() -> None:
    raw = ring()
    raw[4 * 4096 + 2000] ^= 1
    assert [one.number for one in transactions(bytes(raw))] == [8, 9, 10, 11, 5, 6, 7]
    assert set(active_extents(bytes(raw))) == set(range(17)) - {2}


def test_the_kernels_first_transaction_has_the_number_of_the_initial_ones() -> None:
    raw = ring("secondary")
    first = bytearray(bytes(ring())[:4096])
    struct.pack_into(">I", first, 4, 0)
    raw[:4096] = first
    seal(raw, 0)
    found = transactions(bytes(raw))
    assert [one.number for one in found] == [0] * 8
    assert [one.initial for one in found] == [False] + [True] * 7
    assert 11 in active_extents(bytes(raw))


def test_numbers_go_round() -> None:
    raw = ring()
    for i in range(8):
        number = struct.unpack_from(">I", raw, i * 4096 + 4)[0]
        struct.pack_into(">I", raw, i * 4096 + 4, (number - 8) % (1 << 32))
        seal(raw, i * 4096)
    assert active_extents(bytes(raw)) == tuple(range(17))
    # The newest frees a slot of its window: that extent is active no more.
    assert struct.unpack_from(">I", raw, 4 * 4096 + 4)[0] == 4


def test_a_window_frees_slots() -> None:
    raw = ring()
    at = 3 * 4096  # number 11: its window begins at slot 919
    free = 0xFFFFFFFF
    slot, extent = 1226, 4
    struct.pack_into(">I", raw, at + 36 + 128 + 256 + 4 * (slot - 919), free)
    seal(raw, at)
    assert extent not in active_extents(bytes(raw))


@pytest.mark.parametrize(
    ("offset", "value", "says"),
    [
        (60, 0x8374026D, "DRBD 9"),
        (60, 0x12345678, "magic 0x12345678"),
        (80, 512, "512 bytes per bit"),
        (72, 0, "activity log of 0 extents"),
        (76, 16, "not internal metadata"),
        (68, 0xFFFFFFF8, "does not fit"),
        (88, 65, "65 stripes"),
    ],
)
def test_a_superblock_that_cannot_be(offset: int, value: int, says: str) -> None:
    raw = disk("primary")
    struct.pack_into(">I", raw, superblock_offset(len(raw)) + offset, value)
    with pytest.raises(MetadataError, match=says):
        read(raw)


def test_sizes_that_cannot_be() -> None:
    raw = disk("primary")
    struct.pack_into(">Q", raw, superblock_offset(len(raw)), 133041 + 8)
    with pytest.raises(MetadataError, match="reach into the metadata"):
        read(raw)
    for size in (0, 4095):
        with pytest.raises(MetadataError, match="no place"):
            superblock_offset(size)
    with pytest.raises(MetadataError, match="too few"):
        parse_superblock(b"abc")
    with pytest.raises(MetadataError, match="magic 0x00000000"):
        read(bytes(8192))
    for broken in (b"", b"x", bytes(4096)):
        with pytest.raises(MetadataError):
            active_extents(broken)


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 10 * 4096 - 1), bits=st.integers(1, 255))
def test_any_byte_may_be_wrong(at: int, bits: int) -> None:
    raw = bytearray(SMALL)
    struct.pack_into(">Q", raw, superblock_offset(len(raw)), 100 << 3)
    raw[100 * 4096 + at] ^= bits
    try:
        found = read(raw)
    except MetadataError as error:
        said = str(error)
    else:
        said = "fine"
        assert len(found.dirty) * 4096 >= found.superblock.data_bytes
    assert said


@settings(max_examples=300, deadline=None)
@given(raw=st.binary(max_size=200))
def test_any_bytes_as_a_superblock(raw: bytes) -> None:
    """Something typed comes out, or the typed error."""
    magic = struct.pack(">I", 0x8374026B)
    for candidate in (raw, raw[:64] + magic + raw[64:]):
        try:
            assert parse_superblock(candidate).bytes_per_bit == 4096
        except MetadataError as error:
            refused = str(error)
        else:
            refused = ""
        assert "\n" not in refused
