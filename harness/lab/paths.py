"""Where the harness keeps things on the host.

Everything lives under one cache root, so that removing it removes every trace:

    images/<recipe hash>/     base.qcow2, vmlinuz, initrd.img, packages.txt
    clusters/<key>/           a formed cluster: disks with the healthy snapshot, keys, seeds
    labs/<name>/              a running lab (one private libvirt daemon); gone when it ends
    packages/                 downloaded .deb files of Debian 12, reused by the next image build
    packages-<suite>/         those of other guests
    leases/                   lock files
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from harness.errors import BadInputError

PROJECT = Path(__file__).resolve().parents[2]
VAGRANT = PROJECT / "vagrant"
REPORTS = PROJECT / "reports"

# A unix socket's path has 108 bytes (unix(7)); the longest one below a lab is about 40.
_MAX_ROOT = 60


@dataclass(frozen=True, slots=True)
class Cache:
    """The cache root and the folders in it.

    Raises:
        BadInputError: the root's path is too long for the sockets below it.
    """

    root: Path

    def __post_init__(self) -> None:
        if len(os.fsencode(self.root)) > _MAX_ROOT:
            raise BadInputError(
                f"the cache path is longer than {_MAX_ROOT} bytes: {self.root}",
                hint="unix sockets live below it; choose a shorter one with --cache",
            )
        if self.root.is_relative_to("/run") or self.root.is_relative_to("/proc"):
            raise BadInputError(
                f"the cache cannot lie at {self.root}: a lab covers that folder with its own",
                hint="choose another one with --cache",
            )

    @property
    def images(self) -> Path:
        """Built guest images, one folder per recipe."""
        return self.root / "images"

    @property
    def clusters(self) -> Path:
        """Formed clusters with their healthy snapshot, one folder per key."""
        return self.root / "clusters"

    @property
    def labs(self) -> Path:
        """Running labs, one folder each."""
        return self.root / "labs"

    @property
    def packages(self) -> Path:
        """Packages of Debian 12, kept between image builds."""
        return self.root / "packages"

    def packages_of(self, suite: str) -> Path:
        """Those of one suite: an image's build copies the whole folder into its chroot."""
        return self.packages if suite == "bookworm" else self.root / f"packages-{suite}"

    @property
    def leases(self) -> Path:
        """Lock files of leased names."""
        return self.root / "leases"


CACHE_VARIABLE = "FAILOVER_HARNESS_CACHE"


def user_cache() -> Path:
    """Where the cache of a user without root lies, unless they say otherwise."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "failover-harness"


def default_cache() -> Cache:
    """The cache root: ``$FAILOVER_HARNESS_CACHE`` or /var/cache/failover-harness.

    Of a user who has made labs without root (``--rootless``), it is that user's own.
    """
    own = user_cache()
    usual = own if os.geteuid() != 0 and own.is_dir() else Path("/var/cache/failover-harness")
    return Cache(Path(os.environ.get(CACHE_VARIABLE, str(usual))))
