"""A lab on another host by qemu+ssh: it works there, and leaves that host as it was.

A private host, empty, plays the other one: a libvirtd of its own, in mount, network and PID
namespaces of its own, with a real sshd on its loopback. The harness is put into its network
namespace only, so that it finds that sshd; files and processes of the one are out of the other's
sight. What the two share beside the network is nothing that a lab uses.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.lab.elsewhere import ROOT
from harness.lab.host import PrivateHost, kill_warden
from harness.lab.image import ImageOptions, ensure_image
from harness.lab.paths import PROJECT, Cache, default_cache
from harness.waiting import wait_until
from tests.sshd.farhost import sshd
from tests.vm.conftest import HostState

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.vm, pytest.mark.nightly]

_PORT = 2222
_SCENARIOS = (
    "The mgmt link is cut during writes [silently]",  # rules on that host
    "The active node loses power during writes",  # kill -9 and fencing there
)
_ACCOUNT = "sshd:x:64057:65534:sshd:/run/sshd:/usr/sbin/nologin"


@dataclass(frozen=True)
class Far:
    """The host that plays another one, and a folder for what this side needs."""

    host: PrivateHost
    folder: Path

    @property
    def uri(self) -> str:
        return f"qemu+ssh://root@127.0.0.1:{_PORT}/system?command={self.folder}/ssh"

    def harness(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """The ``harness`` command on this machine, which finds that host's sshd."""
        own = {
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            "FAILOVER_HARNESS_CACHE": str(self.folder / "c"),
            **env,
        }
        done = subprocess.run(
            ["nsenter", "-t", str(self.host.pid), "-n", "--", sys.executable, "-m", "harness",
             *arguments],
            cwd=PROJECT, env=own, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=3600, check=False,
        )  # fmt: skip
        print(done.stdout)
        return done

    def objects(self) -> dict[str, str]:
        """What a lab could leave there."""
        virsh = ("virsh", "-q", "-c", "qemu:///system")
        return {
            "domains": self.host.run(*virsh, "list", "--all", "--name"),
            "networks": self.host.run(*virsh, "net-list", "--all", "--name"),
            "pools": self.host.run(*virsh, "pool-list", "--all", "--name"),
            "links": self.host.run("ip", "-o", "-br", "link"),
            "addresses": self.host.run("ip", "-o", "-br", "address"),
            "rules": self.host.run("nft", "list", "ruleset"),
            "labs": self.host.run("sh", "-c", f"ls {ROOT}/labs 2> /dev/null || true"),
            "processes": self.host.run(
                "sh", "-c", "ps -e -o comm= | grep -E 'qemu|fence_virtd|python' || true"
            ),
        }


@pytest.fixture
def far() -> Iterator[Far]:
    program = sshd()
    assert program is not None, "no sshd here (hint: apt install openssh-server)"
    with tempfile.TemporaryDirectory(prefix="fh-", dir="/tmp") as name:
        folder = Path(name)
        (folder / "machine").mkdir(mode=0o700)
        image = ensure_image(default_cache(), ImageOptions())
        images = folder / "c" / "images"
        images.mkdir(parents=True)
        shutil.copytree(image.folder, images / image.folder.name)
        # That host's own cache is an empty folder: none of the images here is to be seen there.
        host = PrivateHost.start(folder / "machine", _empty(folder))
        try:
            _sshd(host, program, folder)
            yield Far(host, folder)
        finally:
            host.stop()
            kill_warden(folder / "machine")


def _empty(folder: Path) -> Cache:
    (folder / "none").mkdir()
    return Cache(folder / "none")


def _sshd(host: PrivateHost, program: str, folder: Path) -> None:
    """sshd on that host's loopback, and an ssh(1) that knows its key."""
    keys = folder / "keys"
    keys.mkdir(mode=0o700)
    for key in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / key)],
                       check=True, stdin=subprocess.DEVNULL)  # fmt: skip
    (keys / "sshd_config").write_text(
        f"HostKey {keys}/host_key\nAuthorizedKeysFile {keys}/key.pub\nStrictModes no\nUsePAM no\n"
        "PermitRootLogin prohibit-password\nPasswordAuthentication no\nPidFile none\n"
        f"ListenAddress 127.0.0.1\nPort {_PORT}\n",
        encoding="utf-8",
    )
    known = (keys / "host_key.pub").read_text(encoding="ascii").split()[:2]
    (keys / "known").write_text(f"[127.0.0.1]:{_PORT} {' '.join(known)}\n", encoding="ascii")
    (keys / "ssh_config").write_text(
        f"Host 127.0.0.1\n  UserKnownHostsFile {keys}/known\n  IdentityFile {keys}/key\n"
        "  IdentitiesOnly yes\n",
        encoding="utf-8",
    )
    ssh = folder / "ssh"
    ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {keys}/ssh_config "$@"\n', "utf-8")
    ssh.chmod(0o755)
    # /etc/passwd is a cover of the lab's there already: one more line touches nothing of ours.
    host.run("sh", "-c", f"echo '{_ACCOUNT}' >> /etc/passwd && mkdir -p -m 0755 /run/sshd")
    host.spawn([program, "-D", "-e", "-f", str(keys / "sshd_config")], "sshd")
    wait_until(
        "sshd listens",
        lambda: "" if f":{_PORT}" in host.run("ss", "-ltn") else "its port",
        deadline_s=30,
    )


def test_scenarios_on_another_host(far: Far, tmp_path: Path) -> None:
    """They are VALID there; one that is killed during its cut leaves nothing once gc has run."""
    outside, before = HostState.now(), far.objects()
    assert far.harness("doctor", "--connect", far.uri).returncode == 0
    run = ["run", "--connect", far.uri, "--folder", str(tmp_path / "1"), *_SCENARIOS]
    done = far.harness(*run)
    assert done.returncode == 0, done.stdout[-3000:]
    assert far.objects() == before
    timeline = "".join(p.read_text() for p in (tmp_path / "1").glob("evidence/*/timeline.jsonl"))
    for kind in ('"channel":"arp"', '"channel":"fence"', '"channel":"host"', '"kind":"nonce"'):
        assert kind in timeline, f"a witness that said nothing: {kind}"
    assert "witness-died" not in timeline
    for path in (tmp_path / "1").glob("evidence/*/scenario.json"):
        again = shlex.split(json.loads(path.read_text(encoding="utf-8"))["reproduce"])
        assert again[-2:] == ["--connect", far.uri]
    killed = far.harness(
        "run", "--connect", far.uri, "--folder", str(tmp_path / "2"), _SCENARIOS[0],
        FAILOVER_HARNESS_DIE_AT="fault",
    )  # fmt: skip
    assert killed.returncode not in (0, 1, 10)
    left = far.objects()
    assert "fh1-alpha" in left["domains"], "slot 0 has the subnets of that host's own bridges"
    assert "fh1_cut" in left["rules"]
    assert far.harness("gc").returncode == 0
    assert far.objects() == before
    assert HostState.now() == outside


def test_a_kept_lab_there_is_reached_from_here(far: Far) -> None:
    before = far.objects()
    assert far.harness("up", "--connect", far.uri).returncode == 0
    told = far.harness("status").stdout
    assert "alpha" in told
    assert "qemu+ssh://" in told
    assert far.harness("ssh", "alpha", "crm_mon", "-1rf").stdout.count("Promoted") == 3
    assert far.harness("down").returncode == 0
    assert far.objects() == before
