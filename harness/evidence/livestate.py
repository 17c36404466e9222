"""What the streams tell of DRBD's state, of Pacemaker's doings and of writes, in a scenario.

For waiting without asking a node anything; verdicts rest on the timeline itself.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.evidence.devices import Devices
from harness.evidence.pacemaker import FENCING, OK
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.evidence.timeline import Event


EACH_A_RESOURCE = Devices()


class LiveDrbd:
    """The last known role, connection and disk of every device on every node."""

    def __init__(self, devices: Devices = EACH_A_RESOURCE) -> None:
        self._devices = devices
        self._state: dict[tuple[str, str], dict[str, str]] = {}

    def feed(self, event: Event) -> None:
        """Take an event of any kind; only events2 matters."""
        if event.channel is not Channel.EVENTS2:
            return
        if event.kind in ("nonce", "lost"):
            # A new dump follows, or the node is gone: what was known of it is void.
            for key in [key for key in self._state if key[0] == event.source]:
                del self._state[key]
            return
        if event.kind not in ("exists", "change", "create", "destroy"):
            return
        fields = event.data.get("fields", {})
        what = event.data.get("object")
        wanted = {"resource": "role", "connection": "connection", "device": "disk"}.get(str(what))
        for device in self._devices.meant(fields):
            key = (event.source, device)
            if event.kind == "destroy" and what == "resource":
                self._state.pop(key, None)
            elif event.kind == "destroy" and wanted is not None:
                self._state.get(key, {}).pop(wanted, None)
            elif wanted is not None and wanted in fields:
                self._state.setdefault(key, {})[wanted] = str(fields[wanted])

    def connection(self, node: str, resource: str) -> str:
        """A node's connection of a resource, as it was told last."""
        return self._state.get((node, resource), {}).get("connection", "no connection")

    def not_in(self, wanted: str, node: str, resources: Iterable[str]) -> str:
        """Which resources of a node are not in a state, and what they are; empty if all are.

        Args:
            wanted: a role, or a state of the disk, as events2 tells it.
        """
        what = "role" if wanted in ("Primary", "Secondary") else "disk"
        states = {r: self._state.get((node, r), {}).get(what, "down") for r in resources}
        wrong = [f"{resource} is {state}" for resource, state in states.items() if state != wanted]
        return f"{node}: {', '.join(wrong)}" if wrong else ""

    def states(self) -> dict[tuple[str, str], dict[str, str]]:
        """By node and resource what was told last: ``role``, ``connection``, ``disk``."""
        return {key: dict(state) for key, state in self._state.items()}

    def cut_off(self, nodes: Iterable[str], resources: Iterable[str]) -> list[str]:
        """Resources that will not connect by themselves, by node: StandAlone, or with a disk and
        without a connection."""
        names = list(resources)
        found = []
        for node in nodes:
            for resource in names:
                state = self._state.get((node, resource), {})
                if "disk" in state and state.get("connection", "StandAlone") == "StandAlone":
                    found.append(f"{node}: {resource}")
        return found

    def missing(self, nodes: Iterable[str], resources: Iterable[str]) -> str:
        """What keeps the resources from being connected and up to date; empty if nothing."""
        wrong = []
        names = list(resources)
        for node in nodes:
            for resource in names:
                state = self._state.get((node, resource))
                if state is None:
                    wrong.append(f"{node}: {resource} is down")
                    continue
                seen = (state.get("connection", "no connection"), state.get("disk", "no disk"))
                if seen != ("Connected", "UpToDate"):
                    wrong.append(f"{node}: {resource} is {seen[0]}/{seen[1]}")
        return "; ".join(wrong)


# te_rsc_command() of pacemaker-controld 2.1, in the DC's journal.
TAKING_DOWN = re.compile(r"Initiating (?:demote|stop) operation \S+ (?:locally )?on (?P<node>\S+)")
# te_fence_node() of pacemaker-controld 2.1, in the DC's journal.
FENCE_ORDERED = re.compile(FENCING)
# log_executor_event() of pacemaker-controld 2.1, of a fence device of ours.
DEVICE_FAILED = re.compile(
    r"Result of (?:monitor|start) operation for fence_[\w.-]+ on (?P<node>[\w.-]+): "
    r"(?!ok\b|[Cc]ancelled\b)"
)


class Sign(StrEnum):
    """Something that a journal tells and that a scenario may wait for."""

    EMPTIED = "Pacemaker has begun to stop things there"
    START_FAILED = "a start failed there"
    NO_SPACE = "something there complained of a full disk"
    FENCE_ORDERED = "its fencing was ordered"
    LUN_STARTING = "a LUN is being started there"
    DEVICE_FAILED = "a fence device was found failed there"
    SPLIT_BRAIN = "DRBD noticed a split-brain there"


_SIGNS = {
    Sign.EMPTIED: TAKING_DOWN,
    # log_executor_event() of pacemaker-controld 2.1 and 3.0.
    Sign.START_FAILED: re.compile(
        rf"Result of start operation for (?P<id>[^\s:]+)\S* on (?P<node>[\w.-]+): (?!{OK})"
    ),
    # strerror(ENOSPC); and cib_diskwrite_complete() of pacemaker-based 2.1, which does not say why.
    Sign.NO_SPACE: re.compile(r"No space left on device|[Dd]isabling (?:CIB )?disk writes"),
    Sign.FENCE_ORDERED: FENCE_ORDERED,
    # te_rsc_command() of pacemaker-controld 2.1, on the DC.
    Sign.LUN_STARTING: re.compile(
        r"Initiating start operation lun\d+_start_0 (?:locally )?on (?P<node>[\w.-]+)"
    ),
    Sign.DEVICE_FAILED: DEVICE_FAILED,
    # drbd_sync_handshake() of drbd_receiver.c (8.4), and what drbd_khelper() says just before; the
    # minor stands for the resource.
    Sign.SPLIT_BRAIN: re.compile(
        r"\bdrbd(?P<id>\d+)\b[^:]*: (?:Split-Brain detected but unresolved"
        r"|helper command: \S+ (?:initial-)?split-brain )"
    ),
}


class LiveSigns:
    """When each sign was last told, by node and, where it is about one, by Pacemaker's resource."""

    def __init__(self) -> None:
        self._told: dict[tuple[Sign, str, str], int] = {}

    def feed(self, event: Event) -> None:
        """Take an event of any kind; only journals matter."""
        if event.channel is not Channel.JOURNAL or event.kind != "entry":
            return
        message = str(event.data.get("message", ""))
        for sign, pattern in _SIGNS.items():
            match = pattern.search(message)
            if match is not None:
                about = match.groupdict()
                key = sign, about.get("node", event.source), about.get("id", "")
                self._told[key] = event.t_ns

    def told(self, sign: Sign, node: str, since_ns: int, resource: str = "") -> bool:
        """Whether a sign was told of a node (and a resource) since then, ns on the run's clock."""
        return self._told.get((sign, node, resource), -1) >= since_ns


class LiveAnswers:
    """How many writes of each LUN the initiator's kernel was answered without an error."""

    def __init__(self) -> None:
        self._luns: dict[str, str] = {}  # by disk, "major:minor"
        self._count: dict[str, int] = {}

    def feed(self, event: Event) -> None:
        """Take an event of any kind; the sample of disks and block requests matter."""
        data = event.data
        if event.channel is Channel.STATE and data.get("what") == "disks":
            value = data.get("value")
            self._luns = {disk: lun for lun, disk in value.items()} if value else self._luns
        elif event.channel is Channel.BLOCK and event.kind == "complete":
            lun = self._luns.get(str(data.get("disk")))
            if lun and data.get("op") == "write" and data.get("sectors") and not data.get("error"):
                self._count[lun] = self._count.get(lun, 0) + 1

    def of(self, lun: str) -> int:
        """How many since the scenario began."""
        return self._count.get(lun, 0)


class LiveProgress:
    """What the initiator's counters say of each LUN: writes that were answered, and their bytes."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[int, int]] = {}

    def feed(self, event: Event) -> None:
        """Take an event of any kind; only the counters matter."""
        if event.channel is Channel.PROGRESS and event.kind == "io":
            data = event.data
            told = int(data["write_ios"]), int(data.get("write_bytes", 0))
            # A new dict: others may be reading the old one.
            self._told = {**self._told, str(data["disk"]): told}

    def raw(self) -> dict[str, tuple[int, int]]:
        """(writes, bytes) so far of every LUN without a file system."""
        return {lun: told for lun, told in self._told.items() if lun != "lun0"}


class Live:
    """All of it, fed from one timeline."""

    def __init__(self, devices: Devices = EACH_A_RESOURCE) -> None:
        self.drbd = LiveDrbd(devices)
        self.signs = LiveSigns()
        self.answers = LiveAnswers()
        self.progress = LiveProgress()
        self.injected_ns = 0
        """When the last fault was injected, ns on the run's clock."""

    def feed(self, event: Event) -> None:
        """Take an event of any kind."""
        self.drbd.feed(event)
        self.signs.feed(event)
        self.answers.feed(event)
        self.progress.feed(event)
        if event.channel is Channel.FAULT and event.kind == "inject":
            self.injected_ns = event.t_ns
