"""What a fault could leave on a Linux machine: queueing disciplines, rules, mounts, processes, …

One shell script asks for all of it, in a guest as well as on the host, and the parsers here make
plain lists of it that two moments can be compared by: without counters, handles and numbers that
differ from one look to the next. What differs between two looks is for harness.checks.residue.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.lab.processes import stat_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.lab.labhost import LabHost

_MARK = "== "
_FAILED = "== failed"
# Each section with its command; one that fails did not look, and says nothing of what there is.
LOOK = """\
look() { echo "== $1"; shift; "$@" || printf '\\n== failed\\n'; }
"""
# nft(8): -s leaves out what counts. ps(1): a process of the kernel's own has no address space.
SCRIPT = f"""\
{LOOK}look qdiscs tc qdisc show
look links ip -o link show
look rules nft -s list ruleset
look mounts cat /proc/self/mounts
"""
ADDRESSES = """\
look addresses ip -o address show
"""
PROCESSES = """\
look processes ps -e -o vsz= -o stat= -o etimes= -o cgroup:200= -o comm=
"""
_QDISC = re.compile(r"^qdisc (?P<kind>\S+) \S+ dev (?P<dev>\S+) (?P<rest>.*)$")
_LINK = re.compile(r"^\d+: (?P<name>[^:@]+)(?:@\S+)?: <(?P<flags>[^>]*)> mtu (?P<mtu>\d+) ")
_ADDRESS = re.compile(r"^\d+: (?P<name>\S+)\s+(?P<family>inet6?) (?P<address>\S+) (?P<rest>.*)$")
_PROCESS = re.compile(
    r"^\s*(?P<vsz>\d+) (?P<stat>\S+)\s+(?P<age>\d+) (?P<cgroup>\S+)\s+(?P<name>.+?)\s*$"
)
# Sessions and users are numbered as they come.
_NUMBERED = re.compile(r"(session|user)(-|@)\d+")

HOST_SECTIONS = ("qdiscs", "links", "rules", "mounts")
"""What is looked at on this machine."""

Traces = dict[str, list[Any]]
"""By section: what there is, sorted; texts, or objects of processes (docs/evidence.md)."""


@dataclass(frozen=True, slots=True)
class Running:
    """A process of this host; the start time tells it from another one with its PID."""

    pid: int
    start_ticks: int
    name: str

    def alive(self) -> bool:
        """Whether this very process still runs."""
        now = _running(self.pid)
        return now is not None and now.start_ticks == self.start_ticks


def running_beside(pid: int) -> list[Running]:
    """All processes in the PID namespace of one, itself included; empty if that has ended."""
    try:
        wanted = os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return []
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            inside = os.readlink(entry / "ns/pid") == wanted
        except OSError:
            continue
        if inside and (one := _running(int(entry.name))) is not None:
            found.append(one)
    return found


def _running(pid: int) -> Running | None:
    """None where it has ended."""
    now = stat_of(pid)
    return None if now is None or now.state in "ZX" else Running(pid, now.start_ticks, now.name)


def sections(text: str) -> dict[str, list[str]]:
    """What the script printed, by section, lines as they are; without those whose tool failed."""
    found: dict[str, list[str]] = {}
    name, current = "", list[str]()
    for line in text.splitlines():
        if line == _FAILED:
            found.pop(name, None)
            name, current = "", []
        elif line.startswith(_MARK):
            name = line.removeprefix(_MARK).strip()
            current = found.setdefault(name, [])
        elif line.strip():
            current.append(line)
    return found


def parse_traces(text: str) -> Traces:
    """What the script printed, ready to be compared. Lines that cannot be read stay as they are.

    A section that is missing was not asked for, or could not be looked at.
    """
    parsers: dict[str, Callable[[list[str]], list[Any]]] = {
        "qdiscs": qdiscs,
        "links": links,
        "addresses": addresses,
        "rules": rules,
        "mounts": mounts,
        "processes": processes,
    }
    raw = sections(text)
    return {
        name: parsers[name](lines) if name in parsers else sorted(line.strip() for line in lines)
        for name, lines in raw.items()
    }


def qdiscs(lines: list[str]) -> list[str]:
    """``tc qdisc show`` (iproute2 6.1) as ``card: kind options``, without handle and refcnt."""
    found = []
    for line in lines:
        match = _QDISC.match(line.strip())
        if match is None:
            found.append(line.strip())
            continue
        rest = re.sub(r"\brefcnt \d+ ?", "", match["rest"]).strip()
        found.append(f"{match['dev']}: {match['kind']} {rest}".strip())
    return sorted(found)


def links(lines: list[str]) -> list[str]:
    """``ip -o link show`` as ``card: mtu N, flags``: whether it is up, and has a carrier."""
    found = []
    for line in lines:
        match = _LINK.match(line)
        if match is None:
            found.append(line.strip())
            continue
        flags = [flag for flag in ("UP", "LOWER_UP") if flag in match["flags"].split(",")]
        found.append(f"{match['name']}: mtu {match['mtu']}, {' '.join(flags) or 'DOWN'}")
    return sorted(found)


def addresses(lines: list[str]) -> list[str]:
    """``ip -o address show`` as ``card: inet address/prefix``, without the links' own of IPv6.

    Those (scope link) are the kernel's, and come and go with the carrier.
    """
    found = []
    for line in lines:
        match = _ADDRESS.match(line)
        if match is None:
            found.append(line.strip())
        elif match["family"] == "inet" or "scope link" not in match["rest"]:
            found.append(f"{match['name']}: {match['family']} {match['address']}")
    return sorted(found)


def rules(lines: list[str]) -> list[str]:
    """``nft -s list ruleset``: each line with the tables and chains that it stands in."""
    found: list[str] = []
    where: list[str] = []
    for line in lines:
        text = line.strip()
        if text.startswith("#"):
            continue  # "table … is managed by iptables-nft, do not touch!"
        if text.endswith("{"):
            where.append(text.removesuffix("{").strip())
            found.append(" / ".join(where))
        elif text == "}":
            where = where[:-1]
        else:
            found.append(" / ".join([*where, text]))
    return sorted(found)


def mounts(lines: list[str]) -> list[str]:
    """/proc/self/mounts (proc(5)) as ``folder: type, ro|rw``: by which device is not asked."""
    found = []
    for line in lines:
        words = line.split()
        if len(words) < 4:
            found.append(line.strip())
            continue
        found.append(f"{words[1]}: {words[2]}, {words[3].split(',')[0]}")
    return sorted(found)


def processes(lines: list[str]) -> list[dict[str, Any]]:
    """``ps``: name, unit or session, age in seconds, and whether a signal has stopped it.

    Without processes of the kernel's own, which come and go with what they serve, and without those
    that have ended (state Z): neither is anybody's doing.
    """
    found = []
    for line in lines:
        match = _PROCESS.match(line)
        if match is None or match["vsz"] == "0" or match["stat"].startswith("Z"):
            continue
        unit = _NUMBERED.sub(r"\1\2N", match["cgroup"].rpartition("/")[2]) or "-"
        found.append(
            {
                "name": match["name"],
                "unit": unit,
                "age_s": int(match["age"]),
                "stopped": match["stat"].startswith("T"),
            }
        )
    return sorted(found, key=lambda one: (one["unit"], one["name"], -one["age_s"]))


def lab_traces(host: LabHost) -> Traces:
    """What there is beside the VMs: in a private lab everything, else what carries its name.

    Raises:
        HarnessError: the lab cannot be entered.
    """
    if host.private:
        return parse_traces(host.run("sh", "-c", SCRIPT + ADDRESSES + PROCESSES))
    found = parse_traces(host.run("sh", "-c", SCRIPT + ADDRESSES))
    owns = host.topology.owns
    return {name: [one for one in there if owns(one)] for name, there in found.items()}


def host_traces() -> Traces:
    """What there is on this machine, outside of any lab; its processes are not ours to judge."""
    done = subprocess.run(["sh", "-c", SCRIPT], capture_output=True, text=True, check=False)
    found = parse_traces(done.stdout)
    # Whether a cable of this machine is in is nobody's doing here.
    if "links" in found:
        found["links"] = [one.replace(" LOWER_UP", "") for one in found["links"]]
    return found
