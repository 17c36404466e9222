"""Another host with a libvirt: what is asked of it, and the images that are brought there.

No file system is shared with it. Images go there through libvirt's storage (virStorageVolUpload),
once for each; commands and connections go through SSH (harness.remote.shell).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import libvirt

from harness.errors import BadInputError, HarnessError, MissingEnvironmentError
from harness.lab import accelerator
from harness.lab.accelerator import Accelerator
from harness.lab.labhost import ensure_event_loop
from harness.lab.lease import locked
from harness.progress import stage
from harness.remote.shell import HostShell, ssh_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Everything of the harness's on that host is below it. libvirt's own folder: its daemon, QEMU's
# account and AppArmor's profiles pass through there already.
ROOT = "/var/lib/libvirt/failover-harness"
# What a guest is started from (harness.lab.machine).
IMAGE_FILES = ("base.qcow2", "vmlinuz", "initrd.img")
_CHUNK = 1 << 20


class Elsewhere:
    """A host that is reached by SSH, and its libvirt. Use ``open``, and ``close`` at the end."""

    def __init__(self, uri: str, shell: HostShell, connection: libvirt.virConnect) -> None:
        self.uri = uri
        self.shell = shell
        self.connection = connection

    @classmethod
    def open(cls, uri: str, control: Path) -> Elsewhere:
        """Log in there, and open its libvirt.

        Args:
            uri: ``qemu+ssh://…``.
            control: path of a socket (harness.remote.shell).

        Raises:
            BadInputError: the URI is none of another host.
            MissingEnvironmentError: it cannot be reached, or its libvirt refuses.
        """
        address = ssh_address(uri)
        if address is None:
            raise BadInputError(f"{uri} is on this machine")
        shell = HostShell(address, control)
        shell.open()
        ensure_event_loop()
        try:
            connection = libvirt.open(uri)
            # A host that died has to be noticed, as by SSH; one that is only busy must not look so.
            connection.setKeepAlive(5, 12)
        except libvirt.libvirtError as error:
            shell.close()
            raise MissingEnvironmentError(
                f"libvirt at {uri} refuses: {error}", hint="is it running? virsh -c URI version"
            ) from error
        return cls(uri, shell, connection)

    def close(self) -> None:
        """End both connections."""
        with contextlib.suppress(libvirt.libvirtError):
            self.connection.close()
        self.shell.close()

    def qemu(self) -> str:
        """QEMU's version there, as harness.cluster.formed tells that of this host.

        Parts of a run are compared by it. Where QEMU goes by another name it is libvirt's word.
        """
        with contextlib.suppress(HarnessError, IndexError):
            return self.shell.run(accelerator.QEMU, "--version").splitlines()[0]
        number = self.connection.getVersion()
        return f"QEMU {number // 1000000}.{number // 1000 % 1000}.{number % 1000}"

    def cpu(self) -> str:
        """The CPU's model there."""
        for line in self.shell.run("cat", "/proc/cpuinfo").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
        return self.shell.run("uname", "-m").strip()

    def probe_kvm(self, key: str) -> Accelerator:
        """Whether KVM truly works there, by the same probe as here, run by that host's Python.

        Args:
            key: of an image that was provided: its kernel is booted.
        """
        told = f"{ROOT}/images/{key}/vmlinuz"
        source = Path(accelerator.__file__).read_text(encoding="utf-8")
        ask = f"\nfound = probe_kvm(kernel=Path({told!r}))\nprint(json.dumps(asdict(found)))\n"
        try:
            answer = self.shell.run("python3", "-", stdin=(source + ask).encode())
            return Accelerator(**json.loads(answer.strip().splitlines()[-1]))
        except (HarnessError, ValueError, LookupError, TypeError) as error:
            why = error.message if isinstance(error, HarnessError) else repr(error)
            last = why.strip().splitlines()[-1] if why.strip() else "no words"
            return Accelerator("tcg", f"KVM cannot be tried on {self.shell.name}: {last}", 0.0)

    def provide(self, folder: Path, key: str, lock: Path) -> None:
        """Bring an image there, unless it is there.

        Args:
            folder: the image's here.
            key: its name there.
            lock: a lock file here; two labs must not bring the same image at once.

        Raises:
            HarnessError: libvirt's storage refuses, or the host has too little room.
        """
        target = f"{ROOT}/images/{key}"
        with locked(lock):
            if self.has(f"{target}/complete"):
                return
            building = f"{ROOT}/images/.building-{key}"
            self.shell.run("rm", "-rf", building, target)
            self.shell.run("mkdir", "-p", "-m", "0711", ROOT, f"{ROOT}/images", building)
            with stage(f"Bringing the guest image to {self.shell.name}") as progress:
                self._upload(folder, building, f"failover-harness-{key}", progress.note)
            self.shell.run("touch", f"{building}/complete")
            self.shell.run("mv", building, target)

    def has(self, path: str) -> bool:
        """Whether there is a file or folder of that path.

        Raises:
            MissingEnvironmentError: that host cannot be reached.
        """
        said = self.shell.run("sh", "-c", f"test -e {shlex.quote(path)} && echo yes || echo no")
        return said.strip() == "yes"

    def _upload(self, folder: Path, target: str, name: str, note: Callable[[str], None]) -> None:
        try:
            with self._pool(name, target) as pool:
                for file in IMAGE_FILES:
                    note(file)
                    upload(self.connection, pool, folder / file)
        except libvirt.libvirtError as error:
            raise HarnessError(
                f"libvirt's storage on {self.shell.name} refuses: {error}",
                hint=f"is there room below {ROOT}? It takes libvirt's storage driver, too",
            ) from error

    @contextlib.contextmanager
    def _pool(self, name: str, path: str) -> Iterator[libvirt.virStoragePool]:
        """A storage pool over a folder that is there; it goes, what is in it stays."""
        with contextlib.suppress(libvirt.libvirtError):
            self.connection.storagePoolLookupByName(name).destroy()  # of an upload that was killed
        pool = self.connection.storagePoolCreateXML(
            f"<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>", 0
        )
        try:
            yield pool
        finally:
            with contextlib.suppress(libvirt.libvirtError):
                pool.destroy()


def upload(connection: libvirt.virConnect, pool: libvirt.virStoragePool, path: Path) -> None:
    """Make a volume of a file, byte by byte.

    Raises:
        libvirt.libvirtError: libvirt refuses.
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    volume = pool.createXML(
        f"<volume><name>{path.name}</name><capacity unit='bytes'>{size}</capacity>"
        "<allocation>0</allocation><target><format type='raw'/>"
        "<permissions><mode>0644</mode></permissions></target></volume>",
        0,
    )
    stream = connection.newStream(0)
    with path.open("rb") as file:
        try:
            volume.upload(stream, 0, size, 0)
            while chunk := file.read(_CHUNK):
                _send_all(stream, chunk)
            stream.finish()
        except BaseException:
            with contextlib.suppress(libvirt.libvirtError):
                stream.abort()
            raise


def _send_all(stream: Any, chunk: bytes) -> None:
    """virStreamSend may take less than it is given."""
    sent = 0
    while sent < len(chunk):
        sent += stream.send(chunk[sent:])


def is_elsewhere(uri: str) -> bool:
    """Whether a libvirt URI is of another host.

    Raises:
        BadInputError: it is, and not to be reached by SSH.
    """
    return bool(uri) and ssh_address(uri) is not None


def cores_of(uri: str) -> int:
    """How many CPU cores there are where a libvirt's guests run: here, or on another host.

    Raises:
        MissingEnvironmentError: that host cannot be reached.
        HarnessError: it does not tell.
    """
    address = ssh_address(uri) if uri else None
    if address is None:
        return len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="fh-", dir="/tmp") as name:
        shell = HostShell(address, Path(name) / "ssh")
        try:
            return int(shell.run("nproc"))
        except ValueError as error:
            raise HarnessError(f"{shell.name} does not tell its cores: {error}") from error
        finally:
            shell.close()


def control_of(cache: Path, uri: str) -> Path:
    """The socket of connections to that host that belong to no lab."""
    return cache / f"ssh-{hashlib.sha256(uri.encode()).hexdigest()[:8]}"
