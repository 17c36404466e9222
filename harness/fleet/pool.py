"""The pool of slots: on which libvirt how many clusters may run at once.

A slot is a lock file in the cache's ``leases/``, so that several runs share a pool and none of them
has to give anything back: the kernel does, whatever ended the run.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.errors import BadInputError, MissingEnvironmentError
from harness.lab.elsewhere import is_elsewhere
from harness.lab.lease import try_lease
from harness.lab.paths import Cache
from harness.timing import share_cores

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.lab.lease import Lease

PRIVATE = "private"
"""In place of a URI: a libvirt that every lab starts for itself."""
MOST = 16
"""Slots of one host: names and subnets of labs on an existing libvirt do not go further."""


class HostLine(BaseModel):
    """A ``[[host]]`` of a pool file.

    Attributes:
        uri: ``private``, or the URI of a libvirt, here or elsewhere, as ``--connect`` takes it.
        slots: how many clusters may run there at once.
        name: how the report calls it; by default the URI.
        cache: where its images, formed clusters and labs live; by default that of the run.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    uri: Annotated[str, Field(min_length=1)] = PRIVATE
    slots: Annotated[int, Field(ge=1, le=MOST)]
    name: str = ""
    cache: str = ""


class PoolFile(BaseModel):
    """A pool file."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    host: Annotated[list[HostLine], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Host:
    """A libvirt that clusters run on.

    Attributes:
        name: how it is called.
        connect: its URI; empty where every lab starts one of its own.
        numbers: of its slots; more of them than ``slots`` where nobody said how many it has.
        slots: how many clusters may run there at once.
    """

    name: str
    connect: str
    cache: Cache
    slots: int
    numbers: int

    def lock(self, number: int) -> Path:
        """The lock file of a slot."""
        named = hashlib.sha256(f"{self.name}\0{self.connect}".encode()).hexdigest()[:12]
        return self.cache.leases / f"slot-{named}-{number}.lock"


@dataclass(eq=False, slots=True)
class Slot:
    """A leased slot: room for one cluster."""

    host: Host
    number: int
    lease: Lease

    def __str__(self) -> str:
        return f"{self.host.name}, slot {self.number}"


def read_pool(path: Path, cache: Cache) -> tuple[Host, ...]:
    """The hosts that a pool file names.

    Args:
        cache: that of the run, for hosts that name none.

    Raises:
        BadInputError: no such file, not TOML, an unknown key, a value out of range, two hosts of
            one name, or one on another machine that SSH does not lead to.
    """
    hint = "docs/many-clusters.md has an example"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInputError(f"cannot read the pool {path}: {error.strerror}", hint=hint) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadInputError(f"{path} is not TOML: {error}", hint=hint) from error
    try:
        lines = PoolFile.model_validate(data).host
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "pool"
        raise BadInputError(f"{path}: {where}: {first['msg']}", hint=hint) from error
    hosts: dict[str, Host] = {}
    for line in lines:
        name = line.name or line.uri
        if name in hosts:
            raise BadInputError(
                f"{path}: two hosts are called {name}", hint='give each a name = "…" of its own'
            )
        _can_be_reached(path, line.uri)
        own = Cache(Path(line.cache).resolve()) if line.cache else cache
        hosts[name] = Host(name, _connect(line.uri), own, line.slots, line.slots)
    return tuple(hosts.values())


def one_host(connect: str, cache: Cache, clusters: int) -> tuple[Host, ...]:
    """In place of a pool file: one host, of which nobody said how many clusters it can take."""
    return (Host(connect or PRIVATE, connect, cache, clusters, 2 * MOST),)


def _connect(uri: str) -> str:
    return "" if uri == PRIVATE else uri


def _can_be_reached(path: Path, uri: str) -> None:
    """As harness.lab.lab asks of ``--connect``, but before anything is started."""
    try:
        is_elsewhere(_connect(uri))
    except BadInputError as error:
        raise BadInputError(f"{path}: {error.message}", hint=error.hint) from error


class Pool:
    """The slots of some hosts, as one run leases them."""

    def __init__(self, hosts: tuple[Host, ...]) -> None:
        self.hosts = hosts
        self._held: list[Slot] = []
        self._free: list[Slot] = []
        self._lost: list[str] = []

    @property
    def capacity(self) -> int:
        """How many clusters the hosts can take."""
        return sum(host.slots for host in self.hosts)

    @property
    def caches(self) -> list[Cache]:
        """Where the hosts' labs live."""
        return list(dict.fromkeys(host.cache for host in self.hosts))

    def take(self, wanted: int) -> int:
        """Lease so many slots, spread over the hosts; how many could be had.

        Raises:
            BadInputError: more are wanted than there are.
            MissingEnvironmentError: others hold all of them.
        """
        if wanted > self.capacity:
            raise BadInputError(
                f"{wanted} clusters are wanted, and the pool has {self.capacity} slots",
                hint=f"-n {self.capacity}, or a larger pool",
            )
        while len(self._free) < wanted and (slot := self._next()) is not None:
            self._held.append(slot)
            self._free.append(slot)
        if not self._free:
            raise MissingEnvironmentError(
                f"all {self.capacity} slots of the pool are in use", hint="wait for another run"
            )
        return len(self._free)

    def crowded(self, cores: Callable[[str], int]) -> str:
        """The clusters that would share cores, in words; empty if each has enough of its own.

        Args:
            cores: how many there are where the libvirt of a URI is; of this machine for ``""``.
        """
        leased: dict[str, list[Slot]] = {}
        for slot in self._held:
            place = slot.host.connect if is_elsewhere(slot.host.connect) else ""
            leased.setdefault(place, []).append(slot)
        there = {place: cores(place) for place in leased}
        told = [
            f"{len(slots)} clusters on {there[place]} cores ({slots[0].host.name})"
            for place, slots in leased.items()
            if share_cores(len(slots), there[place])
        ]
        return " and ".join(told)

    def assign(self) -> Slot | None:
        """A slot for a worker; None if there is none left.

        One of those that were taken; else another one of the pool, in place of one that was lost.
        """
        self._free = [slot for slot in self._free if slot.host.name not in self._lost]
        if self._free:
            return self._free.pop(0)
        slot = self._next()
        if slot is not None:
            self._held.append(slot)
        return slot

    def give_back(self, slot: Slot) -> None:
        """A worker has ended as it should: another one may have its slot."""
        self._free.append(slot)

    def retire(self, slot: Slot, *, with_host: bool) -> None:
        """Take a slot out of this run's pool, or all of its host."""
        slot.lease.release()
        if with_host:
            self._lost.append(slot.host.name)

    def close(self) -> None:
        """Give all leases back."""
        for slot in self._held:
            slot.lease.release()

    def _next(self) -> Slot | None:
        """Lease a slot that was never held, of the host with the smallest share of them in use."""
        there = [host for host in self.hosts if host.name not in self._lost]
        used = {host.name: 0 for host in there}
        for slot in self._held:
            if slot.host.name in used:
                used[slot.host.name] += 1
        for host in sorted(there, key=lambda one: used[one.name] / one.slots):
            if used[host.name] >= host.slots:
                continue
            tried = {slot.number for slot in self._held if slot.host is host}
            for number in range(host.numbers):
                if number in tried:
                    continue
                lease = try_lease(host.lock(number))
                if lease is not None:
                    return Slot(host, number, lease)
        return None
