"""Which versions a run tells: of every package of the guests and of this host."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import pytest

from harness.cluster import inventory
from harness.cluster.inventory import host_packages, packages_of, parse_packages, versions_of
from harness.lab.image import Image

if TYPE_CHECKING:
    from pathlib import Path

# dpkg-query -W -f '${db:Status-Abbrev}${Package} ${Version}\\n' of dpkg 1.21, shortened.
DPKG = """\
ii  adduser 3.134
rc  apparmor 3.0.8-3
hi  bash 5.2.15-2+b7
un  awk 
iU  half 1.0
"""  # noqa: W291


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Image:
    (tmp_path / "packages.txt").write_text(
        "pacemaker 2.1.5-1\nlinux-image-6.1.0-28-cloud-amd64 6.1.119-1\nzstd 1.5.4\n"
    )
    return Image(tmp_path)


def test_what_a_result_depends_on_by_name(image: Image) -> None:
    told = versions_of(image, "QEMU emulator version 7.2")
    assert told["pacemaker"] == "2.1.5-1"
    assert told["kernel"] == "6.1.119-1"
    assert told["qemu"] == "QEMU emulator version 7.2"
    assert "zstd" not in told


def test_every_package_of_guests_host_and_python(image: Image) -> None:
    told = packages_of(image)
    assert told["guests"] == image.package_versions()
    assert told["host"]["(running kernel)"] == platform.release()
    assert "pytest" in told["python"]


def test_only_what_is_installed_counts() -> None:
    assert parse_packages(DPKG) == {"adduser": "3.134", "bash": "5.2.15-2+b7"}


def test_this_host_s_packages_are_asked_of_its_own_manager(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rpm").write_text("#!/bin/sh\necho 'ii kernel 5.14-1.el9'\n")
    (tmp_path / "rpm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/nonexistent")
    monkeypatch.setattr(inventory, "_ASK", (("dpkg-query-none",), (str(tmp_path / "rpm"),)))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert host_packages() == {"kernel": "5.14-1.el9"}
    monkeypatch.setattr(inventory, "_ASK", (("dpkg-query-none",), ("false",)))
    assert host_packages() == {}


def test_a_real_host_has_packages() -> None:
    assert len(host_packages()) > 50
