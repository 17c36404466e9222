"""Our own configuration as the files that a lint looks at, and those of a running lab.

What is not rendered but done by the image's recipe (which services start, the patch of portblock)
is taken from the recipe.
"""

from __future__ import annotations

import base64
import functools
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cluster.config import UNPATCHED
from harness.cluster.render import Seed, render_seeds
from harness.cluster.secrets import Secrets
from harness.errors import HarnessError
from harness.lab.guests import load_guest
from harness.lab.image import RECIPE, recipe_units
from harness.lab.topology import Role, Topology
from harness.lint.archive import read_archive
from harness.lint.folder import ABSENT, Files
from harness.lint.formats.text import FormatError

if TYPE_CHECKING:
    from harness.cluster.config import ClusterConfig
    from harness.lab.lab import Lab

COLLECTOR = Path(__file__).resolve().parents[1] / "lint" / "collector.sh"

# Path in a guest to the name under which a lint knows it; folders end with a slash.
_NAMES = {
    "/etc/corosync/corosync.conf": "corosync.conf",
    "/etc/drbd.conf": "drbd.conf",
    "/etc/drbd.d/": "drbd.d/",
    "/etc/lab/cluster.crm": "crm.txt",
    "/etc/rtslib-fb-target/saveconfig.json": "saveconfig.json",
    "/etc/tgt/targets.conf": "targets.conf",
    "/etc/iet/ietd.conf": "ietd.conf",
    "/etc/systemd/network/": "networkd/",
    "/etc/network/interfaces": "interfaces",
    "/etc/hosts": "hosts",
    "/etc/iscsi/iscsid.conf": "iscsid.conf",
    "/etc/multipath.conf": "multipath.conf",
    "/etc/iscsi/initiatorname.iscsi": "initiatorname.iscsi",
    "/etc/udev/rules.d/": "udev/",
}
# What a machine that was just made has not, unless the configuration adds it.
_NOT_YET = ("iscsi-nodes.txt", "drbd.conf")

# active_grep_pat() of resource-agents 4.12, as Debian 12 ships it, behind its iptables' version.
PORTBLOCK = """\
iptables v1.8.9 (nf_tables)
active_grep_pat()
{
  w="[ \t][ \t]*"
  any="0\\\\.0\\\\.0\\\\.0/0"
  src=$any dst=$3
  if [ "$4" = "s" ]; then
    local src=$3
    local dst=$any
  fi
  echo "^DROP${w}${1}${w}--${w}${src}${w}${dst}${w}multiport${w}${4}ports${w}${2}$"
}
"""
# That of resource-agents 4.16, as Debian 13 ships it, which knows both.
MENDED_PORTBLOCK = """\
iptables v1.8.11 (nf_tables)
active_grep_pat()
{
  w="[ \t][ \t]*"
  any="0\\\\.0\\\\.0\\\\.0/0"
  src=$any dst=$3
  if [ "$4" = "s" ]; then
    local src=$3
    local dst=$any
  fi
  # iptables 1.8.9 briefly broke the output format, returning the
  # numeric protocol value instead of a string. Support both variants.
  if [ "$1" = "tcp" ]; then
    local prot="(tcp|6)"
  else
    local prot="(udp|17)"
  fi
  echo "^DROP${w}${prot}${w}--${w}${src}${w}${dst}${w}multiport${w}${4}ports${w}${2}$"
}
"""


def configured_files(config: ClusterConfig, topology: Topology | None = None) -> Files:
    """The files that a cluster of this configuration would have, machine by machine.

    Raises:
        HarnessError: the recipe's patch of portblock does not fit the agent it was made for.
    """
    plan = topology or Topology(0)
    guest = load_guest(config.guest.name)
    seeds = render_seeds(config, plan, _no_secrets(plan))
    files: Files = {}
    for machine in plan.machines:
        own = _named(seeds[machine.name])
        if machine.role is Role.NODE:
            own["unit-files.txt"] = _units(guest.name, config.shape.cluster_units)
            own["portblock.txt"] = (
                _agent(patched=UNPATCHED not in seeds[machine.name].base.files)
                if "portblock" in guest.workarounds
                else MENDED_PORTBLOCK.encode()
            )
        else:
            own["unit-files.txt"] = _units(guest.name, config.shape.initiator_units)
        absent = [name for name in (*_NAMES.values(), *_NOT_YET) if not _has(own, name)]
        own[ABSENT] = "".join(f"{name}\n" for name in absent).encode()
        files[machine.name] = own
    return files


def _named(seed: Seed) -> dict[str, bytes]:
    own = {}
    for path, (content, _mode) in {**seed.base.files, **seed.cluster.files}.items():
        for known, name in _NAMES.items():
            if path == known or (known.endswith("/") and path.startswith(known)):
                own[name + path.removeprefix(known)] = content
    return own


def _has(own: dict[str, bytes], name: str) -> bool:
    return any(one == name or (name.endswith("/") and one.startswith(name)) for one in own)


@functools.cache
def _units(guest: str, at_boot: tuple[str, ...]) -> bytes:
    """As ``systemctl list-unit-files`` would show them on a node that was formed."""
    units = recipe_units(load_guest(guest)) | {f"{name}.service": "enabled" for name in at_boot}
    return "".join(f"{unit} {state} -\n" for unit, state in sorted(units.items())).encode()


@functools.cache
def _agent(*, patched: bool) -> bytes:
    """Kept, as both nodes have the same, and the patch is a program of its own to start."""
    if not patched:
        return PORTBLOCK.encode()
    with tempfile.NamedTemporaryFile("w+", encoding="utf-8") as file:
        file.write(PORTBLOCK)
        file.flush()
        done = subprocess.run(
            [str(RECIPE / "patch-portblock"), file.name],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise HarnessError(f"the patch of portblock does not fit: {done.stderr.strip()[:200]}")
        # sed -i puts a new file in its place.
        return Path(file.name).read_bytes()


def _no_secrets(topology: Topology) -> Secrets:
    """Stand-ins: nothing of a secret is judged."""
    empty = base64.b64encode(b"-").decode()
    keys = {machine.name: ("-", "-") for machine in topology.machines}
    return Secrets("-", empty, empty, "-", "-", keys)


def collected_files(lab: Lab) -> Files:
    """The files of a running lab's machines, collected by the script that foreign nodes get.

    Raises:
        HarnessError: a machine does not answer, or what it sends is no such archive.
    """
    script = COLLECTOR.read_bytes()
    files: Files = {}
    for name, machine in lab.machines.items():
        # In two steps, as a pipe into a shell would take the archive's end for the script's.
        machine.guest.run("cat > /run/lint-collector", stdin=script, timeout_s=60)
        raw = machine.guest.read_binary("sh /run/lint-collector -", timeout_s=300)
        try:
            found = read_archive(raw)
        except FormatError as error:
            raise HarnessError(f"{name} sent no archive: {error}") from error
        if list(found) != [name]:
            raise HarnessError(f"{name} calls itself {', '.join(found)}")
        files |= found
    return files
