"""A lab without VMs: guests with cards that can be spoilt, cables, ports, and a fence device."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from harness.errors import HarnessError
from harness.lab.fencing import CONF
from harness.lab.topology import MTU, Link, Topology

if TYPE_CHECKING:
    from harness.lab.lab import Lab


def done(stdout: str, failed: bool | int = False) -> SimpleNamespace:
    return SimpleNamespace(stdout=stdout, exit_code=int(failed))


class Card:
    """A guest's card: MTU, the options of its netem (None without one), carrier, counters."""

    def __init__(self, link: Link) -> None:
        self.mtu = MTU[link]
        self.netem: str | None = None
        self.sent, self.dropped = 0, 0
        self.carrier, self.carrier_changes = True, 2

    def plug(self, up: bool) -> None:
        self.carrier_changes += up is not self.carrier
        self.carrier = up

    def qdisc(self) -> str:
        """What ``tc -s qdisc show`` of iproute2 6.1 says."""
        name = "fq_codel 0: root refcnt 2 limit 10240p flows 1024"
        if self.netem is not None:
            name = f"netem 8001: root refcnt 2 {self.netem}"
        counted = f"(dropped {self.dropped}, overlimits 0 requeues 0) "
        return (
            f"qdisc {name}\n Sent {98 * self.sent} bytes {self.sent} pkt {counted}\n"
            " backlog 0b 0p requeues 0\n"
        )

    def _option(self, pattern: str) -> int:
        found = re.search(pattern, self.netem or "")
        return int(found[1]) if found else 0

    def pings(self, count: int, interval_ms: float, payload: int) -> str:
        """What ping says of so many echo requests, of which netem hits every n-th."""

        def hit(percent: int, number: int) -> bool:
            return percent > 0 and number % (100 // percent) == 0

        arrived: list[tuple[float, int, float, bool]] = []
        twice = 0
        for number in range(1, count + 1):
            lost = hit(self._option(r"loss (\d+)%"), number)
            self.dropped += lost
            self.sent += not lost
            if lost or hit(self._option(r"corrupt (\d+)%"), number):
                continue
            took = 0.4 + self._option(r"delay (\d+)ms")
            took += self._option(r"delay \d+ms (\d+)ms") * (-1) ** number
            if hit(self._option(r"reorder (\d+)%"), number):
                took = 0.4
            if rate := self._option(r"rate (\d+)mbit"):
                took += (payload + 42) * 8 / (rate * 1000)
            arrived.append((number * interval_ms + took, number, took, False))
            if hit(self._option(r"duplicate (\d+)%"), number):
                twice += 1
                arrived.append((number * interval_ms + took, number, took, True))
        lines = [
            f"{payload + 8} bytes from 10.0.0.1: icmp_seq={number} ttl=64 time={took:.3g} ms"
            + " (DUP!)" * dup
            for _at, number, took, dup in sorted(arrived)
        ]
        got = len(arrived) - twice
        more = f", +{twice} duplicates" if twice else ""
        lines += ["", "--- 10.0.0.1 ping statistics ---"]
        lines += [f"{count} packets transmitted, {got} received{more}, 0% packet loss, time 9ms"]
        return "\n".join(lines) + "\n"


class Guest:
    """A guest that knows the commands that faults use."""

    def __init__(self, lab: FakeLab, name: str) -> None:
        self._lab, self._name = lab, name
        self.now = "old"
        self.cut = False
        self.answers = True
        self.ping_code: int | None = None
        self.commands: list[str] = []
        self.cards = {card.link: Card(card.link) for card in lab.topology.machine(name).cards}

    def boot_id(self) -> str:
        if not self.answers:
            raise HarnessError(f"{self._name} does not answer")
        return self.now

    def run(
        self, command: str, *, check: bool = True, codes: tuple[int, ...] = (0,), **_options: Any
    ) -> SimpleNamespace:
        if not self.answers:
            raise HarnessError(f"{self._name} does not answer")
        self.commands.append(command)
        words = command.split()
        if words[0] == "ping" and self.ping_code is not None:
            if check and self.ping_code not in codes:
                raise HarnessError(f"exit code {self.ping_code} from: {command}")
            return done("", self.ping_code)
        match words:
            case ["tc", "qdisc", "replace", "dev", link, "root", "netem", *options]:
                card = self.cards[Link(link)]
                card.netem, card.sent, card.dropped = " ".join(options), 0, 0
            case ["tc", "qdisc", "del", "dev", link, "root"]:
                self.cards[Link(link)].netem = None
            case ["tc", "-s", "qdisc", "show", "dev", link]:
                return done(self.cards[Link(link)].qdisc())
            case ["ip", "link", "set", "dev", link, "mtu", mtu]:
                self.cards[Link(link)].mtu = int(mtu)
            case ["cat", path]:
                link, what = path.removeprefix("/sys/class/net/").split("/")
                return done(f"{int(getattr(self.cards[Link(link)], what))}\n")
            case ["ping", "-M", "do", "-s", size, "-c", "1", *_, link, address]:
                return done("", not self._reaches(Link(link), address, int(size)))
            case ["ping", "-n", *_, link, _address]:
                return done(self._pings(Link(link), words))
            case ["ping", "-c", "1", *_]:
                return done("", self.cut)
            case _:
                raise AssertionError(command)
        return done("")

    def _pings(self, link: Link, words: list[str]) -> str:
        options = dict(zip(words[2:-1:2], words[3:-1:2], strict=True))
        count = int(options["-c"])
        if self.cut:
            return f"{count} packets transmitted, 0 received, 100% packet loss, time 0ms\n"
        size = int(options.get("-s", "56"))
        return self.cards[link].pings(count, 1000 * float(options["-i"]), size)

    def _reaches(self, link: Link, address: str, payload: int) -> bool:
        """A virtio card takes every frame; its port may not let it pass."""
        (plan,) = [
            plan
            for plan in self._lab.topology.machines
            if any(card.address == address for card in plan.cards)
        ]
        fits = payload + 28 <= min(
            self.cards[link].mtu,
            self._lab.port_mtu[plan.card(link).tap],
            # The answer is as large.
            self._lab.port_mtu[self._lab.topology.machine(self._name).card(link).tap],
        )
        return fits and not self.cut and self._lab.machines[plan.name].state == "running"


class Machine:
    def __init__(self, lab: FakeLab, name: str) -> None:
        self.guest = Guest(lab, name)
        self.state = "running"
        self.pid = 7

    def qemu_pid(self) -> int:
        return self.pid

    def running(self) -> bool:
        return self.state != "off"

    def paused(self) -> bool:
        return self.state == "paused"

    def pause(self) -> None:
        self.state = "paused"

    def resume(self) -> None:
        assert self.state == "paused"
        self.state = "running"

    def power_on(self) -> None:
        if self.state == "off":
            self.state, self.guest.now, self.pid = "running", "new", self.pid + 1

    def set_carrier(self, link: Link, up: bool) -> None:
        self.guest.cards[link].plug(up)


class Host:
    """Tables of nftables, MTUs of ports, and a process that stands for fence_virtd."""

    def __init__(self, lab: FakeLab) -> None:
        self.lab_path = str(lab.folder)
        self.tables: list[str] = []
        self._lab = lab

    def run(self, *command: str, input_text: str | None = None) -> str:
        match command:
            case ("nft", "-f", "-"):
                self.tables.append(str(input_text).split()[2])
            case ("nft", "list", "tables"):
                return "".join(f"table bridge {name}\n" for name in self.tables)
            case ("nft", "delete", *_, table):
                if table not in self.tables:
                    raise HarnessError("nft failed in the lab with exit code 1: No such file")
                self.tables.remove(table)
            case ("ip", "link", "set", "dev", tap, "mtu", mtu):
                assert tap in self._lab.port_mtu, "no such port"
                self._lab.port_mtu[tap] = int(mtu)
            case ("sh", "-c", *_):
                return subprocess.run(command, capture_output=True, text=True, check=True).stdout
            case _:
                raise AssertionError(command)
        return ""


class FakeLab:
    """What faults use of a lab."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.topology = Topology()
        self.machines = {plan.name: Machine(self, plan.name) for plan in self.topology.machines}
        self.port_mtu = {
            card.tap: MTU[card.link] for plan in self.topology.machines for card in plan.cards
        }
        self.host = Host(self)

    def card(self, name: str, link: Link) -> Card:
        return self.machines[name].guest.cards[link]


def lab(fake: FakeLab) -> Lab:
    return cast("Lab", fake)


def fence_virtd(folder: Path) -> subprocess.Popen[bytes]:
    """A process that is called as the lab's fence device is, and has noted its PID."""
    program = folder / "fence_virtd"
    program.write_text("#!/bin/sh\nread never\n")
    program.chmod(0o755)
    process = subprocess.Popen([program, "-f", folder / CONF], stdin=subprocess.PIPE)
    while Path(f"/proc/{process.pid}/comm").read_text() != "fence_virtd\n":
        time.sleep(0.01)
    (folder / "fence_virtd.pid").write_text(f"{process.pid}\n")
    return process
