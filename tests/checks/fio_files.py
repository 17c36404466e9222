"""What fio leaves behind, as it would have been written for a given history of writes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.evidence.blocks import BLOCK_SIZE, RECORD_DTYPE
from harness.fio_parser.crc32c import crc32c

T0_NS = 1_795_000_000_000_000_000
OFFSET_NS = -832_000_000_000  # client's CLOCK_REALTIME minus the run's clock
FIO_CLOCK_NS = 1_794_999_000_123_456_789  # guest wall clock minus fio's own clock


@dataclass
class Write:
    """One acknowledged write of a job; times in seconds after the start, on the run's clock."""

    block: int
    issue_s: float
    latency_s: float


def stamp(t_s: float) -> int:
    """Nanoseconds on the run's clock."""
    return T0_NS + round(t_s * 1e9)


def log_row(write: Write) -> tuple[int, int, int]:
    """(completion ms, latency ns, offset) as fio logs it: the completion is truncated."""
    latency = round(write.latency_s * 1e9)
    done = stamp(write.issue_s) + OFFSET_NS + latency
    return done // 1_000_000, latency, write.block * BLOCK_SIZE


def stamped(
    writes: list[Write], overrides: dict[int, Write | None], blocks: int
) -> np.ndarray[Any, np.dtype[np.void]]:
    """headers.bin's records after these writes; overrides: what a block holds instead."""
    records = np.zeros(blocks, dtype=RECORD_DTYPE)
    records["status"] = 2
    on_disk: dict[int, Write | None] = {}
    order = sorted(writes, key=lambda w: w.issue_s)
    numbers = {id(write): n for n, write in enumerate(order)}
    for write in order:
        on_disk[write.block] = write
    on_disk.update(overrides)
    for block, there in on_disk.items():
        if there is not None:
            fio_ns = stamp(there.issue_s) + OFFSET_NS - FIO_CLOCK_NS
            records[block] = (
                0xACCA, 5, BLOCK_SIZE, 1 + block, block * BLOCK_SIZE,
                fio_ns // 10**9, fio_ns % 10**9, 1, numbers.get(id(there), 0) % 65536, 0, 7, 1,
            )  # fmt: skip
    reseal(records)
    return records


def reseal(records: np.ndarray[Any, np.dtype[np.void]]) -> None:
    """Set every header's own CRC."""
    raw = np.frombuffer(records.tobytes(), dtype=np.uint8).reshape(len(records), -1)
    records["crc32"] = crc32c(np.ascontiguousarray(raw[:, :36]))


def fio_result(name: str, total_ios: int, error: int) -> str:
    """A fio JSON result, reduced to what a result must have."""
    lat = {"min": 1, "max": 2, "mean": 1.0, "stddev": 0.0, "N": total_ios}
    empty = {"min": 0, "max": 0, "mean": 0.0, "stddev": 0.0, "N": 0}

    def direction(ios: int, latency: dict[str, Any]) -> dict[str, Any]:
        return {
            "io_bytes": ios * BLOCK_SIZE, "io_kbytes": ios * 4, "bw_bytes": 0, "bw": 0,
            "iops": 0.0, "runtime": 1000, "total_ios": ios, "short_ios": 0, "drop_ios": 0,
            "slat_ns": latency, "clat_ns": latency, "lat_ns": latency,
        }  # fmt: skip

    job = {
        "jobname": name, "groupid": 0, "error": error, "eta": 0, "elapsed": 80,
        "job options": {"name": name}, "read": direction(0, empty),
        "write": direction(total_ios, lat), "trim": direction(0, empty),
        "sync": {"total_ios": 0, "lat_ns": empty},
    }  # fmt: skip
    return json.dumps(
        {"fio version": "fio-3.33", "timestamp": 1795000000, "timestamp_ms": 1795000000000,
         "time": "Wed", "jobs": [job], "disk_util": []}
    )  # fmt: skip
