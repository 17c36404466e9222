"""In which state the cluster was when each fault bit: fault × DRBD's state × resources' phase.

Counted from evidence alone, by pure functions. The store keeps the counts over runs, so that a draw
can prefer what was not yet seen.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from harness.checks.fencelog import parse_operation
from harness.evidence.files import write_json
from harness.evidence.livestate import LiveDrbd
from harness.evidence.pacemaker import FENCING, OK
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from harness.evidence.model import Evidence, Seen

Cell = tuple[str, str, str]
"""(fault, DRBD's state, the resources' phase)."""

DRBD_STATES = ("connected", "alone", "resync", "diskless", "stand-alone")
PHASES = ("serving", "stopping", "fencing", "promoting", "starting")

SCHEMA = 1

# te_rsc_command(), te_fence_node() and log_executor_event() of pacemaker-controld 2.1.
_INITIATING = re.compile(
    r"Initiating (?P<what>start|stop) operation (?P<id>\w+?)(?::\d+)?_(?:start|stop)_0 "
    r"(?:locally )?on (?P<node>[\w.-]+)"
)
_RESULT = re.compile(
    r"Result of (?P<what>start|stop) operation for (?P<id>\w+?)(?::\d+)? "
    rf"on (?P<node>[\w.-]+): {OK}"
)
_FENCING = re.compile(FENCING)
_LINKS = re.compile(r"\b(data|drbd|mgmt)\b")
_REBOOT = re.compile(r"^(?:the )?(?P<who>active|passive|\w+)(?: node)? is rebooted cleanly$")


class _Group:
    """Which members of the group are started, and on which node."""

    def __init__(self, started: Mapping[str, str]) -> None:
        self._members = set(started)
        self._where = dict(started)
        self.stopping = False

    @property
    def whole(self) -> bool:
        """Whether all of them run."""
        return set(self._where) == self._members and bool(self._members)

    def tell(self, message: str) -> None:
        """A line of Pacemaker's controller."""
        begun, done = _INITIATING.search(message), _RESULT.search(message)
        match = begun or done
        if match is None or match["id"] not in self._members:
            return
        if match["what"] == "stop" and begun:
            self.stopping = True
            self._where.pop(match["id"], None)
        elif match["what"] == "start":
            self.stopping = False
            if done:
                self._where[match["id"]] = match["node"]

    def lost(self, node: str) -> None:
        """A node went down, and with it what ran there."""
        self._where = {member: at for member, at in self._where.items() if at != node}
        self.stopping = False


class _Cluster:
    """The cluster's state, fed with a scenario's events in order of arrival."""

    def __init__(self, evidence: Evidence) -> None:
        scenario = evidence.scenario
        self._nodes, self._resources = scenario.nodes, scenario.resources
        self._drbd = LiveDrbd(scenario.devices)
        self._wanted_fenced: set[str] = set()
        samples = evidence.samples("group", "before")
        value: Any = samples[-1].value if samples else {}
        self.server = str(value.get("node") or "") if isinstance(value, dict) else ""
        members = value.get("resources") if isinstance(value, dict) else None
        names = members if isinstance(members, dict) else {}
        self._group = _Group(dict.fromkeys(map(str, names), self.server))
        self.active = self.server

    def feed(self, seen: Seen) -> None:
        """Take an event of any kind."""
        event = seen.event
        if event.channel is Channel.EVENTS2:
            self._drbd.feed(event)
            primary = self._primary()
            if primary and primary != self.server:
                self._group.stopping = False
                self.server = primary
        elif event.channel is Channel.JOURNAL and event.kind == "entry":
            self._journal(seen)
        elif event.channel is Channel.DOMAIN and seen.text("event") in ("stopped", "crashed"):
            self._group.lost(seen.source)

    def _journal(self, seen: Seen) -> None:
        message, by = seen.text("message"), seen.text("identifier")
        if by == "pacemaker-controld":
            self._group.tell(message)
            if fencing := _FENCING.search(message):
                self._wanted_fenced.add(fencing["node"])
        elif by == "pacemaker-fenced" and (operation := parse_operation(message)) is not None:
            self._wanted_fenced.discard(operation[1])

    def _primary(self) -> str:
        """The node that has every resource Primary; empty if none has."""
        states = self._drbd.states()
        for node in self._nodes:
            roles = {states.get((node, r), {}).get("role") for r in self._resources}
            if roles == {"Primary"}:
                return node
        return ""

    @property
    def drbd(self) -> str:
        """One word for all resources on both nodes: the worst that holds for any."""
        states = self._drbd.states()
        all_of = [states.get((node, r), {}) for node in self._nodes for r in self._resources]
        if any(one.get("connection") == "StandAlone" for one in all_of):
            return "stand-alone"
        if any(one.get("disk") in ("Diskless", "Failed") for one in all_of):
            return "diskless"
        if any(one.get("disk") == "Inconsistent" for one in all_of):
            return "resync"
        connected = all(one.get("connection") == "Connected" for one in all_of)
        return "connected" if connected else "alone"

    @property
    def phase(self) -> str:
        """What the resources are doing."""
        if self._wanted_fenced:
            return "fencing"
        if self._group.whole:
            return "serving"
        if not self._primary():
            return "promoting"
        return "stopping" if self._group.stopping else "starting"


def cells_of(evidence: Evidence) -> list[Cell]:
    """The cell of every fault that was injected, in order: what it was, and what it hit.

    The state is that at the injection. A clean reboot counts as a fault, although nobody injects
    it.
    """
    cluster = _Cluster(evidence)
    events = [
        seen
        for channel in (Channel.EVENTS2, Channel.JOURNAL, Channel.DOMAIN, Channel.FAULT,
                        Channel.STEP)
        for seen in evidence.select(channel)
    ]  # fmt: skip
    cells: list[Cell] = []
    for seen in sorted(events, key=lambda one: one.line):
        label = ""
        if seen.event.channel is Channel.FAULT and seen.event.kind == "inject":
            label = _fault(evidence, cluster, seen)
        elif seen.event.channel is Channel.STEP and seen.event.kind == "begin":
            label = _reboot(cluster, seen)
        if label:
            cells.append((label, cluster.drbd, cluster.phase))
        cluster.feed(seen)
    return cells


def _fault(evidence: Evidence, cluster: _Cluster, seen: Seen) -> str:
    """A fault in words: its kind, its link or daemon, and whom it hits, by what they do now."""
    kind, target = seen.text("kind"), seen.text("target")
    words = [kind]
    if kind == "cut-replication":
        return kind
    if kind.startswith("daemon-"):
        words.append(target.split(" of ")[0])
    # Of a link: which of them, and at whose end. "drbd and mgmt link of alpha, inbound only".
    links = _LINKS.findall(target.split(" of ")[0]) if " link of " in target else []
    if links:
        words.append("+".join(links))
    named = [node for node in evidence.scenario.nodes if re.search(rf"\b{node}\b", target)]
    if len(named) > 1:
        words.append("both")
    elif named:
        words.append("server" if named[0] == cluster.server else "spare")
    elif evidence.scenario.initiator in target:
        words.append("initiator")
    elif kind.startswith("fence-"):
        words.append("fence device")
    if "bound only" in target:
        words.append("one-way")
    return " ".join(words)


def _reboot(cluster: _Cluster, seen: Seen) -> str:
    match = _REBOOT.match(seen.text("text"))
    if match is None:
        return ""
    who = match["who"]
    active = who == "active" if who in ("active", "passive") else who == cluster.active
    serves_as_before = cluster.server == cluster.active
    return f"reboot {'server' if active is serves_as_before else 'spare'}"


# ------------------------------------------------------------------------- over runs


def table(counts: Mapping[Cell, int]) -> list[str]:
    """The counts as text: a line for each fault, a column for each state that was met."""
    columns = sorted(
        {(drbd, phase) for _fault, drbd, phase in counts},
        key=lambda one: (_index(DRBD_STATES, one[0]), _index(PHASES, one[1])),
    )
    faults = sorted({fault for fault, _drbd, _phase in counts})
    width = max((len(fault) for fault in faults), default=5)
    head = [f"{'':{width}}  " + "  ".join(f"{drbd:>11}" for drbd, _phase in columns)]
    head += [f"{'fault':{width}}  " + "  ".join(f"{phase:>11}" for _drbd, phase in columns)]
    rows = [
        f"{fault:{width}}  "
        + "  ".join(f"{counts.get((fault, *column), 0) or '·':>11}" for column in columns)
        for fault in faults
    ]
    return [*head, *rows] if rows else ["no fault was injected yet"]


def _index(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name in names else len(names)


def pack(counts: Mapping[Cell, int]) -> list[list[Any]]:
    """Counts as ``json.dumps`` takes them: ``[fault, DRBD's state, phase, count]``, sorted."""
    return [[*cell, count] for cell, count in sorted(counts.items())]


def unpack(raw: object) -> Counter[Cell]:
    """Counts as ``pack`` wrote them.

    Raises:
        ValueError: it is not a list of counts.
    """
    counts: Counter[Cell] = Counter()
    try:
        for fault, drbd, phase, count in raw:  # type: ignore[attr-defined]
            counts[str(fault), str(drbd), str(phase)] += int(count)
    except (TypeError, ValueError) as error:
        raise ValueError(f"not a count of coverage: {error}") from error
    return counts


class CoverageStore:
    """Counts of all explorations, in one file, by configuration and by exploration.

    What an exploration has counted is replaced as a whole whenever it counts more, so that nothing
    counts twice however often it is resumed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def seen(self, config: str, but: str = "") -> Counter[Cell]:
        """The counts of a configuration (its hash), without those of the exploration ``but``.

        Raises:
            ValueError: the file is not one of coverage.
        """
        total: Counter[Cell] = Counter()
        for name, entry in self._runs().items():
            if name != but and entry.get("config") == config:
                total += unpack(entry.get("counts"))
        return total

    def put(self, name: str, config: str, cells: Iterable[Cell]) -> None:
        """What the exploration ``name`` has seen so far; written whole or not at all."""
        runs = self._runs()
        runs[name] = {"config": config, "counts": pack(Counter(cells))}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, {"schema": SCHEMA, "runs": runs})

    def _runs(self) -> dict[str, dict[str, Any]]:
        try:
            raw = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ValueError(f"{self.path}: {error}") from error
        runs = raw.get("runs") if isinstance(raw, dict) and raw.get("schema") == SCHEMA else None
        if not isinstance(runs, dict) or not all(isinstance(one, dict) for one in runs.values()):
            raise ValueError(f"{self.path} is not a file of coverage")
        return runs
