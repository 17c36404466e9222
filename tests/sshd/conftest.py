"""Tests with a real sshd run only when they are asked for by their marker; else that is said."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.sshd.farhost import FarHost, sshd

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE = Path(__file__).parent
_left_out: list[int] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests of this folder out, unless ``-m`` names them."""
    if "sshd" in (config.getoption("markexpr") or ""):
        return
    ours = [item for item in items if item.path.is_relative_to(_HERE)]
    if ours:
        _left_out.append(len(ours))
        config.hook.pytest_deselected(items=ours)
        items[:] = [item for item in items if item not in ours]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line of what was not run."""
    if _left_out:
        here = "an sshd is here" if sshd() else "there is no sshd here"
        terminalreporter.write_line(
            f"{sum(_left_out)} tests with an sshd were not run: they take -m sshd and root ({here})"
        )


@pytest.fixture(scope="session")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarHost]:
    """A host that is reached by a real sshd."""
    program = sshd()
    if program is None:
        pytest.fail("no sshd here (hint: apt install openssh-server, or leave -m sshd out)")
    if shutil.which("unshare") is None:
        pytest.fail("no unshare(1) here (hint: apt install util-linux)")
    with FarHost(program, tmp_path_factory.mktemp("far")) as host:
        yield host
