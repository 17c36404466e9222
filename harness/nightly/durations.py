"""How long each scenario takes: as measured here, else as measured elsewhere and shipped.

What was measured here is kept in the cache, by kind of emulation and timing: ``durations.json``,
``{"schema": 2, "last": KIND, KEY: {NAME: {"seconds": [float…], "last_ns": int}}}``. KEY is the kind
and a hash of the timing profile: with other timeouts a failover takes another time. ``seconds`` are
those of the last runs, the newest last; ``last_ns`` is when the last one began. Version 1 had no
hash; what it has is told as measured with other timing.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import statistics
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from harness.evidence.files import read_json, write_json
from harness.lab.paths import PROJECT
from harness.timing import PROFILES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.timing import Timing

SHIPPED = PROJECT / "scenarios" / "durations.json"
LAB = "(the lab)"
"""In place of a scenario's name: from the start of a run to its first scenario."""

_KEPT = 5
_LAB_S = 60.0  # of a cluster that is in the cache; forming one takes minutes
_SCHEMA = 2


class Source(StrEnum):
    """Where an expected duration comes from."""

    HERE = "measured here"
    OTHER_TIMING = "measured with other timing"
    SHIPPED = "measured elsewhere"
    ALIKE = "as other examples of it"


@dataclass(frozen=True, slots=True)
class Expected:
    """How long a scenario can be expected to take, in seconds of its whole time."""

    seconds: float
    source: Source


class Durations:
    """What is known of durations with one kind of emulation.

    Args:
        cache: the cache root.
        accelerator: ``kvm`` or ``tcg``; None for that of the last run, or what this host offers.
        timing: the cluster's and the harness's; None for that of the kind's own profile.
    """

    def __init__(
        self, cache: Path, accelerator: str | None = None, timing: Timing | None = None
    ) -> None:
        self._path = cache / "durations.json"
        stored = read_json(self._path)
        self.accelerator = accelerator or _last(stored)
        self.key = _key(self.accelerator, timing or PROFILES[self.accelerator])
        self._here = _own(stored, self.key)
        alike = f"{self.accelerator}-"
        self._other = [
            _own(stored, key)
            for key in sorted(stored)
            if key != self.key and (key == self.accelerator or key.startswith(alike))
        ]
        self._shipped = {
            name: float(seconds)
            for name, seconds in _own(read_json(SHIPPED), self.accelerator).items()
            if isinstance(seconds, int | float)
        }

    def expected(self, name: str) -> Expected | None:
        """How long a scenario can be expected to take; None where nothing is known."""
        if measured := self._measured(name):
            return Expected(statistics.median(measured), Source.HERE)
        other = [one for entries in self._other for one in _measured(entries, name)]
        if other:
            return Expected(statistics.median(other), Source.OTHER_TIMING)
        if name in self._shipped:
            return Expected(self._shipped[name], Source.SHIPPED)
        outline, bracket, _ = name.partition(" [")
        alike = [
            seconds
            for other in self._here.keys() | self._shipped.keys()
            if bracket and other.startswith(f"{outline} [")
            for seconds in self._measured(other) or [self._shipped.get(other, 0.0)]
            if seconds
        ]
        return Expected(statistics.median(alike), Source.ALIKE) if alike else None

    def last_ns(self, name: str) -> int:
        """When a scenario was last begun here, ns since the epoch; 0 for never."""
        entry = self._here.get(name)
        last = entry.get("last_ns") if isinstance(entry, dict) else None
        return last if isinstance(last, int) else 0

    def lab_s(self) -> float:
        """How long a run takes until its first scenario begins, in seconds."""
        known = self.expected(LAB)
        return known.seconds if known is not None else _LAB_S

    def note(self, name: str, seconds: float | None, began_ns: int) -> None:
        """Keep how long a scenario took, and that it was run; None for what says nothing of that.

        A cache that cannot be written is no trouble of a run.
        """
        try:
            with _locked(self._path):
                stored = read_json(self._path)
                own = _own(stored, self.key)
                entry = own.get(name)
                before = _numbers(entry.get("seconds")) if isinstance(entry, dict) else []
                now = [] if seconds is None else [round(seconds, 1)]
                own[name] = {"seconds": [*before, *now][-_KEPT:], "last_ns": began_ns}
                told = {"schema": _SCHEMA, "last": self.accelerator, self.key: own}
                write_json(self._path, stored | told)
                self._here = own
        except OSError:
            return

    def _measured(self, name: str) -> list[float]:
        return _measured(self._here, name)


def _key(accelerator: str, timing: Timing) -> str:
    told = json.dumps(timing.model_dump(), sort_keys=True)
    return f"{accelerator}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def _measured(entries: dict[str, Any], name: str) -> list[float]:
    entry = entries.get(name)
    return _numbers(entry.get("seconds")) if isinstance(entry, dict) else []


def _own(stored: dict[str, Any], accelerator: str) -> dict[str, Any]:
    own = stored.get(accelerator)
    return dict(own) if isinstance(own, dict) else {}


def _numbers(told: object) -> list[float]:
    if not isinstance(told, list):
        return []
    return [float(one) for one in told if type(one) in (int, float) and one > 0]


def _last(stored: dict[str, Any]) -> str:
    """The kind of emulation of the last run here; else what the host seems to offer.

    Only a boot tells whether KVM works (harness.lab.accelerator): this is for an estimate.
    """
    last = stored.get("last")
    if last in ("kvm", "tcg"):
        return str(last)
    return "kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) else "tcg"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Several runs may end a scenario at the same moment: none may lose the other's word."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def shipped_names() -> dict[str, set[str]]:
    """Names of all scenarios that shipped durations are for, by kind of emulation.

    Raises:
        ValueError: the file is not one.
    """
    raw = json.loads(SHIPPED.read_text(encoding="utf-8"))
    return {kind: set(raw[kind]) for kind in ("tcg", "kvm")}
