"""fio's own result: ``--output-format=json`` and ``json+``, alone or within other output.

Source of the format: output of fio 3.33 (tests/fio_parser/fixtures) and stat.c, client.c and
json.c of fio's repository. fio prints a JSON object from a line that starts with ``{``; with
``status-interval`` several follow each other in one file, cumulative, so the last is the result.
What else is printed to the same file (notes, verify failures, normal output) stays readable.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ._json import Node
from .errors import FioParseError
from .model import DiskUtil, FioResult, IoStats, JobResult, LatencySummary, SyncStats

if TYPE_CHECKING:
    import os

# The name client.c gives to its sum over all jobs of all servers.
_ALL_CLIENTS = "All clients"


def read_result(path: str | os.PathLike[str]) -> FioResult:
    """The last result in a file; see :func:`parse_result`.

    Raises:
        FioParseError: the file is not what fio writes.
        OSError: the file cannot be read.
    """
    return read_results(path)[-1]


def read_results(path: str | os.PathLike[str]) -> tuple[FioResult, ...]:
    """All results in a file, in file order; raises like :func:`read_result`."""
    data = Path(path).read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FioParseError("not UTF-8", path=str(path), line=line) from error
    return parse_results(text, path=str(path))


def parse_result(text: str, *, path: str | None = None) -> FioResult:
    """The last JSON object of fio's output, which is the whole run's.

    Args:
        text: what fio printed.
        path: the file it came from, for messages.

    Raises:
        FioParseError: no JSON object, a torn one, or one that is not a fio 3 result.
    """
    return parse_results(text, path=path)[-1]


def parse_results(text: str, *, path: str | None = None) -> tuple[FioResult, ...]:
    """All JSON objects of fio's output, never empty; raises like :func:`parse_result`."""
    decoder = json.JSONDecoder(parse_constant=_reject_constant)
    results: list[FioResult] = []
    other: list[str] = []
    position, line = 0, 1
    while position < len(text):
        newline = text.find("\n", position)
        end = len(text) if newline < 0 else newline
        content = text[position:end].strip()
        if content.startswith("{"):
            start = text.index("{", position)
            try:
                data, stop = decoder.raw_decode(text, start)
            except json.JSONDecodeError as error:
                bad = line + text.count("\n", position, error.pos)
                raise FioParseError(f"not JSON: {error.msg}", path=path, line=bad) from error
            except (ValueError, RecursionError) as error:
                # An absurdly long number, NaN, or absurdly deep nesting.
                raise FioParseError(f"not JSON: {error}", path=path, line=line) from error
            results.append(_result(Node(data, "", path, line), tuple(other)))
            other = []
            line += text.count("\n", position, stop)
            position = stop
            continue
        if content:
            other.append(text[position:end].rstrip("\r"))
        position = end + 1
        line += 1
    if not results:
        raise FioParseError("no JSON object", path=path, line=max(1, line - 1))
    results[-1] = replace(results[-1], trailer=tuple(other))
    return tuple(results)


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _result(root: Node, preamble: tuple[str, ...]) -> FioResult:
    version = root.string("fio version")
    client = root.has("client_stats")
    jobs = [_job(node, client=client) for node in root.nodes("client_stats" if client else "jobs")]
    # Left among the jobs the total would be counted twice by whoever adds them up.
    totals = [job for job in jobs if client and job.name == _ALL_CLIENTS]
    return FioResult(
        version=version,
        timestamp_s=root.integer("timestamp"),
        timestamp_ms=root.integer("timestamp_ms") if root.has("timestamp_ms") else None,
        global_options=_global_options(root),
        jobs=tuple(job for job in jobs if job not in totals),
        all_clients=totals[-1] if totals else None,
        disk_util=tuple(_disk(node) for node in root.nodes("disk_util"))
        if root.has("disk_util")
        else (),
        preamble=preamble,
    )


def _global_options(root: Node) -> tuple[dict[str, str], ...]:
    if not root.has("global options"):
        return ()
    if isinstance(root.get("global options"), list):  # a client of several servers
        return tuple(node.strings() for node in root.nodes("global options"))
    return (root.node("global options").strings(),)


def _job(node: Node, *, client: bool) -> JobResult:
    mixed = _io(node.node("mixed")) if node.has("mixed") else None
    # unified_rw_reporting=1 prints "mixed" in place of all the others.
    unified = mixed is not None and not any(node.has(key) for key in ("read", "write", "trim"))
    read, write, trim = (
        IoStats() if unified else _io(node.node(key)) for key in ("read", "write", "trim")
    )
    return JobResult(
        name=node.string("jobname"),
        group_id=node.integer("groupid"),
        error=node.integer("error"),
        elapsed_s=None if client and not node.has("elapsed") else node.integer("elapsed"),
        job_options=node.node("job options").strings() if node.has("job options") else {},
        read=read,
        write=write,
        trim=trim,
        sync=_sync(node.node("sync")) if node.has("sync") else SyncStats(),
        mixed=mixed,
        hostname=node.string("hostname") if node.has("hostname") else None,
        total_errors=node.integer("total_err") if node.has("total_err") else None,
    )


def _io(node: Node) -> IoStats:
    if not node.has("clat_ns") and node.has("clat"):
        raise node.fail("clat", "microseconds, which is fio 2; only fio 3 is supported")
    return IoStats(
        total_ios=node.integer("total_ios"),
        io_bytes=node.integer("io_bytes"),
        runtime_ms=node.integer("runtime"),
        iops=node.number("iops"),
        lat_ns=_latency(node.node("lat_ns")),
        clat_ns=_latency(node.node("clat_ns")),
        slat_ns=_latency(node.node("slat_ns")),
    )


def _sync(node: Node) -> SyncStats:
    return SyncStats(total_ios=node.integer("total_ios"), lat_ns=_latency(node.node("lat_ns")))


def _latency(node: Node) -> LatencySummary:
    return LatencySummary(
        min=node.integer("min"),
        max=node.integer("max"),
        mean=node.number("mean"),
        stddev=node.number("stddev"),
        samples=node.integer("N"),
        percentiles=_percentiles(node.node("percentile")) if node.has("percentile") else {},
        bins=_bins(node.node("bins")) if node.has("bins") else {},
    )


def _percentiles(node: Node) -> dict[float, int]:
    result = {}
    for key in node.data:
        try:
            percent = float(key)
        except ValueError:
            raise node.fail(ascii(key), "not a percentile") from None
        if not 0 <= percent <= 100:
            raise node.fail(ascii(key), "not a percentile")
        result[percent] = node.integer(key)
    return result


def _bins(node: Node) -> dict[int, int]:
    result = {}
    for key in node.data:
        if key.startswith("FIO_IO_U_PLAT_"):  # early fio 3 describes the bins among them
            continue
        if not (key.isascii() and key.isdigit() and len(key) <= 20):
            raise node.fail(ascii(key), "not a number of nanoseconds")
        result[int(key)] = node.integer(key)
    return result


def _disk(node: Node) -> DiskUtil:
    counts: dict[str, Any] = {
        key: node.integer(key) for key in ("read_ios", "write_ios", "read_merges", "write_merges")
    }
    return DiskUtil(
        name=node.string("name"),
        read_ticks_ms=node.integer("read_ticks"),
        write_ticks_ms=node.integer("write_ticks"),
        in_queue_ms=node.integer("in_queue"),
        util_percent=node.number("util"),
        hostname=node.string("hostname") if node.has("hostname") else None,
        **counts,
    )
