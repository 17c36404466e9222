"""The page of ``harness watch`` in a real browser, beside a run that grows, ends, or vanishes.

Runs only when it is asked for (``-m browser``) and where there is a Chromium.
"""

from __future__ import annotations

import shutil
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from harness.checks.verdict import Verdict, read_run_verdicts, write_run_verdicts
from harness.evidence.timeline import Channel
from harness.report.live.serve import WatchServer
from tests.report import build, scenes
from tests.report.live.growing import Growing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.browser.chrome import Chrome

pytestmark = pytest.mark.browser


class Clock:
    """What the server takes for now, seconds from the injection."""

    def __init__(self) -> None:
        self.now_s = -38.0

    def now_ns(self) -> int:
        return build.at(self.now_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The server's clock."""
    clock = Clock()
    monkeypatch.setattr("harness.report.live.terminal.now_ns", clock.now_ns)
    return clock


@pytest.fixture
def server(tmp_path: Path, clock: Clock, chrome: Chrome) -> Iterator[WatchServer]:
    """Serves a run that has just begun, and is not ready before its clock can be set."""
    build.run_json(tmp_path / "run")
    server = WatchServer(tmp_path / "run")
    chrome.console.clear()
    yield server
    chrome.call("Page.navigate", url="about:blank")
    chrome.wait("location.href === 'about:blank'")
    server.close()
    chrome.window(1400, 1000)


def told(chrome: Chrome, name: str, words: str) -> None:
    """Wait until a part of the page says something."""
    chrome.wait(f"document.getElementById({name!r}).innerText.includes({words!r})")


def looks(chrome: Chrome, times: int = 2) -> None:
    """Wait until the page has asked for its status so many times more."""
    asked = len(chrome.requests)
    deadline = time.monotonic() + 60
    while len(chrome.requests) < asked + times:
        assert time.monotonic() < deadline
        chrome.run("1")
        time.sleep(0.05)


def at_peace(chrome: Chrome, server: WatchServer) -> None:
    """Nothing was complained of, and nothing was asked of anybody else."""
    assert chrome.console == []
    assert {urlsplit(url).netloc for url in chrome.requests} == {urlsplit(server.url).netloc}
    paths = {urlsplit(url).path for url in chrome.requests}
    assert "/status.json" in paths
    assert paths <= {"/", "/status.json", "/favicon.ico"}


def test_it_follows_a_run(
    chrome: Chrome, server: WatchServer, tmp_path: Path, clock: Clock
) -> None:
    chrome.open(server.url)
    told(chrome, "name", "Waiting for a scenario")
    growing = Growing(tmp_path / "run")
    told(chrome, "name", "The node loses power")
    told(chrome, "step", "not begun")
    told(chrome, "io", "no I/O")
    for node, role in (("alpha", "Primary"), ("bravo", "Secondary")):
        growing.role(-30, node, "r0", role)
        growing.role(-30, node, "r1", role)
    growing.step(-20, "Given", "the initiator writes to every LUN")
    growing.add(-20, "client", Channel.WORKLOAD, "start", jobs=["raw1"])
    for second in range(-20, 1):
        growing.io(second, lun1=(second + 20) * 150)
    clock.now_s = 0
    told(chrome, "step", "Given the initiator writes to every LUN")
    told(chrome, "faults", "none is active")
    told(chrome, "io", "150 writes/s")
    told(chrome, "stall", "1.0 s")
    told(chrome, "nodes", "alpha: Primary of r0 r1")
    told(chrome, "nodes", "bravo: Secondary")
    told(chrome, "elapsed", "40.0 s")
    growing.step(0, "When", "alpha loses power")
    growing.fault(0, "inject")
    growing.io(30, lun1=3000)
    clock.now_s = 30
    told(chrome, "step", "When alpha loses power")
    told(chrome, "faults", "power-off of alpha for 30.0 s (not proved yet)")
    told(chrome, "io", "0 writes/s")
    told(chrome, "stall", "30.0 s, standing still for 30.0 s")
    growing.fault(31, "bitten")
    growing.add(31, "alpha", Channel.DOMAIN, "lifecycle", event="stopped")
    growing.role(32, "bravo", "r0", "Primary")
    growing.io(33, lun1=3001)
    clock.now_s = 33
    told(chrome, "nodes", "alpha: off")
    told(chrome, "nodes", "bravo: Primary of r0")
    told(chrome, "stall", "33.0 s")
    assert "not proved" not in chrome.run("faults.innerText")
    assert "standing still" not in chrome.run("stall.innerText")
    growing.fault(34, "healed")
    told(chrome, "faults", "none is active")
    growing.judge(Verdict.INVALID)
    told(chrome, "name", "(ended)")
    told(chrome, "verdicts", "✕ INVALID The node loses power")
    told(chrome, "report", "The report so far")
    Growing(tmp_path / "run", "s2", "The other node loses power")
    told(chrome, "name", "The other node loses power")
    told(chrome, "verdicts", "INVALID The node loses power")
    at_peace(chrome, server)


def test_a_scenario_that_is_tried_again_is_followed_from_its_start(
    chrome: Chrome, server: WatchServer, tmp_path: Path
) -> None:
    growing = Growing(tmp_path / "run")
    for _ in range(50):
        growing.step(-30, "Given", "a step of the first attempt")
    chrome.open(server.url)
    told(chrome, "step", "first attempt")
    growing.path.rename(tmp_path / "aside")
    again = Growing(tmp_path / "run")
    again.step(-20, "Given", "a step of the second one")
    told(chrome, "step", "Given a step of the second one")


def test_the_report_is_reached_by_keyboard_while_the_page_is_renewed(
    chrome: Chrome, server: WatchServer, tmp_path: Path
) -> None:
    scenes.red(tmp_path / "run")
    chrome.open(server.url)
    told(chrome, "report", "The report so far")
    chrome.key("Tab")
    assert chrome.run("document.activeElement.textContent") == "The report so far"
    looks(chrome)
    assert chrome.run("document.activeElement.textContent") == "The report so far"
    chrome.key("Enter")
    chrome.wait("location.pathname === '/run/index.html'")
    chrome.wait("document.readyState === 'complete'")
    chrome.run("document.querySelector('table.summary a').click()")
    chrome.wait("location.pathname.startsWith('/run/scenarios/')")
    chrome.wait("document.documentElement.dataset.ready === 'yes'")
    assert chrome.console == []


def test_only_what_changes_is_read_aloud(
    chrome: Chrome, server: WatchServer, tmp_path: Path, clock: Clock
) -> None:
    """The time that passes is not: it would be said every second."""
    Growing(tmp_path / "run")
    chrome.open(server.url)
    told(chrome, "name", "The node loses power")
    chrome.run(
        "(() => { window.changed = 0; new MutationObserver(() => window.changed++).observe("
        "document.querySelector('[aria-live]'), {childList: true, characterData: true,"
        " subtree: true}); })()"
    )
    clock.now_s = -20
    told(chrome, "elapsed", "20.0 s")
    looks(chrome)
    assert chrome.run("window.changed") == 0


def test_a_run_that_ends(chrome: Chrome, server: WatchServer, tmp_path: Path, clock: Clock) -> None:
    run = tmp_path / "run"
    growing = Growing(run)
    growing.add(-20, "client", Channel.WORKLOAD, "start", jobs=["raw1"])
    growing.io(-20, lun1=1)
    growing.io(-19, lun1=2)
    growing.fault(0, "inject")
    clock.now_s = 10
    chrome.open(server.url)
    told(chrome, "stall", "standing still")
    growing.judge()
    told(chrome, "name", "(ended)")
    assert chrome.run("note.innerText") == ""
    write_run_verdicts(run, read_run_verdicts(run))
    told(chrome, "note", "The run has ended.")
    clock.now_s = 10_000
    looks(chrome)
    assert "standing still" not in chrome.run("stall.innerText")
    told(chrome, "faults", "power-off of alpha")
    # It is resumed, and goes on.
    Growing(run, "s2", "The other node loses power")
    told(chrome, "name", "The other node loses power")
    assert "ended" not in chrome.run("note.innerText")
    at_peace(chrome, server)


def test_a_run_that_is_killed(
    chrome: Chrome, server: WatchServer, tmp_path: Path, clock: Clock
) -> None:
    """It must not look like a cluster that stands still."""
    growing = Growing(tmp_path / "run")
    growing.step(-20, "When", "alpha loses power")
    clock.now_s = 30
    chrome.open(server.url)
    told(chrome, "step", "When alpha loses power")
    assert chrome.run("note.innerText") == ""
    clock.now_s = 7_300
    told(chrome, "note", "Nothing was written for 2 h 02 min")
    growing.step(7_301, "Then", "bravo takes over")
    told(chrome, "step", "Then bravo takes over")
    assert chrome.run("note.innerText") == ""


def test_a_folder_that_vanishes(chrome: Chrome, server: WatchServer, tmp_path: Path) -> None:
    run = tmp_path / "run"
    scenes.green(run)
    growing = Growing(run)
    growing.step(-20, "When", "alpha loses power")
    chrome.open(server.url)
    told(chrome, "report", "The report so far")
    run.rename(tmp_path / "away")
    told(chrome, "note", "The run's folder is gone")
    told(chrome, "step", "When alpha loses power")
    looks(chrome, 4)
    assert not run.exists()
    at_peace(chrome, server)
    (tmp_path / "away").rename(run)
    chrome.wait("note.innerText === ''")
    growing = Growing(run, "s2", "Another one")
    growing.judge()
    told(chrome, "verdicts", "✓ VALID Another one")
    shutil.rmtree(run)
    told(chrome, "note", "The run's folder is gone")
    assert any(one.name == "render" for one in threading.enumerate())


def test_a_server_that_ends_is_told_of(chrome: Chrome, tmp_path: Path, clock: Clock) -> None:
    build.run_json(tmp_path / "run")
    growing = Growing(tmp_path / "run")
    growing.step(-20, "When", "alpha loses power")
    server = WatchServer(tmp_path / "run")
    chrome.open(server.url)
    told(chrome, "step", "When alpha loses power")
    server.close()
    told(chrome, "note", "harness watch does not answer any more")
    assert chrome.run("note.getBoundingClientRect().bottom < step.getBoundingClientRect().top")


HOSTILE = (
    "<script>window.owned = 1</script>",
    "</script><img src=x onerror='window.owned = 2'>",
    "\x1b[31mred\x1b]8;;http://evil.example/\x07link \x00\x07",
    "line\u2028separator \u202egnirts",
    "A" * 10_000,
)


@pytest.mark.parametrize("width", [1400, 400])
def test_hostile_text_is_text(
    chrome: Chrome, server: WatchServer, tmp_path: Path, clock: Clock, width: int
) -> None:
    chrome.window(width, 900, dark=width == 400)
    for n, text in enumerate(HOSTILE):
        growing = Growing(tmp_path / "run", f"s{n}", text)
        growing.save(nodes=[HOSTILE[2], text], feature=text)
        growing.step(-20, text, text)
        growing.fault(0, "inject", text, text)
        growing.role(-30, text, text, "Primary")
        growing.add(-30, "client", Channel.PROGRESS, "io", disk=text, write_ios=text)
        growing.judge(Verdict.INVALID, text)
        (growing.path / "verdict.json").touch()
    growing.save(outcome="running")
    clock.now_s = 10
    chrome.open(server.url)
    told(chrome, "name", "AAAA")
    told(chrome, "report", "The report so far")
    assert chrome.run("document.querySelectorAll('#verdicts li').length") == len(HOSTILE)
    assert chrome.run("document.documentElement.scrollWidth") <= width
    assert chrome.run("window.owned") is None
    assert chrome.run("document.images.length") == 0
    text = chrome.run("document.body.innerText")
    assert HOSTILE[0] in text
    assert not {"\x1b", "\x00", "\x07", "\u202e", "\u2028"} & set(text)
    assert "A" * 301 not in text
    at_peace(chrome, server)
