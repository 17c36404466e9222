"""Lines of the block tracepoints."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence.block_trace import TRACE_INSTANCE, parse_block_trace
from harness.evidence.timeline import Channel
from harness.evidence.witness import parse_line

FIXTURE = Path(__file__).parent / "fixtures/block_trace-6.1.txt"
SERVICE = Path(__file__).parents[2] / "vagrant/image/overlay/usr/local/lib/lab/block"
HEAD = "             fio-1234    [000]  1795639429.123456: "
NS = 1795639429123456000


def request(**more: Any) -> dict[str, Any]:
    return {"disk": "8:16", "op": "write", "fua": False, "sector": 2048, "sectors": 8,
            "guest_ns": NS} | more  # fmt: skip


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (HEAD + "block_rq_issue: 8,16 WS 4096 () 2048 + 8 [fio]", ("issue", request())),
        # 6.5 and later print the I/O priority as well.
        (HEAD + "block_rq_issue: 8,16 WS 4096 () 2048 + 8 none,0,0 [fio]", ("issue", request())),
        (HEAD + "block_rq_complete: 8,16 WS () 2048 + 8 [0]", ("complete", request(error=0))),
        (HEAD + "block_rq_complete: 8,16 W () 2048 + 8 be,0,4 [-5]",
         ("complete", request(error=-5))),
        (HEAD + "block_rq_requeue: 8,16 WS () 2048 + 8 [0]", ("requeue", request())),
        (HEAD + "block_rq_issue: 8,16 WFS 4096 () 2048 + 8 [jbd2/sdb-8]",
         ("issue", request(fua=True))),
        (HEAD + "block_rq_issue: 8,16 FWFS 4096 () 2048 + 8 [fio]", ("issue", request(fua=True))),
        (HEAD + "block_rq_issue: 8,16 FF 0 () 0 + 0 [kworker/0:1H]",
         ("issue", request(op="flush", sector=0, sectors=0))),
        (HEAD + "block_rq_complete: 8,16 FF () 18446744073709551615 + 0 [0]",
         ("complete", request(op="flush", sector=0, sectors=0, error=0))),
        (HEAD + "block_rq_issue: 8,16 RA 4096 () 2048 + 8 [systemd-udevd]",
         ("issue", request(op="read"))),
        (HEAD + "block_rq_issue: 8,16 N 36 (12 00 00 00 24 00) 0 + 0 [kworker/0:1H]",
         ("issue", request(op="other", sector=0, sectors=0))),
        # Names of tasks may hold almost anything.
        ("      a-1 b: [x]-77      [001]  1795639429.123456: block_rq_issue: "
         "8,16 W 4096 () 2048 + 8 [a-1 b: [x]]", ("issue", request())),
        # With the option irq-info.
        ("   kworker/0:1H-60      [000] d..1.  1795639429.123456: "
         "block_rq_complete: 8,16 W () 2048 + 8 [0]", ("complete", request(error=0))),
        (HEAD + "tracing_mark_write: lab-nonce:abc", ("mark", {"text": "lab-nonce:abc"})),
        ("CPU:0 [LOST 128 EVENTS]", ("lost-events", {"count": 128})),
        ("lab-block-started", ("restarted", {})),
    ],
)  # fmt: skip
def test_lines(line: str, expected: tuple[str, dict[str, Any]]) -> None:
    assert parse_block_trace(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "",
        "fio: no head",
        "lab-block-started again",
        HEAD + "block_rq_issue: 8,16 WS 4096 () 2048 +",
        HEAD + "block_rq_complete: 8,16 WS () 2048 + 8 [fio]",
        HEAD + "block_bio_queue: 8,16 WS 2048 + 8 [fio]",
        HEAD[:-12] + "block_rq_issue: 8,16 WS 4096 () 2048 + 8 [fio]",
    ],
)
def test_garbled(line: str) -> None:
    assert parse_block_trace(line) == ("garbled", {"text": line})


def test_real_lines() -> None:
    lines = FIXTURE.read_text().splitlines()
    told = [parse_block_trace(line) for line in lines]
    assert {kind for kind, _data in told} == {"issue", "complete", "mark"}
    issued = Counter(data["op"] for kind, data in told if kind == "issue")
    assert issued == {"write": 16, "flush": 2, "other": 10, "read": 4}
    assert sum(data["fua"] for kind, data in told if kind == "issue") == 2
    assert all(data["error"] == 0 for kind, data in told if kind == "complete")


def test_nonces_come_through_the_marker() -> None:
    line = (HEAD + "tracing_mark_write: lab-nonce:0a1b").encode()
    assert parse_line(Channel.BLOCK, line) == [("nonce", {"nonce": "0a1b"})]
    line = (HEAD + "tracing_mark_write: lab-nonce:end-0a1b").encode()
    assert parse_line(Channel.BLOCK, line) == [("end-nonce", {"nonce": "end-0a1b"})]
    assert parse_line(Channel.BLOCK, HEAD.encode() + b"tracing_mark_write: hello") == [
        ("line", {"text": "hello"})
    ]


@given(st.text() | st.from_regex(r"[ a-z]*-1 +\\[000\\] +1\\.000000: block_rq_issue: .*"))
def test_any_text(text: str) -> None:
    kind, data = parse_block_trace(text)
    assert kind in ("issue", "complete", "requeue", "mark", "lost-events", "garbled")
    assert data


def test_each_start_of_the_service_is_told(tmp_path: Path) -> None:
    """The guest's own script, with files in place of tracefs and of the port."""
    instance, port, stubs = tmp_path / "tracing/instances/lab", tmp_path / "port", tmp_path / "bin"
    for event in ("issue", "complete", "requeue"):
        (instance / f"events/block/block_rq_{event}").mkdir(parents=True)
    (instance / "options").mkdir()
    traced = HEAD + "block_rq_issue: 8,16 WS 4096 () 2048 + 8 [fio]\n"
    (instance / "trace_pipe").write_text(traced)
    stubs.mkdir()
    (stubs / "mountpoint").write_text("#!/bin/sh\n")
    (stubs / "mountpoint").chmod(0o755)
    script = SERVICE.read_text().replace("/dev/virtio-ports/lab.block", str(port))
    tracing = TRACE_INSTANCE.removesuffix("/instances/lab")
    script = script.replace(tracing, str(tmp_path / "tracing"))
    said = b""
    for torn in (b"", traced[:-9].encode()):
        subprocess.run(
            ["sh", "-c", script], check=True, env={"PATH": f"{stubs}:{os.environ['PATH']}"}
        )
        said += torn + port.read_bytes()
    events = [event for line in said.split(b"\n") for event in parse_line(Channel.BLOCK, line)]
    assert [kind for kind, _data in events] == [
        "restarted", "issue", "garbled", "restarted", "issue",
    ]  # fmt: skip
    assert (instance / "tracing_on").read_text() == "1\n"
