"""The arithmetic of headers: against sums by hand, the post's figures, and the docs."""

from __future__ import annotations

import pytest

from bench.wire import (
    ETHERNET,
    Exchange,
    Wire,
    as_the_post,
    drbd_write,
    iscsi_write,
    overhead,
    table,
)
from harness.lab.paths import PROJECT


def test_the_posts_own_sums() -> None:
    assert as_the_post(1538) == 2 * 1538 + 1254 == 4330
    assert as_the_post(9000) == 4174
    assert f"{overhead(4330, 4096):.1f}" == "5.7"
    assert f"{overhead(4174, 4096):.1f}" == "1.9"
    # A file of 1,000 MB, of 4 KiB blocks: 1,057 MB.
    assert round(1000 * 4330 / 4096) == 1057


def test_a_full_frame() -> None:
    wire = Wire(1500)
    assert (ETHERNET, wire.headers, wire.segment) == (38, 90, 1448)
    assert Wire(1500, timestamps=False).segment == 1460
    assert Wire(9000).segment == 8948
    assert wire.on_wire(1448) == 1538
    assert wire.on_wire(1449) == 1538 + 91
    assert wire.frames(4144) == 3
    assert Wire(9000).frames(4144) == 1


def test_short_frames_are_padded() -> None:
    assert Wire(1500).on_wire(0) == 90, "an acknowledgement with time stamps: 52 bytes, above 46"
    assert Wire(1500, timestamps=False).on_wire(0) == 84, "40 bytes, padded to 46"
    assert Wire(1500, timestamps=False).on_wire(6) == 84


def test_a_write_of_4_kib_through_iscsi() -> None:
    exchange = iscsi_write(4096)
    assert exchange == Exchange(there=(48 + 4096,), back=(48,))
    assert exchange.there_on_wire(Wire(1500)) == 4144 + 3 * 90
    assert exchange.on_wire(Wire(1500)) == 4144 + 3 * 90 + 48 + 90
    assert exchange.there_on_wire(Wire(9000)) == 4144 + 90


def test_a_larger_write_is_asked_for() -> None:
    exchange = iscsi_write(65536)
    assert exchange.there == (48 + 8192,) * 8
    assert exchange.back == (48, 48), "one R2T for all the rest, and the response"
    assert sum(exchange.there) - 8 * 48 == 65536
    twice = iscsi_write(8192 + 262144 + 5)
    assert len(twice.back) == 3
    assert sum(twice.there) - len(twice.there) * 48 == 8192 + 262144 + 5


def test_a_write_that_drbd_replicates() -> None:
    assert drbd_write(4096) == Exchange(there=(4136, 24), back=(40, 24))
    assert drbd_write(4096, barrier=False) == Exchange(there=(4136,), back=(40,))
    assert drbd_write(4096, barrier=False).there_on_wire(Wire(1500)) == 4136 + 3 * 90


@pytest.mark.parametrize("size", [4096, 65536])
@pytest.mark.parametrize("write", [iscsi_write, drbd_write])
def test_jumbo_frames_always_save(write: object, size: int) -> None:
    assert callable(write)
    exchange = write(size)
    assert exchange.on_wire(Wire(9000)) < exchange.on_wire(Wire(1500))
    assert exchange.on_wire(Wire(9000)) > size


def test_the_table_in_the_docs_is_this_one() -> None:
    text = (PROJECT / "docs" / "measurements.md").read_text(encoding="utf-8")
    assert "\n".join(table()) in text, "python -c 'import bench.wire; print(*bench.wire.table())'"
