"""The timeline's file: what survives a kill, what is refused, and the order under many writers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evidence import clock
from harness.evidence.timeline import (
    Channel,
    Event,
    TimelineError,
    TimelineWriter,
    read_timeline,
)

FIXTURES = Path(__file__).parent / "fixtures"
CAPTURED = sorted(FIXTURES.glob("*.jsonl"))


@pytest.mark.parametrize("path", CAPTURED, ids=lambda p: p.stem)
def test_a_captured_timeline_is_read_and_written_back_byte_for_byte(
    path: Path, tmp_path: Path
) -> None:
    events = read_timeline(path)
    assert len(events) == path.read_text().count("\n") > 20
    writer = TimelineWriter(tmp_path / "again.jsonl")
    for event in events:
        writer.add(event.source, event.channel, event.kind, event.data, t_ns=event.t_ns)
    writer.close()
    assert (tmp_path / "again.jsonl").read_bytes() == path.read_bytes()


def test_the_takeover_reads_in_the_order_it_happened() -> None:
    events = read_timeline(FIXTURES / "takeover.jsonl")
    stamps = [event.t_ns for event in events]
    assert stamps == sorted(stamps)

    def first(channel: Channel, kind: str, text: str = "", source: str = "") -> int:
        return next(
            e.t_ns
            for e in events
            if e.channel is channel
            and e.kind == kind
            and text in json.dumps(e.data)
            and source in ("", e.source)
        )

    # Never in another order, or it would have been a split-brain.
    story = [
        first(Channel.WORKLOAD, "start"),
        first(Channel.FAULT, "plan"),
        first(Channel.FAULT, "inject"),
        first(Channel.CONSOLE, "lost", source="bravo"),
        first(Channel.DOMAIN, "lifecycle", "stopped", "bravo"),
        first(Channel.FAULT, "bitten"),
        first(Channel.JOURNAL, "entry", "targeting bravo by alpha", "alpha"),
        first(Channel.EVENTS2, "call", "fence-peer", "alpha"),
        first(Channel.EVENTS2, "change", "role:Primary", "alpha"),
        first(Channel.ARP, "claim", "52:54:00:f0:03:0b"),
    ]
    assert story == sorted(story)
    assert len(set(story)) == len(story)


def line(**changes: object) -> str:
    event = {"t_ns": 1, "source": "alpha", "channel": "arp", "kind": "claim", "data": {}}
    return json.dumps({**event, **changes}) + "\n"


def test_a_torn_last_line_is_dropped_wherever_it_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "timeline.jsonl"
    whole = line(t_ns=1)
    last = line(t_ns=2, data={"text": "ü ends here"})
    for length in range(len(last)):
        path.write_text(whole + last[:length])
        assert [event.t_ns for event in read_timeline(path)] == [1], last[:length]
    path.write_text(whole + last)
    assert [event.t_ns for event in read_timeline(path)] == [1, 2]


@pytest.mark.parametrize(
    "garbage",
    [
        "\n",
        "nonsense\n",
        "[]\n",
        "null\n",
        '"text"\n',
        "{}\n",
        line(channel="telepathy"),
        line(t_ns="soon"),
        line(t_ns=None),
        line(data=7),
        line(data=None),
        line()[:-5] + "\n",
    ],
)
def test_a_line_that_is_no_event_is_an_error_with_its_number(tmp_path: Path, garbage: str) -> None:
    path = tmp_path / "timeline.jsonl"
    path.write_text(line() + line() + garbage + line())
    with pytest.raises(TimelineError, match=r"timeline\.jsonl:3: not an event"):
        read_timeline(path)


@pytest.mark.parametrize("key", ["t_ns", "source", "channel", "kind", "data"])
def test_every_key_of_an_event_is_needed(tmp_path: Path, key: str) -> None:
    event = json.loads(line())
    del event[key]
    path = tmp_path / "timeline.jsonl"
    path.write_text(json.dumps(event) + "\n")
    with pytest.raises(TimelineError, match=rf":1: .*{key}"):
        read_timeline(path)


def test_no_file_is_not_an_empty_timeline(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_timeline(tmp_path / "timeline.jsonl")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(
    source=st.text(),
    kind=st.text(),
    channel=st.sampled_from(Channel),
    data=st.dictionaries(st.text(), JSON_VALUES, max_size=4),
)
def test_whatever_a_guest_sends_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory,
    source: str,
    kind: str,
    channel: Channel,
    data: dict[str, object],
) -> None:
    path = tmp_path_factory.mktemp("t") / "timeline.jsonl"
    writer = TimelineWriter(path)
    event = writer.add(source, channel, kind, data)
    writer.close()
    assert read_timeline(path) == [event]


def test_a_lone_surrogate_of_a_journal_field_does_not_break_the_file(tmp_path: Path) -> None:
    writer = TimelineWriter(tmp_path / "timeline.jsonl")
    writer.add("alpha", Channel.JOURNAL, "entry", {"message": "\ud800 \u2028 \r\n"})
    writer.add("alpha", Channel.JOURNAL, "entry", {"message": "after"})
    writer.close()
    messages = [e.data["message"] for e in read_timeline(tmp_path / "timeline.jsonl")]
    assert messages == ["\ud800 \u2028 \r\n", "after"]


def test_events_of_many_threads_are_all_there_in_the_clock_s_order(tmp_path: Path) -> None:
    writer = TimelineWriter(tmp_path / "timeline.jsonl")
    heard: list[Event] = []
    writer.subscribe(heard.append)
    together = threading.Barrier(8)

    def write(name: str) -> None:
        together.wait()
        for number in range(250):
            writer.add(name, Channel.CONSOLE, "line", {"text": "x" * 300, "number": number})

    threads = [threading.Thread(target=write, args=(f"t{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    events = read_timeline(tmp_path / "timeline.jsonl")
    stamps = [event.t_ns for event in events]
    assert stamps == sorted(stamps)
    for name in {f"t{n}" for n in range(8)}:
        numbers = [e.data["number"] for e in events if e.source == name]
        assert numbers == list(range(250))
    assert sorted(e.t_ns for e in heard) == stamps


def test_a_killed_writer_loses_nothing_that_it_had_added(tmp_path: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from harness.evidence.timeline import Channel, TimelineWriter
writer = TimelineWriter(Path(sys.argv[1]))
for number in range(100):
    writer.add("host", Channel.STEP, "begin", {"number": number})
os.kill(os.getpid(), signal.SIGKILL)
"""
    path = tmp_path / "deep" / "timeline.jsonl"
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [e.data["number"] for e in read_timeline(path)] == list(range(100))


def test_a_cancelled_listener_hears_nothing_more_and_the_others_do(tmp_path: Path) -> None:
    writer = TimelineWriter(tmp_path / "timeline.jsonl")
    first: list[str] = []
    second: list[str] = []
    cancel = writer.subscribe(lambda event: first.append(event.kind))
    writer.subscribe(lambda event: second.append(event.kind))
    writer.add("host", Channel.STEP, "a")
    cancel()
    cancel()
    writer.add("host", Channel.STEP, "b")
    assert (first, second) == (["a"], ["a", "b"])
    writer.close()


def test_a_listener_may_write_and_cancel_from_within(tmp_path: Path) -> None:
    writer = TimelineWriter(tmp_path / "timeline.jsonl")

    def once(event: Event) -> None:
        cancel()
        writer.add("host", Channel.STEP, f"after {event.kind}")

    cancel = writer.subscribe(once)
    worker = threading.Thread(target=writer.add, args=("host", Channel.STEP, "a"), daemon=True)
    worker.start()
    worker.join(5)
    assert not worker.is_alive(), "the writer deadlocked on its own listener"
    writer.close()
    assert [e.kind for e in read_timeline(writer.path)] == ["a", "after a"]


def test_after_close_events_reach_listeners_but_not_the_file(tmp_path: Path) -> None:
    writer = TimelineWriter(tmp_path / "timeline.jsonl")
    heard: list[str] = []
    writer.subscribe(lambda event: heard.append(event.kind))
    writer.close()
    writer.add("host", Channel.STEP, "late")
    assert heard == ["late"]
    assert read_timeline(writer.path) == []


def test_the_run_s_clock_does_not_follow_a_stepped_wall_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert abs(clock.now_ns() - time.time_ns()) < 60 * 10**9
    stamps = [clock.now_ns() for _ in range(2000)]
    assert stamps == sorted(stamps)
    before = clock.now_ns()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert 0 <= clock.now_ns() - before < 10**9
