"""fio's JSON results: real ones, and what must not pass for one."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.fio_parser import FioParseError, parse_result, parse_results, read_result, read_results

FIXTURES = Path(__file__).parent / "fixtures"
PLAIN = (FIXTURES / "jsonplus.json").read_text()


def edited(**changes: Any) -> str:
    """The json+ fixture with changes to its first job's write statistics."""
    root = json.loads(PLAIN)
    root["jobs"][0]["write"].update(changes)
    return json.dumps(root, indent=1)


@pytest.mark.parametrize(
    ("name", "version", "disks"),
    [
        ("jsonplus.json", "fio-3.33", ["vda"]),
        # fio wrote no part about disks in this one.
        ("fio-3.39/jsonplus.json", "fio-3.39", []),
    ],
)
def test_json_plus(name: str, version: str, disks: list[str]) -> None:
    result = read_result(FIXTURES / name)
    assert result.version == version
    assert result.timestamp_ms is not None
    assert result.timestamp_ms // 1000 == result.timestamp_s
    assert result.preamble == result.trailer == ()
    assert result.global_options == ()
    job = result.job("img")
    assert (job.error, job.elapsed_s, job.group_id) == (0, 1, 0)
    assert job.job_options["verify"] == "crc32c"
    assert job.write.total_ios == 12
    assert job.write.io_bytes == 48 * 1024
    assert job.write.runtime_ms >= 1
    assert job.write.iops > 0
    latency = job.write.lat_ns
    assert latency.samples == 12
    assert 0 < latency.min <= latency.mean <= latency.max
    assert sum(latency.bins.values()) == 12
    assert latency.percentiles[1.0] <= latency.percentiles[50.0] <= latency.percentiles[99.99]
    assert job.read.total_ios == job.trim.total_ios == job.sync.total_ios == 0
    assert job.mixed is None
    assert [disk.name for disk in result.disk_util] == disks
    with pytest.raises(KeyError):
        result.job("other")


def test_verify_error_keeps_what_fio_said() -> None:
    result = read_result(FIXTURES / "verify_error.json")
    assert result.jobs[0].error == 84
    assert len(result.preamble) == 5
    assert "verify failed at file bad.bin offset 20480" in result.preamble[1]


def test_status_interval_last_counts() -> None:
    results = read_results(FIXTURES / "status.json")
    assert len(results) == 3
    ios = [result.jobs[0].write.total_ios for result in results]
    assert ios == sorted(ios)
    assert read_result(FIXTURES / "status.json") == results[-1]
    assert results[-1].jobs[0].sync.total_ios == 20
    assert results[-1].jobs[0].sync.lat_ns.samples == 20


def test_json_within_normal_output() -> None:
    result = read_result(FIXTURES / "normaljson.txt")
    assert result.preamble[1] == "fio-3.33"
    assert result.trailer[-2] == "Disk stats (read/write):"


def test_unified_reporting() -> None:
    job = read_result(FIXTURES / "mixed.json").jobs[0]
    assert job.mixed is not None
    assert job.mixed.total_ios == 16
    assert job.read.total_ios == job.write.total_ios == 0


def test_client() -> None:
    result = read_result(FIXTURES / "client.json")
    assert [job.name for job in result.jobs] == ["j1", "j2"]
    assert [job.write.total_ios for job in result.jobs] == [16, 16]
    assert result.jobs[0].hostname == result.disk_util[0].hostname == "127.0.0.1"
    assert result.jobs[0].elapsed_s is None
    assert result.timestamp_ms is None
    assert result.all_clients is not None
    assert result.all_clients.write.total_ios == 32
    assert result.global_options == (
        {"bs": "4k", "size": "64k", "rw": "write", "filename": "c.img"},
    )


def test_global_options_of_several_servers() -> None:
    root = json.loads((FIXTURES / "client.json").read_text())
    root["global options"] = [{"bs": "4k", "hostname": "a", "port": 8765}, {"bs": "8k"}]
    assert parse_result(json.dumps(root)).global_options == (
        {"bs": "4k", "hostname": "a", "port": "8765"},
        {"bs": "8k"},
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"total_ios": "12"}, "jobs[0].write.total_ios: not an integer: '12'"),
        ({"total_ios": True}, "jobs[0].write.total_ios: not an integer: True"),
        ({"total_ios": -1}, "jobs[0].write.total_ios: below 0: -1"),
        ({"iops": None}, "jobs[0].write.iops: not a number: None"),
        ({"clat_ns": []}, "jobs[0].write.clat_ns: not an object: []"),
        ({"lat_ns": {}}, "jobs[0].write.lat_ns.min: missing"),
    ],
)
def test_wrong_structure_names_the_key(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(FioParseError) as caught:
        parse_result("a note\n" + edited(**changes), path="x.json")
    assert (caught.value.reason, caught.value.line) == (reason, 2)
    assert str(caught.value) == f"x.json, line 2: {reason}"


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "9" * 5000, "nan"])
def test_numbers_that_are_none(value: str) -> None:
    text = edited(iops="@").replace('"@"', value)
    with pytest.raises(FioParseError):
        parse_result(text)


def test_fio_2_is_named() -> None:
    root = json.loads(PLAIN)
    root["jobs"][0]["write"]["clat"] = root["jobs"][0]["write"].pop("clat_ns")
    with pytest.raises(FioParseError, match="fio 2"):
        parse_result(json.dumps(root))


def test_syntax_error_has_its_line() -> None:
    lines = ["note", *PLAIN.splitlines()]
    lines[40] = "      oops"
    with pytest.raises(FioParseError) as caught:
        parse_result("\n".join(lines), path="x.json")
    assert caught.value.line == 41
    assert caught.value.path == "x.json"


def test_torn_second_object() -> None:
    text = PLAIN + PLAIN[: len(PLAIN) // 2]
    with pytest.raises(FioParseError) as caught:
        parse_results(text)
    assert caught.value.line is not None
    assert caught.value.line > PLAIN.count("\n")


@pytest.mark.parametrize("text", ["", "\n\n", "fio: failed\n", "[]", "{}", "null", "{" * 100_000])
def test_no_result(text: str) -> None:
    with pytest.raises(FioParseError):
        parse_result(text)


def test_deep_nesting() -> None:
    with pytest.raises(FioParseError):
        parse_result('{"a":' * 50_000)


def test_not_utf8(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(b"ok\n\xff\n")
    with pytest.raises(FioParseError) as caught:
        read_result(file)
    assert (caught.value.line, caught.value.path) == (2, str(file))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_result(tmp_path / "none.json")


def test_error_survives_pickling() -> None:
    error = FioParseError("reason", path="p", line=3, offset=4)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "p, line 3, byte 4: reason"


@given(st.text(alphabet=st.sampled_from('{}[]":,1e-\n fio"jobs')))
@settings(max_examples=150, deadline=None)
def test_any_text(text: str) -> None:
    with pytest.raises(FioParseError):
        parse_result(text)


@given(st.integers(0, len(PLAIN) - 1), st.text(max_size=3))
@settings(max_examples=100, deadline=None)
def test_one_place_changed(position: int, text: str) -> None:
    try:
        parse_result(PLAIN[:position] + text + PLAIN[position + 1 :])
    except FioParseError as error:
        assert error.line is not None  # noqa: PT017 - either outcome is right


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=5,
    ),
    st.sampled_from(["jobs", "disk_util", "fio version", "timestamp", "global options"]),
)
@settings(max_examples=100, deadline=None)
def test_any_value_in_place(value: Any, key: str) -> None:
    root = json.loads(PLAIN)
    root[key] = value
    try:
        parse_result(json.dumps(root))
    except FioParseError as error:
        assert error.line == 1  # noqa: PT017 - either outcome is right
