"""Inputs that once broke something, each as small as it can be."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cluster.config import load_config
from harness.cluster.observe import (
    ObservationError,
    parse_crm_mon,
    parse_fence_history,
    parse_proc_drbd,
)
from harness.errors import BadInputError
from harness.evidence.timeline import Channel, TimelineError, read_timeline
from harness.evidence.witness import parse_line
from harness.faults.journal import Undo, UndoJournal
from harness.lab.host import kill_warden
from harness.lab.topology import Topology
from harness.timing import TCG

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("channel", "line", "kind"),
    [
        (Channel.CONSOLE, b"lab-nonce:", "nonce"),
        (Channel.JOURNAL, b'{"MESSAGE":"lab-nonce: "}', "nonce"),
        (Channel.JOURNAL, b"[" * 60000, "garbled"),
        (Channel.JOURNAL, '{"PRIORITY":"²"}'.encode(), "entry"),
        (Channel.JOURNAL, b'{"PRIORITY":"' + b"1" * 5000 + b'"}', "entry"),
    ],
)
def test_hostile_lines_do_not_end_the_reader(channel: Channel, line: bytes, kind: str) -> None:
    """One exception would end the thread that reads the witnesses of all machines."""
    ((seen, _data),) = parse_line(channel, line)
    assert seen == kind


def test_undo_journal_goes_on_after_a_torn_line(tmp_path: Path) -> None:
    """What is written after a kill -9 in the middle of a line stands by itself."""
    journal = UndoJournal(tmp_path / "undo.jsonl")
    journal.plan("f1", [Undo("x", {})])
    with journal.path.open("a") as file:
        file.write('{"id": "f2", "sta')
    journal.done("f1")
    assert journal.open_faults() == {}


def test_standalone_keeps_roles_and_flags() -> None:
    """8.4 prints a blank for the protocol of a resource without a connection (drbd_proc.c)."""
    text = " 0: cs:StandAlone ro:Primary/Unknown ds:UpToDate/DUnknown   s-----\n    ns:0 oos:4\n"
    state = parse_proc_drbd(text)["r0"]
    assert (state["role"], state["disk"]) == ("Primary", "UpToDate")
    assert state["suspended"] is True


def test_a_minor_without_counters_is_told_wherever_it_is() -> None:
    """Not only at the end: out-of-sync would read 0."""
    head = " {}: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r-----\n"
    with pytest.raises(ObservationError):
        parse_proc_drbd(head.format(0) + head.format(1) + "  oos:0\n")


@pytest.mark.parametrize("identifier", ["d7", "drbd0", ""])
def test_a_foreign_drbd_resource_is_told(identifier: str) -> None:
    """A configuration of the user's may name its resources otherwise."""
    resource = f'<resource id="{identifier}" resource_agent="ocf:linbit:drbd"><node name="a"/>'
    with pytest.raises(ObservationError):
        parse_crm_mon(f"<r><nodes/><resources><clone>{resource}</resource></clone></resources></r>")


def test_lone_surrogates_are_told() -> None:
    """What a guest prints need not be text."""
    for parse in (parse_crm_mon, parse_fence_history):
        with pytest.raises(ObservationError):
            parse("\ud800")


@pytest.mark.parametrize(
    "raw",
    [
        b"# \xff\n",
        b'timing = "kvm"\n',
        b"timing = [1]\n",
        b"[timing]\ncorosync_token_ms=-5\n",
        b'[files.gamma]\n"etc/x"="y"\n',
    ],
)
def test_configuration_mistakes_are_one_line(tmp_path: Path, raw: bytes) -> None:
    """No traceback for what a user can mistype."""
    (tmp_path / "c.toml").write_bytes(raw)
    with pytest.raises(BadInputError) as caught:
        load_config(tmp_path / "c.toml", TCG)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff\n",
        b'{"t_ns":Infinity,"source":"a","channel":"arp","kind":"x","data":{}}\n',
        b"[" * 100000 + b"\n",
    ],
)
def test_timeline_garbage_names_its_line(tmp_path: Path, raw: bytes) -> None:
    """Damaged evidence is told as such."""
    (tmp_path / "t").write_bytes(raw)
    with pytest.raises(TimelineError, match=":1:"):
        read_timeline(tmp_path / "t")


def test_gc_survives_an_empty_pid_file(tmp_path: Path) -> None:
    """kill -9 between opening and writing it: a number that cannot be read is no launcher."""
    (tmp_path / "unshare.pid").write_text("")
    kill_warden(tmp_path)
    assert (tmp_path / "unshare.pid").exists()


def test_slots_that_would_collide_are_refused() -> None:
    """One byte of the MAC address is the slot's."""
    assert Topology(0).machines[0].cards[0].mac != Topology(15).machines[0].cards[0].mac
    with pytest.raises(ValueError, match="slots are 0 to 15"):
        Topology(16)


@given(number=st.integers(0, 3))
def test_an_example_may_take_its_time_on_a_busy_host(number: int) -> None:
    """test_phases and test_block_trace failed beside a lab, by the deadline of 200 ms."""
    time.sleep(0.25 if number == 0 else 0)
    assert settings().deadline is None
