"""Bytes on the wire per byte written, at MTU 1500 and 9000, beside the post's figures.

fio writes a known amount through iSCSI, one write at a time, while the host counts what passes on
the data and the drbd link; what passes there anyway is measured first and taken off. The MTU of all
cards is changed in the running cluster. Needs real VMs; some minutes under emulation.

    sudo .venv/bin/python -B -m bench.jumbo [--writes 2000]
"""

from __future__ import annotations

import argparse
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.wire import Exchange, Wire, as_the_post, drbd_write, iscsi_write, overhead
from harness.cluster.config import load_config
from harness.cluster.formed import bring_up
from harness.cluster.render import lun_link
from harness.errors import HarnessError
from harness.faults.mtu import set_mtu
from harness.fio_parser import FioParseError, parse_results
from harness.lab.counters import LinkCounter, Passed
from harness.lab.gc import collect_garbage
from harness.lab.image import ImageOptions, ensure_image
from harness.lab.lab import Lab
from harness.lab.paths import default_cache
from harness.lab.topology import MTU, Link
from harness.session import RunOptions, choose_accelerator
from harness.timing import PROFILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LINKS = (Link.DATA, Link.DRBD)
MTUS = (1500, 9000)
SIZES = (4096, 65536)
_HEADERS = 28  # of a ping: IPv4 and ICMP
# fio's region of the LUN, which has about 64 MiB.
_MOST_BYTES = 48 << 20


@dataclass(frozen=True, slots=True)
class Figure:
    """What one link carried for one kind of write.

    Attributes:
        size: bytes of a write.
        writes: how many there were.
        passed: frames and bytes, without what passes on the idle link in that time.
    """

    link: Link
    mtu: int
    size: int
    writes: int
    passed: Passed

    @property
    def payload(self) -> int:
        """Bytes that were written."""
        return self.size * self.writes

    @property
    def exchange(self) -> Exchange:
        """What arithmetic says that one write is."""
        return iscsi_write(self.size) if self.link is Link.DATA else drbd_write(self.size)


class Measurement:
    """Measures on a lab with a healthy, idle cluster.

    Args:
        lab: the lab.
        idle_s: how long the idle links are watched, seconds.
        now: the clock, seconds; for tests.
        wait: waits so many seconds; for tests.
    """

    def __init__(
        self,
        lab: Lab,
        *,
        idle_s: float = 20.0,
        now: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._lab = lab
        self._idle_s = idle_s
        self._now = now
        self._wait = wait
        self._counters = {link: LinkCounter(lab.host, link) for link in LINKS}

    def at(self, mtu: int, size: int, writes: int) -> list[Figure]:
        """Write so many blocks of ``size`` bytes with that MTU on both links.

        Raises:
            HarnessError: full frames do not pass, fio did not write what it should have, or frames
                were counted that no wire would carry.
        """
        with self._mtu(mtu), contextlib.ExitStack() as stack:
            for counter in self._counters.values():
                stack.enter_context(counter.counted())
            idle, idle_s = self._during(lambda: self._wait(self._idle_s))
            busy, busy_s = self._during(lambda: self._write(size, writes))
        figures = []
        for link in LINKS:
            passed = busy[link] - idle[link] * (busy_s / idle_s)
            all_ = busy[link]
            if all_.octets > (mtu + 14) * all_.frames:
                raise HarnessError(
                    f"on the {link} link {all_.frames:.0f} frames have {all_.octets:.0f} bytes, "
                    f"more than {mtu + 14} each: segments were not counted one by one"
                )
            figures.append(Figure(link, mtu, size, writes, passed))
        return figures

    def _during(self, act: Callable[[], None]) -> tuple[dict[Link, Passed], float]:
        """What passed while something was done, and how long it took."""
        started = self._now()
        before = {link: counter.passed() for link, counter in self._counters.items()}
        act()
        after = {link: counter.passed() for link, counter in self._counters.items()}
        return {link: after[link] - before[link] for link in LINKS}, self._now() - started

    @contextlib.contextmanager
    def _mtu(self, mtu: int) -> Iterator[None]:
        """All cards of both links with that MTU; connections follow at their next segment."""
        try:
            self._set(mtu)
            self._check(mtu)
            yield
        finally:
            self._set(None)

    def _set(self, mtu: int | None) -> None:
        for link in LINKS:
            for machine in self._lab.topology.machines:
                if any(card.link is link for card in machine.cards):
                    set_mtu(self._lab, machine.name, link, mtu or MTU[link])

    def _check(self, mtu: int) -> None:
        first, second = self._lab.topology.nodes
        for link in LINKS:
            command = (
                f"ping -M do -c 1 -W 5 -I {link} -s {mtu - _HEADERS} {second.card(link).address}"
            )
            self._lab.machines[first.name].guest.run(command, timeout_s=30)

    def _write(self, size: int, writes: int) -> None:
        if size * writes > _MOST_BYTES:
            raise HarnessError(f"{writes} writes of {size} bytes are more than the LUN has")
        disk = lun_link(self._lab.topology, "lun1")
        said = self._lab.initiator.guest.run(
            f"fio --name=jumbo --ioengine=libaio --direct=1 --rw=write --iodepth=1 --bs={size} "
            f"--number_ios={writes} --size={size * writes} --filename={disk} --thread=1 "
            "--allow_file_create=0 --output-format=json",
            timeout_s=900,
        ).stdout
        try:
            (result,) = parse_results(said)
            (job,) = result.jobs
        except (FioParseError, ValueError) as error:
            raise HarnessError(f"fio said what cannot be read: {error}") from error
        if job.error or job.write.total_ios != writes or job.write.io_bytes != size * writes:
            raise HarnessError(
                f"fio wrote {job.write.io_bytes} bytes in {job.write.total_ios} writes, "
                f"error {job.error}: not the {writes} writes of {size} bytes that were asked for"
            )


def lines(figures: list[Figure]) -> list[str]:
    """The figures as a table in Markdown, arithmetic and the post's beside them."""
    rows = [
        "| write | link | MTU | writes | frames a write | on the wire a byte | more than the "
        "payload | arithmetic | the post |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in figures:
        seen = overhead(one.passed.on_wire, one.payload)
        sum_ = overhead(one.exchange.on_wire(Wire(one.mtu)), one.size)
        post = "–"
        if one.size == 4096:
            post = f"{overhead(as_the_post(1538 if one.mtu == 1500 else one.mtu), 4096):.1f} %"
        rows.append(
            f"| {one.size >> 10} KiB | {one.link} | {one.mtu} | {one.writes} | "
            f"{one.passed.frames / one.writes:.2f} | {one.passed.on_wire / one.payload:.3f} | "
            f"{seen:.1f} % | {sum_:.1f} % | {post} |"
        )
    return rows


def main() -> None:
    """Restore or form the cluster, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writes", type=int, default=2000, help="of 4 KiB; of 64 KiB a quarter")
    parser.add_argument("--idle", type=float, default=20.0, help="seconds of idle links")
    arguments = parser.parse_args()
    cache = default_cache()
    collect_garbage(cache)
    image = ensure_image(cache, ImageOptions())
    accelerator = choose_accelerator(RunOptions(cache=cache), image)
    config = load_config(None, PROFILES[accelerator])
    lab = Lab.create(cache)
    figures = []
    try:
        bring_up(lab, image, config, accelerator=accelerator)
        measurement = Measurement(lab, idle_s=arguments.idle)
        for size in SIZES:
            writes = arguments.writes if size == SIZES[0] else max(arguments.writes // 4, 1)
            for mtu in MTUS:
                figures += measurement.at(mtu, size, writes)
    finally:
        lab.destroy()
    print(f"accelerator {accelerator}")
    print(*lines(figures), sep="\n")


if __name__ == "__main__":
    main()
