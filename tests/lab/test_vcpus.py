"""What the host's scheduler says of a VM."""

from __future__ import annotations

import os
import queue
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.lab import vcpus

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab.vcpus import Sample


class Powered:
    """A machine whose QEMU is this very process, or that is off."""

    name = "alpha"

    def __init__(self) -> None:
        self.on = True

    def qemu_pid(self) -> int:
        if not self.on:
            raise HarnessError("alpha has no QEMU process")
        return os.getpid()

    @property
    def host(self) -> Powered:
        return self

    threads_of = staticmethod(vcpus.threads_of)


def test_threads_and_their_times(tmp_path: Path) -> None:
    for task, comm, stat in (
        ("7", "CPU 0/TCG", "7 (CPU 0/TCG) S 1 1"),
        ("8", "a) b", "8 (a) b) D 1"),
    ):
        folder = tmp_path / "7" / "task" / task
        folder.mkdir(parents=True)
        (folder / "comm").write_text(comm + "\n")
        (folder / "stat").write_text(stat + "\n")
        (folder / "schedstat").write_text(f"{task}000000 5 9\n")
    (tmp_path / "7" / "task" / "9").mkdir()
    assert vcpus.threads_of(7, tmp_path) == {
        "CPU 0/TCG 7": (7_000_000, 5, "S"),
        "a) b 8": (8_000_000, 5, "D"),
    }
    with pytest.raises(FileNotFoundError):
        vcpus.threads_of(6, tmp_path)


def test_what_happened_in_between() -> None:
    ms = 1_000_000
    before = {
        "CPU 0/TCG 7": (5 * ms, 0, "S"),
        "worker 8": (9 * ms, 9 * ms, "S"),
        "x 9": (0, 0, "S"),
    }
    now = {
        "CPU 0/TCG 7": (5 * ms, 0, "S"),
        "worker 8": (12 * ms, 10 * ms, "R"),
        "x 9": (0, 0, "S"),
        "new 10": (3 * ms, 0, "D"),
    }
    assert vcpus.since(before, now) == {
        "CPU 0/TCG 7": [0, 0, "S"],
        "worker 8": [3, 1, "R"],
        "new 10": [0, 0, "D"],
    }


def test_it_watches_until_closed_and_through_a_power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vcpus, "_SAMPLE_S", 0.01)
    told: queue.Queue[Sample] = queue.Queue()
    machine = Powered()
    watch = vcpus.CpuWatch([machine], lambda _name, sample: told.put(sample))  # type: ignore[list-item]
    try:
        assert told.get(timeout=10) is not None
        machine.on = False
        watch._pids.clear()
        while not told.empty():
            told.get()
        machine.on = True
        assert told.get(timeout=10) is not None
    finally:
        watch.close()
    assert not watch._thread.is_alive()
