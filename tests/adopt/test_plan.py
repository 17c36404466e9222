"""What is prepared for Vagrant: once, from the lab's own machines, and never changed under them."""

from __future__ import annotations

import json
import stat
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.adopt import plan as module
from harness.adopt.plan import Plan, load_plan, plan_of, prepare, state_folder
from harness.box import BOX_FILES
from harness.cluster.config import ClusterConfig
from harness.cluster.secrets import Secrets
from harness.errors import BadInputError, HarnessError
from harness.lab.image import Image, ImageOptions, recipe_key
from harness.lab.paths import Cache
from harness.lab.topology import BACKING_BYTES, RESOURCES, Link, Topology
from tests.adopt.conftest import planned

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = recipe_key(ImageOptions())


@pytest.fixture
def cache() -> Iterator[Cache]:
    """At a short path, with an image that is none."""
    with tempfile.TemporaryDirectory(prefix="fh-", dir="/tmp") as root:
        folder = Path(root) / "images" / KEY
        folder.mkdir(parents=True)
        (folder / "base.qcow2").write_bytes(
            struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 0, 0, 16, 3 << 30)
        )
        (folder / "vmlinuz").write_bytes(b"k")
        (folder / "initrd.img").write_bytes(b"i")
        yield Cache(Path(root))


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """This host: which slots' subnets it has an address in."""
    told: dict[str, Any] = {"used": {0}}
    monkeypatch.setattr(
        module, "addresses_in_use", lambda t: ["10.0.0.1"] if t.slot in told["used"] else []
    )
    monkeypatch.setattr(module, "ensure_image", lambda cache, _options: Image(cache.images / KEY))
    return told


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_that_the_machines_need(cache: Cache, host: dict[str, Any]) -> None:
    images: list[Image] = []

    def choose(image: Image) -> Any:
        images.append(image)
        return "tcg"

    said: list[str] = []
    plan = prepare(cache, choose, say=said.append)
    assert (plan.slot, plan.prefix, plan.accelerator) == (1, "fh1-", "tcg")
    assert images == [Image(cache.images / KEY)]
    folder = state_folder(cache)
    assert load_plan(folder) == plan
    listed = subprocess.run(["tar", "-tf", plan.box_file], capture_output=True, text=True)
    assert listed.stdout.split() == list(BOX_FILES)
    secrets = Secrets.load(folder / "secrets.json")
    assert Path(plan.ssh_key).read_text() == secrets.ssh_private
    for name in ("secrets.json", "ssh_key", "fence.key", *(
        f"disks/{one}-seed.img" for one in ("alpha", "bravo", "client")
    )):  # fmt: skip
        assert mode(folder / name) == 0o600, name
    # The seeds are those of this very cluster.
    command = ["debugfs", "-R", "cat /base/etc/ssh/ssh_host_ed25519_key.pub"]
    seed = subprocess.run([*command, folder / "disks/bravo-seed.img"], capture_output=True)
    assert seed.stdout.decode() == secrets.host_keys["bravo"][1]
    assert {mode(folder), mode(folder / "ch"), mode(cache.root)} == {0o700}
    # Again: nothing is changed under machines that may run, even where a slot before it is free.
    host["used"] = set()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert prepare(cache, choose, say=said.append) == plan
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert len(said) == len(images) == 1


def test_a_qemu_that_is_not_root_may_pass(cache: Cache, host: dict[str, Any]) -> None:
    owner = (cache.root.stat().st_uid, cache.root.stat().st_gid)
    prepare(cache, lambda _image: "tcg", owner=(owner[0] or 64055, owner[1]), say=lambda _t: None)
    folder = state_folder(cache)
    assert {mode(path) for path in (folder, folder / "disks", cache.root)} == {0o711}
    assert mode(folder / "secrets.json") == 0o600
    assert mode(folder / "ch") == 0o700, "only libvirt and QEMU need to go there"


def test_what_was_prepared_otherwise_is_not_taken(
    cache: Cache, host: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state_folder(cache).mkdir()
    made = plan_of(cache, KEY, Topology(0), "tcg", ClusterConfig())
    (state_folder(cache) / "lab.json").write_text(json.dumps(made.model_dump(mode="json")))

    def never(_image: Image) -> Any:
        raise AssertionError("nothing is chosen a second time")

    assert prepare(cache, never) == made
    own = tmp_path / "own.toml"
    own.write_text("[drbd]\nprotocol = 'A'\n")
    with pytest.raises(BadInputError, match="with another configuration of the cluster") as error:
        prepare(cache, never, own)
    assert "harness adopt --forget" in error.value.hint
    monkeypatch.setattr(module, "recipe_key", lambda _options: "another")
    with pytest.raises(BadInputError, match="with another recipe of the image"):
        prepare(cache, never)


def test_the_box_is_of_the_guest_that_is_configured(
    cache: Cache, host: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[ImageOptions] = []

    def ensure_image(cache: Cache, options: ImageOptions) -> Image:
        asked.append(options)
        return Image(cache.images / KEY)

    monkeypatch.setattr(module, "ensure_image", ensure_image)
    own = tmp_path / "own.toml"
    own.write_text("[guest]\nname = 'debian13'\n")
    prepare(cache, lambda _image: "tcg", own)
    assert asked == [ImageOptions("debian13")]
    # The image is not of that profile's recipe: the fixture has but one.
    with pytest.raises(BadInputError, match="with another recipe of the image"):
        prepare(cache, lambda _image: "tcg", own)


def test_no_slot_is_free(cache: Cache, host: dict[str, Any]) -> None:
    host["used"] = set(range(16))
    with pytest.raises(HarnessError, match="no free slot"):
        prepare(cache, lambda _image: "tcg")
    assert not (state_folder(cache) / "lab.json").exists()


@pytest.mark.parametrize("text", [None, "", "{}", '{"schema_version": 2}'])
def test_without_a_plan_there_is_a_hint(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "lab.json").write_text(text)
    with pytest.raises(BadInputError) as error:
        load_plan(tmp_path)
    assert "vagrant up" in error.value.hint
    assert "\n" not in error.value.message


def test_the_plan_says_what_the_lab_s_machines_are(plan: Plan) -> None:
    alpha, _bravo, client = plan.machines
    assert [disk.serial for disk in alpha.disks] == list(RESOURCES)
    assert {disk.size_mib << 20 for disk in alpha.disks} == {BACKING_BYTES}
    assert client.disks == ()
    assert [port.name for port in client.ports] == ["lab.journal", "lab.progress", "lab.block"]
    # The provider's own network comes first: it is its first card.
    assert alpha.cards[0].link is client.cards[0].link is Link.CONTROL
    assert client.address == client.cards[0].address
    assert [card.link for card in alpha.cards if not card.host] == [Link.DRBD]
    assert "systemd.hostname=alpha" in alpha.parameters
    assert plan.cluster_config.timing.name == "tcg"


@pytest.mark.parametrize(("accelerator", "cpus"), [("tcg", [1, 1, 1]), ("kvm", [2, 2, 1])])
def test_cpus_are_those_that_run(accelerator: Any, cpus: list[int]) -> None:
    """The provider would start all that there is room for, and the empty slot is for none."""
    assert [machine.cpus for machine in planned(accelerator).machines] == cpus
