"""Under what the guests of a run will run: asked where they will be."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import where
from harness.errors import BadInputError
from harness.lab.accelerator import Accelerator, Kind
from harness.lab.image import Image
from harness.lab.paths import Cache
from harness.session import RunOptions
from harness.where import choose_accelerator, elsewhere

FAR = "qemu+ssh://far.example/system"


class There:
    """Another host, with and without a KVM that works."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.did: list[tuple[str, ...]] = []
        self.shell = SimpleNamespace(name="far.example")

    def provide(self, folder: Path, key: str, lock: Path) -> None:
        self.did.append(("provide", folder.name, key, lock.parent.name))

    def probe_kvm(self, key: str) -> Accelerator:
        self.did.append(("probe", key))
        return Accelerator(self.kind, "its reason", 1.0, "kernel")


def options(accelerator: str = "auto", connect: str = FAR) -> RunOptions:
    return RunOptions(cache=Cache(Path("/var/c")), accelerator=accelerator, connect=connect)


IMAGE = Image(Path("/var/c/images/0123"))


def test_a_kernel_is_tried_there_once_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(where, "probe_kvm", lambda **_: pytest.fail("asked of this machine"))
    there: Any = There("kvm")
    assert choose_accelerator(options(), IMAGE, there) == "kvm"
    assert there.did == [("provide", "0123", "0123", "leases"), ("probe", "0123")]
    there = There("tcg")
    assert choose_accelerator(options(), IMAGE, there) == "tcg"
    with pytest.raises(BadInputError, match=r"does not work on far\.example: its reason"):
        choose_accelerator(options("kvm"), IMAGE, there)


def test_emulation_need_not_be_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(where, "probe_kvm", lambda **_: pytest.fail("asked"))
    there: Any = There("kvm")
    assert choose_accelerator(options("tcg"), IMAGE, there) == "tcg"
    assert there.did == []


@pytest.mark.parametrize("connect", ["", "qemu:///system"])
def test_here_it_is_asked_here(connect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def probe(*, kernel: Path, cache: Path) -> Accelerator:
        asked.append((kernel.name, cache))
        return Accelerator("tcg", "none", 0.0)

    monkeypatch.setattr(where, "probe_kvm", probe)
    with elsewhere(options(connect=connect)) as there:
        assert there is None
        assert choose_accelerator(options(connect=connect), IMAGE, there) == "tcg"
    assert asked == [("vmlinuz", Path("/var/c"))]
    with pytest.raises(BadInputError, match="does not work here: none"):
        choose_accelerator(options("kvm", connect), IMAGE, None)
