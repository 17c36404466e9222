"""What a lint looks at: the machines of a cluster and the pieces that are known of each.

A piece that was looked for and is not there is something else than one that nobody collected: only
the first may be judged by its absence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from harness.lint.formats.cib import Cib
    from harness.lint.formats.corosync_conf import Section
    from harness.lint.formats.drbd_conf import DrbdConfig
    from harness.lint.formats.host import OwnLun, Portblock
    from harness.lint.formats.initiator import Given, Timer
    from harness.lint.formats.multipath_conf import Said
    from harness.lint.formats.network import Address, Card

T = TypeVar("T")


class State(StrEnum):
    """What is known of a piece."""

    READ = "read"
    ABSENT = "absent"
    MISSING = "missing"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Piece(Generic[T]):
    """One piece of a machine.

    Attributes:
        name: the file it is, or would be, in: ``alpha/corosync.conf``.
        value: what it holds, where it was read.
        why: what keeps it from being read.
        line: where in the file that is.
    """

    name: str
    state: State
    value: T | None = None
    why: str = ""
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is: a file, a line of it, an element in it."""

    file: str
    line: int | None = None
    element: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where} ({self.element})" if self.element else where


class Kind(StrEnum):
    """What a machine is for."""

    NODE = "node"
    INITIATOR = "initiator"


@dataclass(slots=True)
class Machine:
    """One machine, with what is known of it.

    Attributes:
        cards: as they are, by ``ip``; as configured where nobody asked ``ip``.
        configured: as the network's configuration files say.
        default_routes: names of the cards that a default route goes over.
        own_targets: what each target's own configuration serves, by its file.
        records: the targets that the initiator knows, each with its own settings.
        multipath: what multipath.conf says for a target's disks.
        timers: the SCSI command timers in force; ``timer_rules``: those that udev will set.
    """

    name: str
    kind: Kind
    corosync: Piece[Section]
    drbd: Piece[DrbdConfig]
    cards: Piece[list[Card]]
    configured: Piece[list[Card]]
    default_routes: Piece[list[str]]
    hosts: Piece[dict[str, list[Address]]]
    units: Piece[dict[str, str]]
    portblock: Piece[Portblock]
    iscsid: Piece[dict[str, Given]]
    records: Piece[list[dict[str, Given]]]
    initiator_names: Piece[list[str]]
    timers: Piece[list[Timer]]
    timer_rules: Piece[list[tuple[str, Timer]]]
    multipath: Piece[list[Said]]
    own_targets: list[Piece[list[OwnLun]]] = field(default_factory=list)


@dataclass(slots=True)
class Cluster:
    """All machines, and the CIB that the nodes share.

    Attributes:
        unreadable: files that are there and cannot be read: place and reason.
    """

    machines: list[Machine]
    cib: Piece[Cib]
    unreadable: list[tuple[Place, str]] = field(default_factory=list)

    @property
    def nodes(self) -> list[Machine]:
        """The cluster nodes."""
        return [one for one in self.machines if one.kind is Kind.NODE]

    @property
    def initiators(self) -> list[Machine]:
        """The initiators."""
        return [one for one in self.machines if one.kind is Kind.INITIATOR]
