"""From files to a cluster: a folder, an archive, and what is there but cannot be used."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from harness.errors import BadInputError
from harness.lint import cluster_of, read_folder
from harness.lint.archive import read_archive
from harness.lint.folder import ABSENT
from harness.lint.formats.text import FormatError
from harness.lint.model import Kind, State
from tests.lint.reference import edit, found, lay_out, outcome, reference

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_says_what_its_files_say(tmp_path: Path) -> None:
    lay_out(reference(), tmp_path)
    (tmp_path / "README").write_text("beside the machines")
    (tmp_path / ".git").mkdir()
    (tmp_path / "alpha" / "link").symlink_to(tmp_path / "README")
    assert read_folder(tmp_path) == reference()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda f: None, "no such folder"),
        (lambda f: f.mkdir(), "has no subfolder"),
        (lambda f: (f / "a").mkdir(parents=True) or (f / "a" / "x").write_bytes(b"1" * (9 << 20)),
         "more than configurations"),
    ],
)  # fmt: skip
def test_a_folder_that_is_none(tmp_path: Path, make: object, says: str) -> None:
    assert callable(make)
    make(tmp_path / "here")
    with pytest.raises(BadInputError, match=says):
        read_folder(tmp_path / "here")


def test_machines_are_told_apart_by_what_they_have() -> None:
    kinds = {machine.name: machine.kind for machine in cluster_of(reference()).machines}
    assert kinds == {"alpha": Kind.NODE, "bravo": Kind.NODE, "client": Kind.INITIATOR}
    files = reference()
    files["client"] |= {"corosync.conf": b"left by a package", "kind.txt": b"initiator\n"}
    assert [machine.name for machine in cluster_of(files).nodes] == ["alpha", "bravo"]
    with pytest.raises(BadInputError, match="lonely is neither a cluster node nor an initiator"):
        cluster_of({"lonely": {"hosts": b""}})
    with pytest.raises(BadInputError, match="no cluster node among client"):
        cluster_of({"client": reference()["client"]})


def test_absent_is_not_missing() -> None:
    files = reference()
    alpha = cluster_of(files).machines[0]
    assert alpha.own_targets[0].state is State.ABSENT
    del files["alpha"][ABSENT]
    alpha = cluster_of(files).machines[0]
    assert alpha.own_targets[0].state is State.MISSING


def test_a_file_that_cannot_be_read_is_a_finding_and_judged_no_further() -> None:
    files = reference()
    files["bravo"]["corosync.conf"] = b"totem {\n  version: 2\n\xff"
    (readable,) = found(files, "readable")
    assert (str(readable.place), readable.what) == ("bravo/corosync.conf:3", "not UTF-8 text")
    rings = outcome(files, "redundant-rings")
    assert rings.missing == ("bravo/corosync.conf cannot be read",)
    assert rings.seen == 1


def test_the_file_of_several_that_is_wrong_is_named() -> None:
    files = reference()
    edit(files, "drbd.d/r1.res", "disk", "disk;;} ", "alpha")
    edit(files, "networkd/10-data.network", "MTUBytes=9000", "MTUBytes=huge", "bravo")
    edit(files, "udev/60-scsi-timeout.rules", '="540"', '="x"', "client")
    places = {str(one.place) for one in found(files, "readable")}
    assert places == {
        "alpha/drbd.d/r1.res:3",
        "bravo/networkd/10-data.network:5",
        "client/udev/60-scsi-timeout.rules:2",
    }


def test_cards_as_they_are_count_more_than_as_configured() -> None:
    files = reference()
    files["alpha"]["ip-addr.json"] = (
        b'[{"ifname":"drbd","mtu":1500,"addr_info":[{"local":"10.77.2.11","prefixlen":24}]}]'
    )
    (one,) = found(files, "same-mtu")
    assert one.what == "MTUs on 10.77.2.0/24: alpha 1500, bravo 9000"
    assert one.place.file == "alpha/ip-addr.json"


def test_default_routes_are_those_of_the_same_source() -> None:
    """The names of cards differ between ip(8) and the files that configure them."""
    files = reference()
    files["alpha"]["ip-addr.json"] = (
        b'[{"ifname":"drbd","mtu":9000,"addr_info":[{"local":"10.77.2.11","prefixlen":24}]}]'
    )
    assert outcome(files, "default-route").missing == ("alpha/ip-route.json was not collected",)
    files["alpha"]["ip-route.json"] = b'[{"dst":"default","dev":"drbd","gateway":"10.77.2.1"}]'
    (one,) = found(files, "default-route")
    assert one.what == "alpha: default route over the DRBD link"


def test_the_cib_in_xml_is_taken_before_crm_s() -> None:
    files = reference()
    files["alpha"]["cib.xml"] = b"<cib><configuration/></cib>"
    assert cluster_of(files).cib.name == "alpha/cib.xml"
    del files["alpha"]["cib.xml"], files["alpha"]["crm.txt"]
    assert cluster_of(files).cib.name == "bravo/crm.txt"


# ------------------------------------------------------------------------------------- archives


def packed(*members: tuple[str, bytes | None]) -> bytes:
    """A tar archive; a member without content is a symbolic link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/shadow"
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_an_archive() -> None:
    raw = packed(("alpha/hosts", b"x"), ("./alpha/drbd.d/r0.res", b"y"), ("bravo/hosts", b""))
    assert read_archive(raw) == {
        "alpha": {"hosts": b"x", "drbd.d/r0.res": b"y"},
        "bravo": {"hosts": b""},
    }


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "no tar archive"),
        (b"x" * 600, "no tar archive"),
        (packed(), "an archive without files"),
        (packed(("hosts", b"x")), "strange name"),
        (packed(("/etc/hosts", b"x")), "strange name"),
        (packed(("alpha/../../etc/hosts", b"x")), "strange name"),
        (packed(("../hosts", b"x")), "strange name"),
        (packed(("alpha/hosts", None)), "no plain file"),
        (packed(("alpha/a", b"x" * (5 << 20)), ("alpha/b", b"x" * (5 << 20))), "too large"),
        (packed(("alpha/a", b"x" * 2000))[:1024], "cut short|no tar archive"),
    ],
)
def test_an_archive_that_is_none(raw: bytes, says: str) -> None:
    with pytest.raises(FormatError, match=says):
        read_archive(raw)
