"""Witness streams: lines of guests as events, and sockets that come and go."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evidence.timeline import Channel, Event, read_timeline
from harness.evidence.witness import Stream, Witnesses, parse_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIXTURES = Path(__file__).parent / "fixtures"
EVENTS = [e for path in sorted(FIXTURES.glob("*.jsonl")) for e in read_timeline(path)]


def dialing(path: Path) -> Callable[[], socket.socket]:
    """As a lab's host makes the connection."""

    def dial() -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(str(path))
        except OSError:
            sock.close()
            raise
        return sock

    return dial


def captured(channel: Channel, *kinds: str) -> list[Event]:
    found = [e for e in EVENTS if e.channel is channel and (not kinds or e.kind in kinds)]
    assert found
    return found


def journalctl_line(event: Event) -> bytes:
    """An event of the journal as ``journalctl -o json`` prints it: every value is a string."""
    names = {
        "message": "MESSAGE",
        "identifier": "SYSLOG_IDENTIFIER",
        "unit": "_SYSTEMD_UNIT",
        "transport": "_TRANSPORT",
        "boot_id": "_BOOT_ID",
        "priority": "PRIORITY",
        "realtime_us": "__REALTIME_TIMESTAMP",
        "monotonic_us": "__MONOTONIC_TIMESTAMP",
    }
    # The kernel has no unit: journalctl leaves out what is not there.
    fields = {names[key]: str(value) for key, value in event.data.items() if value != ""}
    return json.dumps({"__CURSOR": "s=0;i=1", **fields}).encode()


def test_journal_lines_come_back_as_they_were_captured() -> None:
    for event in captured(Channel.JOURNAL, "entry"):
        assert parse_line(Channel.JOURNAL, journalctl_line(event)) == [("entry", event.data)]


def test_events2_lines_come_back_as_they_were_captured() -> None:
    kinds = set()
    for event in captured(Channel.EVENTS2, "exists", "change", "call", "response", "dump-end"):
        line = event.data["raw"].encode()
        assert parse_line(Channel.EVENTS2, line) == [(event.kind, event.data)]
        kinds.add(event.kind)
    assert kinds == {"exists", "change", "call", "response", "dump-end"}


def test_console_lines_come_back_as_they_were_captured() -> None:
    for event in captured(Channel.CONSOLE, "line"):
        # A serial console ends its lines with CR LF; the LF is taken off by the reader.
        line = event.data["text"].encode() + b"\r"
        assert parse_line(Channel.CONSOLE, line) == [("line", event.data)]


def test_events2_fields_with_colons_in_their_values_stay_whole() -> None:
    line = b"2026-11-25T13:51:15.1+00:00 change path name:r0 local:ipv4:10.77.2.11:7780 flag"
    ((kind, data),) = parse_line(Channel.EVENTS2, line)
    assert (kind, data["object"]) == ("change", "path")
    assert data["fields"] == {"name": "r0", "local": "ipv4:10.77.2.11:7780"}
    assert data["guest_stamp"] == "2026-11-25T13:51:15.1+00:00"


@pytest.mark.parametrize(
    "line",
    [b"change", b"change resource name:r0 role:Primary", b"destroy device name:r0 minor:0"],
)
def test_events2_without_timestamps_is_understood(line: bytes) -> None:
    ((kind, data),) = parse_line(Channel.EVENTS2, line)
    assert kind == line.split()[0].decode()
    assert data["guest_stamp"] == ""


@pytest.mark.parametrize(("line", "count"), [(b"- skipped 2", 2), (b"- skipped -4", -4)])
def test_events2_tells_gaps_in_the_numbers_of_events(line: bytes, count: int) -> None:
    """Seen on a node whose connections all went at once: 2, -4, 3, -4, 3."""
    assert parse_line(Channel.EVENTS2, line) == [("skipped", {"count": count})]


@pytest.mark.parametrize(
    "line", [b"2026-11-25T13:51:15+00:00", b"drbdsetup: no such resource", b"#! / ?"]
)
def test_events2_lines_of_another_shape_are_garbled_not_lost(line: bytes) -> None:
    assert parse_line(Channel.EVENTS2, line) == [("garbled", {"text": line.decode()})]


@pytest.mark.parametrize(
    ("channel", "line", "nonce"),
    [
        (Channel.CONSOLE, b"[  571.5] lab-nonce:82eb47a9783ee6d5\r", "82eb47a9783ee6d5"),
        (Channel.CONSOLE, b"lab-nonce:82eb47a9783ee6d5 trailing", "82eb47a9783ee6d5"),
        (Channel.EVENTS2, b"nonce 82eb47a9783ee6d5", "82eb47a9783ee6d5"),
        (Channel.EVENTS2, b"nonce", ""),
        (
            Channel.JOURNAL,
            b'{"MESSAGE":"lab-nonce:82eb47a9783ee6d5","SYSLOG_IDENTIFIER":"lab"}',
            "82eb47a9783ee6d5",
        ),
    ],
)
def test_nonces_are_recognised(channel: Channel, line: bytes, nonce: str) -> None:
    assert parse_line(channel, line) == [("nonce", {"nonce": nonce})]


@pytest.mark.parametrize(
    ("channel", "line"),
    [
        (Channel.CONSOLE, "[  571.5] lab-nonce:{}\r"),
        (Channel.CONSOLE, "lab-nonce:{} trailing"),
        (Channel.EVENTS2, "nonce {}"),
        (Channel.JOURNAL, '{{"MESSAGE":"lab-nonce:{}","SYSLOG_IDENTIFIER":"lab"}}'),
    ],
)
@pytest.mark.parametrize(
    ("nonce", "kind"),
    [
        ("end-82eb47a9783ee6d5", "end-nonce"),
        ("end-", "end-nonce"),
        ("82eb47a9783ee6d5", "nonce"),
        # The mark counts at the beginning only, and exactly as the harness sends it.
        ("82eb-end-47a9783ee6d5", "nonce"),
        ("END-82eb47a9783ee6d5", "nonce"),
        ("end82eb47a9783ee6d5", "nonce"),
    ],
)
def test_the_last_nonce_is_told_from_the_first(
    channel: Channel, line: str, nonce: str, kind: str
) -> None:
    assert parse_line(channel, line.format(nonce).encode()) == [(kind, {"nonce": nonce})]


@pytest.mark.parametrize("channel", [Channel.PROGRESS, Channel.ARP])
def test_streams_without_nonces_have_no_last_one(channel: Channel) -> None:
    for kind, _data in parse_line(channel, b"nonce end-82eb47a9783ee6d5"):
        assert kind in ("garbled", "line")


def test_a_journal_message_that_is_no_utf8_arrives_as_text() -> None:
    # journalctl prints such a field as a list of byte values, and a repeated field as a list.
    raw = json.dumps({"MESSAGE": list("dröbd".encode("latin-1")), "_SYSTEMD_UNIT": ["a", "b"]})
    ((kind, data),) = parse_line(Channel.JOURNAL, raw.encode())
    assert kind == "entry"
    assert data["message"] == "dr\ufffdbd"
    assert data["unit"] == "a b"


@pytest.mark.parametrize("value", [None, "", "high", "-1", 4, ["4"], {}])
def test_a_journal_number_that_is_none_is_none(value: object) -> None:
    raw = json.dumps({"MESSAGE": None, "PRIORITY": value}).encode()
    ((kind, data),) = parse_line(Channel.JOURNAL, raw)
    assert kind == "entry"
    assert data["message"] == ""
    assert data["priority"] is None
    assert data["monotonic_us"] is None


@pytest.mark.parametrize("line", [b"-- No entries --", b"[1, 2]", b'"text"', b"7", b'{"MESSAGE":'])
def test_journal_lines_that_are_no_object_are_garbled(line: bytes) -> None:
    assert parse_line(Channel.JOURNAL, line) == [("garbled", {"text": line.decode()})]


def test_progress_is_one_event_for_each_lun_in_bytes() -> None:
    line = b"1795615493485136128 lun0:26:17212:0 lun1:1000:8000:4"
    assert parse_line(Channel.PROGRESS, line) == [
        (
            "io",
            {
                "disk": disk,
                "write_ios": ios,
                "write_bytes": size,
                "in_flight": busy,
                "guest_ns": 1795615493485136128,
            },
        )
        for disk, ios, size, busy in (("lun0", 26, 8812544, 0), ("lun1", 1000, 4096000, 4))
    ]


def test_progress_without_luns_is_nothing() -> None:
    assert parse_line(Channel.PROGRESS, b"1795615493485136128") == []


@pytest.mark.parametrize(
    "line", [b"now lun0:1:2:3", b"17 lun0:1:2", b"17 lun0:1:2:3:4", b"17 lun0:a:2:3", b"17 :::"]
)
def test_progress_of_another_shape_is_garbled_as_a_whole(line: bytes) -> None:
    assert parse_line(Channel.PROGRESS, line) == [("garbled", {"text": line.decode()})]


@pytest.mark.parametrize("channel", list(Channel))
@pytest.mark.parametrize("line", [b"", b"\r", b"\0\0\0", b" \t ", b"\0 \0"])
def test_nothing_is_no_event(channel: Channel, line: bytes) -> None:
    assert parse_line(channel, line) == []


# No superscript digits and the like: they have tests of their own.
PLAIN = st.text(st.characters(exclude_categories=("Cs", "No")), max_size=30)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["MESSAGE", "PRIORITY", "_BOOT_ID", "__REALTIME_TIMESTAMP", "_SYSTEMD_UNIT", "_TRANSPORT"]
)
WORDS = st.lists(
    st.sampled_from(["nonce", "17", "exists", "change", "-", "name:r0", ":", "lun0:1:2:3", "2026-"])
    | PLAIN,
    max_size=5,
)
LINES = st.one_of(
    st.binary(max_size=200),
    st.dictionaries(FIELDS, JSON_VALUES, max_size=6).map(lambda d: json.dumps(d).encode()),
    WORDS.map(lambda words: " ".join(words).encode()),
)


@settings(max_examples=300, deadline=None)
@given(channel=st.sampled_from(Channel), line=LINES)
def test_no_line_of_a_guest_raises_or_cannot_be_written(channel: Channel, line: bytes) -> None:
    for kind, data in parse_line(channel, line):
        assert kind
        assert json.loads(json.dumps(data)) == data


# ------------------------------------------------------------------------------ sockets


class Heard:
    """What the witnesses said, and a way to wait for it."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str, dict[str, Any]]] = []
        self._changed = threading.Condition()

    def add(self, source: str, channel: Channel, kind: str, data: dict[str, Any]) -> None:
        with self._changed:
            self.events.append((source, channel.value, kind, data))
            self._changed.notify_all()

    def wait(self, ready: Callable[[list[tuple[str, str, str, dict[str, Any]]]], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: ready(self.events), 10), self.events

    def kinds(self) -> list[str]:
        return [kind for _source, _channel, kind, _data in self.events]


@pytest.fixture
def heard() -> Heard:
    return Heard()


class Guest:
    """The other end of one stream: a unix socket that QEMU would listen on."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.settimeout(10)
        self._sock: socket.socket | None = None

    def send(self, data: bytes) -> None:
        if self._sock is None:
            self._sock, _address = self._listener.accept()
        self._sock.sendall(data)

    def end(self) -> None:
        if self._sock is not None:
            self._sock.close()
        self._listener.close()


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    guest = Guest(tmp_path / "alpha-console")
    yield guest
    guest.end()


@pytest.fixture
def witnesses(tmp_path: Path, heard: Heard) -> Iterator[Witnesses]:
    stream = Stream("alpha", Channel.CONSOLE, dialing(tmp_path / "alpha-console"))
    witnesses = Witnesses([stream], heard.add)
    yield witnesses
    witnesses.close()


def texts(heard: Heard) -> list[str]:
    return [data["text"] for _s, _c, kind, data in heard.events if kind == "line"]


@pytest.mark.usefixtures("witnesses")
def test_a_line_that_arrives_in_pieces_is_one_line(guest: Guest, heard: Heard) -> None:
    guest.send(b"drbd r0: rol")
    time.sleep(0.05)
    snowman = "☃".encode()
    guest.send(b"e( Primary )\r\nsecond " + snowman[:1])
    time.sleep(0.05)
    guest.send(snowman[1:] + b"\nthird, not ended")
    heard.wait(lambda events: len(events) >= 3)
    assert heard.events[0] == ("alpha", "console", "open", {})
    assert texts(heard) == ["drbd r0: role( Primary )", "second ☃"]


@pytest.mark.usefixtures("witnesses")
def test_a_dead_vm_is_a_lost_stream_that_is_taken_up_again(
    guest: Guest, heard: Heard, tmp_path: Path
) -> None:
    guest.send(b"before\nhalf a li")
    heard.wait(lambda events: len(events) >= 2)
    guest.end()
    heard.wait(lambda events: any(e[2] == "lost" for e in events))
    time.sleep(0.5)
    assert heard.kinds() == ["open", "line", "lost"], "said once, however long it takes"
    again = Guest(tmp_path / "alpha-console")
    again.send(b"after\n")
    heard.wait(lambda events: len(events) >= 5)
    again.end()
    assert heard.kinds()[:5] == ["open", "line", "lost", "open", "line"]
    # The half line of the VM that died is not glued to what the next boot says.
    assert texts(heard) == ["before", "after"]


@pytest.mark.usefixtures("witnesses")
def test_an_endless_line_neither_grows_without_bound_nor_stops_the_stream(
    guest: Guest, heard: Heard
) -> None:
    guest.send(b"x" * 300_000 + b"\nafter\n")
    heard.wait(lambda _events: "after" in texts(heard))
    lines = texts(heard)
    assert lines[-1] == "after"
    assert max(map(len, lines)) <= 1 << 16
    assert set("".join(lines[:-1])) == {"x"}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_reader_that_dies_says_so(tmp_path: Path, heard: Heard, guest: Guest) -> None:
    """Else the streams would look as if the guests had nothing to tell."""

    def add(source: str, channel: Channel, kind: str, data: dict[str, Any]) -> None:
        if data.get("text") == "the last straw":
            raise OSError("no space left on device")
        heard.add(source, channel, kind, data)

    stream = Stream("alpha", Channel.CONSOLE, dialing(tmp_path / "alpha-console"))
    witnesses = Witnesses([stream], add)
    guest.send(b"line\nthe last straw\n")
    heard.wait(lambda events: any(e[2] == "witness-died" for e in events))
    witnesses.close()
    source, channel, _kind, data = heard.events[-1]
    assert (source, channel) == ("host", "console")
    assert "no space left on device" in data["reason"]


def test_close_ends_the_thread_and_the_sockets(tmp_path: Path, heard: Heard, guest: Guest) -> None:
    stream = Stream("alpha", Channel.CONSOLE, dialing(tmp_path / "alpha-console"))
    missing = Stream("bravo", Channel.CONSOLE, dialing(tmp_path / "bravo-console"))
    witnesses = Witnesses([stream, missing], heard.add)
    guest.send(b"line\n")
    heard.wait(lambda events: len(events) >= 2)
    before = time.monotonic()
    witnesses.close()
    assert time.monotonic() - before < 2
    assert stream.sock is not None
    assert stream.sock.fileno() == -1
    assert {source for source, *_ in heard.events} == {"alpha"}
    assert "witnesses" not in {thread.name for thread in threading.enumerate()}
