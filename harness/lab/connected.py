"""What the doctor asks about a host with a libvirt that is there (``--connect``).

For a daemon of this machine, about this machine; for one on another host, about that host, through
SSH. Such a host has a firewall of its own, which a private lab does not: what it drops, the guests
never see.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.lab.doctor import (
    GIB,
    Finding,
    Host,
    Ran,
    connection_finding,
    cores_finding,
    disk_finding,
    memory_finding,
    root_finding,
    tool_finding,
    tools_of_a_lab,
)
from harness.lab.elsewhere import ROOT, Elsewhere, control_of, is_elsewhere

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.lab.accelerator import Accelerator
    from harness.remote.shell import HostShell

_BRIDGED = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
_HOOKS = ("forward", "input")
# nft(8), "list chains": a base chain's own line.
_TABLE = re.compile(r"^table (?P<family>\S+) (?P<table>\S+) \{")
_CHAIN = re.compile(r"^\s*chain (?P<chain>\S+) \{")
_BASE = re.compile(r"type \S+ hook (?P<hook>\S+) .*policy (?P<policy>\S+?);")
_LEGACY = re.compile(r"^-P (?P<chain>INPUT|FORWARD) DROP$", re.MULTILINE)
# Bytes there: an image, formed clusters with the memory of three VMs, the disks of one lab.
_DISK_THERE = 10 * GIB
_OLDEST_PYTHON = (3, 8)


def check(host: Host, uri: str, cache: Path) -> list[Finding]:
    """What a lab on the libvirt at ``uri`` needs, of the host that it is on.

    Args:
        host: this machine.
        uri: as ``--connect`` takes it.
        cache: the cache root.
    """
    if not is_elsewhere(uri):
        rights = root_finding(host)
        if rights.ok == "fail":  # a user namespace has none of this host's bridges
            rights = replace(rights, remedy="run through sudo")
        return [rights, connection_finding(host, uri), *_of_a_host(host), memory_finding(host),
                cores_finding(host)]  # fmt: skip
    try:
        there = Elsewhere.open(uri, control_of(cache, uri))
    except HarnessError as error:
        return [Finding("connection", "fail", error.message, error.hint)]
    try:
        return check_there(host, there)
    finally:
        there.close()


def check_there(host: Host, there: Elsewhere) -> list[Finding]:
    """What a lab on another host needs of it. Its KVM is tried once an image is there."""
    number = there.connection.getLibVersion()
    version = f"{number // 1000000}.{number // 1000 % 1000}.{number % 1000}"
    name = there.shell.name
    seen = f"libvirt {version} and {there.qemu()} on {name}, by SSH as root"
    far = far_host(host, there.shell)
    findings = [Finding("connection", "ok", seen), _python_there(there.shell)]
    findings += [_storage(there)]
    findings += [tool_finding(far, "qemu-img", "qemu-utils", "disk images")]
    findings += [*_of_a_host(far), _kvm_there(far, name)]
    findings += [disk_finding(far, Path(ROOT).parent, _DISK_THERE), memory_finding(far)]
    findings.append(cores_finding(far))
    return [
        replace(one, check=f"{name}: {one.check}") if one.check != "connection" else one
        for one in findings
    ]


def far_host(host: Host, shell: HostShell) -> Host:
    """Another host, as the doctor's checks ask it; what is asked of this one stays."""

    def run(command: Sequence[str]) -> Ran:
        try:
            return Ran(0, shell.run(*command))
        except HarnessError as error:
            return Ran(1, error.message)

    def which(program: str) -> str | None:
        script = 'PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v "$1"'
        found = run(["sh", "-c", script, "sh", program])
        return found.output.strip() if found.code == 0 else None

    def number(script: str) -> int:
        said = run(["sh", "-c", script]).output.strip()
        return int(said) if said.isdigit() else 0

    def disk_free(path: Path) -> int:
        there = number(f"df -P -B1 {path} | awk 'NR == 2 {{ print $4 }}'")
        if not there:
            raise OSError(f"df tells nothing of {path} on {shell.name}")
        return there

    return replace(
        host,
        which=which,
        run=run,
        character_device=lambda path: run(["test", "-c", str(path)]).code == 0,
        file=lambda path: run(["test", "-r", str(path)]).code == 0,
        disk_free=disk_free,
        memory_available=lambda: number("awk '/^MemAvailable:/ { print $2 * 1024 }' /proc/meminfo"),
        cores=lambda: number("nproc"),
        accelerator=_not_asked,
    )


def _not_asked(_cache: Path, _kernel: Path | None) -> Accelerator:
    raise AssertionError("KVM there is tried with an image that is there")


def _of_a_host(host: Host) -> list[Finding]:
    """What every lab takes where its VMs are."""
    return [*(finding for finding in tools_of_a_lab(host)), firewall(host)]


def _python_there(shell: HostShell) -> Finding:
    try:
        said = shell.run("python3", "-c", "import sys; print(*sys.version_info[:3], sep='.')")
        version = tuple(int(part) for part in said.strip().split("."))
    except (HarnessError, ValueError) as error:
        why = error.message if isinstance(error, HarnessError) else str(error)
        return Finding("python3", "fail", why[:200], "apt-get install python3 there: witnesses")
    if version < _OLDEST_PYTHON:
        return Finding("python3", "fail", said.strip(), "3.8 or later is needed there")
    if version < (3, 11):
        remedy = "KVM is tried with 3.11 or later: else say --accelerator tcg or kvm"
        return Finding("python3", "warn", said.strip(), remedy)
    return Finding("python3", "ok", said.strip())


def _storage(there: Elsewhere) -> Finding:
    """libvirt's own drivers: an image comes by its storage, links are its networks."""
    import libvirt

    try:
        there.connection.listAllStoragePools()
        there.connection.listAllNetworks()
    except libvirt.libvirtError as error:
        remedy = "apt-get install libvirt-daemon-system there (RHEL: libvirt-daemon-driver-*)"
        return Finding("libvirt's drivers", "fail", " ".join(str(error).split())[:200], remedy)
    return Finding("libvirt's drivers", "ok", "storage and networks")


def _kvm_there(host: Host, name: str) -> Finding:
    if host.character_device(Path("/dev/kvm")):
        return Finding("KVM", "ok", f"there is a /dev/kvm; a run tries a kernel under it on {name}")
    remedy = "emulation will be used, 5 to 10 times slower; verdicts are the same"
    return Finding("KVM", "warn", "there is no /dev/kvm", remedy)


def firewall(host: Host) -> Finding:
    """Whether the host drops what it is not told to let through.

    Guests' frames pass a bridge: rules of the bridge family see them, and those for IP as well
    where br_netfilter says so (Documentation/networking/ip-sysctl.rst, bridge-nf-call-iptables).
    What the nodes send to the host itself, which answers their pings and their fencing, is input.
    """
    check = "firewall"
    nft, iptables = host.which("nft"), host.which("iptables")
    if nft is None and iptables is None:
        return Finding(check, "warn", "not looked at: no nft", "apt-get install nftables")
    dropping = drops(host.run([nft, "list", "chains"]).output) if nft is not None else []
    if iptables is not None:
        told = _LEGACY.findall(host.run([iptables, "-S"]).output)
        dropping += [("ip", chain.lower(), f"iptables {chain}") for chain in told]
    bridged = host.run(["cat", str(_BRIDGED)])
    calls = bridged.code == 0 and bridged.output.strip() == "1"
    between = [
        name for family, hook, name in dropping
        if hook == "forward" and (family == "bridge" or calls)
    ]  # fmt: skip
    to_host = [name for _family, hook, name in dropping if hook == "input"]
    troubles = []
    if between:
        troubles.append(f"what guests send each other is dropped by {', '.join(between)}")
    if to_host:
        troubles.append(f"what guests send to the host is dropped by {', '.join(to_host)}")
    if not troubles:
        return Finding(check, "ok", "nothing drops what passes the lab's bridges by default")
    remedy = (
        "unless its rules let the lab's bridges (fh0-data, …) through: "
        "sysctl net.bridge.bridge-nf-call-iptables=0 for what passes them, and accept fh* on input"
    )
    return Finding(check, "warn", "; ".join(dict.fromkeys(troubles)), remedy)


def drops(listed: str) -> list[tuple[str, str, str]]:
    """Family, hook and name of each base chain whose policy is drop; of ``nft list chains``."""
    found = []
    family = table = chain = ""
    for line in listed.splitlines():
        if match := _TABLE.match(line):
            family, table = match["family"], match["table"]
        elif match := _CHAIN.match(line):
            chain = match["chain"]
        elif (
            (match := _BASE.search(line))
            and match["policy"] == "drop"
            and match["hook"] in _HOOKS
            and family in ("ip", "inet", "bridge")
        ):
            found.append((family, match["hook"], f"{family} {table} {chain}"))
    return found
