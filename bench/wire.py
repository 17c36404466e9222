"""Bytes on the wire of one write, by arithmetic: what Ethernet, IP, TCP, iSCSI and DRBD add to it.

Sizes are in bytes. "On the wire" is what occupies the link: preamble, frame, check sequence and the
gap behind it (IEEE 802.3, 3.1.1 and 4.4.2), as the post counts it too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Preamble and start delimiter, MAC header, frame check sequence, gap between packets.
ETHERNET = 8 + 14 + 4 + 12
_LEAST_PAYLOAD = 46  # of an Ethernet frame; shorter ones are padded
IPV4 = 20
TCP = 20
TIMESTAMPS = 12  # RFC 7323, with two bytes of padding; Linux sends them unless told not to

# RFC 7143, 11.1: the basic header segment of a PDU. No digests here.
ISCSI_HEADER = 48
# What LIO offers (iscsi_target_parameters.h): the smaller of both sides counts, and InitialR2T=Yes
# of one side is enough. So only immediate data come without being asked for.
LIO_SEGMENT = 8192  # MaxRecvDataSegmentLength
LIO_BURST = 262144  # MaxBurstLength

# drbd_protocol.h: p_header100 (since protocol 100), p_data, p_block_ack, p_barrier, p_barrier_ack.
DRBD_HEADER = 16
DRBD_DATA = DRBD_HEADER + 24
DRBD_ACK = DRBD_HEADER + 24
DRBD_BARRIER = DRBD_HEADER + 8


@dataclass(frozen=True, slots=True)
class Wire:
    """A TCP connection over Ethernet.

    Attributes:
        mtu: of the cards.
        timestamps: whether TCP's are on.
    """

    mtu: int
    timestamps: bool = True

    @property
    def headers(self) -> int:
        """Around the payload of a full frame."""
        return ETHERNET + IPV4 + TCP + (TIMESTAMPS if self.timestamps else 0)

    @property
    def segment(self) -> int:
        """Payload of a full frame."""
        return self.mtu - IPV4 - TCP - (TIMESTAMPS if self.timestamps else 0)

    def frames(self, payload: int) -> int:
        """How many frames a message of so many bytes takes, if none shares one with it."""
        return math.ceil(payload / self.segment)

    def on_wire(self, payload: int) -> int:
        """What a message occupies; an empty one is an acknowledgement of TCP's."""
        full, rest = divmod(payload, self.segment)
        sizes = [self.segment] * full + ([rest] if rest or not payload else [])
        inner = self.headers - ETHERNET
        return sum(ETHERNET + max(inner + size, _LEAST_PAYLOAD) for size in sizes)


def overhead(on_wire: int | float, payload: int) -> float:
    """How much more than the payload, in percent."""
    return 100 * (on_wire / payload - 1)


def as_the_post(frame: int, file: int = 4096) -> int:
    """The post's own sum: ``frame`` bytes with 78 of headers, and nothing above TCP.

    Its frame of 1,538 bytes is an MTU of 1500 with all of Ethernet's share, its 78 bytes are that
    share, IP and TCP without time stamps. Its jumbo frame of 9,000 bytes is counted likewise.
    """
    headers = ETHERNET + IPV4 + TCP
    return file + headers * math.ceil(file / (frame - headers))


@dataclass(frozen=True, slots=True)
class Exchange:
    """The messages of one write: ``there`` with its data, ``back`` what answers."""

    there: tuple[int, ...]
    back: tuple[int, ...]

    def there_on_wire(self, wire: Wire) -> int:
        """What the messages with the data occupy, each in frames of its own."""
        return sum(wire.on_wire(size) for size in self.there)

    def on_wire(self, wire: Wire) -> int:
        """What both directions occupy, without acknowledgements of TCP's that carry nothing."""
        return self.there_on_wire(wire) + sum(wire.on_wire(size) for size in self.back)


def iscsi_write(size: int, *, segment: int = LIO_SEGMENT, burst: int = LIO_BURST) -> Exchange:
    """A SCSI write: the command with immediate data, then what the target asks for (R2T).

    A PDU is a message: Linux sends each by itself.
    """
    immediate = min(size, segment)
    there, back = [ISCSI_HEADER + immediate], []
    left = size - immediate
    while left:
        asked = min(left, burst)
        back.append(ISCSI_HEADER)
        left -= asked
        while asked:
            part = min(asked, segment)
            there.append(ISCSI_HEADER + part)
            asked -= part
    return Exchange(tuple(there), (*back, ISCSI_HEADER))


def drbd_write(size: int, *, barrier: bool = True) -> Exchange:
    """A write that DRBD replicates with protocol C.

    ``barrier``: it is the only one of its epoch, which one write after the other makes of each;
    barrier and acknowledgement are messages of their own.
    """
    extra = (DRBD_BARRIER,) if barrier else ()
    return Exchange((DRBD_DATA + size, *extra), (DRBD_ACK, *extra))


def table() -> list[str]:
    """The arithmetic as a table in Markdown; docs/measurements.md has it, and a test compares."""
    rows = [
        "| write | link | MTU | frames with data | on the wire with data | more than the payload "
        "| both directions | more than the payload |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for size in (4096, 65536):
        for link, exchange in (("data", iscsi_write(size)), ("drbd", drbd_write(size))):
            for mtu in (1500, 9000):
                wire = Wire(mtu)
                there, both = exchange.there_on_wire(wire), exchange.on_wire(wire)
                frames = sum(wire.frames(message) for message in exchange.there)
                rows.append(
                    f"| {size >> 10} KiB | {link} | {mtu} | {frames} | {there:,} | "
                    f"{overhead(there, size):.1f} % | {both:,} | {overhead(both, size):.1f} % |"
                )
    return rows
