"""Secrets are fresh, private and survive the disk; a formed cluster's key is all it depends on."""

from __future__ import annotations

import base64
import shutil
import subprocess
from dataclasses import asdict, fields, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.cluster import formed
from harness.cluster.config import load_config
from harness.cluster.formed import FormedKey, check_formed, formed_key, qemu_version
from harness.cluster.secrets import Secrets, new_secrets
from harness.errors import BadInputError, HarnessError, MissingEnvironmentError
from harness.evidence.files import write_json
from harness.lab import disks
from harness.lab.machine import domain_xml
from harness.lab.topology import Topology
from harness.timing import TCG

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab.lab import Lab


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Secrets, Secrets]:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("needs ssh-keygen")
    folder = tmp_path_factory.mktemp("keys")
    made = new_secrets(Topology(), folder), new_secrets(Topology(), folder)
    assert list(folder.iterdir()) == [], "no key may be left lying about"
    return made


def test_two_clusters_share_no_secret(pair: tuple[Secrets, Secrets]) -> None:
    first, second = pair
    for name in ("drbd", "fence", "corosync", "ssh_private", "ssh_public"):
        assert getattr(first, name) != getattr(second, name), name
    keys = [key for s in pair for keys in s.host_keys.values() for key in keys]
    assert len(keys) == len(set(keys)) == 2 * 2 * 3
    assert set(first.host_keys) == {"alpha", "bravo", "client"}


def test_secrets_have_the_sizes_that_their_daemons_take(pair: tuple[Secrets, Secrets]) -> None:
    secrets = pair[0]
    assert 32 <= len(secrets.drbd) <= 64
    assert secrets.drbd.isalnum()  # it stands in quotes in drbd.conf
    assert 128 <= len(base64.b64decode(secrets.corosync)) <= 4096
    assert len(base64.b64decode(secrets.fence)) >= 128
    assert secrets.ssh_private.startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert secrets.ssh_private.endswith("-----END OPENSSH PRIVATE KEY-----\n")


def test_secrets_come_back_from_their_file_which_is_private(
    pair: tuple[Secrets, Secrets], tmp_path: Path
) -> None:
    secrets = pair[0]
    secrets.save(tmp_path / "secrets.json")
    assert Secrets.load(tmp_path / "secrets.json") == secrets
    pair[1].save(tmp_path / "secrets.json")
    assert Secrets.load(tmp_path / "secrets.json") == pair[1]
    secrets.write_files(tmp_path)
    for name in ("secrets.json", "ssh_key", "fence.key"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600, name
    assert (tmp_path / "fence.key").read_bytes() == base64.b64decode(secrets.fence)
    # The private key that is written is the one whose public half opens the guests.
    done = subprocess.run(
        ["ssh-keygen", "-y", "-f", str(tmp_path / "ssh_key")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split()[:2] == secrets.ssh_public.split()[:2]


def test_the_key_of_a_formed_cluster_changes_with_each_part() -> None:
    key = FormedKey("image", "config", "QEMU emulator version 7.2", "tcg", "maximum", "domains")
    digests = {key.digest()}
    for field in fields(FormedKey):
        value = getattr(key, field.name)
        other: Any = value + 1 if isinstance(value, int) else value + "x"
        digests.add(replace(key, **{field.name: other}).digest())
    # Parts do not run into one another.
    digests.add(replace(key, image="imagec", config="onfig").digest())
    assert len(digests) == len(fields(FormedKey)) + 2
    assert all(len(digest) == 16 for digest in digests)
    assert replace(key).digest() == key.digest()


def test_a_formed_cluster_is_of_the_domains_that_it_was_formed_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A snapshot of running VMs goes with the hardware that they saw."""
    monkeypatch.setattr(formed, "qemu_version", lambda: "QEMU emulator version 9.9")
    config = load_config(None, TCG)
    image = cast("Any", SimpleNamespace(key="0123456789abcdef"))

    def host(slot: int) -> Any:
        paths = {"lab_path": "/run/lab", "cache_path": "/run/cache"}
        return SimpleNamespace(topology=Topology(slot), elsewhere=None, **paths)

    def key(accelerator: str = "tcg", slot: int = 0) -> FormedKey:
        lab = cast("Any", SimpleNamespace(topology=Topology(slot), host=host(slot)))
        return formed_key(image, config, lab, accelerator)

    first = key()
    assert key() == first
    assert first.cpu == "maximum"
    assert key(accelerator="kvm").domains != first.domains
    assert key(slot=1).domains != first.domains
    # One attribute of the last machine only.
    changed = {
        plan.name: domain_xml(plan, host(0), "tcg", image.key) for plan in Topology().machines
    }
    changed["client"] = changed["client"].replace("<memory ", "<memory  ", 1)
    monkeypatch.setattr(formed, "domain_xml", lambda plan, *_: changed[plan.name])
    assert key().domains != first.domains
    assert replace(key(), domains=first.domains) == first


def test_without_qemu_the_user_is_told_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingEnvironmentError, match="qemu-system-x86_64 does not run") as error:
        qemu_version()
    assert error.value.hint
    fake = tmp_path / "qemu-system-x86_64"
    fake.write_text("#!/bin/sh\necho QEMU emulator version 9.9\necho Copyright\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert qemu_version() == "QEMU emulator version 9.9"


def test_disks_are_copied_sparse_and_unchanged(tmp_path: Path) -> None:
    source, target = tmp_path / "disks", tmp_path / "copy"
    source.mkdir()
    with (source / "alpha-r0.qcow2").open("wb") as file:
        file.write(b"QFI\xfb" + bytes(range(256)))
        file.truncate(64 << 20)
        file.seek(0, 2)
        file.write(b"end")
    (source / "alpha-seed.img").write_bytes(b"seed")
    (source / "alpha-seed.img").chmod(0o600)
    disks.copy(source, target)
    assert sorted(p.name for p in target.iterdir()) == ["alpha-r0.qcow2", "alpha-seed.img"]
    assert target.stat().st_mode & 0o777 == 0o700
    assert (target / "alpha-seed.img").stat().st_mode & 0o777 == 0o600
    for path in source.iterdir():
        assert (target / path.name).read_bytes() == path.read_bytes()
    assert (target / "alpha-r0.qcow2").stat().st_blocks * 512 < 4 << 20, "not sparse"


def test_a_copy_that_fails_says_why(tmp_path: Path) -> None:
    source = tmp_path / "disks"
    source.mkdir()
    (source / "disk").symlink_to(tmp_path / "gone")
    with pytest.raises(HarnessError, match=r"copying disk images failed: .*disks/disk.*No such"):
        disks.copy(source, tmp_path / "copy")


KEY = FormedKey("image1", "config1", "QEMU 7.2", "tcg", "maximum", "domains1")


def kept(tmp_path: Path, key: FormedKey | None = KEY) -> Lab:
    if key is not None:
        write_json(tmp_path / "formed.json", asdict(key))
    return cast("Lab", SimpleNamespace(folder=tmp_path, name="lab0"))


def test_a_kept_lab_has_the_cluster_that_is_asked_for(tmp_path: Path) -> None:
    check_formed(kept(tmp_path), replace(KEY))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (replace(KEY, config="config2"), "lab0 was formed of another configuration"),
        (replace(KEY, image="i", config="c"), "another guest image, configuration"),
        (replace(KEY, qemu="QEMU 9.0"), "another QEMU"),
        (replace(KEY, accelerator="kvm"), "another accelerator"),
        (replace(KEY, domains="d"), "another definition of the machines"),
    ],
)
def test_a_kept_lab_of_something_else_is_refused(
    tmp_path: Path, other: FormedKey, said: str
) -> None:
    with pytest.raises(BadInputError, match=said) as error:
        check_formed(kept(tmp_path), other)
    assert "harness down --lab lab0" in str(error.value.hint)


def test_a_lab_of_which_nothing_tells_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="nothing tells of what lab0 was formed"):
        check_formed(kept(tmp_path, None), KEY)
