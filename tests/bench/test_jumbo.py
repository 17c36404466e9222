"""The measuring part on a made-up lab: what is taken off, what is refused, what the table says."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from bench.jumbo import Figure, Measurement, lines
from harness.errors import HarnessError
from harness.lab.counters import Passed
from harness.lab.paths import PROJECT
from harness.lab.topology import Link, Topology

if TYPE_CHECKING:
    from harness.lab.lab import Lab

TOPOLOGY = Topology()
# What passes on an idle link in a second: frames and bytes of each tap.
IDLE = (2, 200)


class FakeLab:
    """Links that carry a little all the time, and more while fio writes."""

    def __init__(self, *, frames_a_write: int = 4, bytes_a_write: int = 4400) -> None:
        self.now = 100.0
        self.topology = TOPOLOGY
        self.mtus: dict[tuple[str, str], int] = {}
        self.limits: list[tuple[str, str]] = []
        self.commands: list[str] = []
        self.fio_says: dict[str, Any] = {}
        self.ping_fails = False
        self._a_write = (frames_a_write, bytes_a_write)
        self._written = 0
        self.host = SimpleNamespace(run=self._host, topology=TOPOLOGY)
        self.machines = {
            machine.name: SimpleNamespace(
                guest=SimpleNamespace(
                    run=lambda command, name=machine.name, **_: self._guest(name, command)
                )
            )
            for machine in TOPOLOGY.machines
        }
        self.initiator = self.machines["client"]

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def _host(self, *command: str) -> str:
        if "gso_max_size" in command:
            self.limits.append((command[4], command[-1]))
            return ""
        frames, octets = (int(self.now * one) for one in IDLE)
        tap = command[-1]
        if tap in ("fh0a-data", "fh0b-drbd"):  # where the data arrive
            frames += self._a_write[0] * self._written
            octets += self._a_write[1] * self._written
        return json.dumps([{"stats64": {"tx": {"packets": frames, "bytes": octets}}}])

    def _guest(self, name: str, command: str) -> SimpleNamespace:
        self.commands.append(f"{name}: {command}")
        if match := re.fullmatch(r"ip link set dev (\w+) mtu (\d+)", command):
            self.mtus[name, match[1]] = int(match[2])
        if command.startswith("ping") and self.ping_fails:
            raise HarnessError("no answer")
        if not command.startswith("fio"):
            return SimpleNamespace(stdout="")
        writes = int(re.findall(r"--number_ios=(\d+)", command)[0])
        size = int(re.findall(r"--bs=(\d+)", command)[0])
        self.now += 10
        self._written += writes
        wrote = {"io_bytes": size * writes, "total_ios": writes, **self.fio_says}
        return SimpleNamespace(stdout=fio_output(wrote))


def fio_output(wrote: dict[str, Any]) -> str:
    """Real output of fio, with what it wrote set."""
    raw = json.loads(
        (PROJECT / "tests/fio_parser/fixtures/jsonplus.json").read_text(encoding="utf-8")
    )
    raw["jobs"] = raw["jobs"][:1]
    (job,) = raw["jobs"]
    job["error"] = wrote.pop("error", 0)
    job["write"].update(wrote)
    return json.dumps(raw)


def measurement(lab: FakeLab) -> Measurement:
    return Measurement(cast("Lab", lab), idle_s=20, now=lambda: lab.now, wait=lab.wait)


def test_what_passes_anyway_is_taken_off() -> None:
    lab = FakeLab()
    data, drbd = measurement(lab).at(1500, 4096, 500)
    assert (data.link, drbd.link) == (Link.DATA, Link.DRBD)
    for figure in (data, drbd):
        assert figure.passed.frames == pytest.approx(4 * 500)
        assert figure.passed.octets == pytest.approx(4400 * 500)
        assert figure.passed.on_wire == pytest.approx((4400 + 4 * 24) * 500)
    ends = {
        ("client", "data"),
        *((n, link) for n in ("alpha", "bravo") for link in ("data", "drbd")),
    }
    assert lab.mtus == dict.fromkeys(ends, 9000), "it is as before afterwards"
    assert "alpha: ping -M do -c 1 -W 5 -I drbd -s 1472 10.77.2.12" in lab.commands
    taps = {tap for tap, _size in lab.limits}
    assert taps == {"fh0a-data", "fh0b-data", "fh0c-data", "fh0a-drbd", "fh0b-drbd"}
    assert dict(lab.limits) == dict.fromkeys(taps, "65536")


def test_frames_that_no_wire_would_carry_are_refused() -> None:
    with pytest.raises(HarnessError, match="segments were not counted one by one"):
        measurement(FakeLab(frames_a_write=1, bytes_a_write=4400)).at(1500, 4096, 500)
    # With jumbo frames one is enough.
    assert measurement(FakeLab(frames_a_write=1, bytes_a_write=4400)).at(9000, 4096, 500)


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ({"total_ios": 499}, "in 499 writes"),
        ({"io_bytes": 1}, "fio wrote 1 bytes"),
        ({"error": 5}, "error 5"),
    ],
)
def test_a_fio_that_did_something_else(says: dict[str, int], message: str) -> None:
    lab = FakeLab()
    lab.fio_says = says
    with pytest.raises(HarnessError, match=message):
        measurement(lab).at(1500, 4096, 500)
    assert set(lab.mtus.values()) == {9000}


def test_a_link_that_does_not_carry_full_frames() -> None:
    lab = FakeLab()
    lab.ping_fails = True
    with pytest.raises(HarnessError, match="no answer"):
        measurement(lab).at(1500, 4096, 500)
    assert set(lab.mtus.values()) == {9000}
    assert not [command for command in lab.commands if "fio" in command]


def test_more_than_the_lun_has() -> None:
    with pytest.raises(HarnessError, match="more than the LUN has"):
        measurement(FakeLab()).at(1500, 65536, 1000)


def test_the_table() -> None:
    figures = [
        Figure(Link.DATA, 1500, 4096, 100, Passed(500, 100 * 4452 - 24 * 500)),
        Figure(Link.DRBD, 9000, 65536, 10, Passed(100, 10 * 70000 - 24 * 100)),
    ]
    rows = lines(figures)
    assert rows[2] == ("| 4 KiB | data | 1500 | 100 | 5.00 | 1.087 | 8.7 % | 11.1 % | 5.7 % |")
    assert rows[3].startswith("| 64 KiB | drbd | 9000 | 10 | 10.00 | 1.068 | 6.8 % |")
    assert rows[3].endswith("| – |")
