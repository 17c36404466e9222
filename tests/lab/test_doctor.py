"""The doctor, asked about hosts that lack one thing each, and once about this one."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from harness.errors import ExitCode
from harness.lab.accelerator import Accelerator
from harness.lab.connected import firewall
from harness.lab.doctor import (
    GIB,
    Finding,
    Host,
    Ran,
    exit_code,
    real_host,
    render,
    run_doctor,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CACHE = Path("/var/cache/harness")


def answer(command: Sequence[str]) -> Ran:
    if command[0].endswith("qemu-system-x86_64"):
        return Ran(0, "QEMU emulator version 7.2.22 (Debian)\nCopyright")
    return Ran(0, "some tool 1.0")


HEALTHY = Host(
    uid=lambda: 0,
    python=lambda: (3, 11, 2),
    which=lambda program: f"/usr/bin/{program}",
    run=answer,
    module=lambda _name: "12.8.0",
    character_device=lambda _path: True,
    file=lambda _path: True,
    disk_free=lambda _path: 100 * GIB,
    memory_available=lambda: 16 * GIB,
    cores=lambda: 4,
    accelerator=lambda _cache, _kernel: Accelerator("kvm", "a kernel ran under KVM", 1.2, "kernel"),
    libvirt=lambda _uri: "libvirt 9.0.0 on host",
)


def raises(error: Exception) -> Callable[..., Any]:
    def fail(*_arguments: object) -> Any:
        raise error

    return fail


def without(program: str) -> Callable[[str], str | None]:
    return lambda asked: None if asked == program else f"/usr/bin/{asked}"


def failing(*words: str, code: int = 1, output: str = "Operation not permitted") -> Any:
    def run(command: Sequence[str]) -> Ran:
        hit = all(any(word in part for part in command) for word in words)
        return Ran(code, output) if hit else answer(command)

    return run


def findings(connect: str | None = None, **changes: Any) -> dict[str, Finding]:
    host = replace(HEALTHY, **changes)
    return {f.check: f for f in run_doctor(CACHE, None, connect=connect, host=host)}


def test_a_healthy_host_passes_every_check() -> None:
    found = findings()
    assert {finding.ok for finding in found.values()} == {"ok"}
    assert exit_code(list(found.values())) is ExitCode.VALID
    assert len(found) == len(run_doctor(CACHE, None, host=HEALTHY)), "two checks share a name"


@pytest.mark.parametrize(
    ("check", "changes", "remedy"),
    [
        ("root", {"uid": lambda: 1000}, "sudo"),
        ("Python", {"python": lambda: (3, 10, 12)}, "3.11"),
        ("libvirt-python", {"module": raises(ImportError("no\nmodule"))}, "libvirt-dev"),
        ("qemu-system-x86_64", {"which": without("qemu-system-x86_64")}, "qemu-system-x86"),
        ("qemu-system-x86_64", {"run": failing("--version", output="", code=127)}, "reinstall"),
        ("qemu-img", {"which": without("qemu-img")}, "qemu-utils"),
        ("mmdebstrap", {"which": without("mmdebstrap")}, "mmdebstrap"),
        ("mke2fs", {"which": without("mke2fs")}, "e2fsprogs"),
        ("libvirtd", {"which": without("libvirtd")}, "libvirt-daemon"),
        ("fence_virtd", {"which": without("fence_virtd")}, "fence-virtd"),
        ("nft", {"which": without("nft")}, "nftables"),
        ("nbdkit", {"which": without("nbdkit")}, "nbdkit"),
        ("bridge rules", {"which": without("nft")}, "make install"),
        ("ip", {"which": without("ip")}, "iproute2"),
        ("Debian's keys", {"file": lambda _path: False}, "debian-archive-keyring"),
        ("tun device", {"character_device": lambda _path: False}, "modprobe tun"),
        ("namespaces", {"run": failing("-m", "-p")}, "--privileged"),
        ("namespaces", {"which": without("unshare")}, "make install"),
        ("bridges and taps", {"run": failing("ip link")}, "modprobe"),
        ("bridge rules", {"run": failing("add table bridge")}, "nf_tables"),
        ("disk", {"disk_free": lambda _path: 12 * GIB - 1}, "harness gc"),
        ("disk", {"disk_free": raises(PermissionError("no"))}, "--cache"),
        ("memory", {"memory_available": lambda: 4 * GIB}, "4.5 GiB"),
    ],
)
def test_what_is_missing_fails_with_a_remedy(
    check: str, changes: dict[str, Any], remedy: str
) -> None:
    found = findings(**changes)
    assert found[check].ok == "fail"
    assert remedy in found[check].remedy
    assert "\n" not in found[check].seen
    assert exit_code(list(found.values())) is ExitCode.MISSING_ENVIRONMENT


@pytest.mark.parametrize(
    ("check", "changes", "remedy"),
    [
        ("disk", {"disk_free": lambda _path: 12 * GIB}, "20 GiB"),
        ("CPU cores", {"cores": lambda: 1}, "slow"),
        ("KVM", {"accelerator": lambda *_: Accelerator("tcg", "it hangs", 20.0)}, "emulation"),
        (
            "qemu-system-x86_64",
            {"run": lambda _command: Ran(0, "QEMU emulator version 6.2.0")},
            "never tried below 7.2",
        ),
    ],
)
def test_what_is_merely_poor_warns(check: str, changes: dict[str, Any], remedy: str) -> None:
    found = findings(**changes)
    assert found[check].ok == "warn"
    assert remedy in found[check].remedy
    assert exit_code(list(found.values())) is ExitCode.VALID


def test_without_root_nothing_is_tried_that_takes_root() -> None:
    def run(command: Sequence[str]) -> Ran:
        assert command[0] != "unshare"
        return answer(command)

    found = findings(uid=lambda: 1000, run=run)
    assert {found[c].ok for c in ("namespaces", "bridges and taps", "bridge rules")} == {"warn"}


def test_kvm_is_not_tried_without_qemu() -> None:
    found = findings(which=without("qemu-system-x86_64"), accelerator=raises(AssertionError()))
    assert found["KVM"].ok == "warn"


def test_an_existing_daemon_spares_the_private_labs_needs() -> None:
    found = findings(connect="qemu:///system", accelerator=raises(AssertionError()))
    assert found["connection"].ok == "ok"
    assert "libvirt 9.0.0 on host" in found["connection"].seen
    assert "memory" in found
    assert not found.keys() & {"namespaces", "libvirtd", "KVM"}


def test_a_lab_on_an_existing_daemon_needs_root_and_what_it_starts_itself() -> None:
    """Bridges, rules and the fence device are the lab's, whoever's libvirt it is."""
    rights = findings(connect="qemu:///system", uid=lambda: 1000)["root"]
    assert (rights.ok, rights.remedy) == ("fail", "run through sudo")
    for tool in ("fence_virtd", "nft", "ip"):
        assert findings(connect="qemu:///system", which=without(tool))[tool].ok == "fail"


def test_a_far_daemon_that_cannot_be_reached_is_all_there_is_to_say(tmp_path: Path) -> None:
    """Nothing of this machine's is said of that one."""
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\necho ssh: connect to host far: No route to host >&2; exit 255\n")
    ssh.chmod(0o755)
    found = findings(connect=f"qemu+ssh://far/system?command={ssh}")
    assert found["connection"].ok == "fail"
    assert "No route to host" in found["connection"].seen
    assert "far true" in found["connection"].remedy
    assert not found.keys() & {"memory", "CPU cores", "fence_virtd", "firewall"}


CHAINS = """\
table ip filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
	}
	chain DOCKER {
	}
}
table inet own {
	chain in {
		type filter hook input priority 0; policy accept;
	}
}
table bridge strict {
	chain pass {
		type filter hook forward priority filter; policy drop;
	}
}
"""


@pytest.mark.parametrize(
    ("chains", "calls", "legacy", "says"),
    [
        (CHAINS, "1", "", "dropped by ip filter FORWARD, bridge strict pass"),
        (CHAINS, "0", "", "each other is dropped by bridge strict pass"),
        (CHAINS, None, "", "each other is dropped by bridge strict pass"),
        (CHAINS.replace("policy drop", "policy accept"), "1", "", ""),
        (CHAINS.replace("hook forward", "hook output"), "1", "", ""),
        ("", "0", "-P INPUT ACCEPT\n-P FORWARD DROP\n", ""),
        ("", "1", "-P INPUT ACCEPT\n-P FORWARD DROP\n", "each other is dropped by iptables FORW"),
        ("", "0", "-P INPUT DROP\n", "guests send to the host is dropped by iptables INPUT"),
        (
            CHAINS.replace("hook forward", "hook input"),
            "0",
            "",
            "the host is dropped by ip filt",
        ),
    ],
)
def test_a_firewall_that_eats_the_guests_traffic_is_named(
    chains: str, calls: str | None, legacy: str, says: str
) -> None:
    def run(command: Sequence[str]) -> Ran:
        if command[0] == "cat":
            return Ran(1, "No such file") if calls is None else Ran(0, calls + "\n")
        return Ran(0, chains if command[0].endswith("nft") else legacy)

    found = firewall(replace(HEALTHY, run=run))
    assert found.ok == ("warn" if says else "ok")
    assert says in found.seen
    assert ("fh0-data" in found.remedy) == bool(says)


def test_without_nft_the_firewall_is_not_said_to_be_open() -> None:
    assert firewall(replace(HEALTHY, which=lambda _program: None)).ok == "warn"


def test_a_daemon_that_does_not_answer_fails() -> None:
    found = findings(connect="qemu:///system", libvirt=raises(OSError("Failed to\nconnect")))
    assert found["connection"].ok == "fail"
    assert "Failed to connect" in found["connection"].seen


@pytest.mark.parametrize("cache", ["/" + "x" * 80, "/run/harness"])
def test_a_cache_that_no_lab_can_live_in_fails(cache: str) -> None:
    found = {f.check: f for f in run_doctor(Path(cache), None, host=HEALTHY)}
    assert found["socket paths"].ok == "fail"
    assert "--cache" in found["socket paths"].remedy


def rendered(found: Sequence[Finding], width: int) -> str:
    console = Console(file=io.StringIO(), width=width, soft_wrap=True, highlight=False)
    render(found, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_shows_the_remedy_of_every_line_that_is_not_ok() -> None:
    found = [
        Finding("fine", "ok", "seen [red]as it is[/red]", "never shown"),
        Finding("poor", "warn", "slow", "buy a faster one"),
        Finding("gone", "fail", "nothing", "install it"),
    ]
    text = rendered(found, 100)
    assert "→ buy a faster one" in text
    assert "→ install it" in text
    assert "never shown" not in text
    assert "[red]as it is[/red]" in text
    assert "cannot run the harness yet: 1 ok, 1 warnings, 1 missing" in text
    assert "this host is ready" in rendered(found[:2], 100)


def test_the_table_wraps_on_a_narrow_terminal() -> None:
    text = rendered([Finding("wide", "fail", "word " * 60, "remedy " * 20)], 60)
    *table, _verdict = text.splitlines()
    assert max(map(len, table)) <= 60


def test_this_host_can_be_asked(tmp_path: Path) -> None:
    host = real_host()
    assert host.disk_free(tmp_path / "not" / "there") > 0
    assert 0 < host.memory_available() < 1 << 50
    assert host.cores() >= 1
    assert host.python() >= (3, 11, 0)
    assert host.which("sh") is not None
    assert host.which("no-such-program-anywhere") is None
    assert host.run(["sh", "-c", "echo out; echo err >&2; exit 3"]) == Ran(3, "out\nerr\n")
    assert host.run(["/no/such/program"]).code == 127
    assert host.character_device(Path("/dev/null"))
    assert not host.character_device(tmp_path)
    assert not host.file(tmp_path / "none")
    with pytest.raises(ImportError):
        host.module("no_such_module_anywhere")


def test_a_real_run_without_the_kvm_probe_gives_a_remedy_with_every_failure(tmp_path: Path) -> None:
    host = replace(real_host(), accelerator=HEALTHY.accelerator)
    found = run_doctor(tmp_path, None, host=host)
    assert all(finding.seen for finding in found)
    assert all(finding.remedy for finding in found if finding.ok != "ok")
