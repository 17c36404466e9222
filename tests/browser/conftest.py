"""Tests in a browser run only when they are asked for by their marker; else that is said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.browser.chrome import browser

if TYPE_CHECKING:
    import pytest

_HERE = Path(__file__).parent
_left_out: list[int] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests of this folder out, unless ``-m`` names them."""
    if "browser" in (config.getoption("markexpr") or ""):
        return
    ours = [item for item in items if item.path.is_relative_to(_HERE)]
    if ours:
        _left_out.append(len(ours))
        config.hook.pytest_deselected(items=ours)
        items[:] = [item for item in items if item not in ours]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line of what was not run."""
    if _left_out:
        here = "a Chromium is here" if browser() else "there is no Chromium here"
        terminalreporter.write_line(
            f"{sum(_left_out)} browser tests were not run: they take -m browser ({here})"
        )
