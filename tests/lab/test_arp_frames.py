"""Who claims an address in an ARP frame: frames built by hand, from RFC 826."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.lab.arp import arp_request, claimed_by

VIP = "10.77.3.100"
ALPHA = "52:54:00:f0:03:0b"
WATCH = "52:54:00:00:00:01"
BROADCAST = "ff:ff:ff:ff:ff:ff"
NOBODY = "00:00:00:00:00:00"
REQUEST, REPLY = 1, 2


def mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def arp(
    operation: int,
    sender: tuple[str, str],
    target: tuple[str, str],
    *,
    to: str = BROADCAST,
    head: tuple[int, int, int, int] = (1, 0x0800, 6, 4),
    ethertype: int = 0x0806,
) -> bytes:
    """An Ethernet frame with an ARP packet, padded to Ethernet's smallest frame."""
    frame = mac_bytes(to) + mac_bytes(sender[0]) + struct.pack("!H", ethertype)
    frame += struct.pack("!HHBBH", *head, operation)
    for mac, address in (sender, target):
        frame += mac_bytes(mac) + socket.inet_aton(address)
    return frame.ljust(60, b"\0")


@pytest.mark.parametrize(
    "frame",
    [
        arp(REPLY, (ALPHA, VIP), (WATCH, "10.77.3.1"), to=WATCH),
        arp(REQUEST, (ALPHA, VIP), (NOBODY, VIP)),  # gratuitous, as IPaddr2's send_arp does it
        arp(REPLY, (ALPHA, VIP), (BROADCAST, VIP)),
        arp(REQUEST, (ALPHA, VIP), (NOBODY, "10.77.3.21")),  # the owner asks for somebody else
        arp(REPLY, (ALPHA, VIP), (WATCH, "10.77.3.1"))[:42],  # without padding
    ],
    ids=["reply", "gratuitous-request", "gratuitous-reply", "request-by-owner", "unpadded"],
)
def test_a_sender_claims_its_address(frame: bytes) -> None:
    assert claimed_by(frame, VIP) == ALPHA


@pytest.mark.parametrize(
    "frame",
    [
        arp(REQUEST, (WATCH, "10.77.3.1"), (NOBODY, VIP)),
        arp(REQUEST, (ALPHA, "0.0.0.0"), (NOBODY, VIP)),  # RFC 5227: a probe claims nothing
        arp(REPLY, (ALPHA, "10.77.3.11"), (WATCH, VIP)),
        arp(REPLY, (ALPHA, VIP), (WATCH, "10.77.3.1"))[:41],
        arp(REPLY, (ALPHA, VIP), (WATCH, "10.77.3.1"), ethertype=0x0800),
        arp(REPLY, (ALPHA, VIP), (WATCH, "10.77.3.1"), head=(6, 0x0800, 6, 4)),
        arp(REPLY, (ALPHA, VIP), (WATCH, "10.77.3.1"), head=(1, 0x86DD, 6, 4)),
        arp(REPLY, (ALPHA, VIP), (WATCH, "10.77.3.1"), head=(1, 0x0800, 8, 4)),
        b"",
    ],
    ids=[
        "question", "probe", "reply-to-owner", "short", "not-arp", "not-ethernet", "not-ipv4",
        "long-macs", "nothing",
    ],
)  # fmt: skip
def test_other_frames_claim_nothing(frame: bytes) -> None:
    assert claimed_by(frame, VIP) == ""


@given(tail=st.binary(max_size=60), real=st.booleans())
def test_no_frame_raises(tail: bytes, real: bool) -> None:
    """Whatever claims the address has its four bytes where the sender's address is."""
    frame = (arp(REPLY, (ALPHA, VIP), (WATCH, VIP))[:14] if real else b"") + tail
    claimed = claimed_by(frame, VIP)
    if claimed:
        assert frame[28:32] == socket.inet_aton(VIP)
        assert mac_bytes(claimed) == frame[22:28]


def test_the_watch_asks_without_claiming() -> None:
    """Its own question, which it sees on the bridge too, must never look like an answer."""
    frame = arp_request(mac_bytes(WATCH), "10.77.3.1", VIP)
    assert frame == arp(REQUEST, (WATCH, "10.77.3.1"), (NOBODY, VIP))[: len(frame)]
    assert claimed_by(frame, VIP) == ""
    assert claimed_by(frame, "10.77.3.1") == WATCH
