"""Typed access to an evidence folder: scenario.json, run.json and the timeline (docs/evidence.md).

What the harness wrote is validated here once, so that judges and reports need not. What guests
wrote (log texts, ``drbdsetup`` output) stays untrusted: it is handed out as it is.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.evidence.devices import Devices
from harness.evidence.timeline import Channel, Event, TimelineError, read_timeline

if TYPE_CHECKING:
    from pathlib import Path

TIMELINE = "timeline.jsonl"
# They carry a nonce.
WITNESS_CHANNELS = (Channel.CONSOLE, Channel.JOURNAL, Channel.EVENTS2, Channel.BLOCK)
_LATE_NS = 5_000_000_000  # how much later than others a journal entry may reach the host


class EvidenceError(ValueError):
    """A file of the evidence folder that does not keep the contract; the message names it."""


class _Stored(BaseModel):
    # Unknown keys are let through: an older judge can read a newer folder.
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the JSON file at ``path``.

        Raises:
            EvidenceError: it is not of this shape.
            FileNotFoundError: there is no such file.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the file"
            raise EvidenceError(f"{path.name}: {where}: {first['msg']}") from error

    def save(self, path: Path) -> None:
        """Write this as JSON, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".tmp")
        temporary.write_text(
            json.dumps(self.model_dump(mode="json", by_alias=True), indent=1) + "\n",
            encoding="utf-8",
        )
        os.replace(temporary, path)


class SplitBrain(_Stored):
    """A split-brain that a scenario forces: of which resource, and whose writes are discarded."""

    resource: str
    victim: str


class Expect(_Stored):
    """What a scenario expects, stated before its first run."""

    failovers: Annotated[int, Field(ge=0)]
    fewer_failovers: bool = False
    """Fewer are right as well: where both nodes boot at once, either may be promoted."""
    fencings: Annotated[int, Field(ge=0)]
    fewer_fencings: bool = False
    """Fewer are right as well: where a daemon may be back before its node is called unclean."""
    max_stall_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    active: str | None = None
    min_spanning_writes: Annotated[int, Field(ge=0)] = 0
    workload: bool
    fault: bool
    fenced: list[str] = Field(default_factory=list)
    split_brain: SplitBrain | None = None
    durable: Literal["acknowledged", "flushed"] = "acknowledged"
    """What has to survive: every acknowledged write, or what was flushed before power was cut."""

    @property
    def stall_bound_s(self) -> float | None:
        """The longest stall that is allowed, seconds; None where nothing could stall.

        The field is always there; without a workload it bounds nothing, unless it says something.
        """
        return self.max_stall_s if self.workload or self.max_stall_s else None


class Job(_Stored):
    """One fio job; paths are relative to the evidence folder."""

    name: str
    kind: Literal["raw", "file"]
    lun: str | None = None
    resource: str | None = None
    block_size: Annotated[int, Field(gt=0)] = 4096
    result: str = Field(alias="json")
    lat_log: str | None = None
    headers: str | None = None


class Lun(_Stored):
    """One LUN: the DRBD resource behind it and its size."""

    resource: str
    bytes: Annotated[int, Field(gt=0)]


class Scenario(_Stored):
    """scenario.json: what the scenario is and what it expects."""

    slug: str
    name: str
    feature: str
    tags: list[str] = Field(default_factory=list)
    started_ns: int
    ended_ns: int | None = None
    outcome: Literal["running", "finished", "error"]
    error: str | None = None
    touched: bool = True
    """Whether anything was broken, or ordered that hurts, when this was written."""
    reproduce: str = ""
    gherkin: list[str] = Field(default_factory=list)
    expect: Expect
    jobs: list[Job] = Field(default_factory=list)
    luns: dict[str, Lun] = Field(default_factory=dict)
    nodes: list[str]
    initiator: str
    resources: list[str]
    """The replicated devices, each a DRBD resource of its own name unless ``volumes`` says."""
    volumes: dict[str, str] = Field(default_factory=dict)
    """By device, where they are volumes of DRBD resources: ``RESOURCE/VOLUME``."""
    vip: str
    events: int = Field(default=0, ge=0)
    """How many lines the timeline had when this was written; more may follow."""

    @property
    def devices(self) -> Devices:
        """Which of them DRBD means, when it names a resource or a volume."""
        return Devices(self.volumes)


class SpanFile(_Stored):
    """span.json: the whole time of a scenario, which is longer than its timeline.

    Attributes:
        from_ns: its start.
        to_ns: the start of the next one, or the end of the run's last one.
        judged_from_ns, judged_to_ns: when its evidence, closed by then, was judged.
    """

    from_ns: int
    to_ns: int
    judged_from_ns: int
    judged_to_ns: int


class RunInfo(_Stored):
    """run.json: what the run was."""

    run: str
    started_ns: int
    accelerator: Literal["kvm", "tcg"]
    timing: dict[str, Any] = Field(default_factory=dict)
    config: dict[str, Any] = Field(default_factory=dict)
    """The cluster's configuration (``ClusterConfig``), as it was deployed."""
    versions: dict[str, str] = Field(default_factory=dict)
    packages: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Versions of all packages, by ``guests``, ``host`` and ``python``."""
    harness: str
    seed: int | None = None
    command: str = ""
    kept: str | None = None
    injecting: bool = True
    """False in a run in which nothing was broken, to test the proofs."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An event and where it stands in the timeline."""

    event: Event
    line: int  # from 1

    @property
    def ref(self) -> str:
        """``timeline.jsonl:LINE``."""
        return f"{TIMELINE}:{self.line}"

    @property
    def t_ns(self) -> int:
        """Arrival on the host, ns since the epoch on the run's clock."""
        return self.event.t_ns

    @property
    def source(self) -> str:
        """Which machine: a VM's role name or ``host``."""
        return self.event.source

    def text(self, key: str) -> str:
        """The string at ``key`` of the data; empty where there is none."""
        value = self.event.data.get(key)
        return value if isinstance(value, str) else ""

    def integer(self, key: str) -> int:
        """The integer at ``key`` of the data.

        Raises:
            EvidenceError: there is none.
        """
        value = self.event.data.get(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise EvidenceError(f"{self.ref}: {key!r} is not an integer")
        return value


@dataclass(frozen=True, slots=True)
class Sample:
    """One ``state`` sample."""

    what: str
    when: str
    node: str
    value: Any
    seen: Seen


class _Replays:
    """Recognises journal entries that a stream tells again.

    ``journalctl --boot --follow --lines=all`` starts from the boot's first entry whenever its
    service starts, and the host need not notice. Within a boot the journal's monotonic stamps
    never go back: a stamp below the newest one begins a replay, a newer one ends it.
    """

    def __init__(self, begins: dict[tuple[str, str], int]) -> None:
        self._newest = dict(begins)  # by (VM, boot): what is not newer lay before the nonce
        self._replaying = set(begins)

    def is_replay(self, seen: Seen) -> bool:
        stamp, key = _stamp(seen), (seen.source, seen.text("boot_id"))
        if stamp is None:
            return False
        newest = self._newest.get(key, -1)
        if stamp < newest:
            self._replaying.add(key)
        elif stamp > newest:
            self._newest[key] = stamp
            self._replaying.discard(key)
        return key in self._replaying


def _stamp(seen: Seen) -> int | None:
    stamp = seen.event.data.get("monotonic_us")
    return stamp if seen.event.kind == "entry" and type(stamp) is int else None


class Evidence:
    """One evidence folder (``reports/<run>/evidence/<slug>``), read on demand and kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def scenario(self) -> Scenario:
        """scenario.json."""
        return Scenario.load(self.folder / "scenario.json")

    @cached_property
    def run(self) -> RunInfo | None:
        """run.json of the run that the folder belongs to; None where there is none."""
        try:
            return RunInfo.load(self.folder.parent.parent / "run.json")
        except FileNotFoundError:
            return None

    @property
    def timeline(self) -> tuple[Seen, ...]:
        """Every event, in order of arrival, with line numbers.

        Raises:
            TimelineError: a line (but a torn last one) that is not an event, or one is missing:
                in between, by their numbers, or of those that were there when the scenario ended.
        """
        if isinstance(self._events, Exception):
            raise self._events
        return self._events

    @cached_property
    def _events(self) -> tuple[Seen, ...] | TimelineError | OSError:
        """The timeline, or why it cannot be read: every check asks, and it is long."""
        try:
            # read_timeline yields one event per line and skips none, so position gives the line.
            events = read_timeline(self.folder / TIMELINE)
        except (TimelineError, OSError) as error:
            return error
        for line, event in enumerate(events, start=1):
            if event.number != line:
                return TimelineError(f"{TIMELINE}:{line}: line {event.number} stands here")
        if len(events) < self.scenario.events:
            return TimelineError(f"{TIMELINE}: {len(events)} of {self.scenario.events} lines")
        return tuple(Seen(event, line) for line, event in enumerate(events, start=1))

    @cached_property
    def nonces(self) -> dict[tuple[str, Channel], Seen]:
        """Where each witness stream begins to belong to this scenario, by (source, channel).

        All streams of a scenario carry the same nonce; another one (of an earlier fork, or
        ``boot`` from a service that started later) does not count, unless every stream has its
        own.
        """
        seen_nonces = [
            seen
            for seen in self.timeline
            if seen.event.kind == "nonce" and seen.event.channel in WITNESS_CHANNELS
        ]
        streams: dict[str, set[tuple[str, Channel]]] = {}
        for seen in seen_nonces:
            streams.setdefault(seen.text("nonce"), set()).add((seen.source, seen.event.channel))
        streams.pop("boot", None)
        shared = max(streams, key=lambda nonce: len(streams[nonce]), default="")
        first: dict[tuple[str, Channel], Seen] = {}
        for seen in seen_nonces:
            if seen.text("nonce") == shared or (len(streams.get(shared, ())) == 1):
                first.setdefault((seen.source, seen.event.channel), seen)
        return first

    @cached_property
    def _own(self) -> dict[Channel, tuple[Seen, ...]]:
        """Events by channel, without what a witness stream carried before its nonce."""
        sorted_out: dict[Channel, list[Seen]] = {channel: [] for channel in Channel}
        replays = _Replays(self._journal_begins())
        for seen in self.timeline:
            channel = seen.event.channel
            if channel in WITNESS_CHANNELS:
                nonce = self.nonces.get((seen.source, channel))
                if nonce is None or seen.line < nonce.line:
                    continue
                if channel is Channel.JOURNAL and replays.is_replay(seen):
                    continue
            sorted_out[channel].append(seen)
        return {channel: tuple(events) for channel, events in sorted_out.items()}

    def _journal_begins(self) -> dict[tuple[str, str], int]:
        """The monotonic stamp at the nonce of each VM's journal, by (VM, boot_id).

        The nonce's own; else that of the entry before it, unless that is left from before the
        revert: then it lies ahead of the guest's clock at the nonce.
        """
        begins: dict[tuple[str, str], int] = {}
        for vm, nonce in [(vm, n) for (vm, c), n in self.nonces.items() if c is Channel.JOURNAL]:
            own = [s for s in self.timeline if s.source == vm and _stamp(s) is not None]
            boot, stamp = nonce.text("boot_id"), nonce.event.data.get("monotonic_us")
            if boot and type(stamp) is int:
                begins[vm, boot] = stamp
            elif before := [s for s in own if s.line < nonce.line]:
                boot, stamp = before[-1].text("boot_id"), _stamp(before[-1]) or 0
                since = [s for s in own if s.line > nonce.line and s.text("boot_id") == boot]
                offset_ns = min((s.t_ns - 1000 * (_stamp(s) or 0) for s in since), default=0)
                if stamp * 1000 <= nonce.t_ns - offset_ns + _LATE_NS:
                    begins[vm, boot] = stamp
        return begins

    def select(self, channel: Channel, *kinds: str, source: str | None = None) -> tuple[Seen, ...]:
        """Events of ``channel`` that belong to this scenario, in order of arrival.

        What a witness stream carried before its nonce was buffered before the fork and is left
        out; so is a stream without a nonce. All kinds where none is given.
        """
        return tuple(
            seen
            for seen in self._own[channel]
            if (not kinds or seen.event.kind in kinds) and (source is None or seen.source == source)
        )

    def samples(self, what: str, when: str | None = None) -> list[Sample]:
        """All ``state`` samples of ``what`` (and ``when``), in order of arrival."""
        found = []
        for seen in self.select(Channel.STATE, "sample"):
            data = seen.event.data
            if data.get("what") == what and when in (None, data.get("when")):
                found.append(
                    Sample(what, seen.text("when"), seen.text("node"), data.get("value"), seen)
                )
        return found

    def latest(self, what: str, when: str) -> dict[str, Sample]:
        """The last sample of ``what`` at ``when`` of each node."""
        return {sample.node: sample for sample in self.samples(what, when)}

    @property
    def vms(self) -> list[str]:
        """Both nodes and the initiator."""
        return [*self.scenario.nodes, self.scenario.initiator]

    @cached_property
    def end_ns(self) -> int:
        """The end of the scenario, or the last event where it never ended."""
        last = max((seen.t_ns for seen in self.timeline), default=self.scenario.started_ns)
        return max(last, self.scenario.ended_ns or 0)

    def path(self, relative: str) -> Path:
        """A file of the folder.

        Raises:
            EvidenceError: ``relative`` leads out of the folder.
        """
        path = (self.folder / relative).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            raise EvidenceError(f"scenario.json: {relative!r} leads out of the evidence folder")
        return path
