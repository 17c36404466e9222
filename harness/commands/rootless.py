"""Without root: into a user namespace before a lab is made, and into a lab's before it is used.

In a user namespace with a range of subordinate ids the user is root as far as a private lab goes
(docs/rootless.md has what was seen of that). A process with threads cannot change its user
namespace (setns(2)), so a command is begun anew inside, before it does anything else.
"""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import BadInputError, MissingEnvironmentError
from harness.lab.paths import CACHE_VARIABLE, user_cache

if TYPE_CHECKING:
    from collections.abc import Sequence

RootlessOption = Annotated[
    bool,
    typer.Option(
        "--rootless",
        help="Without root, in a user namespace (docs/rootless.md). Not seen with VMs yet.",
    ),
]

_SUBORDINATE = (Path("/etc/subuid"), Path("/etc/subgid"))
# The image's files have owners up to 65534 ("nobody").
_ENOUGH = 65536
_FREE = "100000-165535"
_ALL_IDS = ["0", "0", "4294967295"]
_MAP = Path("/proc/self/uid_map")
# What may be the reason where it is refused, and what to do about it.
_SWITCHES = (
    ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
    ("user/max_user_namespaces", "0", "user.max_user_namespaces=10000"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "kernel.apparmor_restrict_unprivileged_userns=0",
    ),
)
_UNSHARE = ("unshare", "--user", "--map-root-user", "--map-auto")


def inside() -> bool:
    """Whether this process is root of a user namespace, not of the host."""
    return os.geteuid() == 0 and _MAP.read_text(encoding="ascii").split() != _ALL_IDS


def enter(rootless: bool, *, connect: str = "", lab: Path | None = None) -> None:
    """Begin this command anew in a user namespace, if that is asked for; else return.

    Args:
        rootless: whether it is.
        connect: the libvirt that the lab is to be on; empty for a private one.
        lab: the folder of a lab that is there: then it is that one's user namespace, asked for or
            not.

    Raises:
        BadInputError: root asks for it, or it makes no sense with the lab that is wanted.
        MissingEnvironmentError: this host or account lacks something; says what.
    """
    if inside():
        return
    if not rootless:
        if lab is not None:
            reenter(lab)
        return
    if connect:
        raise BadInputError(
            f"--rootless is a lab in namespaces of its own, and --connect {connect} is none",
            hint="leave out one of them",
        )
    if os.geteuid() == 0:
        raise BadInputError("--rootless is for those who are not root", hint="leave it out")
    if lab is not None:
        reenter(lab)
        return
    check()
    environment = {CACHE_VARIABLE: str(user_cache()), **os.environ}
    user_cache().mkdir(parents=True, exist_ok=True, mode=0o700)
    # Without the user's other groups, as QEMU will be: libvirt takes them from it, and with them
    # the right to /dev/kvm by group. So the probe gets the answer that the VMs will.
    _begin([*_UNSHARE, "setpriv", "--clear-groups"], environment)


def reenter(lab: Path) -> None:
    """Begin this command anew in the user namespace of a lab, if that is another one; else return.

    Raises:
        MissingEnvironmentError: nsenter(1) is missing.
    """
    pid = elsewhere(lab)
    if pid is not None:
        # Inside one is root, whose usual cache is another.
        _begin(into(pid), {CACHE_VARIABLE: str(lab.parent.parent), **os.environ})


def ask_inside(lab: Path, *arguments: str) -> bool:
    """Let another ``harness`` answer, in the user namespace of a lab; whether it was needed.

    For commands about several labs: each may be in another one.
    """
    pid = elsewhere(lab)
    if pid is None:
        return False
    subprocess.run([*into(pid), sys.executable, "-m", "harness", *arguments], check=False)
    return True


def elsewhere(lab: Path) -> int | None:
    """PID of the warden of a lab that runs in another user namespace; None if it does not.

    Root of the host may enter whatever it likes.
    """
    from harness.lab.host import read_warden  # with libvirt, which not every command needs

    warden = read_warden(lab)
    if warden is None or not warden.alive() or (os.geteuid() == 0 and not inside()):
        return None
    try:
        there = os.readlink(f"/proc/{warden.pid}/ns/user")
    except OSError:
        return None  # root's, or another user's
    return warden.pid if there != os.readlink("/proc/self/ns/user") else None


TOOLS = (
    ("newuidmap", "uidmap"),
    ("newgidmap", "uidmap"),
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
)
"""Programs that a user namespace with many ids takes, and Debian's package of each."""


def into(pid: int) -> list[str]:
    """What a command line begins with that runs in the user namespace of a process of this user."""
    return ["nsenter", "-t", str(pid), "-U", "--preserve-credentials"]


def check() -> None:
    """See that this account may have a user namespace with many ids.

    Raises:
        MissingEnvironmentError: it may not; says what is missing and what to do.
    """
    for program, package in TOOLS:
        if shutil.which(program) is None:
            raise MissingEnvironmentError(
                f"--rootless needs {program}, which is not installed",
                hint=f"apt-get install {package}",
            )
    user = _user()
    for path in _SUBORDINATE:
        if _range(path, user) < _ENOUGH:
            raise MissingEnvironmentError(
                f"--rootless needs {_ENOUGH} subordinate ids, and {path} has "
                f"{_range(path, user) or 'none'} for {user}",
                hint=f"root: usermod --add-subuids {_FREE} --add-subgids {_FREE} {user}",
            )
    done = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no words"])[-1]
        raise MissingEnvironmentError(
            f"no user namespace is to be had here: {said[:200]}",
            hint=_closed() or "it takes util-linux 2.38 or later",
        )


def _closed() -> str:
    """The switch of this kernel's that keeps users from it; empty if none is known."""
    for name, value, instead in _SWITCHES:
        path = Path("/proc/sys") / name
        if path.exists() and path.read_text(encoding="ascii").strip() == value:
            return f"root: sysctl {instead} (docs/rootless.md)"
    return ""


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return getpass.getuser()


def _range(path: Path, user: str) -> int:
    """How many ids the first range has that ``unshare --map-auto`` takes (subuid(5))."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    for line in lines:
        name, _colon, rest = line.partition(":")
        count = rest.rpartition(":")[2]
        if name in (user, str(os.geteuid())) and count.isdigit():
            return int(count)
    return 0


def _begin(prefix: Sequence[str], environment: dict[str, str]) -> None:
    """Become this very command, behind another one."""
    if shutil.which(prefix[0]) is None:
        raise MissingEnvironmentError(
            f"{prefix[0]} is not installed", hint="apt-get install util-linux"
        )
    command = [*prefix, sys.executable, "-m", "harness", *sys.argv[1:]]
    os.execvpe(command[0], command, environment)
