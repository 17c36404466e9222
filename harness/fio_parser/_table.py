"""Tables of comma-separated integers, fast, and with the exact line when something is wrong.

The fast path hands the whole text to numpy's C tokenizer. It is taken only for characters with
which numpy is exactly as strict as the reference path (a line-by-line reader); whatever numpy
then refuses is read again by the reference path, which finds the line.
"""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING

import numpy as np

from .errors import FioParseError

if TYPE_CHECKING:
    import numpy.typing as npt

    Int64Array = npt.NDArray[np.int64]

_NUMBER = re.compile(rb"[ \t]*(-?)0*([0-9]{1,19})[ \t]*\Z")
_HEX = re.compile(rb"[ \t]*0x([0-9a-fA-F]{1,8})[ \t]*\Z")
_PLAIN = b"0123456789-, \n"
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


def encode(text: str | bytes) -> bytes:
    """The text as bytes; characters that are no ASCII stay wrong, for the reader to report."""
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)


def whole_lines(data: bytes, *, path: str | None, allow_torn: bool) -> tuple[bytes, bool]:
    """The complete lines, and whether a torn last one was dropped.

    A last line without its newline may lack digits of its last number, so even one that can be
    read is not trusted.

    Raises:
        FioParseError: the last line is torn, and ``allow_torn`` is not set.
    """
    if not data or data.endswith(b"\n"):
        return data, False
    if not allow_torn:
        number = data.count(b"\n") + 1
        raise FioParseError("torn last line: no newline", path=path, line=number)
    return data[: data.rfind(b"\n") + 1], True


def parse_table(data: bytes, *, path: str | None, hex_column: int | None = None) -> Int64Array:
    """Comma-separated int64, as many in every line.

    Args:
        data: whole lines.
        path: the file, for messages.
        hex_column: where a number can also be written as ``0x`` and up to eight hex digits.

    Returns:
        shape (lines, columns); (0, 0) without lines.

    Raises:
        FioParseError: with the line that is no such thing.
    """
    if not data:
        return np.empty((0, 0), np.int64)
    cells = first_cells(data)
    if hex_column is not None and hex_column < len(cells) and b"0x" in cells[hex_column]:
        table = _fast_hex(data, len(cells), hex_column)
    else:
        table = _fast(data)
    # numpy passes over empty lines.
    if table is not None and len(table) == data.count(b"\n"):
        return table
    return _reference(data, path=path, hex_column=hex_column)


def first_cells(data: bytes) -> list[bytes]:
    """The first line's cells, untouched."""
    return data.split(b"\n", 1)[0].split(b",")


def _fast(data: bytes) -> Int64Array | None:
    """None if numpy might be more lenient, or does not take it."""
    # numpy would also accept tabs, signs, carriage returns and floats in places.
    if data.translate(None, _PLAIN):
        return None
    try:
        with warnings.catch_warnings():
            # "Parsing an integer via a float is deprecated"; and there may be no lines at all.
            warnings.simplefilter("error")
            return np.loadtxt(
                io.BytesIO(data), dtype=np.int64, delimiter=",", comments=None, ndmin=2
            )
    except (ValueError, Warning):
        return None


def _fast_hex(data: bytes, columns: int, hex_column: int) -> Int64Array | None:
    """One column as fio prints priorities, ``, 0x%04x``, the others plain."""
    if data.translate(None, _PLAIN + b"xabcdef"):
        return None
    # As text " 0x0000" has 7 characters; an eighth shows what is longer.
    kinds = ["S8" if index == hex_column else "i8" for index in range(columns)]
    dtype = np.dtype([(str(index), kind) for index, kind in enumerate(kinds)])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            rows = np.loadtxt(io.BytesIO(data), dtype=dtype, delimiter=",", comments=None, ndmin=1)
    except (ValueError, Warning):
        return None
    text = np.ascontiguousarray(rows[str(hex_column)]).view(np.uint8).reshape(len(rows), 8)
    if (text[:, :3] != np.frombuffer(b" 0x", np.uint8)).any() or text[:, 7].any():
        return None
    digits = _HEX_DIGITS[text[:, 3:7]]
    if (digits < 0).any():
        return None
    table = np.empty((len(rows), columns), np.int64)
    for index in range(columns):
        table[:, index] = rows[str(index)] if index != hex_column else digits @ _HEX_WEIGHTS
    return table


_HEX_DIGITS = np.full(256, -1, np.int64)
for _value, _digit in enumerate(b"0123456789abcdef"):
    _HEX_DIGITS[_digit] = _value
_HEX_WEIGHTS = np.array([4096, 256, 16, 1])


def _reference(data: bytes, *, path: str | None, hex_column: int | None) -> Int64Array:
    rows: list[list[int]] = []
    for number, line in enumerate(data[:-1].split(b"\n"), start=1):
        cells = line.removesuffix(b"\r").split(b",")
        if rows and len(cells) != len(rows[0]):
            reason = f"{len(cells)} columns, {len(rows[0])} before"
            raise FioParseError(reason, path=path, line=number)
        row = []
        for index, cell in enumerate(cells):
            value = _cell(cell, hex_allowed=index == hex_column)
            if value is None:
                shown = ascii(cell[:40].decode("latin-1"))
                reason = f"column {index + 1}: not a 64-bit integer: {shown}"
                raise FioParseError(reason, path=path, line=number)
            row.append(value)
        rows.append(row)
    return np.array(rows, np.int64)


def _cell(cell: bytes, *, hex_allowed: bool) -> int | None:
    if match := _NUMBER.match(cell):
        value = int(match[1] + match[2])
        return value if _INT64_MIN <= value <= _INT64_MAX else None
    if hex_allowed and (match := _HEX.match(cell)):
        return int(match[1], 16)
    return None


def check_column(
    column: Int64Array, low: int, high: int | None, name: str, path: str | None
) -> None:
    """Raise FioParseError with the first line whose value is out of ``low`` to ``high``."""
    bad = column < low if high is None else (column < low) | (column > high)
    if bad.any():
        row = int(bad.argmax())
        raise FioParseError(f"{name} out of range: {int(column[row])}", path=path, line=row + 1)
