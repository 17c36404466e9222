"""Who claims the VIP: ARP seen on the data bridge, where no fault of the nodes can hide it.

Once a second the lab asks who has the address, and notes every MAC that answers or announces
itself (RFC 826; gratuitous ARP included). Two MACs that claim it at the same time are two VIPs.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

from harness.lab.netns import run_in_netns
from harness.lab.topology import Link, Topology

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.lab.labhost import LabHost

_ETH_P_ARP = 0x0806
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_PROBE_S = 1.0


class VipWatch:
    """Watches the data bridge until ``close``; tells ``claim`` the MAC of every claim."""

    def __init__(
        self,
        host: LabHost,
        topology: Topology,
        claim: Callable[[str, str], None],
        died: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        bridge = topology.bridge(Link.DATA)

        def open_socket() -> socket.socket:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ARP))
            sock.bind((bridge, _ETH_P_ARP))
            return sock

        self._sock = run_in_netns(host.pid, open_socket)
        self._sock.settimeout(0.2)
        self._mac: bytes = self._sock.getsockname()[4]
        self._vip = topology.vip
        self._own = topology.host_address(Link.DATA)
        self._claim = claim
        self._died = died
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="vip-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        self._thread.join()
        self._sock.close()

    def _loop(self) -> None:
        try:
            self._watch()
        except Exception as error:
            self._died(repr(error))
            raise

    def _watch(self) -> None:
        next_probe = 0.0
        while not self._stop.is_set():
            if time.monotonic() >= next_probe:
                next_probe = time.monotonic() + _PROBE_S
                self._sock.send(arp_request(self._mac, self._own, self._vip))
            try:
                frame = self._sock.recv(128)
            except TimeoutError:
                continue
            mac = claimed_by(frame, self._vip)
            if mac:
                self._claim(self._vip, mac)


def arp_request(mac: bytes, own: str, asked: str) -> bytes:
    """The Ethernet frame that asks everybody who has the address ``asked`` (RFC 826)."""
    body = _ARP.pack(
        1,
        0x0800,
        6,
        4,
        1,
        mac,
        socket.inet_aton(own),
        b"\0" * 6,
        socket.inet_aton(asked),
    )
    return b"\xff" * 6 + mac + struct.pack("!H", _ETH_P_ARP) + body


def claimed_by(frame: bytes, address: str) -> str:
    """The MAC that claims ``address`` in an ARP frame (as its sender); empty if none does."""
    if len(frame) < 14 + _ARP.size or frame[12:14] != b"\x08\x06":
        return ""
    hardware, protocol, hlen, plen, _op, mac, ip, _tmac, _tip = _ARP.unpack_from(frame, 14)
    if (hardware, protocol, hlen, plen) != (1, 0x0800, 6, 4) or ip != socket.inet_aton(address):
        return ""
    return ":".join(f"{byte:02x}" for byte in mac)
