"""A foreign cluster mapped onto the lab: what goes in as a configuration comes out as one."""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cluster.config import ClusterConfig, Corosync, Drbd, Guest, Pacemaker, load_config
from harness.cluster.lintable import configured_files
from harness.commands.own import mapped, nested, write_configuration
from harness.errors import BadInputError
from harness.lab.paths import PROJECT
from harness.lint.onto_lab.telling import as_toml, changed, left_lines, summary_lines
from harness.mutants.model import MUTANTS
from harness.timing import PROFILES
from tests.lint.reference import edit, lay_out, reference

if TYPE_CHECKING:
    from harness.lint import Files
    from harness.lint.onto_lab import Sheet

KVM, TCG = PROFILES["kvm"], PROFILES["tcg"]
POST = PROJECT / "docs" / "examples" / "the-post"


def back(config: ClusterConfig, folder: Path) -> ClusterConfig:
    """The configuration that comes back from the files of one."""
    sheet = mapped(lay_out(configured_files(config), folder / "files"), config.timing.name)
    write_configuration(sheet, folder / "own.toml")
    assert not sheet.left
    return load_config(folder / "own.toml", config.timing)


@pytest.fixture
def files() -> Files:
    return reference("kvm")


def test_the_reference_comes_back(tmp_path: Path) -> None:
    config = ClusterConfig(timing=KVM)
    sheet = mapped(lay_out(reference("kvm"), tmp_path), "kvm")
    assert ClusterConfig.model_validate(nested(sheet)) == config
    assert changed(sheet) == []
    assert left_lines(sheet) == []
    assert summary_lines(sheet)[-1] == "All was mapped."


@pytest.mark.parametrize("mutant", sorted(MUTANTS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_mutant_comes_back(mutant: Path, tmp_path: Path) -> None:
    """A mistake in somebody's files is the lab's mistake, and only that one."""
    config = load_config(mutant, KVM)
    sheet = mapped(lay_out(configured_files(config), tmp_path / "files"), "kvm")
    write_configuration(sheet, tmp_path / "own.toml")
    found = load_config(tmp_path / "own.toml", KVM)
    # Files that are put over others are no setting.
    assert found == config.model_copy(update={"files": {}})
    assert len(sheet.left) == len(config.files)


CONFIGS = st.builds(
    ClusterConfig,
    timing=st.just(KVM),
    drbd=st.builds(Drbd, fencing=st.sampled_from(["dont-care", "resource-only"])),
    corosync=st.builds(
        Corosync,
        rings=st.sampled_from([("mgmt", "drbd"), ("drbd", "mgmt"), ("mgmt",), ("drbd",)]),
    ),
    pacemaker=st.builds(Pacemaker, resource_stickiness=st.integers(0, 999_999)),
    guest=st.builds(
        Guest,
        portblock_patched=st.just(True),
        mtu=st.dictionaries(
            st.sampled_from(["alpha", "bravo", "client"]),
            st.dictionaries(st.just("data"), st.integers(576, 8999), min_size=1),
        ),
    ),
)


@settings(max_examples=20, deadline=None)
@given(config=CONFIGS)
def test_configurations_come_back(config: ClusterConfig) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = back(config, Path(folder))
    assert found == config


def test_longer_timeouts_for_slower_guests(files: Files, tmp_path: Path) -> None:
    lay_out(files, tmp_path)
    real, slow = mapped(tmp_path, "kvm"), mapped(tmp_path, "tcg")
    assert ClusterConfig.model_validate(nested(real)).timing == KVM
    assert ClusterConfig.model_validate(nested(slow)).timing == TCG
    note = slow.settings["timing", "replacement_timeout_s"].note
    assert note == "180 there; longer for slower guests"


def test_a_short_patience_stays_a_short_one(files: Files, tmp_path: Path) -> None:
    edit(files, "iscsid.conf", "replacement_timeout = 180", "replacement_timeout = 5")
    sheet = mapped(lay_out(files, tmp_path), "tcg")
    assert sheet.settings["timing", "replacement_timeout_s"].value == 12


Change = tuple[str, str, str, str]


@pytest.mark.parametrize(
    ("change", "name", "value"),
    [
        (("drbd.d/global_common.conf", "protocol C;", "", ""), "drbd.protocol", "C"),
        (
            ("drbd.d/global_common.conf", "fencing resource-and-stonith;", "", ""),
            "drbd.fencing",
            "dont-care",
        ),
        (("corosync.conf", "    token: 3000\n", "", ""), "timing.corosync_token_ms", 3000),
        (("corosync.conf", "two_node: 1", "two_node: 0", ""), "corosync.wait_for_all", False),
        (("crm.txt", "stonith-enabled=true ", "", ""), "pacemaker.stonith_enabled", True),
        (("crm.txt", "action=unblock", "action=block", ""), "pacemaker.portblock", False),
        (("crm.txt", "resource-stickiness=200", "x=1", ""), "pacemaker.resource_stickiness", 0),
        (("crm.txt", "path=/dev/drbd1 ", "path=/srv/image ", ""), "target.backstore", "fileio"),
        (("crm.txt", "inf: DATA_GROUP", "100: DATA_GROUP", ""), "pacemaker.colocation", "none"),
    ],
)
def test_what_nobody_says_is_the_programs_default(
    files: Files, tmp_path: Path, change: Change, name: str, value: Any
) -> None:
    file, old, new, _ = change
    for node in ("alpha", "bravo"):
        edit(files, file, old, new, node)
    sheet = mapped(lay_out(files, tmp_path), "kvm")
    assert sheet.settings[tuple(name.split("."))].value == value


def test_one_resource_that_differs_is_the_one_to_look_at(files: Files, tmp_path: Path) -> None:
    edit(files, "drbd.d/r1.res", "device ", "net { protocol A; }\n    device ", "bravo")
    sheet = mapped(lay_out(files, tmp_path), "kvm")
    setting = sheet.settings["drbd", "protocol"]
    assert setting.value == "A"
    assert setting.note == "C, A in different places"
    assert str(setting.place) == "bravo/drbd.d/r1.res:2 (resource r1)"


def left(files: Files, folder: Path) -> list[str]:
    return left_lines(mapped(lay_out(files, folder), "kvm"))


@pytest.mark.parametrize(
    ("machine", "file", "old", "new", "says"),
    [
        ("alpha", "drbd.d/r1.res", "device ", "net { max-buffers 8000; }\n device ", "max-buffers"),
        ("alpha", "drbd.d/global_common.conf", "rr-conflict disconnect", "rr-conflict violently",
         "rr-conflict violently"),
        ("alpha", "drbd.d/global_common.conf", "crm-fence-peer.sh", "mine.sh", "handler "),
        ("alpha", "drbd.d/global_common.conf", "ko-count 7", "ko-count many", "ko-count many"),
        ("alpha", "drbd.d/global_common.conf", "ko-count 7", "ko-count 300", "less than or equal"),
        ("alpha", "drbd.d/global_common.conf", "timeout 40;", "timeout 60;", "must be below"),
        ("alpha", "drbd.d/global_common.conf", "protocol C", "protocol D", "'A', 'B' or 'C'"),
        ("alpha", "corosync.conf", "token: 3000", "token: long", "token long"),
        ("alpha", "corosync.conf", "link_mode: passive", "consensus: 9000", "consensus 9000"),
        ("alpha", "corosync.conf", "knet", "udpu", "transport udpu"),
        ("alpha", "corosync.conf", "logging {", "qdevice {", "section qdevice"),
        ("alpha", "corosync.conf", "two_node: 1", "two_node: 0", "no two_node"),
        ("alpha", "crm.txt", "property ", "primitive web ocf:heartbeat:apache\nproperty ",
         "ocf:heartbeat:apache"),
        ("alpha", "crm.txt", "property ", "location p DATA_GROUP 50: alpha\nproperty ",
         "prefers alpha"),
        ("alpha", "crm.txt", "stonith-enabled", "no-quorum-policy=ignore stonith-enabled",
         "no-quorum-policy=ignore"),
        ("alpha", "crm.txt", "implementation=lio-t target_iqn", "implementation=tgt target_iqn",
         "implementation=tgt"),
        ("alpha", "crm.txt", "iqn.2026-11.com.example:failover", "iqn.bad", "does not take it"),
        ("client", "iscsid.conf", "noop_out_interval = 5", "noop_out_interval = often", "often"),
        ("client", "iscsid.conf", "noop_out_interval = 5", "noop_out_interval = 99", "dead portal"),
        ("alpha", "networkd/10-data.network", "MTUBytes=9000", "MTUBytes=9216", "MTU 9216"),
        ("alpha", "corosync.conf", "totem {", "totem", "the whole file"),
    ],
)  # fmt: skip
def test_what_the_lab_does_not_have_is_said(
    files: Files, tmp_path: Path, machine: str, file: str, old: str, new: str, says: str
) -> None:
    """And nothing of it is an error: the rest is run."""
    edit(files, file, old, new, machine)
    told = left(files, tmp_path)
    assert any(says in line for line in told), told
    load_config(None, KVM)


def test_what_is_missing_is_assumed_and_said(files: Files, tmp_path: Path) -> None:
    del files["client"]
    edit(files, "crm.txt", "example:client", "example:theirs", "alpha")
    for name in [name for name in files["alpha"] if name.startswith("networkd/")]:
        del files["alpha"][name]
    sheet = mapped(lay_out(files, tmp_path), "kvm")
    told = "\n".join(left_lines(sheet))
    assert "no initiator's files" in told
    assert "alpha/networkd/ was not collected" in told
    # It is let in under the name that the target knows.
    assert sheet.settings["initiator", "iqn"].value == "iqn.2026-11.com.example:theirs"


@pytest.mark.parametrize("count", [1, 3])
def test_two_nodes(files: Files, tmp_path: Path, count: int) -> None:
    lay_out(files, tmp_path)
    if count == 1:
        files = {name: own for name, own in files.items() if name != "bravo"}
    else:
        files = files | {"charly": files["bravo"]}
    with pytest.raises(BadInputError, match=f"this cluster {count}"):
        mapped(lay_out(files, tmp_path / "files"), "kvm")


def test_a_ring_on_the_data_link_is_left(files: Files, tmp_path: Path) -> None:
    card = files["alpha"]["networkd/10-data.network"].decode()
    data = next(line[8:].split("/")[0] for line in card.split("\n") if line.startswith("Address="))
    text = files["alpha"]["corosync.conf"].decode()
    old = next(line.split()[1] for line in text.split("\n") if "ring0_addr" in line)
    edit(files, "corosync.conf", old, data, "alpha")
    sheet = mapped(lay_out(files, tmp_path), "kvm")
    assert sheet.settings["corosync", "rings"].value == ["drbd"]
    assert any("ring 0 on the data link" in line for line in left_lines(sheet))


def test_hostile_text_stays_text(files: Files, tmp_path: Path) -> None:
    bad = 'primitive bad ocf:heartbeat:"\x1b]0;x\x07' + "A" * 900 + '"'
    edit(files, "crm.txt", "property ", f"{bad}\nproperty ", "alpha")
    sheet = mapped(lay_out(files, tmp_path), "kvm")
    text = as_toml(sheet)
    tomllib.loads(text)
    assert all(line.isprintable() and len(line) <= 310 for line in text.splitlines())


def test_the_post(tmp_path: Path) -> None:
    """The example in docs/: what the post has, and what it does not say."""
    sheet = mapped(POST, "kvm")
    config = ClusterConfig.model_validate(nested(sheet))
    assert sheet.names == {"iscsi1": "alpha", "iscsi2": "bravo", "web1": "client"}
    assert config.pacemaker.colocation == "post"
    assert config.pacemaker.order
    assert not config.pacemaker.stonith_enabled
    assert config.corosync.rings == ("mgmt", "drbd")
    assert config.corosync.link_mode == "active"
    assert config.drbd.fencing == "dont-care"
    assert config.guest.mtu == {}
    assert config.timing.scsi_timeout_s == 30
    assert any("implementation=iet" in line for line in left_lines(sheet))
    assert sum("mcastport 5405" in line for line in left_lines(sheet)) == 1
    write_configuration(sheet, tmp_path / "post.toml")
    assert load_config(tmp_path / "post.toml", KVM) == config


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_bytes_give_a_mapping_or_the_typed_error(data: st.DataObject) -> None:
    files = reference("kvm")
    machine = data.draw(st.sampled_from(sorted(files)))
    name = data.draw(st.sampled_from(sorted(files[machine])))
    content = files[machine][name]
    at = data.draw(st.integers(0, len(content)))
    files[machine][name] = content[:at] + data.draw(st.binary(max_size=40)) + content[at + 1 :]
    with tempfile.TemporaryDirectory() as folder:
        try:
            sheet: Sheet = mapped(lay_out(files, Path(folder)), "kvm")
        except BadInputError:
            return
    ClusterConfig.model_validate(nested(sheet))
    tomllib.loads(as_toml(sheet))
