"""Real VMs: the host as it was before a test, to compare with what is there afterwards."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.lab.paths import PROJECT, default_cache

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class HostState:
    """What a lab could leave behind on a host."""

    processes: frozenset[str]
    mounts: frozenset[str]
    namespaces: frozenset[str]
    interfaces: frozenset[str]
    rules: str
    loops: str
    labs: frozenset[str]
    half_built: frozenset[str]

    @classmethod
    def now(cls) -> HostState:
        """Look at the host."""
        cache = default_cache()
        ours = re.compile(
            rb"qemu-system|libvirtd|fence_virtd|harness\.lab\.warden|mmdebstrap|unshare"
        )
        processes = set()
        namespaces = set()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                command = (entry / "cmdline").read_bytes()
                for kind in ("net", "mnt", "pid"):
                    namespaces.add(os.readlink(entry / "ns" / kind))
            except OSError:
                continue
            if ours.search(command):
                processes.add(f"{entry.name} {command[:200]!r}")
        return cls(
            processes=frozenset(processes),
            mounts=frozenset(Path("/proc/self/mounts").read_text().splitlines()),
            namespaces=frozenset(namespaces),
            interfaces=frozenset(os.listdir("/sys/class/net")),
            rules=_output("nft", "list", "ruleset"),
            loops=_output("losetup", "-a"),
            labs=_names(cache.labs),
            half_built=frozenset(
                str(p) for top in (cache.images, cache.clusters) for p in top.glob(".*")
            ),
        )


def _names(folder: Path) -> frozenset[str]:
    return frozenset(p.name for p in folder.iterdir()) if folder.is_dir() else frozenset()


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@pytest.fixture
def harness(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the ``harness`` command; keyword arguments are environment variables."""

    def call(
        *arguments: str, timeout_s: float = 1800, **env: str
    ) -> subprocess.CompletedProcess[str]:
        log = tmp_path / "harness.log"
        with log.open("w+", encoding="utf-8") as file:
            done = subprocess.run(
                [sys.executable, "-m", "harness", *arguments],
                cwd=PROJECT,
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=timeout_s,
                check=False,
            )
            file.seek(0)
            text = file.read()
        print(text)
        return subprocess.CompletedProcess(done.args, done.returncode, text, "")

    return call
