"""DRBD's state as the events2 streams tell it, kept up to date while a scenario runs.

For waiting without asking a node anything; verdicts rest on the timeline itself.
"""

from __future__ import annotations

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
