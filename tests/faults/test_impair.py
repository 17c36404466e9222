"""Bad links: what each netem does, what of it is measured, and what proves nothing."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.evidence.timeline import Channel, TimelineWriter, read_timeline
from harness.faults.fault import FaultRunner
from harness.faults.impair import (
    Corruption,
    Duplication,
    Latency,
    Loss,
    Netem,
    Rate,
    Reordering,
)
from harness.faults.journal import UndoJournal
from harness.faults.pings import read_pings
from harness.faults.undo import undo_open_faults
from harness.lab.topology import Link
from tests.faults.fakes import FakeLab, done, lab

if TYPE_CHECKING:
    from pathlib import Path

# iputils 20221126 (Debian 12), of a loopback device whose answers a program gave: the fourth twice,
# the second after the third, the seventh and the last not at all.
SAID = """\
PING 127.0.0.1 (127.0.0.1) from 127.0.0.1 lo: 56(84) bytes of data.
64 bytes from 127.0.0.1: icmp_seq=1 ttl=64 time=0.153 ms
64 bytes from 127.0.0.1: icmp_seq=3 ttl=64 time=0.127 ms
64 bytes from 127.0.0.1: icmp_seq=2 ttl=64 time=24.1 ms
64 bytes from 127.0.0.1: icmp_seq=4 ttl=64 time=0.099 ms
64 bytes from 127.0.0.1: icmp_seq=4 ttl=64 time=0.176 ms (DUP!)
64 bytes from 127.0.0.1: icmp_seq=5 ttl=64 time=0.103 ms
64 bytes from 127.0.0.1: icmp_seq=6 ttl=64 time=105 ms

--- 127.0.0.1 ping statistics ---
8 packets transmitted, 6 received, +1 duplicates, 25% packet loss, time 214ms
rtt min/avg/max/mdev = 0.099/21.597/105.000/9.822 ms, pipe 2
"""
UNANSWERED = """\
PING 127.0.0.1 (127.0.0.1) from 127.0.0.1 lo: 56(84) bytes of data.

--- 127.0.0.1 ping statistics ---
10 packets transmitted, 0 received, 100% packet loss, time 222ms

"""


def test_what_ping_says_is_read() -> None:
    pings = read_pings(SAID)
    assert (pings.sent, pings.received, pings.lost, pings.duplicates) == (8, 6, 2, 1)
    assert pings.order == (1, 3, 2, 4, 5, 6)
    assert pings.overtaken == 1
    assert pings.times_ms == (0.153, 0.127, 24.1, 0.099, 0.103, 105.0)
    assert pings.average_ms == pytest.approx(21.597, abs=0.001)


def test_pings_without_an_answer() -> None:
    pings = read_pings(UNANSWERED)
    assert (pings.sent, pings.received, pings.lost, pings.average_ms) == (10, 0, 10, -1.0)
    for said in ("", "ping: connect: Network is unreachable\n"):
        assert (read_pings(said).sent, read_pings(said).received) == (0, 0)


@pytest.fixture
def fake(tmp_path: Path) -> FakeLab:
    return FakeLab(tmp_path)


FAULTS: list[tuple[Netem, str, str, str]] = [
    (
        Latency("alpha", Link.DRBD, 200),
        "delay 200ms",
        "drbd link of alpha, 200 ms",
        "a ping takes 200 ms",
    ),
    (
        Latency("alpha", Link.DRBD, 100, 50),
        "delay 100ms 50ms",
        "drbd link of alpha, 100 ms ± 50 ms",
        "pings take 50 to 150 ms, 100 ms on average",
    ),
    (
        Loss("alpha", Link.DRBD, 1),
        "loss 1%",
        "drbd link of alpha, 1 % lost",
        "netem dropped 4 of 400 frames; 4 of the last 400 pings were not answered",
    ),
    (
        Loss("alpha", Link.DRBD, 20),
        "loss 20%",
        "drbd link of alpha, 20 % lost",
        "netem dropped 4 of 20 frames; 4 of the last 20 pings were not answered",
    ),
    (
        Duplication("alpha", Link.DRBD, 10),
        "duplicate 10%",
        "drbd link of alpha, 10 % twice",
        "4 pings were answered twice",
    ),
    (
        Reordering("alpha", Link.DRBD, 25),
        "delay 50ms reorder 25%",
        "drbd link of alpha, 25 % 50 ms before the others",
        "5 pings overtook earlier ones",
    ),
    (
        Corruption("alpha", Link.DRBD, 5),
        "corrupt 5%",
        "drbd link of alpha, 5 % damaged",
        "4 pings were not answered, while netem dropped 0 frames",
    ),
    (
        Rate("alpha", Link.DRBD, 1),
        "rate 1mbit",
        "drbd link of alpha, 1 Mbit/s",
        # Decimal megabits: 9,000 bytes and an Ethernet header.
        "a full frame takes 72.5 ms, at 1 Mbit/s 72.1 ms",
    ),
]


@pytest.mark.parametrize(
    ("fault", "options", "target", "proof"), FAULTS, ids=[fault[2] for fault in FAULTS]
)
def test_from_begin_to_end(
    fake: FakeLab, fault: Netem, options: str, target: str, proof: str
) -> None:
    fault = replace(fault)
    card = fake.card("alpha", Link.DRBD)
    assert fault.target == target
    assert fault.bitten(lab(fake)) == "", "it is not there yet"
    fault.prepare(lab(fake))
    fault.inject(lab(fake))
    assert card.netem == f"{options} limit 20000"
    assert fault.bitten(lab(fake)).startswith(proof)
    assert fault.healed(lab(fake)) == "", "it is still there"
    fault.heal(lab(fake))
    assert card.netem is None
    assert fault.bitten(lab(fake)) == "", "what was seen before does not count without it"
    assert "no netem on drbd of alpha, a ping takes 0 ms" in fault.healed(lab(fake))
    fake.machines["alpha"].guest.cut = True
    assert fault.healed(lab(fake)) == "", "nothing answers"


@pytest.mark.parametrize("fault", [fault[0] for fault in FAULTS], ids=lambda f: f.target)
def test_a_netem_that_does_nothing_is_no_proof(fake: FakeLab, fault: Netem) -> None:
    """As one whose options were misread would: the discipline alone proves nothing."""
    fault = replace(fault)
    fake.card("alpha", Link.DRBD).netem = "limit 20000"
    assert fault.bitten(lab(fake)) == ""


@pytest.mark.parametrize("fault", [fault[0] for fault in FAULTS], ids=lambda f: f.target)
def test_a_link_that_is_cut_is_another_fault(fake: FakeLab, fault: Netem) -> None:
    fault = replace(fault)
    fake.card("alpha", Link.DRBD).netem = "limit 20000"
    fake.machines["alpha"].guest.cut = True
    assert fault.bitten(lab(fake)) == ""


def test_a_few_dropped_frames_may_be_chance(fake: FakeLab) -> None:
    fault, card = Loss("alpha", Link.DRBD, 1), fake.card("alpha", Link.DRBD)
    card.netem, card.dropped = "limit 20000", 2
    assert fault.bitten(lab(fake)) == ""
    card.dropped = 3
    assert fault.bitten(lab(fake)).startswith("netem dropped 3 of 80")


def test_frames_that_netem_dropped_are_not_damaged_ones(fake: FakeLab) -> None:
    fault, card = Corruption("alpha", Link.DRBD, 5), fake.card("alpha", Link.DRBD)
    card.netem = "loss 5% limit 20000"
    assert fault.bitten(lab(fake)) == ""


def test_the_more_seldom_the_more_pings_but_not_too_many(fake: FakeLab) -> None:
    for percent, count in ((1, 400), (2, 200), (5, 80), (20, 20), (99, 20)):
        fault = Duplication("alpha", Link.DRBD, percent)
        assert fault.pings == f"-c {count} -i 0.02"


def test_what_was_seen_once_counts_while_the_discipline_is_there(fake: FakeLab) -> None:
    fault, card = Duplication("alpha", Link.DRBD, 10), fake.card("alpha", Link.DRBD)
    fault.prepare(lab(fake))
    fault.inject(lab(fake))
    twice = "4 pings were answered twice (done inside the guest, by netem on its card)"
    assert fault.bitten(lab(fake)) == twice
    card.netem = "limit 20000"  # chance spares all of the next pings
    assert fault.bitten(lab(fake)) == twice


def test_jitter_has_to_be_seen(fake: FakeLab) -> None:
    fault, card = Latency("alpha", Link.DRBD, 100, 50), fake.card("alpha", Link.DRBD)
    card.netem = "delay 100ms limit 20000"
    assert fault.bitten(lab(fake)) == ""
    card.netem = "delay 100ms 20ms limit 20000"
    assert fault.bitten(lab(fake)) == ""


@pytest.mark.parametrize(
    ("link", "address", "size"), [(Link.DRBD, "10.77.2.12", 8972), (Link.MGMT, "10.77.1.1", 1472)]
)
def test_who_is_pinged(fake: FakeLab, link: Link, address: str, size: int) -> None:
    fault = Rate("alpha", link, 1)
    fault.inject(lab(fake))
    assert fault.bitten(lab(fake))
    (command,) = [c for c in fake.machines["alpha"].guest.commands if c.startswith("ping")]
    assert command == f"ping -n -c 5 -i 0.3 -s {size} -W 5 -I {link} {address}"


def test_one_card_is_spoilt_once(fake: FakeLab) -> None:
    Loss("alpha", Link.DRBD, 5).inject(lab(fake))
    with pytest.raises(HarnessError, match="the drbd link of alpha is bad already"):
        Latency("alpha", Link.DRBD, 50).prepare(lab(fake))
    Latency("alpha", Link.DATA, 50).prepare(lab(fake))
    Latency("bravo", Link.DRBD, 50).prepare(lab(fake))


def test_a_machine_that_boots_anew_ends_it_and_nobody_can_say_that_it_ended_by_itself(
    fake: FakeLab, tmp_path: Path
) -> None:
    """Its power may be cut while a link is bad: the fault lasted as long as its kernel did."""
    writer = TimelineWriter(tmp_path / "timeline.jsonl")
    runner = FaultRunner(lab(fake), writer, bite_deadline_s=0.3, heal_deadline_s=0.3)
    fault_id = runner.inject(Latency("alpha", Link.DRBD, 400))
    fake.machines["alpha"].guest.now = "new"
    fake.card("alpha", Link.DRBD).netem = None
    runner.heal(fault_id)
    events = [e for e in read_timeline(writer.path) if e.channel is Channel.FAULT]
    assert [e.kind for e in events] == [
        "plan", "inject", "bitten", "still-unknown", "heal", "healed",
    ]  # fmt: skip
    assert events[3].data["proof"] == "alpha booted anew, without netem"


def test_a_discipline_that_somebody_removed_ended_by_itself(fake: FakeLab, tmp_path: Path) -> None:
    writer = TimelineWriter(tmp_path / "timeline.jsonl")
    runner = FaultRunner(lab(fake), writer, bite_deadline_s=0.3, heal_deadline_s=0.3)
    fault_id = runner.inject(Loss("alpha", Link.DRBD, 20))
    fake.card("alpha", Link.DRBD).netem = None
    runner.heal(fault_id)
    assert "no-longer-bitten" in [event.kind for event in read_timeline(writer.path)]


@pytest.mark.parametrize("fault", [fault[0] for fault in FAULTS], ids=lambda f: f.target)
def test_the_journal_undoes_each(fake: FakeLab, tmp_path: Path, fault: Netem) -> None:
    UndoJournal(tmp_path / "undo.jsonl").plan("f1", fault.undo())
    fault.inject(lab(fake))
    assert undo_open_faults(lab(fake)) == ["f1"]
    assert fake.card("alpha", Link.DRBD).netem is None


def test_netem_is_told_from_other_disciplines(fake: FakeLab) -> None:
    """As iproute2 6.1 prints the root; other disciplines may follow."""
    shown = (
        "qdisc netem 8003: root refcnt 2 limit 20000 loss 30%\n"
        " Sent 71234 bytes 701 pkt (dropped 299, overlimits 0 requeues 0) \n"
        " backlog 0b 0p requeues 0\n"
        "qdisc ingress ffff: parent ffff:fff1 ---------------- \n"
        " Sent 0 bytes 0 pkt (dropped 0, overlimits 0 requeues 0) \n"
    )
    guest = SimpleNamespace(
        run=lambda command, **_options: done(shown if command.startswith("tc") else SAID)
    )
    fake.machines["alpha"].guest = guest  # type: ignore[assignment]
    proof = Loss("alpha", Link.DRBD, 30).bitten(lab(fake))
    assert proof == (
        "netem dropped 299 of 1000 frames; 2 of the last 8 pings were not answered "
        "(done inside the guest, by netem on its card)"
    )
