"""Waiting says what was missing; long work says what it does and for how long."""

from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console

from harness import progress
from harness.errors import DeadlineError
from harness.waiting import wait_until


def test_it_ends_as_soon_as_nothing_is_missing() -> None:
    answers = ["alpha", "bravo", ""]
    heard: list[str] = []
    took = wait_until(
        "nodes", lambda: answers.pop(0), deadline_s=10, interval_s=0.02, note=heard.append
    )
    assert answers == []
    assert heard == ["alpha", "bravo"]
    assert 0.04 <= took < 5


def test_what_is_there_already_takes_no_time_even_without_any() -> None:
    assert wait_until("nodes", lambda: "", deadline_s=0, interval_s=60) < 1


def test_the_deadline_names_what_was_missing_last() -> None:
    answers = iter(["alpha and bravo", *["bravo"] * 1000])
    with pytest.raises(DeadlineError) as error:
        wait_until(
            "both nodes online",
            lambda: next(answers),
            deadline_s=0.15,
            interval_s=0.02,
            hint="harness ssh alpha",
        )
    assert error.value.message == "both nodes online: not within 0 s; still missing: bravo"
    assert error.value.hint == "harness ssh alpha"


def test_an_error_within_is_not_waited_for() -> None:
    calls: list[int] = []

    def missing() -> str:
        calls.append(1)
        raise ValueError("the parser broke")

    with pytest.raises(ValueError, match="the parser broke"):
        wait_until("x", missing, deadline_s=10, interval_s=0.01)
    assert calls == [1]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a log (CI) gets to see."""
    text = io.StringIO()
    console = Console(file=text, force_terminal=False, highlight=False, soft_wrap=True, width=40)
    monkeypatch.setattr(progress, "console", console)
    return text


def test_a_stage_is_announced_repeated_and_ended(
    screen: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_REPEAT_S", 0.05)
    with progress.stage("Forming the cluster, which takes longer than a line") as stage:
        stage.note("starting [Corosync] and Pacemaker")
        time.sleep(0.2)
    lines = screen.getvalue().splitlines()
    assert lines[0] == "… Forming the cluster, which takes longer than a line"
    repeated = "… Forming the cluster, which takes longer than a line: "
    assert lines[1].startswith(repeated + "starting [Corosync] and Pacemaker (")
    assert lines[-1].startswith("✓ Forming the cluster, which takes longer than a line (")
    count = len(lines)
    time.sleep(0.15)
    assert len(screen.getvalue().splitlines()) == count, "it goes on after its end"


def test_a_stage_that_fails_says_so_and_lets_the_error_through(screen: io.StringIO) -> None:
    def fail() -> None:
        with progress.stage("Building"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert screen.getvalue().splitlines()[-1].startswith("✗ Building (")


def test_on_a_terminal_one_line_is_kept_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=text, force_terminal=True, width=100))
    with progress.stage("Building") as stage:
        stage.note("packages")
        time.sleep(0.8)
    shown = text.getvalue()
    assert re.search(r"Building: packages \(\d s\)", shown)
    assert "✓ Building" in shown
    assert "…" not in shown
