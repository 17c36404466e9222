"""The collector, run for real on a made-up machine: a folder for /, and stand-ins for its tools."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.cluster.config import ClusterConfig, Guest
from harness.cluster.lintable import (
    COLLECTOR,
    MENDED_PORTBLOCK,
    PORTBLOCK,
    collected_files,
    configured_files,
)
from harness.errors import HarnessError
from harness.lint import cluster_of, lint
from harness.lint.archive import read_archive
from harness.lint.folder import ABSENT
from harness.lint.formats.host import parse_portblock
from tests.lint.reference import fixture, reference

# Name under which a lint knows a file, and where the collector has to find it.
FILES = {
    "corosync.conf": "/etc/corosync/corosync.conf",
    "drbd.d/global_common.conf": "/etc/drbd.d/global_common.conf",
    "drbd.d/r0.res": "/etc/drbd.d/r0.res",
    "drbd.d/r1.res": "/etc/drbd.d/r1.res",
    "drbd.d/r2.res": "/etc/drbd.d/r2.res",
    "networkd/10-mgmt.network": "/etc/systemd/network/10-mgmt.network",
    "networkd/10-drbd.network": "/etc/systemd/network/10-drbd.network",
    "networkd/10-data.network": "/etc/systemd/network/10-data.network",
    "networkd/10-fence.network": "/etc/systemd/network/10-fence.network",
    "networkd/10-control.network": "/etc/systemd/network/10-control.network",
    "hosts": "/etc/hosts",
    "iscsid.conf": "/etc/iscsi/iscsid.conf",
    "initiatorname.iscsi": "/etc/iscsi/initiatorname.iscsi",
    "udev/60-scsi-timeout.rules": "/etc/udev/rules.d/60-scsi-timeout.rules",
}
DEBIAN_COROSYNC = b"""\
totem {
\tversion: 2
\tcluster_name: debian
}
nodelist {
\tnode {
\t\tname: node1
\t\tring0_addr: 127.0.0.1
\t}
}
"""
TOOLS = {
    "uname": 'echo "$NAME.example"',
    "cibadmin": 'cat "$FIXTURES/cib-reference.xml"',
    "systemctl": 'case $* in *is-*) [ "$NAME" != client ] ;; *) cat "$UNITS" ;; esac',
    "iptables": "echo 'iptables v1.8.9 (nf_tables)'",
}


class FakeMachine:
    def __init__(self, folder: Path, name: str) -> None:
        self.root, self.tools, self.name = folder / name, folder / f"{name}-tools", name
        self.root.mkdir()
        self.tools.mkdir()

    def put(self, path: str, content: bytes) -> None:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    def tool(self, name: str, script: str) -> None:
        path = self.tools / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def collect(self, out: str) -> bytes:
        """Run the script with our tools and the standard ones, but without ip(8)."""
        for tool in ("sed", "tr", "cat", "rm", "mkdir", "tar", "mktemp"):
            link = self.tools / tool
            if not link.exists():
                link.symlink_to(next(Path(d) / tool for d in ("/usr/bin", "/bin")
                                     if (Path(d) / tool).exists()))  # fmt: skip
        done = subprocess.run(
            ["/bin/sh", str(COLLECTOR), out],
            env={
                "PATH": str(self.tools),
                "LINT_ROOT": str(self.root),
                "NAME": self.name,
                "FIXTURES": str(Path(__file__).parent / "fixtures"),
                "UNITS": str(self.root / "units"),
            },
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        assert not done.stderr, done.stderr.decode()
        return done.stdout


@pytest.fixture
def machines(tmp_path: Path) -> list[FakeMachine]:
    made = []
    for name, own in reference().items():
        machine = FakeMachine(tmp_path, name)
        for known, path in FILES.items():
            if known in own:
                machine.put(path, own[known])
        for tool, script in TOOLS.items():
            if name != "client" or tool in ("uname", "systemctl"):
                machine.tool(tool, script)
        if name != "client":
            machine.put("/usr/lib/ocf/resource.d/heartbeat/portblock",
                        b"#!/bin/sh\nx() {\n}\n" + own["portblock.txt"].split(b"\n", 1)[1]
                        + b"y() {\n}\n")  # fmt: skip
        else:
            # What Debian's packages leave on a machine that is no node.
            machine.put("/etc/corosync/corosync.conf", DEBIAN_COROSYNC)
            machine.put("/etc/drbd.conf", b'include "drbd.d/*.res";\n')
            machine.put("/etc/drbd.d/global_common.conf", b"common { net {\n }\n}\n")
        machine.put("/units", own.get("unit-files.txt", b"ssh.service enabled enabled\n"))
        made.append(machine)
    return made


def test_what_is_collected_lints_as_what_was_rendered(
    machines: list[FakeMachine], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for machine in machines:
        assert machine.collect(str(out)) == b""
    files = {
        path.name: {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*")
                    if p.is_file()}
        for path in sorted(out.iterdir())
    }  # fmt: skip
    assert {oct(path.stat().st_mode & 0o777) for path in out.rglob("*") if path.is_file()} == {
        "0o600"
    }
    for name, own in reference().items():
        for known in FILES.keys() & own.keys():
            if known != "drbd.d/global_common.conf":
                assert files[name][known] == own[known], known
    assert files["alpha"]["portblock.txt"] == reference()["alpha"]["portblock.txt"]
    absent = files["alpha"][ABSENT].decode().split()
    kinds = {name: own["kind.txt"] for name, own in files.items()}
    assert kinds == {"alpha": b"node\n", "bravo": b"node\n", "client": b"initiator\n"}
    assert {"saveconfig.json", "targets.conf", "ietd.conf", "ip-addr.json", "drbd.conf"} <= set(
        absent
    )
    assert not [n for n in absent if n in files["alpha"]]
    for outcome in lint(cluster_of(files)):
        assert not outcome.found, outcome.found
        assert not outcome.missing, outcome.missing


def test_the_archive_holds_the_same(machines: list[FakeMachine], tmp_path: Path) -> None:
    alpha = machines[0]
    alpha.collect(str(tmp_path / "out"))
    folder = tmp_path / "out" / "alpha"
    stored = {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }
    assert read_archive(alpha.collect("-")) == {"alpha": stored}


def test_no_secret_leaves_the_machine(machines: list[FakeMachine], tmp_path: Path) -> None:
    alpha = machines[0]
    alpha.put("/etc/drbd.d/x.res", b'resource x { net { shared-secret "hush 1"; } }\n'
              b"resource y { net { shared-secret hush2; } }\n")  # fmt: skip
    alpha.put(
        "/etc/iscsi/iscsid.conf",
        b"node.session.auth.password = hush3\nnode.startup = automatic\n"
        b"discovery.sendtargets.auth.password_in = hush4\n",
    )
    alpha.put("/etc/rtslib-fb-target/saveconfig.json",
              b'{"targets": [{"tpgs": [{"chap_password": "hush5", "chap_mutual_password":"hush6",'
              b'"luns": []}]}]}')  # fmt: skip
    alpha.tool("cibadmin", 'cat "$FIXTURES/cib-of-the-post.xml"')
    alpha.tool("ip", 'echo "[]"')
    assert "se cret" in fixture("cib-of-the-post.xml")
    alpha.collect(str(tmp_path / "out"))
    everything = b"".join(
        path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()
    )
    assert b"hush" not in everything
    assert b"se cret" not in everything
    assert b"node.startup = automatic" in everything
    # What is left can still be read.
    cluster = cluster_of(read_archive(alpha.collect("-")))
    assert not cluster.unreadable
    assert cluster.cib.value is not None
    assert cluster.cib.value.primitives["fence_ipmi_a"].param("password") == "-"


def test_timers_of_disks_are_those_of_the_kernel(
    machines: list[FakeMachine], tmp_path: Path
) -> None:
    client = machines[2]
    for disk, vendor, timeout in (("sda", "LIO-ORG ", "540"), ("sdb", "ATA     ", "30")):
        client.put(f"/sys/block/{disk}/device/vendor", f"{vendor}\n".encode())
        client.put(f"/sys/block/{disk}/device/timeout", f"{timeout}\n".encode())
    client.collect(str(tmp_path / "out"))
    told = (tmp_path / "out/client/scsi-timers.txt").read_text()
    assert told == "sda LIO-ORG 540\nsdb ATA 30\n"


def test_a_node_whose_services_are_off_is_known_by_its_cib(
    machines: list[FakeMachine], tmp_path: Path
) -> None:
    client = machines[2]
    client.put("/var/lib/pacemaker/cib/cib.xml", b"<cib/>")
    client.collect(str(tmp_path / "out"))
    assert (tmp_path / "out/client/kind.txt").read_text() == "node\n"


def test_the_agent_that_the_recipe_patches_is_debian_s() -> None:
    assert PORTBLOCK.split("\n", 1)[1] == fixture("portblock-4.12.txt")
    assert MENDED_PORTBLOCK.split("\n", 1)[1] == fixture("portblock-4.16.txt")


def test_a_guest_with_a_mended_agent_is_not_said_to_be_patched() -> None:
    files = configured_files(ClusterConfig(guest=Guest(name="debian13")))
    assert files["alpha"]["portblock.txt"] == MENDED_PORTBLOCK.encode()
    assert files["bravo"]["portblock.txt"] == MENDED_PORTBLOCK.encode()
    agent = parse_portblock(MENDED_PORTBLOCK)
    assert (agent.takes_numbers, agent.iptables) == (True, "1.8.11")


class FakeGuest:
    """Runs what a guest would be told, on a made-up machine."""

    def __init__(self, machine: FakeMachine, answer: bytes | None = None) -> None:
        self._machine, self._answer = machine, answer
        self.script = b""

    def run(self, command: str, *, stdin: bytes, timeout_s: float) -> None:
        assert command == "cat > /run/lint-collector"
        assert timeout_s > 0
        self.script = stdin

    def read_binary(self, command: str, *, timeout_s: float) -> bytes:
        assert command == "sh /run/lint-collector -"
        assert timeout_s > 0
        assert self.script == COLLECTOR.read_bytes()
        return self._machine.collect("-") if self._answer is None else self._answer


def lab(machines: list[FakeMachine], answer: bytes | None = None) -> object:
    guests = {
        one.name: type("Machine", (), {"guest": FakeGuest(one, answer)})() for one in machines
    }
    return type("Lab", (), {"machines": guests})()


def test_a_running_lab_is_collected_by_the_same_script(machines: list[FakeMachine]) -> None:
    files = collected_files(lab(machines))  # type: ignore[arg-type]
    assert list(files) == ["alpha", "bravo", "client"]
    assert not [one for outcome in lint(cluster_of(files)) for one in outcome.found]


def test_a_machine_that_sends_something_else(machines: list[FakeMachine]) -> None:
    with pytest.raises(HarnessError, match="alpha sent no archive"):
        collected_files(lab(machines, b"bash: sh: not found"))  # type: ignore[arg-type]
    machines[1].name = "alpha"
    twisted = lab(machines)
    twisted.machines = {"bravo": twisted.machines["alpha"]}  # type: ignore[attr-defined]
    with pytest.raises(HarnessError, match="bravo calls itself alpha"):
        collected_files(twisted)  # type: ignore[arg-type]
