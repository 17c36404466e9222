"""What is known of the scenario that runs: step, faults, I/O, the longest stall, both nodes' roles.

Everything is read from the evidence as it grows, so that looking at a run asks no guest anything
and needs no part of the harness that is busy with it.
"""

from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.evidence.files import read_json
from harness.evidence.livestate import Live
from harness.evidence.model import TIMELINE
from harness.evidence.timeline import Channel
from harness.report.reading import parse_event
from harness.report.text import one_line
from harness.report.tracks import VM_STATES

if TYPE_CHECKING:
    from pathlib import Path

    from harness.evidence.timeline import Event

_RATE_NS = 5_000_000_000  # writes per second are those of the last five
_AT_ONCE = 16 << 20  # bytes of the timeline that are read in one go
_FILE_SYSTEM = "lun0"  # its writes come in bursts: a pause of them is no stall


class Follower:
    """Reads what was appended to a growing ``timeline.jsonl``; what is no event is passed over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._at = 0
        self._torn = b""

    def read(self) -> list[Event]:
        """The events that were written since the last call; none while there is no file."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._at)
                chunk = file.read(_AT_ONCE)
        except OSError:
            return []
        self._at += len(chunk)
        *lines, self._torn = (self._torn + chunk).split(b"\n")
        return [event for line in lines if (event := parse_event(line)) is not None]


@dataclass(frozen=True, slots=True)
class ActiveFault:
    """A fault that was injected and not healed yet; since when, ns on the run's clock."""

    name: str
    target: str
    since_ns: int
    bitten: bool


@dataclass(frozen=True, slots=True)
class Status:
    """The scenario that runs, at one moment.

    Attributes:
        name, feature: of the scenario; guest text never is in them.
        started_ns: its start, ns on the run's clock; ``now_ns``: what the rest is about.
        ended: it ended; what follows is its last state.
        step: the step that is going on, or the last one.
        faults: those that are active.
        writes_per_s: acknowledged writes of all LUNs in the last seconds; None without I/O.
        longest_stall_s: longest time so far in which a raw LUN acknowledged no write.
        standstill_s: how long that has been going on now; 0 while writes are acknowledged.
        roles: by node, in words: ``Primary of r0 r1 r2``, ``Secondary``, ``off``.
        quiet_s: for how long no witness has told of anything; 0 once it ended. Long after, the run
            was interrupted: nothing is known of the cluster.
    """

    name: str
    feature: str
    started_ns: int
    now_ns: int
    ended: bool
    step: str
    faults: tuple[ActiveFault, ...]
    writes_per_s: float | None
    longest_stall_s: float
    standstill_s: float
    roles: dict[str, str]
    quiet_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values, for a page."""
        return {
            "name": self.name, "feature": self.feature, "ended": self.ended,
            "elapsed_s": max(self.now_ns - self.started_ns, 0) / 1e9,
            "step": self.step, "writes_per_s": self.writes_per_s,
            "longest_stall_s": self.longest_stall_s, "standstill_s": self.standstill_s,
            "roles": self.roles, "quiet_s": self.quiet_s,
            "faults": [
                {
                    "name": fault.name, "target": fault.target, "bitten": fault.bitten,
                    "for_s": max(self.now_ns - fault.since_ns, 0) / 1e9,
                }
                for fault in self.faults
            ],
        }  # fmt: skip


@dataclass(slots=True)
class _Lun:
    """Counters of a LUN: (t_ns, writes) of the last seconds, and when they last moved."""

    counted: deque[tuple[int, int]] = field(default_factory=deque)
    moved_ns: int = 0

    def take(self, t_ns: int, writes: int) -> int:
        """Take a sample; returns how long the counter had stood still when it moved, ns."""
        stood = 0
        if not self.counted or writes != self.counted[-1][1]:
            stood = t_ns - self.moved_ns if self.moved_ns else 0
            self.moved_ns = t_ns
        self.counted.append((t_ns, writes))
        while t_ns - self.counted[0][0] > _RATE_NS and len(self.counted) > 1:
            self.counted.popleft()
        return stood


class LiveScenario:
    """One scenario, followed. ``update`` as often as it is to be shown."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._follower = Follower(folder / TIMELINE)
        self._live = Live()
        self._luns: dict[str, _Lun] = {}
        self._faults: dict[str, ActiveFault] = {}
        self._machines: dict[str, str] = {}
        self._step = ""
        self._writing = False
        self._longest_ns = 0
        self._last_ns = 0
        self._told: dict[str, Any] = {}

    def update(self) -> None:
        """Read what is new."""
        while events := self._follower.read():
            for event in events:
                self._take(event)
        told = read_json(self.folder / "scenario.json")
        self._told = told or self._told

    def status(self, now_ns: int) -> Status:
        """What is known now, ns on the run's clock."""
        ended = self._told.get("outcome", "running") != "running"
        now_ns = self._last_ns if ended and self._last_ns else max(now_ns, self._last_ns)
        still_ns = 0
        if self._writing and not ended:
            moved = [lun.moved_ns for name, lun in self._luns.items() if name != _FILE_SYSTEM]
            still_ns = max((now_ns - t_ns for t_ns in moved if t_ns), default=0)
        started = self._told.get("started_ns")
        return Status(
            name=one_line(str(self._told.get("name", self.folder.name))),
            feature=one_line(str(self._told.get("feature", ""))),
            started_ns=started if isinstance(started, int) else now_ns,
            now_ns=now_ns,
            ended=ended,
            step=self._step,
            faults=tuple(self._faults.values()),
            writes_per_s=self._rate(now_ns) if self._writing else None,
            longest_stall_s=max(self._longest_ns, still_ns) / 1e9,
            # The counters come every 100 ms or so: less than two seconds is no standstill.
            standstill_s=still_ns / 1e9 if still_ns > 2_000_000_000 else 0.0,
            roles={one_line(node, 60): self._role(node) for node in self._nodes()},
            quiet_s=(now_ns - self._last_ns) / 1e9 if self._last_ns else 0.0,
        )

    def _take(self, event: Event) -> None:
        self._last_ns = max(self._last_ns, event.t_ns)
        with contextlib.suppress(KeyError, ValueError, TypeError, AttributeError):
            # What is damaged is told by the judges; here it is not shown.
            self._live.feed(event)
        data = event.data
        match event.channel:
            case Channel.STEP if event.kind == "begin":
                self._step = one_line(f"{data.get('keyword', '')} {data.get('text', '')}")
            case Channel.FAULT:
                self._fault(event)
            case Channel.WORKLOAD:
                self._workload(event.kind)
            case Channel.PROGRESS if event.kind == "io":
                self._progress(event)
            case Channel.DOMAIN if event.kind == "lifecycle":
                state = VM_STATES.get(str(data.get("event")))
                if state is not None:
                    self._machines[event.source] = state

    def _fault(self, event: Event) -> None:
        key, data = str(event.data.get("id")), event.data
        if event.kind == "inject":
            name, target = one_line(str(data.get("fault"))), one_line(str(data.get("target")))
            self._faults[key] = ActiveFault(name, target, event.t_ns, False)
        elif event.kind == "bitten" and (fault := self._faults.get(key)):
            self._faults[key] = ActiveFault(fault.name, fault.target, fault.since_ns, True)
        elif event.kind == "healed":
            self._faults.pop(key, None)

    def _workload(self, kind: str) -> None:
        if kind == "start":
            self._writing, self._luns = True, {}
        elif kind in ("stop-asked", "exit"):
            self._writing = False

    def _progress(self, event: Event) -> None:
        name, writes = str(event.data.get("disk")), event.data.get("write_ios")
        if not isinstance(writes, int):
            return
        stood = self._luns.setdefault(name, _Lun()).take(event.t_ns, writes)
        if self._writing and name != _FILE_SYSTEM:
            self._longest_ns = max(self._longest_ns, stood)

    def _rate(self, now_ns: int) -> float:
        done = 0
        for lun in self._luns.values():
            recent = [writes for t_ns, writes in lun.counted if now_ns - t_ns <= _RATE_NS]
            done += max(recent[-1] - recent[0], 0) if recent else 0
        return done / (_RATE_NS / 1e9)

    def _nodes(self) -> list[str]:
        told = self._told.get("nodes")
        return [str(node) for node in told] if isinstance(told, list) else []

    def _role(self, node: str) -> str:
        machine = self._machines.get(node, "on")
        if machine != "on":
            return machine
        states = {r: s for (n, r), s in sorted(self._live.drbd.states().items()) if n == node}
        primary = [one_line(r, 20) for r, s in states.items() if s.get("role") == "Primary"]
        if primary:
            return f"Primary of {' '.join(primary)}"
        return "Secondary" if states else "no DRBD"
