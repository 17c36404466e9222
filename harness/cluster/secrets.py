"""The secrets of one formed cluster, made for it alone and kept in files of mode 0600.

They live as long as the cluster's snapshot does: the guests' memory knows them.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab.topology import Topology


@dataclass(frozen=True, slots=True)
class Secrets:
    """Keys of one cluster.

    Attributes:
        drbd: DRBD's shared secret (at most 64 characters, drbd.conf(5)).
        fence: fence_virt's key, base64.
        corosync: Corosync's authkey, base64 (128 to 4096 bytes, corosync-keygen(8)).
        ssh_private, ssh_public: the key that opens the guests, OpenSSH format.
        host_keys: machine to (private, public) host key, OpenSSH format.
    """

    drbd: str
    fence: str
    corosync: str
    ssh_private: str
    ssh_public: str
    host_keys: dict[str, tuple[str, str]]

    def save(self, path: Path) -> None:
        """Write to ``path`` with mode 0600."""
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)

    @classmethod
    def load(cls, path: Path) -> Secrets:
        """Read what ``save`` wrote."""
        raw = json.loads(path.read_text(encoding="utf-8"))
        raw["host_keys"] = {name: tuple(pair) for name, pair in raw["host_keys"].items()}
        return cls(**raw)

    def write_files(self, folder: Path) -> None:
        """The key files that daemons and people use: ``ssh_key``, ``fence.key``."""
        for name, content in (
            ("ssh_key", self.ssh_private.encode()),
            ("fence.key", base64.b64decode(self.fence)),
        ):
            fd = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(content)


def new_secrets(topology: Topology, folder: Path) -> Secrets:
    """Fresh secrets; ``folder`` is used for ssh-keygen's files while it runs."""
    ssh = _key_pair(folder / "new-key", "lab")
    return Secrets(
        drbd=secrets.token_hex(24),
        fence=base64.b64encode(secrets.token_bytes(1024)).decode(),
        corosync=base64.b64encode(secrets.token_bytes(256)).decode(),
        ssh_private=ssh[0],
        ssh_public=ssh[1],
        host_keys={
            plan.name: _key_pair(folder / f"new-{plan.name}", plan.name)
            for plan in topology.machines
        },
    )


def _key_pair(path: Path, comment: str) -> tuple[str, str]:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    public = path.with_name(path.name + ".pub")
    pair = (path.read_text(encoding="ascii"), public.read_text(encoding="ascii"))
    path.unlink()
    public.unlink()
    return pair
