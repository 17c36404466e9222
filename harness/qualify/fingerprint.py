"""What a host is: a stamp is valid only where it was made, and only as long as that stays so.

No host name, no address, no serial number: a stamp lies in reports, which are given away.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from harness.lab.accelerator import QEMU
from harness.lab.doctor import real_host
from harness.report.qualified import Fingerprint
from harness.report.text import one_line

if TYPE_CHECKING:
    from harness.lab.doctor import Host

_PROC = Path("/proc")
_VERSION = re.compile(r"(?:version |libvirtd \(libvirt\) )(\d+(?:\.\d+)+)")
_UNKNOWN = "not known"


def fingerprint(host: Host | None = None, proc: Path = _PROC) -> Fingerprint:
    """This host's.

    Args:
        host: whom to ask for programs; None asks this machine.
        proc: where its kernel tells of itself.
    """
    asked = host if host is not None else real_host()
    info, memory = _read(proc / "cpuinfo"), _read(proc / "meminfo")
    model = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    flags = re.search(r"^flags\s*:\s*(.+)$", info, re.MULTILINE)
    total = re.search(r"^MemTotal:\s+(\d+) kB$", memory, re.MULTILINE)
    return Fingerprint(
        cpu=one_line(model[1], 200) if model else _UNKNOWN,
        cores=len(re.findall(r"^processor\s*:", info, re.MULTILINE)),
        memory_gib=round(int(total[1]) / (1 << 20)) if total else 0,
        virtual=flags is not None and "hypervisor" in flags[1].split(),
        kernel=f"{os.uname().sysname} {os.uname().release} {os.uname().machine}",
        qemu=_version(asked, QEMU),
        libvirt=_version(asked, "libvirtd"),
    )


def _version(host: Host, program: str) -> str:
    path = host.which(program)
    if path is None:
        return "not installed"
    found = _VERSION.search(host.run([path, "--version"]).output)
    return found[1] if found else _UNKNOWN


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
