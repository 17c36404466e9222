"""Every write gets into the page, as exactly as the page says."""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.report.load import LenientEvidence
from harness.report.packing import pack
from harness.report.writes import Writes, load_writes
from tests.report import build, scenes
from tests.report.pages import scene_of

if TYPE_CHECKING:
    from pathlib import Path


def unpacked(head: dict[str, Any], blob: str) -> tuple[Any, Any, Any]:
    """(ms after zero, job, latency in ns) of every write, as the page's script has them."""
    n = head["n"]
    planes = np.frombuffer(zlib.decompress(base64.b64decode(blob)), np.uint8).reshape(4, n)
    delta = planes[0].astype(np.int64)
    assert int((delta == 255).sum()) == len(head["gaps"])
    delta[delta == 255] = head["gaps"]
    exponent = planes[2].astype(np.int64) << 8 | planes[3]
    return head["first_ms"] + np.cumsum(delta), planes[1], head["step"] ** exponent


def writes_of(done_ns: list[int], latency_ns: list[int]) -> Writes:
    job = (np.arange(len(done_ns)) % 3).astype(np.uint8)
    done, latency = np.array(done_ns, np.int64), np.array(latency_ns, np.int64)
    return Writes(done, latency, (), len(done), "", (), job, ("a", "b", "c"))


def test_there_and_back() -> None:
    rng = np.random.default_rng(1)
    done = np.cumsum(rng.choice([0, 1, 40, 254, 255, 256, 70_000], 5000)) * 1_000_000
    latency = np.exp(rng.uniform(np.log(1), np.log(4e12), 5000)).astype(np.int64)
    zero = 1_764_076_800_000_000_000
    writes = writes_of((zero - 10**12 + done).tolist(), latency.tolist())
    packed = pack(writes, zero)
    assert packed is not None
    ms, job, ns = unpacked(packed.head, packed.blob)
    assert (ms * 1_000_000 == writes.done_ns - zero).all()
    assert (job == writes.job).all()
    # From 100 ns on a half percent; below that a latency is not what anybody looks at.
    far = latency >= 100
    assert np.abs(ns[far] / latency[far] - 1).max() < 0.0051


def test_the_longest_are_exact() -> None:
    zero = 10**18
    latency = [1_000_000 + n for n in range(2000)] + [98_765_432_109]
    packed = pack(writes_of([zero + n * 1_000_000 for n in range(2001)], latency), zero)
    assert packed is not None
    exact = packed.head["exact"]
    assert len(exact) == 500
    assert exact[-1] == [2000.0, 98_765_432_109, 2]
    assert sorted(one[1] for one in exact) == sorted(latency)[-500:]


def test_no_write_is_no_block() -> None:
    assert pack(writes_of([], []), 0) is None


def test_the_page_has_all_of_them(run: Path) -> None:
    folder = scenes.green(run)
    writes = load_writes(LenientEvidence(folder.path))
    _, page = scene_of(run)
    head = page.json["writes"]
    ms, job, ns = unpacked(head, page.data["writes"])
    assert len(ms) == len(writes.done_ns)
    assert np.abs(ms * 1_000_000 - (writes.done_ns - build.ZERO_NS)).max() <= 500_000
    assert head["jobs"] == ["raw0", "raw1", "raw2"]
    assert np.bincount(job).tolist() == [
        len((folder.path / f"fio/raw{n}_lat.1.log").read_text().splitlines()) for n in range(3)
    ]
    assert ns.max() == pytest.approx(int(writes.latency_ns.max()), rel=0.006)
