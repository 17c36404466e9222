"""The library in the pages is the one that is named, and is packed with the harness."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import pytest

import harness.report

_HERE = Path(harness.report.__file__).parent
_VENDOR = _HERE / "vendor"
_HASHES = {
    "uplot/uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uplot/uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "uplot/LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}


@pytest.mark.parametrize("name", _HASHES)
def test_it_is_unchanged(name: str) -> None:
    assert hashlib.sha256((_VENDOR / name).read_bytes()).hexdigest() == _HASHES[name]


def test_version_and_licence_are_told() -> None:
    text = (_VENDOR / "README.md").read_text()
    script = (_VENDOR / "uplot/uPlot.iife.min.js").read_text()
    assert "1.6.32" in text
    assert "(v1.6.32)" in script[:200]
    assert "MIT License" in (_VENDOR / "uplot/LICENSE").read_text()
    # It could not stand in a page otherwise.
    assert "</script" not in script.lower()
    assert "<!--" not in script


def test_everything_that_pages_are_made_of_is_packed() -> None:
    project = tomllib.loads((_HERE.parents[1] / "pyproject.toml").read_text())
    packed = {
        path
        for package, patterns in project["tool"]["setuptools"]["package-data"].items()
        for pattern in patterns
        for path in (_HERE.parents[1] / package.replace(".", "/")).glob(pattern)
        if path.is_file() and path.is_relative_to(_HERE)
    }
    needed = {
        path
        for path in _HERE.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and "__pycache__" not in path.parts
    }
    assert needed == packed
