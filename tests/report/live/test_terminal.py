"""The live lines on a real pseudo-terminal: wide, narrow, without colours, on one that is dumb."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.evidence.timeline import Channel
from tests.report.build import at
from tests.report.live.growing import Growing
from tests.report.live.screen import OnTerminal

if TYPE_CHECKING:
    from pathlib import Path

NAME = "The active node loses power while the drbd and mgmt links are cut and all of it is slow"
SHOW = f"""
import sys
from pathlib import Path
from harness.report.live import terminal
terminal.now_ns = lambda: {at(30)}
terminal._REPEAT_S = 0.2
with terminal.shown_live(Path(sys.argv[1])):
    for line in sys.stdin:
        print("said", line.strip() or "something", flush=True)
        if not line.strip():
            break
print("THE END", flush=True)
"""


@pytest.fixture
def growing(tmp_path: Path) -> Growing:
    """A scenario with a long name in which two faults are active and writes stand still."""
    growing = Growing(tmp_path, name=NAME)
    for resource in ("r0", "r1", "r2"):
        growing.role(-30, "alpha", resource, "Primary")
        growing.role(-30, "bravo", resource, "Secondary")
    growing.step(
        -5, "When", "the drbd and mgmt links of the active node are cut and it loses power"
    )
    growing.add(-20, "client", Channel.WORKLOAD, "start", jobs=["raw1"])
    for second in range(-20, 1):
        growing.io(second, lun1=(second + 20) * 100)
    for n, name in enumerate(("cut-silent", "power-off")):
        told = {"id": f"f{n}", "fault": name, "target": "drbd and mgmt links of the active node"}
        growing.add(0, "host", Channel.FAULT, "inject", **told)
    return growing


@pytest.mark.parametrize("columns", [80, 200])
def test_every_line_is_one_row_and_what_matters_is_in_it(
    growing: Growing, tmp_path: Path, columns: int
) -> None:
    with OnTerminal(SHOW, str(tmp_path), columns=columns) as shown:
        text = shown.wait(lambda text: "bravo: Secondary" in text)
        rows = text.splitlines()
        assert rows[0].startswith("1 min 10 s  The active node loses power")
        assert rows[1].startswith("step    When the drbd and mgmt links of the active node")
        assert rows[2].startswith(
            "fault   cut-silent of drbd and mgmt links of the active node for 30 s"
        )
        assert rows[3].startswith(
            "        power-off of drbd and mgmt links of the active node for 30 s"
        )
        assert rows[4] == "I/O     0 writes/s, longest stall 30.0 s, standing still for 30.0 s"
        assert rows[5] == "nodes   alpha: Primary of r0 r1 r2; bravo: Secondary"
        # What is cut says so.
        assert rows[0].endswith("…") == rows[1].endswith("…") == (columns == 80)
        # The lines stay below what is said, and what follows them is in their place.
        growing.step(1, "Then", "bravo takes over")
        # Down to the last of them: a busy machine may show a frame in parts.
        text = shown.wait(lambda text: "Then bravo takes over" in text and "bravo: Sec" in text)
        assert text.count("nodes   ") == text.count("fault   ") == 1
        shown.enter()
        text = shown.wait(lambda text: "THE END" in text)
        assert text.splitlines() == ["said something", "THE END"]
        assert not shown.screen.wrapped


def test_colours_are_left_out_where_they_are_not_wanted(growing: Growing, tmp_path: Path) -> None:
    def colours(**env: str) -> set[str]:
        with OnTerminal(SHOW, str(tmp_path), columns=80, **env) as shown:
            shown.wait(lambda text: "bravo: Secondary" in text)
            told = {part for style in shown.screen.styles for part in style.split(";")}
        return told & {str(number) for number in (*range(30, 50), *range(90, 108))}

    assert colours(NO_COLOR="1") == set()
    assert colours() != set()


def test_a_dumb_terminal_gets_a_line_now_and_then(growing: Growing, tmp_path: Path) -> None:
    """It cannot take lines back, but silence would look like a hang."""
    with OnTerminal(SHOW, str(tmp_path), columns=80, TERM="dumb") as shown:
        text = shown.wait(lambda text: "bravo: Secondary" in text)
        assert "power-off of drbd and mgmt links" in text
        assert "standing still for 30.0 s" in text
        shown.enter()
        shown.wait(lambda text: "THE END" in text)
        assert shown.screen.styles == []


def test_hostile_text_moves_nothing(growing: Growing, tmp_path: Path) -> None:
    hostile = "\x1b[2J\x1b[9Ared\x1b]0;t\x07 \x00\r\n\u202e" + "宽" * 200
    growing.save(name=hostile, nodes=[hostile, "bravo"])
    growing.step(0, "When", hostile)
    growing.add(0, "host", Channel.FAULT, "inject", id="f1", fault=hostile, target=hostile)
    with OnTerminal(SHOW, str(tmp_path), columns=80) as shown:
        # Anything but what rich moves its lines with is an error of the screen.
        text = shown.wait(lambda text: "nodes   red" in text)
        assert len(text.splitlines()) == 6
        assert not {"\x07", "\x00", "\u202e"} & set(text)
        shown.enter()
        assert shown.wait(lambda text: "THE END" in text).splitlines()[-1] == "THE END"
