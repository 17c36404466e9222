"""Secrets are found in each form in which they are written, and evidence stays evidence."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from harness.evidence.timeline import Channel, TimelineWriter, read_timeline
from harness.report.bundle.patterns import KEY_FILE
from harness.report.bundle.redact import Redactor

if TYPE_CHECKING:
    from pathlib import Path

DRBD = "3f" * 24
BASE64 = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtz"
TEXTS = [
    ("drbd-secret", f'    shared-secret   \t"{DRBD}";', DRBD),
    ("drbd-secret", f"shared-secret {DRBD};", DRBD),
    ("chap", "node.session.auth.password = Tr0ub4dor&3", "Tr0ub4dor"),
    ("chap", "discovery.sendtargets.auth.password_in=hunter2hunter2", "hunter2hunter2"),
    ("password", "targetcli: set auth userid=x password=hunter2", "hunter2"),
    ("password", 'CHAP mutual_password="hunter 2"', "hunter"),
    ("password", '<nvpair id=\'a\' name="passwd" value="s3cr et"/>', "s3cr et"),
    ("password", "fence_ipmilan: login=root passwd=calvin action=off", "calvin"),
    ("password", 'said {"user": "a", "password": "inner"}', "inner"),
    ("url", "harness run --proxy http://me:pa55@proxy.example:3128 x", "pa55"),
    ("authorization", "Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    ("authorization", "curl -H 'x: Bearer abcdefghij0123456789'", "abcdefghij0123456789"),
    ("token", "fatal: ghp_" + "a1" * 18, "ghp_" + "a1" * 18),
    ("token", "glpat-" + "x" * 20, "glpat-" + "x" * 20),
    ("token", "AKIA" + "A" * 16, "AKIA" + "A" * 16),
    ("token", "Cookie: eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2lnbmF0dXJl", "eyJzdWIiOiJhIn0"),
    ("password-hash", "root:$6$abcdefgh$" + "x" * 86 + ":19000:0", "$6$abcdefgh$" + "x" * 86),
    ("environment", "CI_JOB_TOKEN=aaaabbbb HOME=/root", "aaaabbbb"),
    ("environment", "export AWS_SECRET_ACCESS_KEY='x/y+z'", "x/y+z"),
    ("option", "drbdadm --password swordfish up", "swordfish"),
    ("private-key", f"-----BEGIN OPENSSH PRIVATE KEY-----\n{BASE64}\n-----END", BASE64),
]
HARMLESS = [
    "Started systemd-ask-password-wall.path - Forward Password Requests to Wall Directory Watch.",
    "systemd-ask-password-console.path: Deactivated successfully.",
    "/etc/passwd: ext4, rw",
    "fence_bravo-instance_attributes-key_file: key_file=/etc/cluster/fence_xvm.key",
    "runtime.totem.token (u32) = 3000",
    "TOKEN=3000",
    "totem { token: 3000 }",
    "drbd r0: peer authenticated using 20 bytes HMAC",
    "Failed password for root from 10.77.0.1 port 22 ssh2",
    "-----BEGIN PUBLIC KEY-----",
    "Operation 'reboot' targeting alpha by bravo for pacemaker-controld.683@bravo: OK",
]


def redacted(path: Path) -> tuple[bytes, Redactor]:
    redactor = Redactor()
    redactor.scan(path)
    return b"".join(redactor.lines(path)), redactor


def timeline(path: Path, *texts: str) -> Path:
    writer = TimelineWriter(path / "timeline.jsonl")
    for number, text in enumerate(texts):
        writer.add("alpha", Channel.CONSOLE, "line", {"text": text}, t_ns=number)
    writer.close()
    return path / "timeline.jsonl"


@pytest.mark.parametrize(("kind", "text", "secret"), TEXTS)
@pytest.mark.parametrize("form", ["timeline", "log", "value"])
def test_each_form(tmp_path: Path, kind: str, text: str, secret: str, form: str) -> None:
    path = tmp_path / "console.log"
    match form:
        case "timeline":
            path = timeline(tmp_path, "before", text, "after")
        case "log":
            if "\n" in text:
                text = text.replace("\n", " ")
            path.write_text(f"before\n{text}\nafter\n")
        case _:
            path = tmp_path / "run.json"
            path.write_text(json.dumps({"a": [{"b": text}]}, indent=1) + "\n")
    out, redactor = redacted(path)
    assert secret not in out.decode()
    assert f"redacted-{kind}-1" in out.decode()
    assert (redactor.distinct, redactor.places.total()) == ({kind: 1}, 1)
    if form == "timeline":
        (tmp_path / "new.jsonl").write_bytes(out)
        events = read_timeline(tmp_path / "new.jsonl")
        assert [(e.number, e.t_ns, e.source, e.kind) for e in events] == [
            (n, n - 1, "alpha", "line") for n in (1, 2, 3)
        ]
    if form == "value":
        assert list(json.loads(out)) == ["a"]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(tmp_path: Path, text: str) -> None:
    path = timeline(tmp_path, text)
    out, redactor = redacted(path)
    assert out == path.read_bytes()
    assert not redactor.places


def test_what_was_equal_stays_equal_and_what_differed_differs(tmp_path: Path) -> None:
    other = DRBD.replace("3", "4")
    path = timeline(
        tmp_path,
        f'shared-secret "{DRBD}";',
        f'shared-secret "{DRBD}";',
        f'shared-secret "{other}";',
        f"somewhere else: {DRBD} and {other}",
    )
    out, redactor = redacted(path)
    path.write_bytes(out)
    one, same, differs, bare = [str(event.data["text"]) for event in read_timeline(path)]
    assert one == same != differs
    assert redactor.distinct == {"drbd-secret": 2}
    assert redactor.places["drbd-secret"] == 5
    # Known from where it is named, it goes also where it is not; and no text changes its length.
    assert bare.split()[2] in one
    assert len(one) == len(f'shared-secret "{DRBD}";')


def test_a_secret_in_one_file_goes_from_the_others(tmp_path: Path) -> None:
    bare = tmp_path / "a.log"
    bare.write_text(f"{DRBD}\n")
    named = timeline(tmp_path, f'shared-secret "{DRBD}";')
    redactor = Redactor()
    for path in (bare, named):
        redactor.scan(path)
    assert DRBD.encode() not in b"".join(redactor.lines(bare))


def test_a_short_password_goes_only_from_where_it_is_named(tmp_path: Path) -> None:
    path = timeline(tmp_path, "password=role", "role( Secondary -> Primary )")
    out, _ = redacted(path)
    path.write_bytes(out)
    first, second = [str(event.data["text"]) for event in read_timeline(path)]
    assert first.startswith("password=redacted-password-1")
    assert second == "role( Secondary -> Primary )"


def test_a_key_that_a_console_shows_line_by_line(tmp_path: Path) -> None:
    writer = TimelineWriter(tmp_path / "timeline.jsonl")
    lines = ["-----BEGIN RSA PRIVATE KEY-----\r", BASE64, BASE64[:40], "-----END RSA PRIVATE KEY--"]
    for line in lines:
        writer.add("alpha", Channel.CONSOLE, "line", {"text": line})
        # Another machine's lines come in between, and are no key.
        writer.add("bravo", Channel.CONSOLE, "line", {"text": "SecondaryPrimary"})
    writer.add("alpha", Channel.CONSOLE, "line", {"text": "abcdefghijklmnop"})
    writer.close()
    out, redactor = redacted(tmp_path / "timeline.jsonl")
    assert BASE64[:40].encode() not in out
    assert out.count(b"SecondaryPrimary") == 4
    assert b"abcdefghijklmnop" in out
    assert redactor.distinct == {"private-key": 2}


@pytest.mark.parametrize(
    "name", ["password", "shared_secret", "auth-token", "privateKey", "secret"]
)
def test_a_field_of_json_that_is_called_so(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"n": 1.5, name: "geheim", "list": {name: ["geheim", 3]}}))
    out, redactor = redacted(path)
    value = json.loads(out)
    assert b"geheim" not in out
    assert (value["n"], value["list"][name][1]) == (1.5, 3)
    assert redactor.places == {"field": 2}


def test_bytes_that_are_no_text_stay(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    path.write_bytes(b"\xff\xfe\x00password=abc \x80\r\nplain \xff\r\n")
    out, _ = redacted(path)
    assert out == path.read_bytes().replace(b"abc", b"redacted-password-1")
    binary = tmp_path / "x.bin"
    binary.write_bytes(b"password=abc")
    assert redacted(binary)[0] == b"password=abc"


@pytest.mark.parametrize("indent", [None, 1])
def test_json_is_written_as_it_was(tmp_path: Path, indent: int | None) -> None:
    path = tmp_path / "x.json"
    value: dict[str, Any] = {"a": "ü password=abcdefghij0123456789", "b": [1, 2.5, None, True]}
    path.write_text(json.dumps(value, indent=indent) + "\n")
    out, _ = redacted(path)
    assert out.count(b"\n") == path.read_bytes().count(b"\n")
    assert len(out) == len(path.read_bytes())


def test_a_second_time_finds_nothing(tmp_path: Path) -> None:
    path = timeline(tmp_path, *(text for _, text, _ in TEXTS))
    once, _ = redacted(path)
    path.write_bytes(once)
    twice, redactor = redacted(path)
    assert twice == once
    assert redactor.distinct == {}


@pytest.mark.parametrize(
    "piece",
    ["password", "SECRET", "SECRET=", "-----BEGIN PRIVATE KEY-----", "://a:", "eyJa.", "$6$", "a-",
     "shared-secret ", 'name="', "Bearer ", "a.password ", "ghp_", "token: "],
)  # fmt: skip
def test_a_long_line_takes_no_longer_than_it_is_long(tmp_path: Path, piece: str) -> None:
    """Of computing time: a pattern that goes back and forth would take an hour.

    Half a megabyte: 25 times what the longest bounded repetition takes in (20,000 characters of a
    key), so that going back and forth over the whole line is what would show. As many seconds for
    each megabyte as any line may take.
    """
    path = tmp_path / "console.log"
    path.write_text(piece * (500_000 // len(piece)))
    began = time.process_time()
    redacted(path)
    assert time.process_time() - began < 5


def test_any_number_of_secrets(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    path.write_text("".join(f"password=abcdefghijklmnop{n:05}\n" for n in range(20_000)))
    began = time.process_time()
    out, redactor = redacted(path)
    assert time.process_time() - began < 20
    assert b"abcdefghijklmnop" not in out
    assert redactor.distinct == {"password": 20_000}


@pytest.mark.parametrize(
    "name", ["console/fence_xvm.key", "authkey", "a/ssh_key", "secrets.json", "id_ed25519", "x.PEM"]
)
def test_files_that_are_keys(name: str) -> None:
    assert KEY_FILE.search(name)
    assert not KEY_FILE.search("console/alpha.log")
    assert not KEY_FILE.search("timeline.jsonl")
