"""A run's evidence, or one scenario's, in one archive that can be given away.

It is bounded in size, holds no secrets, is the same each time, and unpacks to a run folder that
``harness recheck`` and ``harness report`` take as it is. ``bundle.json`` in it tells what it holds,
what was left out and why, and how many secrets were taken out.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import BadInputError
from harness.evidence.files import read_json
from harness.report.bundle.archive import END, Packed, Spool
from harness.report.bundle.choosing import (
    MANIFEST,
    Candidate,
    Use,
    candidates,
    evidence_folders,
)
from harness.report.bundle.redact import Redactor
from harness.report.bundle.verifying import verify
from harness.report.text import clean

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_LIMIT = 200_000_000
"""Bytes of an archive, at most, unless something else is asked for."""
_SCHEMA = 1
_FULL = "there was no room for it: --limit"
_EPOCH_S = 315_532_800  # 1980: what has no time is that old


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was written.

    Attributes:
        size: of the archive, bytes.
        manifest: what ``bundle.json`` in it says.
    """

    path: Path
    size: int
    manifest: dict[str, Any]


def bundle_name(run_folder: Path) -> str:
    """The name of a run's folder, as that of the folder that a bundle unpacks to."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", run_folder.resolve().name).lstrip(".-")
    return name or "run"


def make_bundle(
    run_folder: Path, target: Path, *, scenario: str | None = None, limit: int = DEFAULT_LIMIT
) -> Bundle:
    """Write the bundle of a run, or of one scenario of it, whole or not at all.

    Args:
        target: where the archive (tar.gz) goes.
        scenario: a name, with or without its example, or a folder's name.
        limit: bytes that the archive has at most.

    Raises:
        BadInputError: no such scenario, or what is needed to judge again does not fit.
        HarnessError: without its secrets a scenario would be judged differently.
        OSError: something cannot be read or written.
    """
    folders = evidence_folders(run_folder, scenario)
    found = candidates(run_folder, folders, whole=scenario is None)
    redactor = Redactor()
    for one in found:
        # Those that are left out as well: their digests must not be of secrets.
        if one.use in (Use.NEEDED, Use.WANTED):
            redactor.scan(one.path)
    facts = read_json(run_folder / "run.json")
    head: dict[str, Any] = {
        "format": "failover-harness bundle",
        "schema": _SCHEMA,
        "run": clean(str(facts.get("run", run_folder.name))),
        "scenario": scenario,
        "code": clean(str(facts.get("code", ""))),
        "limit_bytes": limit,
    }
    with Spool(target.parent, _began_s(facts)) as spool:
        maker = _Maker(spool, bundle_name(run_folder), redactor, head, limit)
        maker.pack(found)
        counted = Counter(redactor.places)
        for folder in folders:
            own = [one for one in found if one.use is Use.NEEDED and folder in one.path.parents]
            if any(one.name in maker.changed for one in own):
                verify(run_folder, folder, own, redactor, target.parent)
        redactor.places = counted
        return maker.write(target)


def _began_s(facts: dict[str, Any]) -> int:
    """Seconds since the epoch, for the times of the files."""
    began = facts.get("started_ns")
    seconds = began // 1_000_000_000 if type(began) is int else _EPOCH_S
    return min(max(seconds, _EPOCH_S), (1 << 33) - 1)


class _Maker:
    """One bundle in the making.

    Attributes:
        changed: names of the files out of which secrets were taken.
    """

    def __init__(
        self, spool: Spool, top: str, redactor: Redactor, head: dict[str, Any], limit: int
    ) -> None:
        self._spool, self._top, self._redactor = spool, top, redactor
        self._head, self._limit = head, limit
        self._in: list[Packed] = []
        self._out: list[dict[str, Any]] = []
        self.changed: set[str] = set()

    def pack(self, found: list[Candidate]) -> None:
        """Compress what is needed, then what else there is room for.

        Raises:
            BadInputError: what is needed takes more than the limit.
        """
        needed = [one for one in found if one.use is Use.NEEDED]
        wanted = sorted((one for one in found if one.use is Use.WANTED), key=lambda one: one.rank)
        for one in found:
            if one.use not in (Use.NEEDED, Use.WANTED):
                self._leave_out(one, str(one.use), None)
        self._in = [self._pack(one) for one in needed]
        # Room is kept for telling of all that there may be no room for.
        room = self._limit - self._size(self._in, wanted)
        if room < 0:
            least = self._limit - room
            raise BadInputError(
                f"what is needed to judge again takes {megabytes(least)}, "
                f"more than the limit of {megabytes(self._limit)}",
                hint=f"--limit {megabytes(least)}, or bundle one scenario: "
                "harness bundle RUN SCENARIO",
            )
        for one in wanted:
            packed = self._pack(one)
            if packed.length > room:
                self._spool.forget(packed)
                self._leave_out(one, _FULL, packed)
            else:
                room -= packed.length
                self._in.append(packed)

    def write(self, target: Path) -> Bundle:
        """Write the archive."""
        manifest = self._manifest()
        text = self._pack_manifest(manifest)
        members = sorted([text, *self._in], key=lambda packed: packed.name)
        size = self._spool.write(target, members)
        return Bundle(target, size, manifest)

    def _pack(self, one: Candidate) -> Packed:
        before = self._redactor.places.total()
        packed = self._spool.pack(f"{self._top}/{one.name}", self._redactor.lines(one.path))
        if self._redactor.places.total() > before:
            self.changed.add(one.name)
        return packed

    def _leave_out(self, one: Candidate, why: str, packed: Packed | None) -> None:
        told = {"path": clean(one.name), "bytes": one.path.lstat().st_size, "why": why}
        if packed is not None:
            told |= {"bytes": packed.size, "sha256": packed.sha256}
        self._out.append(told)

    def _size(self, members: list[Packed], wanted: list[Candidate]) -> int:
        """Bytes of an archive with these members that had no room for what else is wanted."""
        out = [
            {"path": clean(one.name), "bytes": 1 << 40, "sha256": f"{n:064x}", "why": _FULL}
            for n, one in enumerate(wanted)
        ]
        manifest = self._pack_manifest(self._manifest(out))
        self._spool.forget(manifest)
        # Digests do not compress: 48 bytes for each file more than these made ones have.
        digests = 48 * len(wanted)
        return sum(one.length for one in members) + manifest.length + digests + len(END)

    def _manifest(self, more_out: list[dict[str, Any]] | None = None) -> dict[str, Any]:
        skipped = len(self._top) + 1
        places = self._redactor.places
        return {
            **self._head,
            "redactions": {
                kind: {"distinct": number, "places": places[kind]}
                for kind, number in sorted(self._redactor.distinct.items())
            },
            "files": [
                {"path": one.name[skipped:], "bytes": one.size, "sha256": one.sha256}
                for one in sorted(self._in, key=lambda one: one.name)
            ],
            "left_out": sorted([*self._out, *(more_out or [])], key=lambda one: str(one["path"])),
        }

    def _pack_manifest(self, manifest: dict[str, Any]) -> Packed:
        text = json.dumps(manifest, indent=1) + "\n"
        return self._spool.pack(f"{self._top}/{MANIFEST}", [text.encode()])


def megabytes(size: int) -> str:
    """Bytes as ``--limit`` takes them, rounded up: ``12.4MB``."""
    return f"{-(-size // 100_000) / 10:.1f}MB"
