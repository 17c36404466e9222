"""The box: what Vagrant wants in it, the image's own bytes, whole or not at all."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from harness.box import BOX_FILES, box_name, make_box, making
from harness.errors import BadInputError, HarnessError
from harness.lab.image import Image, ImageOptions, recipe_key
from harness.lab.paths import PROJECT

if TYPE_CHECKING:
    from pathlib import Path


def header(size: int, backing: int = 0) -> bytes:
    """The beginning of a qcow2 image."""
    return struct.pack(">4sIQIIQ", b"QFI\xfb", 3, backing, 0, 16, size)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    """An image as build.sh leaves it, with nothing in it."""
    folder = tmp_path / "0123456789abcdef"
    folder.mkdir()
    (folder / "base.qcow2").write_bytes(header(3 << 30) + b"and the rest")
    (folder / "vmlinuz").write_bytes(b"kernel")
    (folder / "initrd.img").write_bytes(b"initrd")
    return Image(folder)


def test_it_has_what_vagrant_libvirt_asks_for_and_the_kernel(image: Image, tmp_path: Path) -> None:
    path = tmp_path / "it.box"
    make_box(image, path)
    with tarfile.open(path) as archive:
        names = archive.getnames()
        held = {name: archive.extractfile(name).read() for name in names}  # type: ignore[union-attr]
        assert {entry.mode for entry in archive} == {0o644}
    assert tuple(names) == BOX_FILES
    assert json.loads(held["metadata.json"]) == {
        "provider": "libvirt", "format": "qcow2", "virtual_size": 3,
    }  # fmt: skip
    assert held["box.img"] == (image.folder / "base.qcow2").read_bytes()
    assert (held["vmlinuz"], held["initrd.img"]) == (b"kernel", b"initrd")
    assert held["Vagrantfile"] == making.VAGRANTFILE.read_bytes()
    # In whatever order: a file system may list the newest first.
    assert set(tmp_path.iterdir()) == {image.folder, path}, "nothing half written is left"


def test_the_same_image_gives_the_same_bytes(image: Image, tmp_path: Path) -> None:
    make_box(image, tmp_path / "1")
    make_box(image, tmp_path / "2")
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_what_the_box_s_vagrantfile_names_is_in_the_box() -> None:
    text = making.VAGRANTFILE.read_text()
    named = re.findall(r'File\.join\(__dir__, "([^"]+)"\)', text)
    assert sorted(named) == ["initrd.img", "vmlinuz"]
    assert set(named) <= set(BOX_FILES)


@pytest.mark.parametrize(("size", "gib"), [(1 << 30, 1), ((1 << 30) + 512, 2)])
def test_the_size_is_never_below_the_image_s(image: Image, size: int, gib: int) -> None:
    (image.folder / "base.qcow2").write_bytes(header(size))
    assert making.metadata(image)["virtual_size"] == gib


def test_the_size_is_what_qemu_img_made(tmp_path: Path) -> None:
    base, top = tmp_path / "base.qcow2", tmp_path / "top.qcow2"
    command = ["qemu-img", "create", "-q", "-f", "qcow2"]
    subprocess.run([*command, str(base), "3221225984"], check=True)
    assert making.virtual_size(base) == 3221225984
    subprocess.run([*command, "-b", str(base), "-F", "qcow2", str(top)], check=True)
    with pytest.raises(HarnessError, match="only the changes"):
        making.virtual_size(top)


@pytest.mark.parametrize(
    "wrong", [b"", b"QFI\xfb", b"RAW!" + header(5)[4:], header(5, backing=104)]
)
def test_an_image_that_a_box_cannot_hold_leaves_nothing(
    image: Image, tmp_path: Path, wrong: bytes
) -> None:
    (image.folder / "base.qcow2").write_bytes(wrong)
    with pytest.raises(HarnessError):
        make_box(image, tmp_path / "it.box")
    assert list(tmp_path.iterdir()) == [image.folder]


def test_a_box_that_cannot_be_written_leaves_what_was_there(image: Image, tmp_path: Path) -> None:
    path = tmp_path / "it.box"
    path.write_bytes(b"an earlier one")
    (image.folder / "initrd.img").unlink()
    with pytest.raises(BadInputError, match="cannot be written"):
        make_box(image, path)
    assert path.read_bytes() == b"an earlier one"
    assert sorted(p.name for p in tmp_path.iterdir()) == [image.folder.name, "it.box"]


def test_another_recipe_is_another_box() -> None:
    assert box_name("a") != box_name("b")
    assert box_name(recipe_key(ImageOptions())).isascii()
    assert (PROJECT / "vagrant" / "box" / "Vagrantfile") == making.VAGRANTFILE
