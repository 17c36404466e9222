"""What a fio result says, as frozen dataclasses; times are nanoseconds unless the name differs."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """One latency distribution, in nanoseconds.

    Attributes:
        min: shortest, ns; 0 if there was no sample.
        max: longest, ns.
        mean: mean, ns.
        stddev: standard deviation, ns.
        samples: how many I/Os were measured (``N``).
        percentiles: percent (0 to 100) to ns; empty if fio did not compute them.
        bins: json+ only: ns (representative of the bin) to count of I/Os.
    """

    min: int = 0
    max: int = 0
    mean: float = 0.0
    stddev: float = 0.0
    samples: int = 0
    percentiles: dict[float, int] = field(default_factory=dict)
    bins: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IoStats:
    """One data direction of a job.

    Attributes:
        total_ios: I/Os issued.
        io_bytes: bytes transferred.
        runtime_ms: how long the direction ran, milliseconds.
        iops: I/Os per second.
        lat_ns: submission to completion.
        clat_ns: completion latency.
        slat_ns: submission latency; zero for synchronous engines.
    """

    total_ios: int = 0
    io_bytes: int = 0
    runtime_ms: int = 0
    iops: float = 0.0
    lat_ns: LatencySummary = field(default_factory=LatencySummary)
    clat_ns: LatencySummary = field(default_factory=LatencySummary)
    slat_ns: LatencySummary = field(default_factory=LatencySummary)


@dataclass(frozen=True, slots=True)
class SyncStats:
    """fsync and friends of a job: how many, and how long they took."""

    total_ios: int = 0
    lat_ns: LatencySummary = field(default_factory=LatencySummary)


@dataclass(frozen=True, slots=True)
class JobResult:
    """One job, or with group_reporting one group of jobs.

    Attributes:
        name: the job's name.
        group_id: its reporting group.
        error: errno of the error that ended it; 0 if none (EILSEQ, 84, is a failed verify).
        elapsed_s: wall time since the start, seconds; None in client mode, which leaves it out.
        job_options: the job's own options as written; global ones are in the result.
        read, write, trim: per direction; all zero with unified_rw_reporting=1.
        sync: fsync, fdatasync, sync_file_range.
        mixed: the directions together, with unified_rw_reporting only.
        hostname: which server ran it, in client mode.
        total_errors: how many errors were passed over (continue_on_error); None if off.
    """

    name: str
    group_id: int
    error: int
    elapsed_s: int | None
    job_options: dict[str, str]
    read: IoStats
    write: IoStats
    trim: IoStats
    sync: SyncStats
    mixed: IoStats | None = None
    hostname: str | None = None
    total_errors: int | None = None


@dataclass(frozen=True, slots=True)
class DiskUtil:
    """What the kernel counted on one block device during the run (ticks in milliseconds)."""

    name: str
    read_ios: int
    write_ios: int
    read_merges: int
    write_merges: int
    read_ticks_ms: int
    write_ticks_ms: int
    in_queue_ms: int
    util_percent: float
    hostname: str | None = None


@dataclass(frozen=True, slots=True)
class FioResult:
    """One JSON object of fio.

    Attributes:
        version: as fio prints it, e.g. ``fio-3.33``.
        timestamp_s: when it was printed, seconds since the Unix epoch.
        timestamp_ms: the same in milliseconds; None in client mode.
        global_options: one dict, or one per server with several; empty if there are none.
        jobs: every job, in file order, without the total over all clients.
        all_clients: the pseudo job ``All clients`` that a client with several jobs adds up.
        disk_util: per block device; empty if fio was told not to look.
        preamble: the non-JSON lines before the object (notes, verify failures).
        trailer: the non-JSON lines after the last object of the file.
    """

    version: str
    timestamp_s: int
    timestamp_ms: int | None
    global_options: tuple[dict[str, str], ...]
    jobs: tuple[JobResult, ...]
    all_clients: JobResult | None
    disk_util: tuple[DiskUtil, ...]
    preamble: tuple[str, ...] = ()
    trailer: tuple[str, ...] = ()

    def job(self, name: str) -> JobResult:
        """The first job of that name.

        Raises:
            KeyError: there is none.
        """
        for job in self.jobs:
            if job.name == name:
                return job
        raise KeyError(name)
