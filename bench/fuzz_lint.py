"""What a lint reads, for bench/fuzz_parsers.py: each reader, and the rules behind them."""

from __future__ import annotations

import io
import tarfile
from functools import partial
from typing import TYPE_CHECKING

from harness.cluster.config import ClusterConfig
from harness.cluster.lintable import configured_files
from harness.lab.paths import PROJECT
from harness.lint import Files, cluster_of, lint
from harness.lint.archive import read_archive
from harness.lint.formats.cib_xml import parse_cib
from harness.lint.formats.corosync_conf import parse_corosync
from harness.lint.formats.crm_shell import parse_crm
from harness.lint.formats.drbd_conf import drbd_config
from harness.lint.formats.host import parse_portblock, parse_saveconfig, parse_unit_files
from harness.lint.formats.initiator import (
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
from harness.lint.formats.text import FormatError, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Errors = tuple[type[Exception], ...]
    Entry = tuple[str, Callable[[bytes], object], Errors, tuple[bytes, ...]]

_FIXTURES = PROJECT / "tests/lint/fixtures"
_MULTIPATH = b"""defaults {
    find_multipaths greedy # all
}
devices {
    device {
        vendor "(LIO-ORG|SUSE)"
        no_path_retry queue
    }
}
"""
_SAVED = (
    b'{"fabric_modules": [], "storage_objects": [{"name": "lun0", "plugin": "block", "dev": '
    b'"/dev/drbd0"}], "targets": [{"fabric": "iscsi", "wwn": "iqn.2026-11.com.example:x", '
    b'"tpgs": [{"tag": 1, "luns": [{"index": 0}]}]}]}'
)
_INTERFACES = (
    b"auto eth0\niface eth0 inet static\n  address 10.0.0.1\n  netmask 255.255.255.0\n"
    b"  gateway 10.0.0.9\n  mtu 9000\niface eth0 inet6 static\n  address fd00::1/64\n"
)


def lint_parsers() -> Iterator[Entry]:
    """Name, reader, its typed errors, and real inputs; rules have no error of their own."""
    own = configured_files(ClusterConfig())
    alpha, client = own["alpha"], own["client"]
    stored = {path.name: path.read_bytes() for path in _FIXTURES.iterdir()}
    drbd = tuple(raw for name, raw in alpha.items() if name.startswith("drbd.d/"))
    networks = tuple(raw for name, raw in alpha.items() if name.startswith("networkd/"))
    cibs, crms = (
        tuple(raw for name, raw in sorted(stored.items()) if name.startswith(kind))
        for kind in ("cib-", "crm-")
    )
    readers: tuple[tuple[str, Callable[[str], object], tuple[bytes, ...]], ...] = (
        ("corosync.conf", parse_corosync, (alpha["corosync.conf"],)),
        ("drbd.conf", lambda text: drbd_config({"x": text}), drbd),
        ("CIB in XML", parse_cib, cibs),
        ("crm shell", parse_crm, crms),
        (".network files", lambda text: parse_network_file({"x": text}), networks),
        ("interfaces", lambda text: parse_interfaces(text, "x"), (_INTERFACES,)),
        ("ip address", lambda text: parse_ip_address(text, "x"), (stored["ip-addr.json"],)),
        ("ip route", parse_ip_route, (stored["ip-route.json"],)),
        ("hosts", parse_hosts, (alpha["hosts"],)),
        ("unit files", parse_unit_files, (stored["unit-files.txt"],)),
        ("saveconfig.json", parse_saveconfig, (_SAVED,)),
        ("portblock", parse_portblock, (alpha["portblock.txt"],)),
        ("iscsid.conf", parse_iscsid, (client["iscsid.conf"],)),
        ("iSCSI records", parse_node_records, (stored["iscsi-nodes.txt"],)),
        ("multipath.conf", parse_multipath, (_MULTIPATH,)),
        ("SCSI timers", parse_timers, (b"sda LIO-ORG 540\nsdb ATA 30\n",)),
        ("udev timers", parse_udev_timers, (client["udev/60-scsi-timeout.rules"],)),
    )
    for name, read, seeds in readers:
        yield name, partial(_decoded, read), (FormatError,), seeds
    for name in ("corosync.conf", "crm.txt", "drbd.d/global_common.conf"):
        yield f"rules, {name.split('/')[0]}", partial(_judged, own, name), (), (alpha[name],)
    yield "collected archives", read_archive, (FormatError,), (_archive(alpha),)


def _decoded(read: Callable[[str], object], raw: bytes) -> object:
    return read(decode(raw))


def _judged(own: Files, name: str, raw: bytes) -> object:
    """All rules on a configuration with one file replaced: they bear what a reader lets pass."""
    return lint(cluster_of({**own, "alpha": {**own["alpha"], name: raw}}))


def _archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("hosts", "corosync.conf"):
            info = tarfile.TarInfo(f"alpha/{name}")
            info.size = len(files[name])
            archive.addfile(info, io.BytesIO(files[name]))
    return buffer.getvalue()
