"""What is told of a run while it goes on: from evidence that grows, whatever state it is in."""

from __future__ import annotations

import http.client
import io
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from harness.checks.verdict import CheckResult, ScenarioVerdict, Verdict
from harness.cli import app
from harness.evidence.timeline import Channel
from harness.report.live import terminal
from harness.report.live.serve import RunWatch, WatchServer
from harness.report.live.status import Follower, LiveScenario
from harness.report.live.terminal import LiveRun, lines, one_log_line
from tests.report import build
from tests.report.live.growing import Growing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

at = build.at


@pytest.fixture
def growing(tmp_path: Path) -> Growing:
    return Growing(tmp_path)


def status_of(growing: Growing, now_s: float) -> Any:
    scenario = LiveScenario(growing.path)
    scenario.update()
    return scenario.status(at(now_s))


def test_a_scenario_that_has_just_begun(growing: Growing) -> None:
    status = status_of(growing, -39)
    assert (status.name, status.step, status.faults) == ("The node loses power", "", ())
    assert status.writes_per_s is None
    assert status.longest_stall_s == 0
    assert status.roles == {"alpha": "no DRBD", "bravo": "no DRBD"}


def test_step_faults_and_roles(growing: Growing) -> None:
    growing.add(-5, "host", Channel.STEP, "begin", keyword="When", text="alpha loses power")
    fault = {"id": "f1", "fault": "power-off", "target": "alpha"}
    growing.add(0, "host", Channel.FAULT, "plan", **fault)
    growing.role(-30, "alpha", "r0", "Primary")
    growing.role(-30, "bravo", "r0", "Secondary")
    assert status_of(growing, 0).faults == ()
    growing.add(0, "host", Channel.FAULT, "inject", **fault)
    (active,) = status_of(growing, 3).faults
    assert (active.name, active.target, active.since_ns, active.bitten) == (
        "power-off", "alpha", at(0), False,
    )  # fmt: skip
    growing.add(1, "host", Channel.FAULT, "bitten", **fault)
    growing.add(1, "alpha", Channel.DOMAIN, "lifecycle", event="stopped")
    growing.role(9, "bravo", "r0", "Primary")
    status = status_of(growing, 10)
    assert status.step == "When alpha loses power"
    assert status.faults[0].bitten
    assert status.roles == {"alpha": "off", "bravo": "Primary of r0"}
    growing.add(60, "host", Channel.FAULT, "healed", **fault)
    growing.add(60, "alpha", Channel.DOMAIN, "lifecycle", event="started")
    status = status_of(growing, 61)
    assert status.faults == ()
    assert status.roles["alpha"] == "Primary of r0"  # as it was last told


def test_rate_longest_stall_and_the_one_that_goes_on(growing: Growing) -> None:
    growing.add(-20, "client", Channel.WORKLOAD, "start", jobs=["raw1"])
    for second in range(-20, 1):
        growing.io(second, lun0=5, lun1=(second + 20) * 100, lun2=(second + 20) * 50)
    status = status_of(growing, 0)
    assert status.writes_per_s == pytest.approx(150)
    # lun0 holds a file system: that it is not written to is no stall.
    assert status.longest_stall_s == pytest.approx(1)
    assert status.standstill_s == 0
    for second in range(1, 9):
        growing.io(second, lun1=2000, lun2=1000 + second)
    status = status_of(growing, 8)
    assert status.standstill_s == pytest.approx(8)
    assert status.longest_stall_s == pytest.approx(8)
    growing.io(12, lun1=2001)
    growing.io(13, lun1=2002, lun2=1100)
    status = status_of(growing, 13)
    assert (status.longest_stall_s, status.standstill_s) == (pytest.approx(12), 0)
    growing.add(14, "client", Channel.WORKLOAD, "stop-asked")
    status = status_of(growing, 60)
    assert (status.writes_per_s, status.standstill_s) == (None, 0)
    assert status.longest_stall_s == pytest.approx(12)


def test_an_ended_scenario_stands_still(growing: Growing) -> None:
    growing.io(5, lun1=1)
    growing.save(outcome="finished")
    status = status_of(growing, 5000)
    assert status.ended
    assert status.now_ns == at(5)


def test_lines_that_are_being_written_and_lines_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "timeline.jsonl"
    follower = Follower(path)
    assert follower.read() == []
    whole = b'{"t_ns":1,"source":"host","channel":"step","kind":"begin","data":{}}\n'
    path.write_bytes(whole + b"\xff\x00 no event\n" + b'{"t_ns":1}\n[]\n' + whole[:20])
    assert [event.kind for event in follower.read()] == ["begin"]
    assert follower.read() == []
    with path.open("ab") as file:
        file.write(whole[20:])
    assert [event.kind for event in follower.read()] == ["begin"]


def test_damaged_events_are_not_shown_and_break_nothing(growing: Growing) -> None:
    growing.add(0, "client", Channel.PROGRESS, "io", disk="lun1")
    growing.add(0, "client", Channel.PROGRESS, "io", disk="lun1", write_ios="many")
    growing.add(0, "alpha", Channel.EVENTS2, "change", object="resource", fields=None)
    assert status_of(growing, 1).longest_stall_s == 0


def test_the_scenario_that_was_begun_last(tmp_path: Path) -> None:
    run = LiveRun(tmp_path)
    assert run.status() is None
    Growing(tmp_path, "z-first", "The first")
    first = run.status()
    Growing(tmp_path, "a-second", "The second")
    second = run.status()
    assert first is not None
    assert second is not None
    assert (first.name, second.name) == ("The first", "The second")


def test_the_lines_of_the_terminal(growing: Growing) -> None:
    growing.save(name="Name [bold]\x1b[31m of it")
    growing.add(-20, "client", Channel.WORKLOAD, "start")
    growing.io(-20, lun1=1)
    growing.io(-19, lun1=2)
    growing.add(0, "host", Channel.FAULT, "inject", id="f1", fault="power-off", target="alpha")
    status = status_of(growing, 11)
    out = io.StringIO()
    Console(file=out, width=200).print(*lines(status), sep="\n")
    shown = out.getvalue().splitlines()
    assert shown[0] == "51 s    Name [bold] of it"
    assert "power-off of alpha for 11 s (not proved yet)" in shown[2]
    assert "longest stall 30.0 s, standing still for 30.0 s" in shown[3]
    assert shown[4].startswith("nodes   alpha: no DRBD; bravo: no DRBD")
    assert one_log_line(status).startswith("power-off of alpha for 11 s")


def test_names_of_nodes_are_short_lines_without_control_characters(growing: Growing) -> None:
    """scenario.json may have come from elsewhere."""
    hostile = "\x1b[31mred\x1b]0;t\x07 \x00"
    growing.save(nodes=[hostile, "A" * 10_000])
    growing.role(-30, hostile, "r0", "Primary")
    status = status_of(growing, 0)
    first, second = status.roles
    assert status.roles[first] == "Primary of r0"
    assert first.startswith("red")
    assert not {"\x1b", "\x07", "\x00"} & set(first)
    assert len(second) <= 60


def test_silence_is_told_from_a_standstill(growing: Growing) -> None:
    growing.add(-20, "client", Channel.WORKLOAD, "start", jobs=["raw1"])
    growing.io(-20, lun1=1)
    assert status_of(growing, 100).quiet_s == pytest.approx(120)
    growing.add(99, "alpha", Channel.HOST, "cpu", threads={})
    status = status_of(growing, 100)
    assert (status.quiet_s, status.standstill_s) == (pytest.approx(1), pytest.approx(120))
    growing.save(outcome="finished")
    assert status_of(growing, 5000).quiet_s == 0


def test_an_attempt_in_the_same_place_is_followed_from_its_start(
    growing: Growing, tmp_path: Path
) -> None:
    run = LiveRun(tmp_path)
    for _ in range(9):
        growing.step(-5, "When", "alpha loses power")
    assert (run.status() or status_of(growing, 0)).step == "When alpha loses power"
    growing.path.rename(tmp_path / "aside")
    Growing(tmp_path).step(-5, "When", "all is tried again")
    status = run.status()
    assert status is not None
    assert status.step == "When all is tried again"


def test_many_faults_do_not_fill_the_terminal(growing: Growing) -> None:
    for n in range(9):
        told = {"id": f"f{n}", "fault": f"fault-{n}", "target": "alpha"}
        growing.add(0, "host", Channel.FAULT, "inject", **told)
    shown = [line.plain for line in lines(status_of(growing, 1))]
    assert [line[:16] for line in shown[2:6]] == [
        "fault   fault-0 ", "        fault-1 ", "        fault-2 ", "        and 6 mo",
    ]  # fmt: skip
    assert "fault-8" in one_log_line(status_of(growing, 1))


def test_a_log_gets_a_line_now_and_then(
    growing: Growing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    monkeypatch.setattr(terminal, "console", Console(file=out, width=200))
    monkeypatch.setattr(terminal, "_REPEAT_S", 0.01)
    growing.add(-5, "host", Channel.STEP, "begin", keyword="When", text="alpha loses power")
    told = threading.Event()

    def line(status: Any) -> str:
        told.set()
        return f"told of {status.name}"

    monkeypatch.setattr(terminal, "one_log_line", line)
    with terminal.shown_live(tmp_path):
        assert told.wait(60)
    assert "told of The node loses power" in out.getvalue()


def test_a_terminal_has_the_lines_and_loses_them_at_the_end(
    growing: Growing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    monkeypatch.setattr(terminal, "console", Console(file=out, width=100, force_terminal=True))
    growing.add(-5, "host", Channel.STEP, "begin", keyword="When", text="alpha loses power")
    with terminal.shown_live(tmp_path):
        pass
    assert "When alpha loses power" in out.getvalue()


@pytest.fixture
def server(growing: Growing, tmp_path: Path) -> Iterator[WatchServer]:
    """Serves the run of ``growing``."""
    growing.add(-5, "host", Channel.STEP, "begin", keyword="When", text="alpha loses power")
    build.run_json(tmp_path)
    server = WatchServer(tmp_path)
    yield server
    server.close()


def get(server: WatchServer, path: str, host: str = "") -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(server.url.split("/")[2], timeout=60)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


def test_watch_serves_a_page_that_asks_for_its_status(server: WatchServer) -> None:
    status, headers, page = get(server, "/")
    assert status == 200
    assert b"status.json" in page
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    told = json.loads(get(server, "/status.json")[2])
    assert told["status"]["step"] == "When alpha loses power"
    assert told["verdicts"] == []


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/run/run.json", "", 200),
        ("/run/../run.json", "", 404),
        ("/run/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "", 404),
        ("/run//etc/passwd", "", 404),
        ("/run/evidence", "", 404),
        ("/run/outside", "", 404),
        ("/run/%00", "", 404),
        ("/nothing", "", 404),
        ("/", "attacker.example", 403),
        ("/status.json", "attacker.example:80", 403),
    ],
)
def test_only_the_runs_own_files_and_only_for_this_machine(
    server: WatchServer, tmp_path: Path, path: str, host: str, status: int
) -> None:
    (tmp_path / "outside").symlink_to("/etc/passwd")
    assert get(server, path, host)[0] == status


def test_a_guests_log_is_text_whatever_it_looks_like(server: WatchServer, growing: Growing) -> None:
    (growing.path / "alpha.log").write_text("<script>alert(1)</script>")
    _, headers, _ = get(server, "/run/evidence/s1/alpha.log")
    assert headers["Content-Type"].startswith("text/plain")
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_report_grows_with_the_verdicts(growing: Growing, tmp_path: Path) -> None:
    build.run_json(tmp_path)
    watch = RunWatch(tmp_path, tmp_path / "pages")
    (tmp_path / "pages").mkdir()
    before = sorted(tmp_path.iterdir())
    assert not watch.render_if_new()
    assert watch.told()["report"] is False
    result = CheckResult("stall", "Stall", Verdict.INVALID, "e", "s", operations=1)
    ScenarioVerdict("s1", (result,)).save(growing.path / "verdict.json")
    assert watch.render_if_new()
    assert not watch.render_if_new()
    told = watch.told()
    assert told["report"] is True
    # The run writes its own report: nobody else does in its folder.
    assert sorted(tmp_path.iterdir()) == before
    assert watch.file("index.html") == tmp_path / "pages/index.html"
    assert watch.file("scenarios/s1.html") == tmp_path / "pages/scenarios/s1.html"
    assert watch.file("evidence/s1/verdict.json") == growing.path / "verdict.json"
    assert told["verdicts"] == [{"name": "The node loses power", "verdict": "INVALID"}]
    (growing.path / "verdict.json").write_text("{}")
    assert watch.told()["verdicts"][0]["verdict"] == "INCONCLUSIVE"


def test_the_command_says_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.commands.stored.REPORTS", tmp_path)
    outcome = CliRunner().invoke(app, ["watch"])
    assert "there is no run in" in str(outcome.exception)
    outcome = CliRunner().invoke(app, ["watch", str(tmp_path / "absent")])
    assert "there is no folder" in str(outcome.exception)


def test_the_newest_run_is_watched_and_a_taken_port_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old" / "evidence").mkdir(parents=True)
    taken = WatchServer(tmp_path / "old")
    monkeypatch.setattr("harness.commands.stored.REPORTS", tmp_path)
    try:
        outcome = CliRunner().invoke(app, ["watch", "--port", taken.url.split(":")[2].strip("/")])
    finally:
        taken.close()
    assert "cannot be had" in str(outcome.exception)
