"""PID 1 of a private lab: makes its bridges, starts its daemons, reaps its children.

``unshare --mount --net --pid --fork`` starts this module inside new namespaces. All that the lab
consists of, QEMU processes, daemons, mounts, bridges, taps and rules, lives in these namespaces, so
killing this one process removes the lab, whatever state it was in. The host's own libvirt is
out of sight: its folders are covered by the lab's in this mount namespace only.

Usage: python -m harness.lab.warden LAB_FOLDER CACHE_ROOT
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from pyroute2 import IPRoute

from harness.lab.bridges import make_bridges
from harness.lab.processes import stat_of
from harness.lab.topology import Topology

# The same path in every private lab, so that domain XML and backing chains never depend on
# where the lab's folder lies.
INSIDE = Path("/run/lab")
_LIBVIRT = ("/etc/libvirt", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt")


def main() -> int:
    """Set the lab up, then reap children until SIGTERM."""
    folder, cache = Path(sys.argv[1]), Path(sys.argv[2])
    # /proc is still the host's: this is the PID by which the host knows this process.
    host_pid = int(os.readlink("/proc/self"))
    _mounts(folder, cache)
    _accounts()
    _network()
    children = [_spawn(["libvirtd", "-f", "/etc/libvirt/libvirtd.conf"], "libvirtd")]
    own = stat_of(os.getpid())
    assert own is not None
    state = {"pid": host_pid, "start_ticks": own.start_ticks}
    partial = INSIDE / "warden.json.new"
    partial.write_text(json.dumps(state), encoding="utf-8")
    partial.rename(INSIDE / "warden.json")
    return _reap(children)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _mounts(folder: Path, cache: Path) -> None:
    _mount("-t", "proc", "proc", "/proc")
    # /run belongs to the lab alone: pid files, sockets and locks of its daemons. (-n: the mount
    # table under /run that mount(8) would note this in is just being covered.)
    _mount("-n", "-t", "tmpfs", "-o", "mode=0755,size=64M", "run", "/run")
    for name, source in (("lab", folder), ("cache", cache)):
        os.mkdir(f"/run/{name}")
        _mount("-n", "--bind", str(source), f"/run/{name}")
    os.mkdir("/run/libvirt")
    (INSIDE / "sockets").mkdir(exist_ok=True, mode=0o700)
    # libvirtd's sockets must be reachable from the host's mount namespace.
    _mount("--bind", str(INSIDE / "sockets"), "/run/libvirt")
    for target in _LIBVIRT:
        source = INSIDE / target.strip("/").replace("/", "-")
        source.mkdir(exist_ok=True, mode=0o711)
        if not Path(target).is_dir():
            # Making it would leave a folder on the host: cover the parent instead.
            _mount("-t", "tmpfs", "-o", "mode=0755,size=64M", "covered", str(Path(target).parent))
            os.mkdir(target)
        _mount("--bind", str(source), target)


def _accounts() -> None:
    """Let libvirtd find the account it was built for, without adding one to the host.

    Debian's libvirtd looks up ``libvirt-qemu`` before it reads that QEMU is to run as root; the
    account comes with a package that would also start the host's own daemons.
    """
    for target, line in (
        ("/etc/passwd", "libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin"),
        ("/etc/group", "libvirt-qemu:x:64055:\nkvm:x:64056:"),
    ):
        text = Path(target).read_text(encoding="utf-8")
        known = {entry.split(":", 1)[0] for entry in text.splitlines()}
        more = [entry for entry in line.split("\n") if entry.split(":", 1)[0] not in known]
        cover = INSIDE / target.strip("/").replace("/", "-")
        cover.write_text(text.rstrip("\n") + "\n" + "\n".join(more) + "\n", encoding="utf-8")
        cover.chmod(0o644)
        _mount("-n", "--bind", str(cover), target)


def _network() -> None:
    with IPRoute() as ip:
        ip.link("set", index=ip.link_lookup(ifname="lo")[0], state="up")
    make_bridges(Topology(0))


def _spawn(command: list[str], name: str) -> subprocess.Popen[bytes]:
    with open(INSIDE / f"{name}.log", "ab") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _reap(daemons: list[subprocess.Popen[bytes]]) -> int:
    """Wait for children, orphans included, until SIGTERM or until a daemon ends."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    pids = {daemon.pid for daemon in daemons}
    while True:
        pid, status = os.wait()
        if pid in pids:
            # Without its libvirtd the lab is lost; ending PID 1 ends all of it.
            print(f"a daemon ended with status {status}: PID {pid}", flush=True)
            return 1


if __name__ == "__main__":
    sys.exit(main())
