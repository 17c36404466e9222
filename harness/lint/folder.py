"""From collected files to a cluster: one subfolder for each machine, each file by its name.

docs/linting.md has the names. Files may come from a folder, from our own templates or from a
running lab: what is judged is the same mapping of machine to name to bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from harness.errors import BadInputError
from harness.lint.formats.cib_xml import parse_cib
from harness.lint.formats.corosync_conf import parse_corosync
from harness.lint.formats.crm_shell import parse_crm
from harness.lint.formats.drbd_conf import drbd_config
from harness.lint.formats.host import (
    parse_portblock,
    parse_saveconfig,
    parse_target_conf,
    parse_unit_files,
)
from harness.lint.formats.initiator import (
    parse_initiator_names,
    parse_iscsid,
    parse_node_records,
    parse_timers,
    parse_udev_timers,
)
from harness.lint.formats.multipath_conf import parse_multipath
from harness.lint.formats.network import (
    parse_hosts,
    parse_interfaces,
    parse_ip_address,
    parse_ip_route,
    parse_network_file,
)
from harness.lint.formats.pcs_script import parse_pcs
from harness.lint.formats.text import FormatError, decode
from harness.lint.model import Cluster, Kind, Machine, Piece, Place, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from harness.lint.formats.cib import Cib
    from harness.lint.formats.host import OwnLun
    from harness.lint.formats.initiator import Timer
    from harness.lint.formats.network import Card

T = TypeVar("T")
Files = dict[str, dict[str, bytes]]
"""Machine to name of a file to its bytes."""

ABSENT = "absent.txt"
"""Names that the collector looked for and did not find, one a line; folders end with a slash."""

KIND = "kind.txt"
"""``node`` or ``initiator``: packages leave a node's files on machines that are none."""

_NODE_FILES = ("corosync.conf", "drbd.conf", "drbd.d/", "cib.xml", "crm.txt", "pcs.txt")
_INITIATOR_FILES = ("iscsid.conf", "iscsi-nodes.txt")
_MOST_FILES = 2000
_LARGEST = 8 << 20


def read_folder(folder: Path) -> Files:
    """The files of each subfolder of ``folder``.

    Raises:
        BadInputError: no such folder, no subfolder in it, or far more files than a machine has.
    """
    if not folder.is_dir():
        raise BadInputError(f"no such folder: {folder}", hint="harness lint --help")
    files: Files = {}
    count = 0
    for machine in sorted(folder.iterdir()):
        if not machine.is_dir() or machine.name.startswith("."):
            continue
        files[machine.name] = {}
        for path in sorted(machine.rglob("*")):
            if path.is_symlink() or not path.is_file():
                continue
            count += 1
            if count > _MOST_FILES or path.stat().st_size > _LARGEST:
                raise BadInputError(
                    f"{folder} holds more than configurations: {path}",
                    hint="one subfolder for each machine, as harness lint --collector fills it",
                )
            try:
                content = path.read_bytes()
            except OSError as error:
                raise BadInputError(f"cannot read {path}: {error.strerror}") from error
            files[machine.name][path.relative_to(machine).as_posix()] = content
    if not files:
        raise BadInputError(
            f"{folder} has no subfolder",
            hint="one for each machine, named like it: harness lint --collector prints a script",
        )
    return files


def cluster_of(files: Mapping[str, Mapping[str, bytes]]) -> Cluster:
    """The cluster that the files make.

    Raises:
        BadInputError: there is no node among the machines, or one that is neither node nor
            initiator.
    """
    cluster = Cluster([], Piece("cib.xml", State.MISSING))
    for name, own in files.items():
        cluster.machines.append(_Reader(name, own, cluster).machine())
    if not cluster.nodes:
        raise BadInputError(
            f"no cluster node among {', '.join(files) or 'nothing'}",
            hint="a node's folder has corosync.conf, drbd.d/ or cib.xml",
        )
    cluster.cib = _cib(files, cluster)
    return cluster


def _cib(files: Mapping[str, Mapping[str, bytes]], cluster: Cluster) -> Piece[Cib]:
    """The first node's that has one; they are the same on all."""
    for node in cluster.nodes:
        reader = _Reader(node.name, files[node.name], cluster)
        for name, parse in (
            ("cib.xml", parse_cib), ("crm.txt", parse_crm), ("pcs.txt", parse_pcs),
        ):  # fmt: skip
            if name in reader.own:
                return reader.text(name, parse)
    return Piece(f"{cluster.nodes[0].name}/cib.xml", State.MISSING)


class _Reader:
    """Reads the files of one machine; what cannot be read is noted at the cluster."""

    def __init__(self, name: str, own: Mapping[str, bytes], cluster: Cluster) -> None:
        self.name = name
        self.own = own
        self._cluster = cluster
        said = own.get(ABSENT, b"").decode("utf-8", "replace").split()
        self._absent = frozenset(said)

    def machine(self) -> Machine:
        """All pieces.

        Raises:
            BadInputError: nothing that tells what the machine is for.
        """
        configured = self._configured()
        cards = self.text("ip-addr.json", lambda t: parse_ip_address(t, self._path("ip-addr.json")))
        routes = self.text("ip-route.json", parse_ip_route)
        if cards.state in (State.MISSING, State.ABSENT):
            cards = configured
            # Names of cards are those of the same source.
            if configured.value is not None:
                over = [card.name for card in configured.value if card.default_route]
                routes = Piece(configured.name, State.READ, over)
        own_targets: list[Piece[list[OwnLun]]] = [
            self.text("saveconfig.json", parse_saveconfig),
            self.text("targets.conf", parse_target_conf),
            self.text("ietd.conf", parse_target_conf),
        ]
        return Machine(
            name=self.name,
            kind=self._kind(),
            corosync=self.text("corosync.conf", parse_corosync),
            drbd=self._several("drbd.d/", drbd_config, also=("drbd.conf",)),
            cards=cards,
            configured=configured,
            default_routes=routes,
            hosts=self.text("hosts", parse_hosts),
            units=self.text("unit-files.txt", parse_unit_files),
            portblock=self.text("portblock.txt", parse_portblock),
            iscsid=self.text("iscsid.conf", parse_iscsid),
            records=self.text("iscsi-nodes.txt", parse_node_records),
            initiator_names=self.text("initiatorname.iscsi", parse_initiator_names),
            timers=self.text("scsi-timers.txt", parse_timers),
            timer_rules=self._several("udev/", self._timer_rules),
            multipath=self.text("multipath.conf", parse_multipath),
            own_targets=own_targets,
        )

    def text(self, name: str, parse: Callable[[str], T]) -> Piece[T]:
        """One file, read by ``parse``."""
        if name not in self.own:
            return Piece(self._path(name), self._not_there(name))
        try:
            return Piece(self._path(name), State.READ, parse(decode(self.own[name])))
        except FormatError as error:
            return self._unreadable(name, error)

    def _several(
        self, folder: str, parse: Callable[[dict[str, str]], T], also: tuple[str, ...] = ()
    ) -> Piece[T]:
        """All files of a folder, read together."""
        names = [name for name in self.own if name.startswith(folder) or name in also]
        if not names:
            return Piece(self._path(folder), self._not_there(folder))
        texts = {}
        for name in names:
            try:
                texts[self._path(name)] = decode(self.own[name])
            except FormatError as error:
                return self._unreadable(name, error)
        try:
            return Piece(self._path(folder), State.READ, parse(texts))
        except FormatError as error:
            return self._unreadable(error.file.removeprefix(f"{self.name}/") or folder, error)

    def _configured(self) -> Piece[list[Card]]:
        """The cards of systemd-networkd's files and of ifupdown's."""
        networkd = self._several("networkd/", self._network_files)
        ifupdown = self.text(
            "interfaces", lambda text: parse_interfaces(text, self._path("interfaces"))
        )
        for piece in (networkd, ifupdown):
            if piece.state is State.UNREADABLE:
                return piece
        found = [*(networkd.value or []), *(ifupdown.value or [])]
        read = networkd.state is State.READ or ifupdown.state is State.READ
        if read:
            return Piece(networkd.name if networkd.value else ifupdown.name, State.READ, found)
        absent = networkd.state is State.ABSENT and ifupdown.state is State.ABSENT
        return Piece(networkd.name, State.ABSENT if absent else State.MISSING)

    @staticmethod
    def _network_files(texts: dict[str, str]) -> list[Card]:
        """Each .network file with its drop-ins (NAME.network.d/*.conf), in their order."""
        cards = []
        for name in sorted(one for one in texts if one.endswith(".network")):
            own = (name, *sorted(one for one in texts if one.startswith(f"{name}.d/")))
            try:
                card = parse_network_file({one: texts[one] for one in own})
            except FormatError as error:
                raise FormatError(str(error), error.line, error.file or name) from error
            if card is not None:
                cards.append(card)
        return cards

    @staticmethod
    def _timer_rules(texts: dict[str, str]) -> list[tuple[str, Timer]]:
        rules = []
        for name, text in sorted(texts.items()):
            try:
                rules += [(name, timer) for timer in parse_udev_timers(text)]
            except FormatError as error:
                raise FormatError(str(error), error.line, name) from error
        return rules

    def _kind(self) -> Kind:
        said = self.own.get(KIND, b"").decode("utf-8", "replace").strip()
        if said in list(Kind):
            return Kind(said)
        if any(name.startswith(_NODE_FILES) for name in self.own):
            return Kind.NODE
        if any(name in self.own for name in _INITIATOR_FILES):
            return Kind.INITIATOR
        raise BadInputError(
            f"{self.name} is neither a cluster node nor an initiator",
            hint="a node has corosync.conf, drbd.d/ or cib.xml, an initiator iscsid.conf",
        )

    def _path(self, name: str) -> str:
        return f"{self.name}/{name}"

    def _not_there(self, name: str) -> State:
        return State.ABSENT if name in self._absent else State.MISSING

    def _unreadable(self, name: str, error: FormatError) -> Piece[T]:
        for line, why in ((error.line, str(error)), *error.others):
            place = Place(self._path(name), line)
            if all(place != known for known, _why in self._cluster.unreadable):
                self._cluster.unreadable.append((place, why))
        return Piece(self._path(name), State.UNREADABLE, why=str(error), line=error.line)
