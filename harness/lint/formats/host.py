"""Small formats of a node: states of units, a target's own configuration, the portblock agent."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from harness.lint.formats.text import FormatError

# systemctl(1), "is-enabled".
_STATES = frozenset(
    ("enabled", "enabled-runtime", "linked", "linked-runtime", "alias", "masked", "masked-runtime",
     "static", "indirect", "disabled", "generated", "transient", "bad")
)  # fmt: skip
_UNIT = re.compile(r"[\w:.\\@-]{1,255}\.[a-z]{3,12}", re.ASCII)


def parse_unit_files(text: str) -> dict[str, str]:
    """``systemctl list-unit-files --no-legend --plain``: unit to state.

    Raises:
        FormatError: a line that is no unit and state, or no line at all.
    """
    units: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if not words:
            continue
        if len(words) not in (2, 3) or not _UNIT.fullmatch(words[0]) or words[1] not in _STATES:
            raise FormatError(f"no unit and its state: {line}", number)
        units[words[0]] = words[1]
    if not units:
        raise FormatError("not one unit")
    return units


def starts_at_boot(units: dict[str, str], name: str) -> bool:
    """Whether a unit is enabled; one that is not there is not."""
    return units.get(name, "") in ("enabled", "enabled-runtime", "linked", "generated")


# --------------------------------------------------------------------------------------- targets


@dataclass(frozen=True, slots=True)
class OwnLun:
    """Something that a target's own configuration serves, and where it says so."""

    what: str
    line: int | None = None


def parse_saveconfig(text: str) -> list[OwnLun]:
    """LIO's saveconfig.json (rtslib's RTSRoot.dump): its backstores, LUNs and targets.

    Raises:
        FormatError: not such a document.
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"no JSON: {error}") from error
    if not isinstance(raw, dict):
        raise FormatError("not an object, as targetcli saves one")
    found = []
    for store in _dicts(raw, "storage_objects"):
        found.append(OwnLun(f"backstore {store.get('plugin')}/{store.get('name')}"))
    for target in _dicts(raw, "targets"):
        luns = sum(len(_dicts(tpg, "luns")) for tpg in _dicts(target, "tpgs"))
        found.append(OwnLun(f"target {target.get('wwn')} with {luns} LUNs"))
    return found


def _dicts(raw: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = raw.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise FormatError(f"{key} is no list of objects")
    return value


def parse_target_conf(text: str) -> list[OwnLun]:
    """LUNs of tgt's targets.conf(5) and of iscsitarget's ietd.conf(5).

    Any text is one of these: what counts are lines that serve a device.
    """
    serves = re.compile(r"\s*(backing-store|direct-store|Lun)\s+(\S.*)", re.IGNORECASE)
    return [
        OwnLun(line.strip()[:80], number)
        for number, line in enumerate(text.split("\n"), 1)
        if serves.match(line)
    ]


# ------------------------------------------------------------------------------------- portblock


@dataclass(frozen=True, slots=True)
class Portblock:
    """What matters of the portblock agent.

    Attributes:
        takes_numbers: it finds its own rule where iptables prints the protocol as a number.
        iptables: the version of iptables, e.g. ``1.8.9``; None where it is not said.
    """

    takes_numbers: bool
    iptables: str | None


_IPTABLES = re.compile(r"^iptables v(\d+(?:\.\d+){1,3})\b", re.MULTILINE | re.ASCII)


def parse_portblock(text: str) -> Portblock:
    """``iptables --version``, then the agent's function ``active_grep_pat()``.

    The agent looks for its own rule in what ``iptables -L -n`` prints: ``DROP tcp --``, with
    iptables 1.8.9 and 1.8.10 ``DROP 6 --``. It puts the protocol's name in the pattern (``${1}``)
    until ClusterLabs/resource-agents#1924, which is in 4.14.

    Raises:
        FormatError: not that function.
    """
    pattern = [line for line in text.split("\n") if "DROP" in line]
    if "active_grep_pat" not in text or not pattern:
        raise FormatError("not active_grep_pat() of portblock")
    version = _IPTABLES.search(text)
    return Portblock(
        not any("DROP${w}${1}${w}" in line for line in pattern), version[1] if version else None
    )
