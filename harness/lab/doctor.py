"""What this host has of what the harness needs, one finding each, with the remedy.

The checks are pure: everything they know of the host comes through a ``Host``, whose callables the
tests replace. ``real_host()`` asks this machine, and changes nothing on it: what has to be tried is
tried in namespaces that end with the command.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich import box
from rich.table import Table
from rich.text import Text

from harness.errors import BadInputError, ExitCode
from harness.lab.accelerator import QEMU, Accelerator, probe_kvm
from harness.lab.paths import Cache
from harness.progress import stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console

GIB = 1 << 30
# A base image, a formed cluster with the memory of three VMs, and the disks of one lab.
DISK_NEEDED = 12 * GIB
DISK_COMFORTABLE = 20 * GIB
# Three VMs with 2.8 GiB of guest memory, QEMU's own, fio's and the image build's tmpfs.
MEMORY_NEEDED = int(4.5 * GIB)
# The oldest QEMU that the harness was run with (Debian 12).
QEMU_TRIED = (7, 2)
# sun_path of unix(7) has 108 bytes with its closing NUL; below the cache lies at the longest
# labs/<name>/sockets/libvirt-admin-sock, with a name of up to 16 characters.
SUN_PATH = 108
_LONGEST_SOCKET = len("/labs//sockets/libvirt-admin-sock") + 16

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was seen, and what to do about it (empty if nothing)."""

    check: str
    ok: Level
    seen: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Ran:
    """A finished command: its exit code (124: it took too long, 127: not found) and output."""

    code: int
    output: str


@dataclass(frozen=True, slots=True)
class Host:
    """Everything the checks ask of a host.

    Attributes:
        uid: effective user id.
        python: version of the running Python.
        which: path of a program, or None.
        run: run a command; both streams in one.
        module: version of an importable module; raises ImportError.
        character_device: whether a path is a character device that this user may open.
        file: whether a path is a readable file.
        disk_free: bytes free where a path is or would be; raises OSError.
        memory_available: bytes that can be had without swapping.
        cores: CPU cores this process may use.
        accelerator: KVM or emulation, given the cache folder and a kernel.
        libvirt: what answers at a libvirt URI, one line; raises OSError with its words.
    """

    uid: Callable[[], int]
    python: Callable[[], tuple[int, int, int]]
    which: Callable[[str], str | None]
    run: Callable[[Sequence[str]], Ran]
    module: Callable[[str], str]
    character_device: Callable[[Path], bool]
    file: Callable[[Path], bool]
    disk_free: Callable[[Path], int]
    memory_available: Callable[[], int]
    cores: Callable[[], int]
    accelerator: Callable[[Path, Path | None], Accelerator]
    libvirt: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class _Tool:
    program: str
    package: str
    why: str
    version: tuple[str, ...] = ()


# Programs that any lab needs, since images and seeds are built on this host.
_TOOLS = (
    _Tool("qemu-img", "qemu-utils", "disk images", ("--version",)),
    _Tool("mmdebstrap", "mmdebstrap", "builds the guest image", ("--version",)),
    _Tool("mke2fs", "e2fsprogs", "builds the guest image", ("-V",)),
)
# Programs that the private lab needs.
_LAB_TOOLS = (
    _Tool("libvirtd", "libvirt-daemon", "the private daemon", ("--version",)),
    _Tool("fence_virtd", "fence-virtd", "answers the nodes' fencing"),
    _Tool("nft", "nftables", "cuts links", ("--version",)),
    _Tool("nbdkit", "nbdkit", "disks with a volatile cache, or failing", ("--version",)),
    _Tool("ip", "iproute2", "bridges and taps", ("-V",)),
    _Tool("nsenter", "util-linux", "enters the lab", ("--version",)),
)
# … of these, those that a lab on a libvirt that is there takes as well.
_ANY_LAB = ("fence_virtd", "nft", "ip")
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_TUN = Path("/dev/net/tun")
_NAMESPACES = ("unshare", "-m", "-n", "-p", "-f", "true")
_BRIDGE_RULES = ("unshare", "-n", "nft", "add table bridge t")
_BRIDGE_TAP = (
    *("unshare", "-n", "sh", "-c"),
    "ip link add name fh-br type bridge && ip tuntap add dev fh-tap mode tap"
    " && ip link set dev fh-tap master fh-br",
)


def run_doctor(
    cache: Path,
    kernel: Path | None,
    *,
    connect: str | None = None,
    host: Host | None = None,
) -> list[Finding]:
    """Check the host; the slowest check boots a kernel under KVM (20 s at most, then remembered).

    Args:
        cache: the cache root; it need not exist.
        kernel: a guest kernel for the KVM probe, if the image is built.
        connect: URI of an existing libvirt daemon; None checks what the private one needs.
        host: whom to ask; None asks this machine.
    """
    asked = host if host is not None else real_host()
    findings = [_python(asked), _binding(asked)]
    findings += [_tool(asked, tool) for tool in _TOOLS]
    findings += [_keyring(asked), disk_finding(asked, cache), _paths(cache)]
    if connect is None:
        findings[:0] = [root_finding(asked)]
        findings += _private_lab(asked, cache, kernel)
    else:
        from harness.lab.connected import check  # it asks with what is below

        findings += check(asked, connect, cache)
    return findings


def exit_code(findings: Sequence[Finding]) -> ExitCode:
    """VALID if nothing fails (warnings do not count), else MISSING_ENVIRONMENT."""
    failed = any(finding.ok == "fail" for finding in findings)
    return ExitCode.MISSING_ENVIRONMENT if failed else ExitCode.VALID


def render(findings: Sequence[Finding], console: Console) -> None:
    """Print one row per finding; a row that is not ok says what to do below what was seen."""
    marks = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "bold red")}
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("")
    table.add_column("check", no_wrap=True)
    table.add_column("seen", overflow="fold")
    for finding in findings:
        mark, style = marks[finding.ok]
        # Text, not markup: what programs say may hold brackets.
        seen = Text(finding.seen)
        if finding.ok != "ok" and finding.remedy:
            seen.append(f"\n→ {finding.remedy}", style=style)
        table.add_row(Text(mark, style=style), Text(finding.check), seen)
    # Even where the console lets long lines run on: a table has to wrap.
    console.print(table, soft_wrap=False)
    counts = {level: sum(finding.ok == level for finding in findings) for level in marks}
    verdict = "this host cannot run the harness yet" if counts["fail"] else "this host is ready"
    console.print(
        Text(f"{verdict}: {counts['ok']} ok, {counts['warn']} warnings, {counts['fail']} missing")
    )


def _private_lab(host: Host, cache: Path, kernel: Path | None) -> list[Finding]:
    findings = [_qemu(host), *(_tool(host, tool) for tool in _LAB_TOOLS), _tun(host)]
    trials = (
        ("namespaces", _NAMESPACES, "unshare", "mount, network and PID namespaces"),
        ("bridges and taps", _BRIDGE_TAP, "ip", "a tap on a bridge, in a namespace"),
        ("bridge rules", _BRIDGE_RULES, "nft", "nftables' bridge family, in a namespace"),
    )
    findings += [_trial(host, *trial) for trial in trials]
    return [*findings, memory_finding(host), cores_finding(host), _kvm(host, cache, kernel)]


def _install(package: str) -> str:
    return f"make install (or: apt-get install {package})"


def root_finding(host: Host) -> Finding:
    """Whether this may make namespaces, bridges, taps and rules."""
    if host.uid() == 0:
        return Finding("root", "ok", "running as root")
    seen = f"running as user {host.uid()}"
    return Finding("root", "fail", seen, "run through sudo, or with --rootless")


def _python(host: Host) -> Finding:
    version = host.python()
    seen = ".".join(map(str, version))
    if version >= (3, 11):
        return Finding("Python", "ok", seen)
    return Finding(
        "Python", "fail", seen, "3.11 or later is needed: PYTHON=python3.11 make install"
    )


def _binding(host: Host) -> Finding:
    check = "libvirt-python"
    try:
        return Finding(check, "ok", host.module("libvirt"))
    except ImportError as error:
        seen = _one_line(f"cannot be imported: {error}")
        return Finding(check, "fail", seen, _install("libvirt-dev pkg-config gcc python3-dev"))


def tool_finding(host: Host, program: str, package: str, why: str) -> Finding:
    """Whether a program is there; its path."""
    return _tool(host, _Tool(program, package, why))


def tools_of_a_lab(host: Host) -> list[Finding]:
    """Programs that a lab takes where its VMs are, whoever's libvirt they are on."""
    return [_tool(host, tool) for tool in _LAB_TOOLS if tool.program in _ANY_LAB]


def _tool(host: Host, tool: _Tool) -> Finding:
    path = host.which(tool.program)
    if path is None:
        seen = f"not installed ({tool.why})"
        return Finding(tool.program, "fail", seen, _install(tool.package))
    seen = path
    if tool.version:
        said = _one_line(host.run([path, *tool.version]).output.strip().split("\n", 1)[0])
        seen = said or path
    return Finding(tool.program, "ok", seen)


def _qemu(host: Host) -> Finding:
    found = _tool(host, _Tool(QEMU, "qemu-system-x86", "runs the guests", ("--version",)))
    version = re.search(r"version (\d+)\.(\d+)", found.seen)
    if found.ok != "ok":
        return found
    if version is None:
        remedy = f"it does not run: {_install('--reinstall qemu-system-x86')}"
        return Finding(QEMU, "fail", found.seen, remedy)
    if (int(version[1]), int(version[2])) < QEMU_TRIED:
        tried = ".".join(map(str, QEMU_TRIED))
        return replace(found, ok="warn", remedy=f"the harness was never tried below {tried}")
    return found


def _keyring(host: Host) -> Finding:
    check = "Debian's keys"
    if host.file(_KEYRING):
        return Finding(check, "ok", str(_KEYRING))
    return Finding(check, "fail", f"{_KEYRING} is missing", _install("debian-archive-keyring"))


def _tun(host: Host) -> Finding:
    if host.character_device(_TUN):
        return Finding("tun device", "ok", str(_TUN))
    remedy = "modprobe tun; in a container: --device /dev/net/tun"
    return Finding("tun device", "fail", f"{_TUN} is missing or closed to this user", remedy)


def _trial(host: Host, check: str, command: Sequence[str], needs: str, what: str) -> Finding:
    if host.uid() != 0:
        return Finding(check, "warn", "not tried: it takes root", "run through sudo")
    if host.which(needs) is None:
        return Finding(check, "fail", f"not tried: {needs} is not installed", "make install")
    ran = host.run(command)
    if ran.code == 0:
        return Finding(check, "ok", what)
    seen = f"{what}: exit code {ran.code}, {_one_line(ran.output) or 'no words'}"
    remedy = {
        "namespaces": "in a container: --privileged; else a kernel with these namespaces",
        "bridges and taps": "modprobe bridge tun; in a container: --privileged",
        "bridge rules": "modprobe nf_tables nft_meta_bridge; a kernel with NF_TABLES_BRIDGE",
    }[check]
    return Finding(check, "fail", seen, remedy)


def disk_finding(host: Host, cache: Path, needed: int = DISK_NEEDED) -> Finding:
    """Whether images, clusters and disks fit."""
    try:
        free = host.disk_free(cache)
    except OSError as error:
        return Finding("disk", "fail", _one_line(f"{cache}: {error}"), "choose another --cache")
    seen = f"{free / GIB:.1f} GiB free at {cache}"
    if free < needed:
        remedy = f"{needed // GIB} GiB are needed: harness gc, or choose another --cache"
        return Finding("disk", "fail", seen, remedy)
    if free < DISK_COMFORTABLE:
        remedy = f"below {DISK_COMFORTABLE // GIB} GiB a second cluster may not fit: harness gc"
        return Finding("disk", "warn", seen, remedy)
    return Finding("disk", "ok", seen)


def _paths(cache: Path) -> Finding:
    check = "socket paths"
    try:
        Cache(cache)
    except BadInputError as error:
        return Finding(check, "fail", error.message, error.hint)
    length = len(os.fsencode(cache)) + _LONGEST_SOCKET
    seen = f"{length} of {SUN_PATH - 1} bytes at the longest"
    if length >= SUN_PATH:
        return Finding(check, "fail", seen, "choose a shorter --cache")
    return Finding(check, "ok", seen)


def memory_finding(host: Host) -> Finding:
    """Whether three VMs fit."""
    available = host.memory_available()
    seen = f"{available / GIB:.1f} GiB available"
    if available < MEMORY_NEEDED:
        remedy = f"{MEMORY_NEEDED / GIB:.1f} GiB are needed: end other VMs and labs (harness gc)"
        return Finding("memory", "fail", seen, remedy)
    return Finding("memory", "ok", seen)


def cores_finding(host: Host) -> Finding:
    """Whether there are two CPU cores."""
    cores = host.cores()
    if cores < 2:
        remedy = "three VMs on one core are slow, and waits may end before their event"
        return Finding("CPU cores", "warn", str(cores), remedy)
    return Finding("CPU cores", "ok", str(cores))


def _kvm(host: Host, cache: Path, kernel: Path | None) -> Finding:
    if host.which(QEMU) is None:
        return Finding("KVM", "warn", f"not tried: {QEMU} is not installed", "make install")
    found = host.accelerator(cache, kernel)
    seen = f"{found.reason} ({found.seconds:.1f} s)"
    if found.kind == "kvm":
        return Finding("KVM", "ok", seen)
    remedy = "emulation will be used, 5 to 10 times slower; verdicts are the same"
    return Finding("KVM", "warn", seen, remedy)


def connection_finding(host: Host, uri: str) -> Finding:
    """Whether a libvirt of this machine answers."""
    try:
        return Finding("connection", "ok", f"{uri}: {host.libvirt(uri)}")
    except (ImportError, OSError) as error:
        remedy = "check the URI, the daemon and your rights: virsh -c URI version"
        return Finding("connection", "fail", _one_line(f"{uri}: {error}"), remedy)


def _one_line(text: str) -> str:
    """What a program said, on one line of at most 200 printable characters."""
    line = " ".join(text.split())
    return "".join(char if char.isprintable() else "?" for char in line)[:200]


def real_host() -> Host:
    """This machine."""
    return Host(
        uid=os.geteuid,
        python=lambda: sys.version_info[:3],
        which=_which,
        run=_run,
        module=_module,
        character_device=lambda path: path.is_char_device() and os.access(path, os.R_OK | os.W_OK),
        file=lambda path: path.is_file() and os.access(path, os.R_OK),
        disk_free=_disk_free,
        memory_available=lambda: min(_memory_candidates()),
        cores=lambda: len(os.sched_getaffinity(0)),
        accelerator=_accelerator,
        libvirt=_libvirt,
    )


def _which(program: str) -> str | None:
    # An ordinary user's PATH lacks the administrator's programs, root's need not.
    return shutil.which(program) or shutil.which(program, path="/usr/local/sbin:/usr/sbin:/sbin")


def _run(command: Sequence[str], timeout_s: float = 20.0) -> Ran:
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Ran(124, f"no end after {timeout_s:g} s")
    except OSError as error:
        return Ran(127, str(error))
    return Ran(done.returncode, done.stdout.decode(errors="replace"))


def _module(name: str) -> str:
    importlib.import_module(name)
    try:
        return importlib.metadata.version(f"{name}-python")
    except importlib.metadata.PackageNotFoundError:
        return "importable"


def _disk_free(path: Path) -> int:
    """Bytes free for this user at ``path``, or at its first parent that exists."""
    existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    stat = os.statvfs(existing)
    return stat.f_bavail * stat.f_frsize


def _memory_candidates() -> Iterator[int]:
    """What the kernel calls available (proc(5)) and what is left of the cgroup's limit, if any."""
    info = Path("/proc/meminfo").read_text(encoding="ascii")
    available = re.search(r"^MemAvailable:\s+(\d+) kB$", info, re.MULTILINE)
    yield int(available[1]) * 1024 if available else 0
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = int((group / "memory.current").read_text(encoding="ascii"))
        if limit != "max":
            yield max(0, int(limit) - used)
    except (OSError, ValueError):
        return


def _accelerator(cache: Path, kernel: Path | None) -> Accelerator:
    with stage("trying KVM"):
        return probe_kvm(kernel=kernel, cache=cache)


def _libvirt(uri: str) -> str:
    import libvirt

    # Its default handler prints every error as well.
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    try:
        connection = libvirt.open(uri)
        try:
            number = connection.getLibVersion()
            version = f"{number // 1000000}.{number // 1000 % 1000}.{number % 1000}"
            return f"libvirt {version} on {connection.getHostname()}"
        finally:
            connection.close()
    except libvirt.libvirtError as error:
        raise OSError(str(error)) from error
