"""fio's verify headers, payloads and verify states: real ones, and damaged ones."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.fio_parser import (
    HEADER_DTYPE,
    HEADER_MAGIC,
    FioParseError,
    VerifyType,
    check_payloads,
    parse_headers,
    parse_verify_state,
    read_log,
    read_result,
    read_verify_state,
)
from harness.fio_parser.crc32c import crc32c

FIXTURES = Path(__file__).parent / "fixtures"
IMAGE = (FIXTURES / "crc32c.img").read_bytes()
STATE = (FIXTURES / "local-vs-0-verify.state").read_bytes()
DEBIAN13 = FIXTURES / "fio-3.39"
STATE_4 = (DEBIAN13 / "local-vs-0-verify.state").read_bytes()
BLOCK = 4096


def crc(data: bytes) -> int:
    return int(crc32c(np.frombuffer(data, np.uint8).reshape(1, -1))[0])


def resealed(state: bytes) -> bytes:
    """A verify state with size and CRC as its body needs them."""
    return state[:8] + struct.pack("<QQ", len(state) - 24, crc(state[24:])) + state[24:]


@pytest.mark.parametrize("length", [0, 1, 2, 8, 9])
def test_crc_check_value(length: int) -> None:
    # CRC-32C's published check value is inverted at the end, fio's is not.
    if length == 9:
        assert crc(b"123456789") ^ 0xFFFFFFFF == 0xE3069283
    state = 0xFFFFFFFF
    for byte in b"123456789"[:length]:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 * (state & 1))
    assert crc(b"123456789"[:length]) == state


def test_real_headers() -> None:
    assert HEADER_DTYPE.itemsize == 40
    table = parse_headers(IMAGE, block_size=BLOCK)
    assert len(table) == 12
    assert table.present.all()
    assert table.in_place.all()
    assert set(table.headers["magic"]) == {HEADER_MAGIC}
    assert set(table.headers["verify_type"]) == {VerifyType.CRC32C}
    assert set(table.headers["len"]) == {BLOCK}
    assert table.headers["offset"].tolist() == [BLOCK * block for block in range(12)]
    assert sorted(table.headers["numberio"]) == list(range(12))
    assert set(table.headers["thread"]) == {1}


def test_records_hold_only_beginnings() -> None:
    records = b"".join(IMAGE[at : at + 44] + b"\1" for at in range(0, len(IMAGE), BLOCK))
    table = parse_headers(memoryview(records), block_size=BLOCK, record_size=45)
    whole = parse_headers(IMAGE, block_size=BLOCK)
    assert table.headers.tolist() == whole.headers.tolist()
    assert table.in_place.all()


def test_real_payloads() -> None:
    assert check_payloads(IMAGE, BLOCK).tolist() == [True] * 12


def test_more_blocks_than_a_chunk() -> None:
    good = check_payloads(IMAGE * 200 + bytes(BLOCK), BLOCK)
    assert good[:-1].all()
    assert not good[-1]


@pytest.mark.parametrize("sector", range(1, 8))
def test_torn_payload(sector: int) -> None:
    """A block of which only the first sectors are of the new write."""
    image = bytearray(IMAGE)
    image[5 * BLOCK + sector * 512 : 6 * BLOCK] = IMAGE[6 * BLOCK + sector * 512 : 7 * BLOCK]
    assert parse_headers(image, block_size=BLOCK).present.all()
    assert np.flatnonzero(~check_payloads(image, BLOCK)).tolist() == [5]


@given(st.integers(0, len(IMAGE) - 1), st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_any_byte_changed(position: int, flip: int) -> None:
    image = bytearray(IMAGE)
    image[position] ^= flip
    block, within = divmod(position, BLOCK)
    present = parse_headers(image, block_size=BLOCK).present
    assert np.flatnonzero(~present).tolist() == ([block] if within < 40 else [])
    assert np.flatnonzero(~check_payloads(image, BLOCK)).tolist() == [block]


def test_misplaced_block() -> None:
    table = parse_headers(IMAGE[BLOCK:] + IMAGE[:BLOCK], block_size=BLOCK)
    assert table.present.all()
    assert not table.in_place.any()


def test_empty_and_partial_buffers() -> None:
    assert parse_headers(b"", block_size=BLOCK).present.shape == (0,)
    assert check_payloads(b"", BLOCK).shape == (0,)
    assert not parse_headers(bytes(2 * BLOCK), block_size=BLOCK).present.any()
    with pytest.raises(FioParseError) as caught:
        parse_headers(IMAGE[:-1], block_size=BLOCK)
    assert caught.value.offset == 11 * BLOCK
    for size in (0, 39):
        with pytest.raises(ValueError, match="40 bytes"):
            parse_headers(IMAGE, block_size=size)
        with pytest.raises(ValueError, match="40 bytes"):
            parse_headers(IMAGE, block_size=BLOCK, record_size=size)
    with pytest.raises(ValueError, match="no payload"):
        check_payloads(IMAGE, 44)


def test_other_lengths_and_types_are_not_checked() -> None:
    # Seen as blocks of 8 KiB, no header answers for its whole block.
    assert parse_headers(IMAGE, block_size=2 * BLOCK).present.all()
    assert not check_payloads(IMAGE, 2 * BLOCK).any()
    head = struct.pack("<HH", HEADER_MAGIC, VerifyType.MD5) + IMAGE[4:36]
    block = head + struct.pack("<I", crc(head)) + IMAGE[40:BLOCK]
    assert parse_headers(block, block_size=BLOCK).present.all()
    assert not check_payloads(block, BLOCK).any()


@pytest.mark.parametrize("crc_at", [36, 44])
def test_versioned_header_is_refused(crc_at: int) -> None:
    head = struct.pack("<HBB", HEADER_MAGIC, 0x81, 5) + IMAGE[4:crc_at]
    block = (head + struct.pack("<I", crc(head))).ljust(BLOCK, b"\7")
    with pytest.raises(FioParseError, match="0x81") as caught:
        parse_headers(IMAGE[:BLOCK] + block, block_size=BLOCK)
    assert caught.value.offset == BLOCK


@given(st.binary(max_size=300), st.sampled_from([45, 64]))
@settings(max_examples=100, deadline=None)
def test_any_buffer(data: bytes, size: int) -> None:
    try:
        assert not check_payloads(data, size).any()
    except FioParseError as error:
        assert error.offset is not None  # noqa: PT017 - either outcome is right


def test_real_verify_state() -> None:
    state = read_verify_state(FIXTURES / "local-vs-0-verify.state")
    assert (state.version, state.name, state.index) == (3, "vs", 0)
    assert (state.number_ios, state.depth, state.files) == (45, 4, 1)
    # fio-verify-state prints the same, oldest first: 20480, 8192, 0, 0.
    assert state.completions == ((0, 0), (0, 0), (0, 8192), (0, 20480))
    # And the image agrees: these are the blocks with the highest numberio, newest first.
    headers = parse_headers((FIXTURES / "vs.img").read_bytes(), block_size=BLOCK).headers
    newest = headers[np.argsort(headers["numberio"])[::-1]]["offset"].tolist()
    assert newest[:3] == [0, 8192, 20480]


@pytest.mark.parametrize(("job", "depth"), [("raw1", 4), ("file0", 1)])
def test_verify_state_of_debian_13_agrees_with_the_log_and_the_result(job: str, depth: int) -> None:
    """The harness's own jobs, ended as the harness ends them (SIGINT)."""
    state = read_verify_state(DEBIAN13 / f"local-{job}-0-verify.state")
    log = read_log(DEBIAN13 / f"{job}_lat.1.log", has_offset=True)
    result = read_result(DEBIAN13 / f"{job}.json")
    assert (result.version, state.version, state.name, state.index) == ("fio-3.39", 4, job, 0)
    assert (state.depth, state.files, state.inflight) == (depth, 1, ())
    assert state.number_ios == len(log) == result.job(job).write.total_ios
    # Twice the depth; the log has the oldest first.
    last = log.rows["offset"][-2 * depth :].tolist()
    assert state.completions == tuple((0, offset) for offset in reversed(last))


def test_verify_state_of_two_files() -> None:
    state = parse_verify_state(STATE_4)
    assert (state.version, state.number_ios, state.depth, state.files) == (4, 41, 4, 2)
    # fio-verify-state prints the same, last one first, in units of a block.
    assert [(file, offset // BLOCK) for file, offset in state.completions] == [
        *((0, block) for block in (1, 1, 0, 1, 1, 1, 2, 2)),
        *((1, block) for block in (3, 3, 2, 3, 2, 1, 0, 0)),
    ]


def test_later_verify_state() -> None:
    body = struct.pack("<I4xQQ", 3, 45, 1) + struct.pack("<Q6Q", 1, *range(6))
    body += b"job".ljust(64, b"\0") + struct.pack("<3Q", 44, 2**64 - 1, 43)
    state = parse_verify_state(resealed(struct.pack("<QQQ", 5, 0, 0) + body))
    assert (state.version, state.name, state.index, state.number_ios) == (5, "job", 1, 45)
    assert state.inflight == (44, 43)
    assert state.random_state == tuple(range(6))
    assert state.files is None
    assert state.completions == ()


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"", 0),
        (STATE[:23], 23),
        (STATE[:-1], 8),
        (STATE + b"\0", 8),
        (STATE[:-1] + b"\1", 16),
        (b"\6" + STATE[1:], 0),
        # Versions 3 and 4 are not each other's.
        (resealed(b"\4" + STATE[1:]), 24),
        (resealed(b"\3" + STATE_4[1:]), 24),
        (STATE_4[:-1], 8),
        (resealed(STATE_4[:-8]), 24),
        (resealed(STATE_4[:24] + b"\21" + STATE_4[25:]), 24),
        (resealed(STATE_4[:120] + b"\xff" + STATE_4[121:]), 120),
        (resealed(STATE[:100]), 100),
        (resealed(STATE[:-8]), 24),
        (resealed(STATE[:24] + b"\5" + STATE[25:]), 24),
        (resealed(STATE[:112] + b"\xff" + STATE[113:]), 112),
    ],
)
def test_damaged_verify_state(data: bytes, offset: int) -> None:
    with pytest.raises(FioParseError) as caught:
        parse_verify_state(data, path="x.state")
    assert (caught.value.offset, caught.value.path) == (offset, "x.state")


@given(st.binary(max_size=260), st.booleans(), st.sampled_from([3, 4, 5]))
@settings(max_examples=150, deadline=None)
def test_any_verify_state(body: bytes, valid: bool, version: int) -> None:
    data = resealed(struct.pack("<QQQ", version, 0, 0) + body) if valid else body
    try:
        parse_verify_state(data)
    except FioParseError as error:
        assert error.offset is not None  # noqa: PT017 - either outcome is right
