"""The box: a tar archive with the image, its kernel, and what says how to boot it.

The image is a file system without a boot loader: kernel and initial RAM disk are given to QEMU, so
they are in the box too, and its Vagrantfile (vagrant/box/Vagrantfile) names them. The format is
the first one of vagrant-libvirt, a single ``box.img`` ("Version 1" of its docs/boxes.markdown).
"""

from __future__ import annotations

import io
import json
import os
import struct
import tarfile
from typing import TYPE_CHECKING

from harness.errors import BadInputError, HarnessError
from harness.lab.paths import VAGRANT

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab.image import Image

VAGRANTFILE = VAGRANT / "box" / "Vagrantfile"
BOX_FILES = ("metadata.json", "Vagrantfile", "vmlinuz", "initrd.img", "box.img")
_GIB = 1 << 30
# QEMU's docs/interop/qcow2.txt: magic, version, backing file's offset and size, cluster bits, size.
_QCOW2 = struct.Struct(">4sIQIIQ")


def box_name(image_key: str) -> str:
    """What the box is called for Vagrant: another recipe is another box, never an old one again."""
    return f"failover-harness-{image_key}"


def virtual_size(image: Path) -> int:
    """Bytes that the disk in a qcow2 image has for a guest.

    Raises:
        HarnessError: it is no qcow2 image, or one on top of another file, which a box cannot hold.
    """
    with image.open("rb") as file:
        head = file.read(_QCOW2.size)
    if len(head) < _QCOW2.size or not head.startswith(b"QFI\xfb"):
        raise HarnessError(f"{image} is no qcow2 image")
    _magic, _version, backing, _length, _bits, size = _QCOW2.unpack(head)
    if backing:
        raise HarnessError(f"{image} is only the changes to another image")
    return int(size)


def metadata(image: Image) -> dict[str, object]:
    """``metadata.json``: the size is in whole GiB, at least that of the image."""
    size = virtual_size(image.folder / "base.qcow2")
    return {"provider": "libvirt", "format": "qcow2", "virtual_size": -(-size // _GIB)}


def make_box(image: Image, path: Path) -> None:
    """Write the box of a built image to ``path``, whole or not at all.

    The same image gives the same bytes. It is not compressed: it is added on this machine.

    Raises:
        BadInputError: it cannot be written there.
        HarnessError: the image is not what a box can hold.
    """
    told = json.dumps(metadata(image), indent=1) + "\n"
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    sources = {"vmlinuz": "vmlinuz", "initrd.img": "initrd.img", "box.img": "base.qcow2"}
    try:
        try:
            with tarfile.open(partial, "w", format=tarfile.GNU_FORMAT) as archive:
                _add(archive, "metadata.json", io.BytesIO(told.encode()), len(told))
                text = VAGRANTFILE.read_bytes()
                _add(archive, "Vagrantfile", io.BytesIO(text), len(text))
                for name, source in sources.items():
                    with (image.folder / source).open("rb") as file:
                        _add(archive, name, file, os.fstat(file.fileno()).st_size)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise BadInputError(
            f"the box cannot be written: {error}", hint="name a file in a folder with 2 GiB of room"
        ) from error


def _add(archive: tarfile.TarFile, name: str, file: io.BufferedIOBase, size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    archive.addfile(entry, file)
