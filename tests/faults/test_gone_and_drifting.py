"""A fence device that is gone, a card that is taken down from inside, a clock that drifts."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.faults.drift import _ADJTIMEX, ClockDrift
from harness.faults.fence_device import FenceDown, FenceUnreachable
from harness.faults.interface import InterfaceDown
from harness.faults.journal import UndoJournal
from harness.faults.undo import undo_open_faults
from harness.lab.topology import Link
from tests.faults.answering import FakeLab

if TYPE_CHECKING:
    from pathlib import Path

BOTH = ("alpha", "bravo")
CIB = """<primitive id="fence_alpha" class="stonith" type="fence_virt"><instance_attributes>
 <nvpair id="a" name="ipaddr" value="10.77.4.1"/><nvpair id="b" name="ipport" value="1229"/>
 </instance_attributes></primitive><primitive class="stonith" type="fence_ipmilan">
 <nvpair name="ip" value="192.0.2.7" id="c"/></primitive>"""
FAILS = ("Error connecting to host\n", 1)


class Host:
    """fence_virtd, which is killed and started."""

    lab_path = "/run/lab"

    def __init__(self) -> None:
        self.state = "S (sleeping)"
        self.did: list[str] = []

    def run(self, *command: str, **_options: object) -> str:
        if "kill -KILL" in " ".join(command):
            self.did.append("kill")
            self.state = ""
            return "done\n"
        return f"State:\t{self.state}\n" if self.state else ""


@pytest.fixture
def fake(tmp_path: Path) -> FakeLab:
    there = FakeLab(tmp_path)
    host = there.host = Host()

    def start() -> None:
        host.did.append("start")
        host.state = "S (sleeping)"

    there.start_fence_device = start  # type: ignore[attr-defined]
    for guest in (there.alpha, there.bravo):
        guest.answer("@class='stonith'", CIB)
    return there


def test_a_dead_fence_device_is_proved_by_monitors_that_fail(fake: FakeLab) -> None:
    fault = FenceDown(BOTH)
    fault.prepare(fake.as_lab)
    assert "stonith_admin --query fence_bravo" in fake.alpha.ran[-1]
    assert "stonith_admin --query fence_alpha" in fake.bravo.ran[-1]
    assert fault.bitten(fake.as_lab) == ""
    fault.inject(fake.as_lab)
    assert fault.bitten(fake.as_lab) == "", "it does not run, and both monitors succeed: whose?"
    fake.alpha.answer("--query", FAILS)
    assert fault.bitten(fake.as_lab) == "", "bravo's succeeds"
    fake.bravo.answer("--query", FAILS)
    assert fault.bitten(fake.as_lab) == (
        "fence_virtd does not run; monitor of fence_bravo fails on alpha: Error connecting to host;"
        " monitor of fence_alpha fails on bravo: Error connecting to host"
    )
    fake.machines["bravo"].state = "off"
    assert "on bravo" not in fault.bitten(fake.as_lab)
    fake.machines["bravo"].state = "running"
    fault.heal(fake.as_lab)
    assert fault.healed(fake.as_lab) == "", "it runs, and its monitors still fail"
    for guest in (fake.alpha, fake.bravo):
        guest.answer("--query", "")
    assert fault.healed(fake.as_lab).endswith("succeeds on alpha and bravo")
    assert fake.host.did == ["kill", "start"]


def test_a_fence_device_that_did_not_work_before_proves_nothing(fake: FakeLab) -> None:
    fake.bravo.answer("--query", FAILS)
    for fault in (FenceDown(BOTH), FenceUnreachable(BOTH)):
        with pytest.raises(HarnessError, match="does not work before it is down"):
            fault.prepare(fake.as_lab)


def test_a_zombie_is_no_fence_device(fake: FakeLab) -> None:
    fake.host.state = "Z (zombie)"
    assert FenceDown(BOTH).gone(fake.as_lab) == "fence_virtd does not run"


def test_a_fence_device_is_started_once_by_the_journal(fake: FakeLab, tmp_path: Path) -> None:
    journal = UndoJournal(tmp_path / "undo.jsonl")
    journal.plan("f1", FenceDown(BOTH).undo())
    undo_open_faults(fake.as_lab)
    assert fake.host.did == [], "it runs"
    FenceDown(BOTH).inject(fake.as_lab)
    journal.plan("f1", FenceDown(BOTH).undo())
    undo_open_faults(fake.as_lab)
    assert fake.host.did == ["kill", "start"]


def test_a_device_elsewhere_has_no_way_to_it(fake: FakeLab, tmp_path: Path) -> None:
    """Whatever it is: the addresses are those of the cluster's configuration."""
    fault = FenceUnreachable(BOTH)
    fault.prepare(fake.as_lab)
    fault.inject(fake.as_lab)
    ways = "ip route replace unreachable 10.77.4.1/32; ip route replace unreachable 192.0.2.7/32"
    assert (fake.alpha.ran[-1], fake.bravo.ran[-1]) == (ways, ways)
    for guest in (fake.alpha, fake.bravo):
        guest.answer("--query", FAILS)
        guest.answer("route show", "unreachable 10.77.4.1 \n")
    assert fault.bitten(fake.as_lab) == "", "one of the two devices"
    for guest in (fake.alpha, fake.bravo):
        guest.answer("route show", "unreachable 10.77.4.1 \nunreachable 192.0.2.7 \n")
    assert fault.bitten(fake.as_lab).startswith(
        "no way to 10.77.4.1, 192.0.2.7 from alpha and bravo; monitor of fence_bravo fails"
    )
    UndoJournal(tmp_path / "undo.jsonl").plan("f1", fault.undo())
    undo_open_faults(fake.as_lab)
    fault.heal(fake.as_lab)
    for guest in (fake.alpha, fake.bravo):
        assert guest.ran[-2:] == ["ip -4 route flush type unreachable"] * 2
        guest.answer("route show", "")
    assert fault.healed(fake.as_lab) == "", "the monitors still fail"
    for guest in (fake.alpha, fake.bravo):
        guest.answer("--query", "")
    assert fault.healed(fake.as_lab)


def test_a_cluster_without_fence_devices_has_none_to_lose(fake: FakeLab) -> None:
    fake.alpha.answer("@class='stonith'", "<xpath-query/>")
    with pytest.raises(HarnessError, match="no IPv4 address"):
        FenceUnreachable(BOTH).prepare(fake.as_lab)


UP = "3: drbd: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 9000 qdisc fq_codel\n"
ADDRESS = "3: drbd    inet 10.77.2.11/24 brd 10.77.2.255 scope global drbd\n"


@pytest.mark.parametrize(
    ("told", "bitten"),
    [
        (UP + ADDRESS, False),
        (UP, False),
        (UP.replace(",UP,LOWER_UP", "") + ADDRESS, False),
        (UP.replace(",UP,LOWER_UP", ""), True),
    ],
)
def test_ifdown_takes_address_and_card(fake: FakeLab, told: str, bitten: bool) -> None:
    fault = InterfaceDown("alpha", Link.DRBD)
    fault.inject(fake.as_lab)
    assert fake.alpha.ran == ["ip -4 address flush dev drbd; ip link set dev drbd down"]
    fake.alpha.answer("ip -o link show", told)
    assert bool(fault.bitten(fake.as_lab)) is bitten


def test_ifup_gives_both_back(fake: FakeLab, tmp_path: Path) -> None:
    fault = InterfaceDown("alpha", Link.DRBD)
    own = fake.topology.machine("alpha").card(Link.DRBD).address
    UndoJournal(tmp_path / "undo.jsonl").plan("f1", fault.undo())
    undo_open_faults(fake.as_lab)
    fault.heal(fake.as_lab)
    up = f"ip link set dev drbd up; ip address replace {own}/24 brd + dev drbd"
    assert fake.alpha.ran == [up, up]
    fake.alpha.answer("ip -o link show", UP)
    assert fault.healed(fake.as_lab) == "", "no address yet"
    fake.alpha.answer("ip -o link show", UP + ADDRESS.replace("10.77.2.11", own))
    assert fault.healed(fake.as_lab).startswith(f"drbd of alpha has {own}; alpha pings")
    fake.alpha.answer("ping", 1)
    assert fault.healed(fake.as_lab) == ""


def test_the_management_card_is_the_way_out(fake: FakeLab) -> None:
    InterfaceDown("alpha", Link.MGMT).heal(fake.as_lab)
    gateway = fake.topology.host_address(Link.MGMT)
    assert fake.alpha.ran[-1].endswith(
        f"ip route replace default via {gateway} dev mgmt proto static"
    )


class Clocks:
    """The host's clock, and how much alpha's gains on it in a second."""

    def __init__(self, fake: FakeLab, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.rate, self._fake = 0, 0.0, fake
        monkeypatch.setattr("harness.faults.drift.now_ns", lambda: self.now)

    def pass_by(self, seconds: float) -> None:
        self.now += int(seconds * 1e9)
        self._fake.alpha.offset_ns += int(seconds * self.rate * 1e9)


@pytest.mark.parametrize("percent", [5, -5])
def test_a_drift_is_measured_against_the_host(
    fake: FakeLab, monkeypatch: pytest.MonkeyPatch, percent: int
) -> None:
    clocks = Clocks(fake, monkeypatch)
    fault = ClockDrift("alpha", percent)
    fault.inject(fake.as_lab)
    assert fake.alpha.ran[-1].endswith(f"' {10_000 + 100 * percent}")
    clocks.rate = percent / 100
    assert fault.bitten(fake.as_lab) == "", "nothing to compare with yet"
    clocks.pass_by(4)
    assert fault.bitten(fake.as_lab) == "", "not watched for long enough"
    clocks.pass_by(8)
    sign = "+" if percent > 0 else "-"
    assert fault.bitten(fake.as_lab) == (
        f"{sign}0.600 s against the host's clock in 12.0 s, {sign}5.0%"
    )
    clocks.pass_by(60)
    assert "in 72.0 s" in fault.bitten(fake.as_lab), "all the time"
    fault.heal(fake.as_lab)
    assert fake.alpha.ran[-1].endswith("' 10000")
    assert fault.healed(fake.as_lab) == ""
    clocks.pass_by(11)
    assert fault.healed(fake.as_lab) == "", "it still drifts"
    clocks.rate = 0.0
    assert fault.healed(fake.as_lab) == ""
    clocks.pass_by(11)
    assert fault.healed(fake.as_lab) == "+0.000 s against the host's clock in 11.0 s, +0.0%"


@pytest.mark.parametrize("rate", [0.0, 0.01, -0.05, 0.2])
def test_another_rate_is_no_proof(
    fake: FakeLab, monkeypatch: pytest.MonkeyPatch, rate: float
) -> None:
    clocks = Clocks(fake, monkeypatch)
    clocks.rate = rate
    fault = ClockDrift("alpha", 5)
    fault.bitten(fake.as_lab)
    clocks.pass_by(30)
    assert fault.bitten(fake.as_lab) == ""


@pytest.mark.parametrize("percent", [0, 11, -50])
def test_a_kernel_lets_a_clock_drift_by_ten_percent_at_most(percent: int) -> None:
    with pytest.raises(ValueError, match="1 to 10 %"):
        ClockDrift("alpha", percent)


def test_the_rate_comes_back_by_the_journal(fake: FakeLab, tmp_path: Path) -> None:
    UndoJournal(tmp_path / "undo.jsonl").plan("f1", ClockDrift("alpha", 5).undo())
    undo_open_faults(fake.as_lab)
    assert fake.alpha.ran[-1].endswith("' 10000")


@pytest.mark.skipif(sys.maxsize < 2**32, reason="struct timex of 64 bits")
def test_the_kernel_takes_the_structure_for_what_it_is() -> None:
    """Run for real, only asking: the tick of this machine is what every one has."""
    said = subprocess.run(["python3", "-c", _ADJTIMEX], capture_output=True, text=True, check=True)
    assert 9_000 <= int(said.stdout) <= 11_000
    assert "'" not in _ADJTIMEX, "it is quoted for a shell"
