"""Whether KVM truly works here: something is booted under it, with a deadline.

A ``/dev/kvm`` that exists proves nothing: on hosts with broken nested virtualisation libvirt
calls it usable and a guest then hangs early in boot. So a kernel is booted under it, bare, and
has to get as far as looking for its root. Where there is no kernel yet (the image is not built),
a boot sector stands in for it; that is a weaker proof, and says so, because such hosts
may well run a boot sector and hang in a kernel.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import selectors
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

QEMU = "qemu-system-x86_64"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_CACHE_FILE = "kvm-probe.json"
_MARKER = b"KVM-EXECUTES"
# A kernel under a probe says about 30 KB; more than this is not a boot any more.
_MAX_OUTPUT = 1 << 20

Kind = Literal["kvm", "tcg"]
Proof = Literal["kernel", "boot sector", "none"]


@dataclass(frozen=True, slots=True)
class Accelerator:
    """What guests are to run under, and why.

    Attributes:
        kind: "kvm", or "tcg" (QEMU's emulation).
        reason: one line for people.
        seconds: how long the probe took when it was run (not: when it was looked up).
        proof: what was booted; "none" if it did not come to that.
    """

    kind: Kind
    reason: str
    seconds: float
    proof: Proof = "none"

    @property
    def weak(self) -> bool:
        """KVM, but on the word of a boot sector only."""
        return self.kind == "kvm" and self.proof != "kernel"


def probe_kvm(
    deadline_s: float = 20.0,
    *,
    kernel: Path | None = None,
    cache: Path | None = None,
    fresh: bool = False,
    qemu: str = QEMU,
    device: Path = Path("/dev/kvm"),
) -> Accelerator:
    """Decide between KVM and emulation by booting something under KVM.

    Never raises for what a host may lack: without QEMU or KVM the answer is "tcg" and says why.

    Args:
        deadline_s: seconds the boot may take; a working KVM takes about one.
        kernel: a Linux bzImage to boot; None boots a boot sector instead.
        cache: folder that keeps the answer (``kvm-probe.json``), per boot of the host, kernel and
            QEMU version; None keeps nothing.
        fresh: probe even if the answer is known.
        qemu: QEMU's name or path.
        device: the KVM device.
    """
    program = shutil.which(qemu)
    if program is None:
        return Accelerator("tcg", f"{qemu} is not installed", 0.0)
    if not device.exists():
        return Accelerator("tcg", f"{device} does not exist", 0.0)
    if not os.access(device, os.R_OK | os.W_OK):
        return Accelerator("tcg", f"{device} cannot be opened by this user", 0.0)
    if kernel is not None and not os.access(kernel, os.R_OK):
        kernel = None
    key = _key(program, kernel)
    known = None if cache is None or fresh else _load(cache, key)
    if known is not None:
        return known
    with tempfile.TemporaryDirectory(prefix="kvm-probe-") as scratch:
        command = _command(program, kernel, Path(scratch))
        proved = kernel_booted if kernel is not None else _sector_ran
        what: Proof = "kernel" if kernel is not None else "boot sector"
        found = _judge(_boot(command, proved, deadline_s), what, device, deadline_s)
    if cache is not None:
        _store(cache, key, found)
    return found


def kernel_booted(serial: bytes) -> bool:
    """Whether a kernel introduced itself and then got as far as its root or its init."""
    start = serial.find(b"Linux version ")
    return start >= 0 and re.search(rb"Kernel panic|Run /\S*init", serial[start:]) is not None


def _sector_ran(output: bytes) -> bool:
    return _MARKER in output


def boot_sector() -> bytes:
    """512 bytes that write the marker to port 0xe9 (QEMU's isa-debugcon) and halt."""
    code = bytes.fromhex(
        "31c0"  # xor  ax, ax
        "8ed8"  # mov  ds, ax
        "be0000"  # mov  si, MARKER   (filled in below)
        "fc"  # cld
        "ac"  # lodsb            <-+
        "84c0"  # test al, al      |
        "7404"  # jz   +4  --+     |
        "e6e9"  # out  0xe9, al    |
        "ebf7"  # jmp  -9    |   --+
        "fa"  # cli        <-+   <-+
        "f4"  # hlt                |
        "ebfc"  # jmp  -4        --+
    )
    # The BIOS loads the sector at 0x7c00; the marker follows the code.
    code = code.replace(b"\xbe\x00\x00", b"\xbe" + struct.pack("<H", 0x7C00 + len(code)))
    return (code + _MARKER + b"\0").ljust(510, b"\0") + b"\x55\xaa"


def _command(program: str, kernel: Path | None, scratch: Path) -> list[str]:
    command = [program, "-accel", "kvm", "-cpu", "host", "-m", "256", "-no-reboot"]
    # As -nographic, but without a monitor that shares the serial line, and without the network
    # card, disks and configuration that QEMU would add by itself.
    command += ["-nodefaults", "-no-user-config", "-display", "none"]
    if kernel is not None:
        append = "console=ttyS0 earlyprintk=serial,ttyS0 panic=-1"
        command += ["-kernel", str(kernel), "-append", append, "-serial", "stdio"]
    else:
        sector = scratch / "sector.img"
        sector.write_bytes(boot_sector())
        command += ["-drive", f"if=floppy,format=raw,readonly=on,file={sector}"]
        command += ["-debugcon", "stdio"]
    # Should the harness be killed, the guest, which may hang for ever, goes with it.
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--", *command] if setpriv else command


@dataclass(frozen=True, slots=True)
class _Boot:
    """What came of a boot: the proof, or QEMU's exit code, or neither (the deadline passed)."""

    proved: bool
    exit_code: int | None
    output: bytes
    seconds: float


def _boot(command: list[str], proved: Callable[[bytes], bool], deadline_s: float) -> _Boot:
    started = time.monotonic()
    output = bytearray()
    done = False
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return _Boot(False, 127, str(error).encode(), time.monotonic() - started)
    assert process.stdout is not None
    exit_code: int | None = None
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while (left := started + deadline_s - time.monotonic()) > 0:
                if not selector.select(left):
                    break
                chunk = os.read(process.stdout.fileno(), 65536)
                output += chunk
                done = proved(bytes(output))
                if done or len(output) > _MAX_OUTPUT:
                    break
                if not chunk:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        exit_code = process.wait(max(0.1, left))
                    break
    finally:
        # The whole group, always; and never a wait without an end: a process that hangs in the
        # kernel's KVM code does not even die of SIGKILL.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.stdout.close()
    return _Boot(done, exit_code, bytes(output), time.monotonic() - started)


def _judge(boot: _Boot, what: Proof, device: Path, deadline_s: float) -> Accelerator:
    seconds = round(boot.seconds, 2)
    if boot.proved:
        weaker = "" if what == "kernel" else " (the weaker proof: there is no guest kernel yet)"
        return Accelerator("kvm", f"a {what} ran under KVM{weaker}", seconds, what)
    last = _last_line(boot.output)
    if boot.exit_code is not None:
        how = f"QEMU ended with {_exit_name(boot.exit_code)}"
        reason = f"{device} exists, but no {what} runs under it: {how}, saying {last}"
    elif len(boot.output) > _MAX_OUTPUT:
        reason = f"{device} exists, but a {what} under it babbles without end: {last}"
    else:
        how = f"within {deadline_s:g} s its last words were {last}"
        reason = f"{device} exists, but a {what} hangs under it: {how}"
    return Accelerator("tcg", reason, seconds, what)


def _exit_name(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def _last_line(output: bytes) -> str:
    """The last line with something in it, quoted, printable and short."""
    lines = [line for line in re.split(rb"[\r\n]+", output) if line.strip()]
    # QEMU says what went wrong first and aborts on an assertion about it last; what it warns of
    # is not what the guest said.
    errors = [line for line in lines if b": error: " in line]
    lines = [line for line in lines if b": warning: " not in line]
    line = (errors or lines or [b""])[-1].decode("ascii", errors="replace").strip()
    text = "".join(char if char.isascii() and char.isprintable() else "?" for char in line)
    return f'"{text[:160]}"' if text else "nothing at all"


def _key(program: str, kernel: Path | None) -> str:
    try:
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        boot = "unknown"
    try:
        done = subprocess.run(
            [program, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10
        )
        version = done.stdout
    except (OSError, subprocess.TimeoutExpired):
        version = b"unknown"
    digest = hashlib.sha256(version)
    if kernel is None:
        digest.update(boot_sector())
    else:
        with kernel.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"{boot}/{digest.hexdigest()[:16]}"


def _read(cache: Path) -> dict[str, object]:
    try:
        known = json.loads((cache / _CACHE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _load(cache: Path, key: str) -> Accelerator | None:
    match _read(cache).get(key):
        case {
            "kind": "kvm" | "tcg" as kind,
            "reason": str(reason),
            "seconds": int() | float() as seconds,
            "proof": "kernel" | "boot sector" as proof,
        }:
            return Accelerator(kind, reason, float(seconds), proof)
        case _:
            return None


def _store(cache: Path, key: str, found: Accelerator) -> None:
    """Keep the answer; those of earlier boots of the host go. A cache is a convenience only."""
    boot = key.split("/", 1)[0]
    known = {k: v for k, v in _read(cache).items() if k.startswith(f"{boot}/")}
    known[key] = asdict(found)
    with contextlib.suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
        partial = cache / f".{_CACHE_FILE}.{os.getpid()}"
        partial.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        partial.replace(cache / _CACHE_FILE)
