"""A program on a pseudo-terminal, and what its terminal shows."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Self

import harness

if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE_S = 120.0  # CPUs may be busy with VMs
_CONTROL = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])")
_TORN = re.compile(r"\x1b(?:\[[?0-9;]*)?$")


class Screen:
    """Rows of text, as a terminal that is ``columns`` wide shows them.

    Attributes:
        rows: what is shown; a row that was too long goes on in the next one.
        wrapped: whether any row ever was.
        styles: all SGR sequences that came.
    """

    def __init__(self, columns: int) -> None:
        self.columns, self.rows, self.wrapped = columns, [""], False
        self.styles: list[str] = []
        self._row = self._column = 0

    def feed(self, text: str) -> None:
        """Take what a program writes; only whole control sequences.

        Raises:
            ValueError: a control sequence that this screen does not know.
        """
        at = 0
        while at < len(text):
            if found := _CONTROL.match(text, at):
                self._control(*found.groups())
                at = found.end()
                continue
            self._put(text[at])
            at += 1

    def text(self) -> str:
        """All rows."""
        return "\n".join(row.rstrip() for row in self.rows).rstrip()

    def _control(self, told: str, kind: str) -> None:
        match kind:
            case "m":
                self.styles.append(told)
            case "A":
                self._row = max(self._row - int(told or 1), 0)
            case "K" if told == "2":
                self.rows[self._row] = ""
            case "h" | "l" if told == "?25":
                pass  # the cursor is hidden, or shown
            case _:
                raise ValueError(f"CSI {told} {kind}")

    def _put(self, sign: str) -> None:
        if sign == "\r":
            self._column = 0
        elif sign == "\n":
            self._next()
        else:
            if self._column == self.columns:
                self.wrapped, self._column = True, 0
                self._next()
            row = self.rows[self._row].ljust(self._column)
            self.rows[self._row] = row[: self._column] + sign + row[self._column + 1 :]
            self._column += 1

    def _next(self) -> None:
        self._row += 1
        if self._row == len(self.rows):
            self.rows.append("")


class OnTerminal:
    """A Python program whose input, output and errors are a terminal of so many columns."""

    def __init__(self, program: str, *arguments: str, columns: int, **env: str) -> None:
        self.screen = Screen(columns)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""
        self._fd, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        modes = termios.tcgetattr(slave)
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, modes)
        unset = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TERM")
        inherited = {key: value for key, value in os.environ.items() if key not in unset}
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            cwd=os.path.dirname(os.path.dirname(harness.__file__)),
            env=inherited | {"TERM": "xterm-256color"} | env,
        )  # fmt: skip
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._fd)

    def wait(self, condition: Callable[[str], bool]) -> str:
        """Read until the screen is as wanted, and return what it shows.

        Raises:
            TimeoutError: it never was.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while not condition(self.screen.text()):
            ready, _, _ = select.select([self._fd], [], [], 0.2)
            with contextlib.suppress(OSError):  # the program has ended
                read = os.read(self._fd, 1 << 16) if ready else b""
                self._pending += self._decoder.decode(read)
            # What is written at once need not be read at once.
            torn = _TORN.search(self._pending)
            whole = torn.start() if torn else len(self._pending)
            self.screen.feed(self._pending[:whole])
            self._pending = self._pending[whole:]
            if time.monotonic() > deadline:
                raise TimeoutError(self.screen.text())
        return self.screen.text()

    def enter(self) -> None:
        """Press Enter."""
        os.write(self._fd, b"\n")
