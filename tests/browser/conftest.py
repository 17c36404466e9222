"""Tests in a browser run only when they are asked for by their marker; else that is said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.chrome import Chrome, browser

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.fixture(scope="session")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A browser for all tests; whoever changes its window puts 1,400 by 1,000 back."""
    program = browser()
    if program is None:
        pytest.fail("no Chromium here (hint: apt install chromium, or leave -m browser out)")
    with Chrome(program, tmp_path_factory.mktemp("profile")) as chrome:
        chrome.window(1400, 1000)
        yield chrome
