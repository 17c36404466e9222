"""fio's logs and histogram logs: real ones, round trips, error positions."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.fio_parser import (
    LOG_DTYPE,
    FioParseError,
    parse_hist_log,
    parse_log,
    read_hist_log,
    read_log,
)
from harness.fio_parser import _table as table_module

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.mark.parametrize("name", ["plain_lat.log", "plain_bw.log", "plain_iops.log"])
def test_plain_logs(name: str) -> None:
    log = read_log(FIXTURES / name)
    assert (log.has_offset, log.has_priority, log.has_issue_time) == (False, True, False)
    assert len(log) == 16
    assert log.rows.dtype == LOG_DTYPE
    assert set(log.rows["ddir"]) == {0, 1}
    assert set(log.rows["block_size"]) == {4096}
    assert set(log.rows["offset"]) == set(log.rows["issue_ns"]) == {-1}
    assert set(log.rows["priority"]) == {0}
    assert (log.rows["value"] > 0).all()


@pytest.mark.parametrize(("name", "blocks"), [("offset_lat.log", 12), ("hexprio_lat.log", 16)])
def test_logs_with_offset(name: str, blocks: int) -> None:
    log = read_log(FIXTURES / name)
    assert log.has_offset
    assert sorted(log.rows["offset"]) == [4096 * block for block in range(blocks)]
    assert set(log.rows["priority"]) == {0}
    assert log.path == str(FIXTURES / name)


def test_issue_times_of_debian_13() -> None:
    log = read_log(FIXTURES / "fio-3.39/issue_clat.log")
    assert (log.has_offset, log.has_priority, log.has_issue_time) == (True, True, True)
    assert sorted(log.rows["offset"]) == [4096 * block for block in range(12)]
    assert (np.diff(log.rows["issue_ns"]) > 0).all()
    # The log of whole latencies has the column too, and fio 3.39 writes a 0 there.
    whole = read_log(FIXTURES / "fio-3.39/issue_lat.log")
    assert whole.has_issue_time
    assert set(whole.rows["issue_ns"]) == {0}


@pytest.mark.parametrize(
    ("line", "asked", "expected"),
    [
        ("7, 8, 1, 512", {}, (-1, -1, -1)),
        ("7, 8, 1, 512, 1", {}, (-1, 1, -1)),
        ("7, 8, 1, 512, 0x4001", {}, (-1, 0x4001, -1)),
        ("7, 8, 1, 512, 4096", {"has_offset": True}, (4096, -1, -1)),
        ("7, 8, 1, 512, 4096, 1", {}, (4096, 1, -1)),
        ("7, 8, 1, 512, 1, 99", {"has_offset": False}, (-1, 1, 99)),
        ("7, 8, 1, 512, 1, 99", {"has_issue_time": True}, (-1, 1, 99)),
        ("7, 8, 1, 512, 0x0001, 99", {}, (-1, 1, 99)),
        ("7, 8, 1, 512, 4096, 0x0001", {}, (4096, 1, -1)),
        ("7, 8, 1, 512, 4096, 0x0001, 99", {}, (4096, 1, 99)),
        ("7, 8, 1, 512, 4096, 1, 99", {}, (4096, 1, 99)),
    ],
)
def test_layouts(line: str, asked: dict[str, Any], expected: tuple[int, int, int]) -> None:
    rows = parse_log(line + "\n", **asked).rows
    assert rows[0].item() == (7, 8, 1, 512, *expected)


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("7, 8, 1", {}),
        ("7, 8, 1, 512", {"has_offset": True}),
        ("7, 8, 1, 512, 0x0001", {"has_offset": True}),
        ("7, 8, 1, 512, 4096, 0x0001", {"has_offset": False}),
        ("7, 8, 1, 512, 4096, 1, 99", {"has_issue_time": False}),
        ("7, 8, 1, 512, 4096, 1, 99, 1", {}),
        ("0x7, 8, 1, 512, 1", {}),
        ("7, 8, 3, 512, 1", {}),
        ("-7, 8, 1, 512, 1", {}),
        ("7, 8, 1, -512, 1", {}),
        ("7, 8, 1, 512, 65536", {}),
        ("7, 8, 1, 512, -1", {}),
        ("7, 8.5, 1, 512, 1", {}),
        ("7, +8, 1, 512, 1", {}),
        ("7, 8_0, 1, 512, 1", {}),
        ("7, , 1, 512, 1", {}),
        ("7, 9223372036854775808, 1, 512, 1", {}),
        ("", {}),
        (" ", {}),
        ("é, 8, 1, 512, 1", {}),
    ],
)
def test_lines_that_do_not_fit(line: str, asked: dict[str, Any]) -> None:
    with pytest.raises(FioParseError) as caught:
        parse_log(line + "\n", path="x.log", **asked)
    assert (caught.value.line, caught.value.path) == (1, "x.log")


@pytest.mark.parametrize("priority", ["0", "0x0000"])
@pytest.mark.parametrize("bad", ["", "1, 2", "1, 2, 1, 4096, 0, x", "1, 2, 9, 4096, 0, 0", "#1"])
def test_error_has_its_line(bad: str, priority: str) -> None:
    good = f"1, 2, 1, 4096, 0, {priority}\n"
    with pytest.raises(FioParseError) as caught:
        parse_log(good * 1000 + bad + "\n" + good * 1000)
    assert caught.value.line == 1001


def test_torn_last_line() -> None:
    text = "1, 2, 1, 4096, 0\n2, 3, 1, 4096, 0\n3, 4, 1, 40"
    with pytest.raises(FioParseError, match="torn") as caught:
        parse_log(text)
    assert caught.value.line == 3
    log = parse_log(text, allow_torn=True)
    assert log.torn
    assert log.rows["time_ms"].tolist() == [1, 2]
    # Even a last line that can be read may lack digits.
    assert len(parse_log("1, 2, 1, 4096, 0", allow_torn=True)) == 0


def test_empty_log() -> None:
    log = parse_log("", has_offset=True)
    assert log.rows.shape == (0,)
    assert log.rows.dtype == LOG_DTYPE
    assert log.has_offset
    assert not log.torn


def test_windows_line_ends() -> None:
    assert parse_log("1, 2, 1, 4096, 0\r\n3, 4, 0, 4096, 1\r\n").rows["priority"].tolist() == [0, 1]


MAX = 2**63 - 1
ROW = st.tuples(
    st.integers(0, MAX),
    st.integers(-MAX - 1, MAX),
    st.integers(0, 2),
    st.integers(0, MAX),
    st.integers(0, MAX),
    st.integers(0, 0xFFFF),
    st.integers(0, MAX),
)


@given(st.lists(ROW, min_size=1, max_size=20), st.booleans(), st.booleans(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_round_trip(
    rows: list[tuple[int, ...]], offset: bool, issue_time: bool, hexadecimal: bool
) -> None:
    lines = []
    for time_ms, value, ddir, size, at, priority, issue in rows:
        cells = [str(cell) for cell in (time_ms, value, ddir, size)]
        cells += [str(at)] * offset
        cells += [f"0x{priority:04x}" if hexadecimal else str(priority)]
        cells += [str(issue)] * issue_time
        lines.append(", ".join(cells) + "\n")
    log = parse_log("".join(lines), has_offset=offset, has_issue_time=issue_time)
    expected = [
        (*row[:4], row[4] if offset else -1, row[5], row[6] if issue_time else -1) for row in rows
    ]
    assert log.rows.tolist() == expected


@given(st.binary(max_size=60) | st.text(alphabet="0123456789,- \n\r\t+.ex_", max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_bytes(data: bytes | str) -> None:
    for allow_torn in (False, True):
        for parse in (parse_log, parse_hist_log):
            try:
                parse(data, allow_torn=allow_torn)
            except FioParseError as error:
                assert error.line is not None  # noqa: PT017 - either outcome is right


@given(
    st.lists(
        st.lists(st.text(alphabet="0123456789- x\tab", max_size=7), min_size=1, max_size=3),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from([None, 1]),
)
@settings(max_examples=400, deadline=None)
def test_fast_path_is_as_strict(cells: list[list[str]], hex_column: int | None) -> None:
    """Whatever numpy reads, the line-by-line reader reads the same."""
    data = "".join(",".join(line) + "\n" for line in cells).encode()

    def outcome(parse: Any) -> Any:
        try:
            return parse().tolist()
        except FioParseError as error:
            return str(error)

    reference = table_module._reference
    assert outcome(
        lambda: table_module.parse_table(data, path=None, hex_column=hex_column)
    ) == outcome(lambda: reference(data, path=None, hex_column=hex_column))


@pytest.mark.parametrize("priority", ["0", "0x4001"])
def test_a_large_log_is_fast(priority: str) -> None:
    line = f"12345, 234567, 1, 4096, 123456512, {priority}\n"
    started = time.process_time()
    log = parse_log(line * 300_000)
    # A third of a million lines; 2 s for a million, on a machine with other work.
    assert time.process_time() - started < 2.0
    assert len(log) == 300_000
    assert set(log.rows["priority"]) == {int(priority, 0)}


def test_hist_log() -> None:
    hist = read_hist_log(FIXTURES / "clat_hist.log")
    assert len(hist) == 8
    assert hist.bins.shape == (8, 1856 >> 4)
    assert hist.bins.dtype == np.int64
    assert set(hist.ddir) == {0, 1}
    assert set(hist.block_size) == {4096}
    assert (np.diff(hist.time_ms) >= 0).all()
    assert (hist.bins.sum(axis=1) > 0).all()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("1, 0, 4096\n", 1),
        ("1, 0, 4096, 1, 2\n1, 0, 4096, 1\n", 2),
        ("1, 0, 4096, 1, 2\n1, 3, 4096, 1, 2\n", 2),
        ("1, 0, 4096, 1, 2\n1, 0, 4096, 1, -2\n", 2),
        ("1, 0, 4096, 1, 0x2\n", 1),
        ("1, 0, 4096, 1, 2", 1),
    ],
)
def test_hist_log_errors(text: str, line: int) -> None:
    with pytest.raises(FioParseError) as caught:
        parse_hist_log(text)
    assert caught.value.line == line


def test_empty_hist_log() -> None:
    assert parse_hist_log("").bins.shape == (0, 0)


@given(st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=4), min_size=1, max_size=9))
@settings(max_examples=50, deadline=None)
def test_hist_round_trip(bins: list[list[int]]) -> None:
    text = "".join(f"{at}, 2, 0, " + ", ".join(map(str, row)) + "\n" for at, row in enumerate(bins))
    hist = parse_hist_log(text)
    assert hist.bins.tolist() == bins
    assert hist.time_ms.tolist() == list(range(len(bins)))
