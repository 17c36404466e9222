"""What the nodes' streams tell of DRBD's state and of Pacemaker's doings, while a scenario runs.

For waiting without asking a node anything; verdicts rest on the timeline itself.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.evidence.timeline import Event


class LiveDrbd:
    """The last known role, connection and disk of every resource on every node."""

    def __init__(self) -> None:
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
        key = (event.source, str(fields.get("name", "")))
        what = event.data.get("object")
        wanted = {"resource": "role", "connection": "connection", "device": "disk"}.get(str(what))
        if event.kind == "destroy":
            if what == "resource":
                self._state.pop(key, None)
            elif wanted is not None:
                self._state.get(key, {}).pop(wanted, None)
            return
        if wanted is not None and wanted in fields:
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


class Sign(StrEnum):
    """Something that a journal tells and that a scenario may wait for."""

    EMPTIED = "Pacemaker has begun to stop things there"
    START_FAILED = "a start failed there"
    NO_SPACE = "something there complained of a full disk"


_SIGNS = {
    Sign.EMPTIED: TAKING_DOWN,
    # log_executor_event() of pacemaker-controld 2.1.
    Sign.START_FAILED: re.compile(
        r"Result of start operation for (?P<id>[^\s:]+)\S* on (?P<node>[\w.-]+): (?!ok\b)"
    ),
    # strerror(ENOSPC); and cib_diskwrite_complete() of pacemaker-based 2.1, which does not say why.
    Sign.NO_SPACE: re.compile(r"No space left on device|[Dd]isabling (?:CIB )?disk writes"),
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


class Live:
    """All of it, fed from one timeline."""

    def __init__(self) -> None:
        self.drbd = LiveDrbd()
        self.signs = LiveSigns()
        self.injected_ns = 0
        """When the last fault was injected, ns on the run's clock."""

    def feed(self, event: Event) -> None:
        """Take an event of any kind."""
        self.drbd.feed(event)
        self.signs.feed(event)
        if event.channel is Channel.FAULT and event.kind == "inject":
            self.injected_ns = event.t_ns
