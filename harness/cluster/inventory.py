"""What a run is made on: versions of every package of the guests and of this host, and the kernels.

The guests' are those of the image, which all three boot; the host's are asked of its own package
manager, Python's of the environment that the harness runs in.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from importlib.metadata import distributions
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.lab.image import Image

_NAMED = (
    "drbd-utils", "corosync", "pacemaker", "crmsh", "resource-agents",
    "resource-agents-base", "fio",
)  # fmt: skip
_KERNEL = re.compile(r"linux-image-\d")
# One of them is there: dpkg-query(1), rpm(8).
_ASK = (
    ("dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Package} ${Version}\n"),
    ("rpm", "-qa", "--queryformat", "ii %{NAME} %{VERSION}-%{RELEASE}\n"),
)
_INSTALLED = re.compile(r"^.i.\s*(\S+) (\S+)$")


def versions_of(image: Image, qemu: str) -> dict[str, str]:
    """Versions that a result depends on by name, for people: parts with others are not merged.

    Raises:
        MissingEnvironmentError: QEMU is not installed.
    """
    packages = image.package_versions()
    kernel = next((name for name in packages if _KERNEL.match(name)), "")
    versions = {name: packages[name] for name in _NAMED if name in packages}
    return versions | {
        "kernel": packages.get(kernel, "?"),
        "qemu": qemu,
        "python": sys.version.split()[0],
    }


def packages_of(image: Image) -> dict[str, dict[str, str]]:
    """Every package, by ``guests``, ``host`` and ``python``; of the host its kernel as well."""
    return {
        "guests": dict(sorted(image.package_versions().items())),
        "host": {"(running kernel)": platform.release()} | host_packages(),
        "python": {
            str(one.metadata["Name"]): one.version
            for one in sorted(distributions(), key=lambda one: str(one.metadata["Name"]).lower())
        },
    }


def host_packages() -> dict[str, str]:
    """Packages that are installed on this host; empty without dpkg or rpm."""
    for command in _ASK:
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        except (OSError, subprocess.SubprocessError):
            continue
        return dict(sorted(parse_packages(done.stdout).items()))
    return {}


def parse_packages(text: str) -> dict[str, str]:
    """Names and versions of what is installed: lines of "status name version"."""
    found = (_INSTALLED.match(line) for line in text.splitlines())
    return {match[1]: match[2] for match in found if match is not None}
