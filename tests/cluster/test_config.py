"""The configuration: variants override it, mistakes are one clear line, and every value counts."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from harness.cluster import render
from harness.cluster.config import ClusterConfig, load_config
from harness.cluster.render import config_key
from harness.errors import BadInputError, ExitCode
from harness.lab.guests import DEFAULT, guest_names
from harness.lab.topology import Topology
from harness.timing import KVM, PROFILES, TCG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def load(tmp_path: Path, text: str, **overrides: Any) -> ClusterConfig:
    path = tmp_path / "variant.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, TCG, **overrides)


def test_without_a_file_it_is_the_reference_with_the_profile_s_timing() -> None:
    for profile in PROFILES.values():
        config = load_config(None, profile)
        assert config == ClusterConfig(timing=profile)
    assert config_key(load_config(None, KVM), Topology()) != config_key(
        load_config(None, TCG), Topology()
    )


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, "# nothing\n") == load_config(None, TCG)


def test_a_variant_overrides_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
        [drbd]
        protocol = "A"
        fence_peer = false
        [corosync]
        rings = ["drbd"]
        [timing]
        corosync_token_ms = 9999
        [files.nodes]
        "/etc/extra" = "x"
        """,
    )
    reference = load_config(None, TCG).model_dump()
    reference["drbd"].update(protocol="A", fence_peer=False)
    reference["corosync"]["rings"] = ("drbd",)
    reference["timing"]["corosync_token_ms"] = 9999
    reference["files"] = {"nodes": {"/etc/extra": "x"}}
    assert config.model_dump() == reference


def test_the_guest_of_the_command_line_wins_over_the_file_s_and_leaves_the_rest(
    tmp_path: Path,
) -> None:
    path = tmp_path / "variant.toml"
    path.write_text("[guest]\nname = 'debian12'\nkeep_address_without_carrier = false\n")
    config = load_config(path, TCG, guest_name="debian13")
    assert config.guest.name == "debian13"
    assert not config.guest.keep_address_without_carrier
    assert load_config(None, TCG, guest_name="debian13").guest.name == "debian13"
    assert load_config(path, TCG).guest.name == load_config(None, TCG).guest.name == "debian12"
    with pytest.raises(BadInputError, match="there is no guest nobody; there are: debian12"):
        load_config(path, TCG, guest_name="nobody")


def test_another_guest_is_another_formed_cluster() -> None:
    keys = {
        config_key(load_config(None, TCG, guest_name=name), Topology())
        for name in ("debian12", "debian13")
    }
    assert len(keys) == 2


def test_an_override_of_the_program_wins_over_the_file(tmp_path: Path) -> None:
    config = load(tmp_path, "[drbd]\nko_count = 3\n", drbd={"ko_count": 9})
    assert config.drbd.ko_count == 9


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[drbd\n", "is not TOML"),
        ('drbd = "C"\n', "drbd: "),
        ("[drbd]\nprotokoll = 'C'\n", "drbd.protokoll: "),
        ("[drdb]\nprotocol = 'C'\n", "drdb: "),
        ("[drbd]\nprotocol = 'D'\n", "drbd.protocol: "),
        ("[drbd]\nko_count = 201\n", "drbd.ko_count: "),
        ("[drbd]\nko_count = 'many'\n", "drbd.ko_count: "),
        ("[drbd]\nafter_sb_0pri = 'hope'\n", "drbd.after_sb_0pri: "),
        ("[corosync]\nrings = []\n", "one or two different rings"),
        ("[corosync]\nrings = ['mgmt', 'mgmt']\n", "one or two different rings"),
        ("[corosync]\nrings = ['mgmt', 'drbd', 'mgmt']\n", "one or two different rings"),
        ("[corosync]\nrings = ['data']\n", "corosync.rings.0: "),
        ("[pacemaker]\nresource_stickiness = -1\n", "pacemaker.resource_stickiness: "),
        ("[target]\niqn = 'iqn.2026-11.example:x'\n", "target.iqn: "),
        ("[target]\niqn = 'eui.02004567A425678D'\n", "target.iqn: "),
        ("[initiator]\nlogin_timeout_s = 0\n", "initiator.login_timeout_s: "),
        ("[timing]\ncorosync_token = 1\n", "corosync_token: "),
        ("[timing]\ncorosync_token_ms = 'slow'\n", "corosync_token_ms: "),
        ("[files]\nnodes = 'x'\n", "files.nodes: "),
        ("[guest]\nname = 'debian99'\n", "no guest debian99; there are: debian12, "),
        ("guest = 'debian12'\n", "guest: "),
        (
            "[guest]\nname = 'debian13'\nportblock_patched = false\n",
            "portblock is not patched in the guest debian13",
        ),
        (
            "[guest]\nname = 'debian13'\n[files.bravo]\n'/etc/lab/unpatched-portblock' = ''\n",
            "portblock is not patched in the guest debian13",
        ),
        # Orders of timeouts that would let one layer undercut another.
        ("[timing]\ndrbd_timeout_ds = 50\n", "drbd_timeout_ds must be below"),
        ("[timing]\ndrbd_connect_int_s = 4\n", "drbd_timeout_ds must be below"),
        ("[timing]\ndrbd_ping_int_s = 4\n", "drbd_timeout_ds must be below"),
        ("[timing]\nfence_dc_timeout_s = 61\n", "fence_dc_timeout_s must not exceed"),
        ("[timing]\npromote_timeout_s = 60\n", "promote_timeout_s must be above"),
        ("[initiator]\nnoop_interval_s = 40\nnoop_timeout_s = 21\n", "never notice a dead portal"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadInputError) as error:
        load(tmp_path, text)
    assert says in error.value.message
    assert "variant.toml" in error.value.message
    assert "\n" not in str(error.value)
    assert error.value.exit_code is ExitCode.MISSING_ENVIRONMENT


@pytest.mark.parametrize(
    "text",
    [
        "[timing]\ndrbd_timeout_ds = 49\n",
        "[timing]\nfence_dc_timeout_s = 60\n",
        "[timing]\npromote_timeout_s = 61\n",
        "[initiator]\nnoop_interval_s = 40\nnoop_timeout_s = 20\n",
        "[target]\niqn = 'iqn.1992-01.com.example-1.storage:disk-2.a'\n",
        "[drbd]\nko_count = 0\n",
    ],
)
def test_the_edges_of_what_is_allowed_are_allowed(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) != load_config(None, TCG)


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"cannot read the configuration .*No such file"):
        load_config(tmp_path / "missing.toml", TCG)
    with pytest.raises(BadInputError, match=r"cannot read the configuration .*Is a directory"):
        load_config(tmp_path, TCG)


def other_values(annotation: Any, value: Any) -> Iterator[Any]:
    """At least one other valid value for a leaf of the configuration."""
    if get_origin(annotation) is Literal:
        yield from (v for v in get_args(annotation) if v != value)
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
    elif value == DEFAULT:
        yield from (name for name in guest_names() if name != value)
    elif isinstance(value, str):
        yield value + "2"
    elif isinstance(value, tuple):
        yield value[::-1] if len(value) > 1 else (*value, "iqn.2026-11.com.example:second")
        if len(value) > 1:
            yield value[:1]
    elif annotation != dict[str, dict[str, str]]:
        # By machine: lists of names, a name, or a number by link.
        assert value == {}
        for other in (("iqn.2026-11.com.example:second",), "second", {"drbd": 1500}):
            with contextlib.suppress(ValidationError):
                yield TypeAdapter(annotation).validate_python({"bravo": other})
    else:
        assert value == {}
        yield {"nodes": {"/etc/x": "a"}}
        yield {"alpha": {"/etc/x": "a"}}
        yield {"nodes": {"/etc/x": "b"}}


# What a value does not go without.
NEEDS: dict[str, dict[str, Any]] = {
    "target.implementation=tgt": {"guest": {"name": "debian12-tgt"}},
    "initiator.multipath=True": {"guest": {"name": "debian12-multipath"}},
    "corosync.qdevice=ffsplit": {"guest": {"name": "debian12-qnetd"}},
    "corosync.qdevice=lms": {"guest": {"name": "debian12-qnetd"}},
    "corosync.qdevice_prefers_serving=True": {
        "corosync": {"qdevice": "ffsplit"},
        "guest": {"name": "debian12-qnetd"},
    },
}


def variants() -> Iterator[tuple[str, ClusterConfig]]:
    """The reference with one value changed, for every value there is."""
    reference = ClusterConfig()
    for name, info in ClusterConfig.model_fields.items():
        part = getattr(reference, name)
        if not isinstance(part, BaseModel):
            for value in other_values(info.annotation, part):
                yield f"{name}={value}", ClusterConfig.model_validate({name: value})
            continue
        for key, inner in type(part).model_fields.items():
            for value in other_values(inner.annotation, getattr(part, key)):
                label = f"{name}.{key}={value}"
                needed = NEEDS.get(label, {})
                changed = {**part.model_dump(), **needed.get(name, {}), key: value}
                told = needed | {name: changed}
                yield label, ClusterConfig.model_validate(told)


def test_the_key_of_a_formed_cluster_changes_with_every_single_value() -> None:
    keys = {"reference": config_key(ClusterConfig(), Topology())}
    deadlines = 0
    for name, config in variants():
        key = config_key(config, Topology())
        if "_deadline_s=" in name:
            assert key == keys["reference"], "the cluster knows nothing of how long we wait"
            deadlines += 1
        else:
            keys[name] = key
    assert deadlines > 0
    leaves = -deadlines + sum(
        len(type(part).model_fields) if isinstance(part, BaseModel) else 1
        for part in (getattr(ClusterConfig(), name) for name in ClusterConfig.model_fields)
    )
    assert len(keys) > leaves
    assert len(set(keys.values())) == len(keys)


def test_the_key_changes_with_the_plan_and_with_each_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ClusterConfig()
    reference = config_key(config, Topology())
    assert config_key(ClusterConfig(), Topology()) == reference
    assert config_key(config, Topology(1)) != reference
    templates = tmp_path / "cluster"
    shutil.copytree(render.TEMPLATES, templates)
    monkeypatch.setattr(render, "TEMPLATES", templates)
    assert config_key(config, Topology()) == reference, "not of where they lie"
    for path in templates.iterdir():
        text = path.read_text()
        path.write_text(text + "\n")
        assert config_key(config, Topology()) != reference, path.name
        path.write_text(text)
    path.rename(path.with_name("renamed.j2"))
    assert config_key(config, Topology()) != reference


def test_the_profiles_are_ordered_and_emulation_is_never_the_stricter() -> None:
    for profile in PROFILES.values():
        ClusterConfig(timing=profile)
        # The initiator must outlast a failover that waits for a fence handler and a promotion,
        # and the SCSI timer must outlast the initiator's own.
        slowest = profile.promote_timeout_s + profile.fence_handler_timeout_s
        assert slowest <= profile.replacement_timeout_s < profile.scsi_timeout_s
        assert profile.name in PROFILES
    for key, value in KVM.model_dump(exclude={"name"}).items():
        assert getattr(TCG, key) >= value, key


def test_a_file_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.toml"
    path.write_text("a = " + "[" * 3000)
    with pytest.raises(BadInputError, match="nested too deeply"):
        load_config(path, TCG)
