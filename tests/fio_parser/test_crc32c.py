"""CRC-32C in lanes and in columns, and against the check value of the standard."""

from __future__ import annotations

import numpy as np
import pytest

from harness.fio_parser.crc32c import _crc_columns, crc32c


def test_the_check_value() -> None:
    """0xE3069283 of RFC 3720, appendix B.4 (and every catalogue), before the final inversion."""
    nine = np.frombuffer(b"123456789", np.uint8).reshape(1, -1)
    assert int(crc32c(nine)[0]) ^ 0xFFFFFFFF == 0xE3069283


@pytest.mark.parametrize("width", [0, 1, 255, 256, 257, 4056, 4096, 5001])
@pytest.mark.parametrize("start", [0, 0xFFFFFFFF, 0x12345678])
def test_few_rows_give_what_many_give(width: int, start: int) -> None:
    rows = np.random.default_rng(width).integers(0, 256, (9, width), dtype=np.uint8)
    assert np.array_equal(crc32c(rows, start), _crc_columns(rows, start))
    many = np.tile(rows, (20, 1))
    assert np.array_equal(crc32c(many, start), np.tile(crc32c(rows, start), 20))
