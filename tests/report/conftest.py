"""Fixtures of the report's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.report import build

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """An empty run folder with a run.json."""
    build.run_json(tmp_path / "run-1")
    return tmp_path / "run-1"
