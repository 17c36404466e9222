"""Whether the host gave the VMs their CPUs: run and wait times of QEMU's threads.

A guest that falls silent has hung, or was not let run. Its own witnesses cannot tell which, the
host's scheduler can, and reading it costs the guests nothing.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from harness.lab.machine import Machine

_SAMPLE_S = 2.0
_NS_PER_MS = 1_000_000

Sample = dict[str, list[int | str]]
"""By thread: milliseconds that it ran, that it waited for a CPU, and its state (proc(5))."""


def threads_of(pid: int, proc: Path = Path("/proc")) -> dict[str, tuple[int, int, str]]:
    """Run time (ns), time waited for a CPU (ns) and state of each thread, by name and id.

    From ``schedstat`` and ``stat`` (Documentation/scheduler/sched-stats.rst, proc(5)). QEMU names
    its threads ("CPU 0/TCG"), as libvirt asks it to.

    Raises:
        OSError: there is no such process.
    """
    found = {}
    for task in (proc / str(pid) / "task").iterdir():
        try:
            ran, waited, _slices = (task / "schedstat").read_text().split()
            # The name is in brackets and may hold anything.
            state = (task / "stat").read_text().rpartition(")")[2].split()[0]
            name = (task / "comm").read_text().strip()
        except (OSError, ValueError, IndexError):
            continue  # it ended meanwhile
        found[f"{name} {task.name}"] = int(ran), int(waited), state
    return found


def parse_heads(text: str) -> dict[str, tuple[int, int, str]]:
    """As ``threads_of``, from ``head -n 1 */comm */schedstat */stat`` (head(1)) in ``task``."""
    told: dict[str, dict[str, str]] = {}
    for part in text.split("==> ")[1:]:
        path, _mark, line = part.partition(" <==\n")
        task, _slash, name = path.partition("/")
        told.setdefault(task, {})[name] = line.rstrip("\n")
    found = {}
    for task, files in told.items():
        try:
            ran, waited, _slices = files["schedstat"].split()
            state = files["stat"].rpartition(")")[2].split()[0]
            found[f"{files['comm'].strip()} {task}"] = int(ran), int(waited), state
        except (KeyError, ValueError, IndexError):
            continue  # it ended meanwhile
    return found


def since(before: dict[str, tuple[int, int, str]], now: dict[str, tuple[int, int, str]]) -> Sample:
    """What each thread did between two looks; idle ones of no vCPU are left out."""
    sample: Sample = {}
    for name, (ran, waited, state) in sorted(now.items()):
        ran_before, waited_before, _state = before.get(name, (ran, waited, state))
        ran_ms = (ran - ran_before) // _NS_PER_MS
        waited_ms = (waited - waited_before) // _NS_PER_MS
        if name.startswith("CPU ") or ran_ms or waited_ms or state == "D":
            sample[name] = [ran_ms, waited_ms, state]
    return sample


class CpuWatch:
    """Tells ``seen`` every two seconds what the threads of each VM did, until ``close``."""

    def __init__(
        self,
        machines: Iterable[Machine],
        seen: Callable[[str, Sample], None],
        died: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self._machines = tuple(machines)
        self._seen = seen
        self._died = died
        self._stop = threading.Event()
        self._before: dict[tuple[str, int], dict[str, tuple[int, int, str]]] = {}
        self._pids: dict[str, int] = {}
        self._thread = threading.Thread(target=self._loop, name="cpu-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        self._thread.join()

    def _loop(self) -> None:
        try:
            while not self._stop.wait(_SAMPLE_S):
                for machine in self._machines:
                    self._look(machine)
        except Exception as error:
            self._died(repr(error))
            raise

    def _look(self, machine: Machine) -> None:
        pid = self._pids.get(machine.name)
        try:
            if pid is None:
                pid = self._pids[machine.name] = machine.qemu_pid()
            now = machine.host.threads_of(pid)
        except (HarnessError, OSError):
            self._pids.pop(machine.name, None)  # powered off, or started anew
            return
        before = self._before.get((machine.name, pid))
        self._before[machine.name, pid] = now
        if before is not None:
            self._seen(machine.name, since(before, now))
