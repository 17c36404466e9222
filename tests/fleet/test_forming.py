"""Two workers that begin at the same moment: one forms the cluster, the other starts from that."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from harness.cluster import formed, secrets
from harness.cluster.formed import Bringup, bring_up
from harness.lab import snapshot
from harness.lab.paths import Cache
from harness.lab.shared import SharedHost

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

KEY = formed.FormedKey("image", "config", "qemu", "tcg", "maximum", "domains")


class Secrets:
    """Keys, of which it is known who made them."""

    ssh_private, host_keys = "key", "hosts"

    def save(self, path: Path) -> None:
        path.write_text("secret")

    def write_files(self, folder: Path) -> None:
        (folder / "keys").touch()


def lab_in(cache: Cache, name: str) -> Any:
    folder = cache.labs / name
    (folder / "disks").mkdir(parents=True)
    reverted: list[str] = []
    host = SharedHost.__new__(SharedHost)
    host.folder = folder
    return SimpleNamespace(
        name=name,
        cache=cache,
        folder=folder,
        host=host,
        topology=None,
        machines={},
        reverted=reverted,
        revert=lambda: reverted.append(name),
        take_shape=lambda _shape: None,
        open_machines=lambda *_: None,
        start_fence_device=lambda: None,
    )


def test_the_second_restores_what_the_first_formed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.lab.paths._MAX_ROOT", 500)
    cache = Cache(tmp_path)
    forming: list[str] = []

    def form(lab: Any, *_arguments: object, **_more: object) -> None:
        forming.append(lab.name)
        time.sleep(0.5)  # the other one has come by then
        (lab.folder / "disks" / "alpha-root.qcow2").write_text(f"formed in {lab.name}")

    monkeypatch.setattr(formed, "formed_key", lambda *_a, **_k: KEY)
    monkeypatch.setattr(formed, "form_cluster", form)
    monkeypatch.setattr(formed, "new_secrets", lambda *_: Secrets())
    monkeypatch.setattr(secrets.Secrets, "load", lambda _path: Secrets())
    for name in ("take", "export_xml", "import_xml"):
        monkeypatch.setattr(snapshot, name, lambda *_a: None)
    labs = [lab_in(cache, f"lab{number}") for number in range(3)]
    config: Any = SimpleNamespace(shape=None)
    came: dict[str, Bringup] = {}
    image: Any = SimpleNamespace(key="image", folder=cache.images / "image")

    def begin(lab: Any) -> None:
        came[lab.name] = bring_up(lab, image, config, accelerator="tcg")

    threads = [threading.Thread(target=begin, args=(lab,)) for lab in labs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(forming) == 1
    assert sorted(one.how for one in came.values()) == ["formed", "restored", "restored"]
    assert came[forming[0]].how == "formed"
    for lab in labs:
        disk = lab.folder / "disks" / "alpha-root.qcow2"
        assert disk.read_text() == f"formed in {forming[0]}"
        assert lab.reverted == [lab.name], "each is at the healthy snapshot"
