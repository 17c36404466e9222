"""A machine's serial console as libvirt logs it: what the kernel said since some moment.

For faults that look for their proof; verdicts rest on the timeline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class ConsoleSince:
    """What is added to the console's log of a machine from now on.

    Args:
        folder: of the lab.
        name: of the machine.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / "console" / f"{name}.log"
        self._from = self._path.stat().st_size if self._path.exists() else 0

    def lines(self) -> list[str]:
        """Every line so far, the last one perhaps torn; a guest's words, untrusted."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._from)
            return file.read().decode("utf-8", "replace").splitlines()

    def first(self, *texts: str) -> str:
        """The first line that has one of these texts in it, trimmed; empty if there is none."""
        for line in self.lines():
            if any(text in line for text in texts):
                return line.strip()[:200]
        return ""
