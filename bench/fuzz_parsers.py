"""Every parser on generated inputs: a result or its own error, in bounded time and memory.

Inputs are made from real ones (the tests' fixtures) by flipping, cutting, doubling and splicing
bytes, by putting extreme numbers for numbers, and some are noise. Each parser runs in a process of
its own, in 1 GiB of memory, with 5 s of computing for an input; anything but a result or the
parser's typed error ends the run with exit code 1 and leaves the input in a file. One seed gives
the same inputs each time.

    .venv/bin/python -m bench.fuzz_parsers --inputs 1000000 [NAME…]
"""

from __future__ import annotations

import argparse
import atexit
import gzip
import io
import json
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.fuzz_lint import lint_parsers
from harness.checks.fencelog import parse_operation
from harness.checks.verdict import ScenarioVerdict, VerdictError
from harness.cluster.config import load_config
from harness.cluster.observe import (
    ObservationError,
    parse_crm_mon,
    parse_fence_history,
    parse_proc_drbd,
    parse_resync,
)
from harness.drbd_metadata import MetadataError, active_extents, parse_superblock, read_metadata
from harness.errors import BadInputError
from harness.evidence.block_trace import STARTED
from harness.evidence.blocks import (
    RECORD_DTYPE,
    BlocksError,
    Digests,
    Headers,
    read_digests,
    read_headers,
    write_digests,
    write_headers,
)
from harness.evidence.model import EvidenceError, Scenario
from harness.evidence.replica import Facts, ReplicaError
from harness.evidence.timeline import Channel, TimelineError, read_timeline
from harness.evidence.witness import parse_line
from harness.fio_parser import (
    FioParseError,
    check_payloads,
    parse_headers,
    parse_hist_log,
    parse_log,
    parse_results,
    parse_verify_state,
)
from harness.history.model import History, HistoryError, Kind, Outcome
from harness.history.store import load, save
from harness.lab.volatile import parse_traffic
from harness.timing import PROFILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TESTS = Path(__file__).parent.parent / "tests"
FIO = TESTS / "fio_parser/fixtures"
_LONGEST = 1 << 16  # bytes of an input
_EACH_S = 5
_MEMORY = 1 << 30
_NUMBER = re.compile(rb"\d+")
_EXTREMES = (
    b"0", b"-1", b"1e999", b"9223372036854775808", b"-9223372036854775809", b"4294967296", b"NaN",
    b"18446744073709551616", b"0x10", b"00", b"1" * 400, b"Infinity", b"null", b"true", b"[]",
)  # fmt: skip


@dataclass(frozen=True)
class Parser:
    """What is fed: ``parse`` takes the input, which ``seeds`` are examples of.

    ``whole``: what the input is a part of; it is put behind ``whole`` before parsing.
    """

    name: str
    parse: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...] = field(repr=False)


def _file(read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """A parser that takes a path, fed from memory."""
    path = Path(tempfile.mkdtemp(dir="/dev/shm")) / "input"
    atexit.register(shutil.rmtree, path.parent, ignore_errors=True)

    def parse(raw: bytes) -> object:
        path.write_bytes(raw)
        return read(path)

    return parse


def _text(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda raw: parse(raw.decode("utf-8", "surrogateescape"))


def _saved(write: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seed"
        write(path)
        return path.read_bytes()


def _saved_history() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seed.npz"
        save(_history(), path)
        return path.read_bytes()


def _records() -> np.ndarray[Any, np.dtype[np.void]]:
    raw = (FIO / "crc32c.img").read_bytes()[: 8 * 4096]
    records = np.zeros(8, dtype=RECORD_DTYPE)
    blocks = np.frombuffer(raw, dtype=np.uint8).reshape(8, 4096)
    records.view(np.uint8).reshape(8, -1)[:, :44] = blocks[:, :44]
    return records


def _history() -> History:
    return History.build(
        block=[0, 0, 1, 1], kind=[Kind.WRITE, Kind.READ, Kind.WRITE, Kind.WRITE],
        outcome=[Outcome.ACKNOWLEDGED] * 3 + [Outcome.FAILED], wrote=[0, 0, 2, 3],
        issue_ns=[1, 5, 2, 7], done_ns=[3, 6, 4, 9],
    )  # fmt: skip


def parsers() -> Iterator[Parser]:
    """All of them."""
    read = {path.name: path.read_bytes() for path in FIO.iterdir() if path.is_file()}
    results = tuple(raw for name, raw in read.items() if name.endswith((".json", ".txt")))
    yield Parser("fio results", _text(parse_results), (FioParseError,), results)
    logs = tuple(raw for name, raw in read.items() if re.search(r"_(lat|bw|iops)\.log", name))
    yield Parser("fio logs", parse_log, (FioParseError,), logs)
    hist = (read["clat_hist.log"],)
    yield Parser("fio histograms", parse_hist_log, (FioParseError,), hist)
    state = (read["local-vs-0-verify.state"],)
    yield Parser("fio verify states", parse_verify_state, (FioParseError,), state)
    image = (read["crc32c.img"][: 2 * 4096], read["vs.img"][: 2 * 4096])
    yield Parser(
        "fio headers", lambda raw: parse_headers(raw, block_size=4096), (FioParseError,), image
    )
    yield Parser(
        "fio payloads", lambda raw: check_payloads(raw, block_size=4096), (FioParseError,), image
    )

    tails = [gzip.decompress(p.read_bytes()) for p in sorted(TESTS.rglob("*.tail.gz"))]
    superblocks = tuple(tail[-4096:] for tail in tails)
    yield Parser("DRBD superblocks", parse_superblock, (MetadataError,), superblocks)
    rings = tuple(tail[-9 * 4096 : -4096] for tail in tails)
    yield Parser("DRBD activity logs", active_extents, (MetadataError,), rings)
    disk = bytes(100 << 12)
    yield Parser(
        "DRBD disks",
        lambda raw: read_metadata(io.BytesIO(disk + raw)),
        (MetadataError,),
        tuple(_small(tail[-11 * 4096 :]) for tail in tails),
    )

    records = _saved(lambda path: write_headers(path, Headers(4096, _records())))
    yield Parser("headers.bin", _file(read_headers), (BlocksError,), (records,))
    crc = np.arange(20, dtype=np.uint32)
    digests = _saved(lambda path: write_digests(path, Digests(4096, crc)))
    yield Parser("digests.bin", _file(read_digests), (BlocksError,), (digests,))
    facts = (
        b'{"schema": 1, "blocks": 100, "current": "00FF", "bitmap": "0", "history": ["1", "2"], '
        b'"flags": 4, "clean": true, "dirty": 3, "extents": [0], "may_differ": [[0, 3]]}'
    )
    yield Parser("metadata.json", _file(Facts.load), (ReplicaError,), (facts,))
    lines = (TESTS / "evidence/fixtures/takeover.jsonl").read_bytes().splitlines(keepends=True)
    pieces = tuple(b"".join(lines[at : at + 6]) for at in range(0, len(lines), 6))
    yield Parser("timeline.jsonl", _file(read_timeline), (TimelineError,), pieces)
    scenario = {
        "slug": "s", "name": "S", "feature": "f", "tags": [], "started_ns": 1, "ended_ns": None,
        "outcome": "finished", "error": None, "reproduce": "", "gherkin": [],
        "expect": {"failovers": 0, "fencings": 0, "max_stall_s": 45, "active": None,
                   "min_spanning_writes": 0, "workload": False, "fault": False, "fenced": []},
        "jobs": [{"name": "raw1", "kind": "raw", "lun": "lun1", "resource": "r1",
                  "block_size": 4096, "json": "a.json", "lat_log": None, "headers": None}],
        "luns": {"lun1": {"resource": "r1", "bytes": 4096}}, "nodes": ["alpha", "bravo"],
        "initiator": "client", "resources": ["r1"], "vip": "10.0.0.1", "events": 3,
    }  # fmt: skip
    seed = (json.dumps(scenario).encode(),)
    yield Parser("scenario.json", _file(Scenario.load), (EvidenceError,), seed)
    verdict = ScenarioVerdict("s", error="none").to_json() | {
        "checks": [{"check": "a", "title": "A", "verdict": "VALID", "expected": "x", "seen": "y",
                    "when_ns": [1], "evidence": ["e"], "operations": 3, "details": {"n": 1}}]
    }  # fmt: skip
    seed = (json.dumps(verdict).encode(),)
    yield Parser("verdict.json", _file(ScenarioVerdict.load), (VerdictError,), seed)
    seed = (_saved_history(),)
    yield Parser("histories", _file(load), (HistoryError,), seed)

    said = (b"1795000000000000000 lun0:12:96:4 lun1:5:40:0", b"1795000000500000000 lun1:7:56:1")
    yield Parser("progress lines", _line(Channel.PROGRESS), (), said)
    head = b"             fio-1234    [000]  1795639429.123456: "
    traced = (
        head + b"block_rq_issue: 8,16 WS 4096 () 2048 + 8 [fio]",
        head + b"block_rq_complete: 8,16 WFS () 2048 + 8 [-5]",
        head + b"tracing_mark_write: lab-nonce:abc", b"CPU:0 [LOST 128 EVENTS]",
        STARTED.encode(),
    )  # fmt: skip
    yield Parser("block lines", _line(Channel.BLOCK), (), traced)
    for channel in (Channel.CONSOLE, Channel.JOURNAL, Channel.EVENTS2):
        yield Parser(f"{channel} lines", _line(channel), (), _streams(channel, lines))
    crm = ((TESTS / "cluster/fixtures/crm_mon-healthy.xml").read_bytes(),)
    yield Parser("crm_mon", _text(parse_crm_mon), (ObservationError,), crm)
    history = (
        b'<pacemaker-result api-version="2.25"><fence_history><fence_event action="reboot" '
        b'target="bravo" client="pacemaker-controld.7" origin="alpha" status="success" '
        b'delegate="alpha" completed="2026-11-25 13:00:00Z"/></fence_history>'
        b'<status code="0" message="OK"/></pacemaker-result>',
    )
    yield Parser("fence history", _text(parse_fence_history), (ObservationError,), history)
    proc = ((TESTS / "cluster/fixtures/proc_drbd-healthy.txt").read_bytes(),)
    yield Parser("/proc/drbd", _text(parse_proc_drbd), (ObservationError,), proc)
    done = (proc[0] + b"\t[===>......] sync'ed: 20.0% (52224/65404)K\n",)
    yield Parser("resync in /proc/drbd", _text(parse_resync), (), done)
    message = (
        b"Operation 'reboot' targeting alpha by bravo for pacemaker-controld.6@bravo: OK (c)",
    )
    yield Parser("fencing messages", _text(parse_operation), (), message)
    cache = ((TESTS / "lab/fixtures/nbdkit-1.32-log-filter.txt").read_bytes(),)
    yield Parser("nbdkit logs", _text(parse_traffic), (), cache)
    mutants = sorted((TESTS.parent / "scenarios/mutants").glob("*.toml"))
    yield Parser(
        "configurations",
        _file(lambda path: load_config(path, PROFILES["tcg"])),
        (BadInputError,),
        tuple(path.read_bytes() for path in mutants),
    )
    for name, parse, errors, seeds in lint_parsers():
        yield Parser(name, parse, errors, seeds)


def _small(tail: bytes) -> bytes:
    """The end of a disk with its size set to 100 blocks (la_size, the superblock's first field)."""
    at = len(tail) - 4096
    return tail[:at] + (100 * 8).to_bytes(8, "big") + tail[at + 8 :]


def _line(channel: Channel) -> Callable[[bytes], object]:
    return lambda raw: parse_line(channel, raw)


def _streams(channel: Channel, lines: list[bytes]) -> tuple[bytes, ...]:
    """Lines as the guest sent them, from what the timeline made of them."""
    found = []
    for event in map(json.loads, lines):
        if event["channel"] != channel:
            continue
        data = event["data"]
        if channel is Channel.JOURNAL:
            raw = {"MESSAGE": data.get("message"), "PRIORITY": "5", "_BOOT_ID": "b",
                   "__REALTIME_TIMESTAMP": str(data.get("realtime_us"))}  # fmt: skip
            found.append(json.dumps(raw).encode())
        else:
            found.append(str(data.get("raw") or data.get("text") or "").encode())
    return tuple(found[:200])


def mutate(rng: random.Random, seeds: tuple[bytes, ...]) -> bytes:
    """One input."""
    if rng.random() < 0.02:
        return rng.randbytes(rng.randrange(200))
    raw = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(raw) + 1)
        piece = slice(at, at + rng.choice((1, 2, 4, 8, 64, 1024)))
        match rng.randrange(9):
            case 0 if at < len(raw):
                raw[at] ^= 1 << rng.randrange(8)
            case 1:
                raw[piece] = rng.randbytes(rng.randrange(9))
            case 2:
                del raw[piece]
            case 3:
                raw[at:at] = bytes(raw[piece])
            case 4:
                del raw[at:]
            case 5:
                other = rng.choice(seeds)
                start = rng.randrange(len(other) + 1)
                raw[piece] = other[start : start + rng.randrange(100)]
            case 6 | 7:
                numbers = list(_NUMBER.finditer(raw, at, at + 4096))
                if numbers:
                    where = rng.choice(numbers)
                    raw[where.start() : where.end()] = rng.choice(_EXTREMES)
            case 8:
                raw[at:at] = rng.choice((b"{", b"[", b"\x00", b"\n", b"<", b"&", b'"', b"\xff",
                                         b"[" * 3000))  # fmt: skip
    return bytes(raw[:_LONGEST])


def fuzz(parser: Parser, inputs: int, seed: int) -> dict[str, Any]:
    """Feed one parser; returns the figures."""
    rng = random.Random(f"{parser.name} {seed}")
    parsed = refused = 0
    worst, started = 0.0, time.perf_counter()
    with _bounded() as restart:
        for number in range(inputs):
            raw = mutate(rng, parser.seeds)
            restart()
            begin = time.perf_counter()
            try:
                parser.parse(raw)
                parsed += 1
            except parser.errors:
                refused += 1
            except BaseException as error:
                left = Path(tempfile.gettempdir()) / f"fuzz-{parser.name.replace(' ', '-')}.input"
                left.write_bytes(raw)
                raise SystemExit(
                    f"{parser.name}, input {number}: {error!r}; it is in {left}"
                ) from error
            worst = max(worst, time.perf_counter() - begin)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "parsed": parsed, "refused": refused, "worst_ms": worst * 1e3, "peak_mib": peak_mib,
        "seconds": time.perf_counter() - started,
    }  # fmt: skip


@contextmanager
def _bounded() -> Iterator[Callable[[], object]]:
    """Within, whatever computes longer than 5 s since the last call of what is given is ended.

    Computing time counts, so that a busy machine breaks nothing. Afterwards the timer is off and
    the handler gone: left on after a failure, it would go off in whatever this process runs next.
    """

    def too_long(_signal: int, _frame: object) -> None:
        raise TimeoutError(f"longer than {_EACH_S} s")

    before = signal.signal(signal.SIGPROF, too_long)
    try:
        yield lambda: signal.setitimer(signal.ITIMER_PROF, _EACH_S)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def main() -> None:
    """Run all, or those named."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("names", nargs="*", help="parsers; all if none is given")
    options.add_argument("--inputs", type=int, default=20_000, help="for each parser")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--one", help=argparse.SUPPRESS)
    given = options.parse_args()
    known = {parser.name: parser for parser in parsers()}
    if unknown := set(given.names) - set(known):
        raise SystemExit(f"no parser {', '.join(unknown)}; there are: {', '.join(known)}")
    if given.one:
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        print(json.dumps(fuzz(known[given.one], given.inputs, given.seed)))
        return
    print(f"{'parser':20} {'inputs':>9} {'parsed':>9} {'refused':>9} {'worst ms':>9} "
          f"{'peak MiB':>9} {'inputs/s':>9}")  # fmt: skip
    for name in given.names or known:
        done = subprocess.run(
            [sys.executable, "-m", "bench.fuzz_parsers", "--one", name,
             "--inputs", str(given.inputs), "--seed", str(given.seed)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{name}: {done.stderr.strip()[-500:] or done.returncode}")
        seen = json.loads(done.stdout)
        print(f"{name:20} {given.inputs:9} {seen['parsed']:9} {seen['refused']:9} "
              f"{seen['worst_ms']:9.1f} {seen['peak_mib']:9.0f} "
              f"{given.inputs / seen['seconds']:9.0f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
