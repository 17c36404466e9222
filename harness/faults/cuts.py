"""Cuts of links: by carrier (the cable is pulled) and silent (frames vanish, the carrier stays).

There is no ``ifdown`` among them on purpose: it takes the address away, Corosync rebinds and
local users of the address fail, which is another fault.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from harness.faults.fault import Fault
from harness.faults.journal import Undo
from harness.lab.topology import Link

if TYPE_CHECKING:
    from harness.lab.lab import Lab


PING_CODES = (0, 1)
"""Exit codes of ping(8) that say something of a link: answered, or not. 2 is its own trouble."""


class Direction(StrEnum):
    """Which frames of a machine's card vanish, as the machine sees it."""

    BOTH = "both"
    OUT = "out"
    IN = "in"


def other_end(lab: Lab, machine: str, link: Link) -> str:
    """Whom to ping over ``link``: the lab itself, but the peer on the nodes' direct connection."""
    if link is Link.DRBD:
        return lab.topology.peer(machine).card(link).address
    return lab.topology.host_address(link)


def link_works(lab: Lab, machine: str, link: Link) -> str:
    """A proof that ``machine`` reaches something over ``link``; empty if nothing answers it.

    Raises:
        HarnessError: ping did not ask at all (exit code 2 and others of ping(8)): no answer to
            what was never sent is no proof that a link is cut.
    """
    target = other_end(lab, machine, link)
    result = lab.machines[machine].guest.run(
        f"ping -c 1 -W 2 -I {link} {target}", timeout_s=20, codes=PING_CODES
    )
    return f"{machine} pings {target} over {link}" if result.exit_code == 0 else ""


@dataclass(slots=True)
class CarrierCut(Fault):
    """Pulls the cable out of one link's card at the given machines (libvirt link state)."""

    machines: tuple[str, ...]
    link: Link
    kind: str = "cut-carrier"

    @property
    def target(self) -> str:
        """Which cables."""
        return f"{self.link} link of {' and '.join(self.machines)}"

    def undo(self) -> list[Undo]:
        """Plug the cables in."""
        return [Undo("carrier-up", {"machine": m, "link": str(self.link)}) for m in self.machines]

    def inject(self, lab: Lab) -> None:
        """Pull the cables."""
        for machine in self.machines:
            lab.machines[machine].set_carrier(self.link, up=False)

    def bitten(self, lab: Lab) -> str:
        """The guests see no carrier."""
        return self._carrier(lab, "0")

    def heal(self, lab: Lab) -> None:
        """Plug the cables in."""
        for machine in self.machines:
            lab.machines[machine].set_carrier(self.link, up=True)

    def healed(self, lab: Lab) -> str:
        """The guests see a carrier and reach the other end."""
        seen = self._carrier(lab, "1")
        works = [link_works(lab, machine, self.link) for machine in self.machines] if seen else []
        return "; ".join([seen, *works]) if works and all(works) else ""

    def _carrier(self, lab: Lab, wanted: str) -> str:
        seen = []
        for machine in self.machines:
            path = f"/sys/class/net/{self.link}/carrier"
            value = lab.machines[machine].guest.run(f"cat {path}", timeout_s=20).stdout.strip()
            if value != wanted:
                return ""
            seen.append(f"{machine}: {path} is {value}")
        return "; ".join(seen)


@dataclass(slots=True)
class SilentCut(Fault):
    """Drops frames of the given machines' cards on the lab's bridge (nftables, bridge family).

    The carrier stays up: nobody is told. Counters of the drop rules are the proof.
    """

    machines: tuple[str, ...]
    links: tuple[Link, ...]
    direction: Direction = Direction.BOTH
    kind: str = "cut-silent"

    @property
    def target(self) -> str:
        """Which frames."""
        way = "" if self.direction is Direction.BOTH else f", {self.direction}bound only"
        return f"{' and '.join(self.links)} link of {' and '.join(self.machines)}{way}"

    @property
    def _table(self) -> str:
        return "cut_" + "_".join((*self.machines, *self.links, self.direction))

    def table_in(self, lab: Lab) -> str:
        """The table's name there: labs that share a network (``--connect``) must not mix them."""
        return f"{lab.topology.prefix}_{self._table}"

    def undo(self) -> list[Undo]:
        """Remove the table of rules."""
        return [Undo("drop-table", {"table": self._table})]

    def inject(self, lab: Lab) -> None:
        """One nftables transaction: all links at the same instant."""
        lab.host.run("nft", "-f", "-", input_text=self.ruleset(lab))

    def ruleset(self, lab: Lab) -> str:
        """The nftables script. Out of the guest means into the bridge by its tap.

        All rules that count come before those that drop: a frame between two cut machines is a
        proof for both, and the first drop would hide it from the other's counter.
        """
        lines = [f"table bridge {self.table_in(lab)} {{"]
        for chain, ways in (
            ("forward", (Direction.OUT, Direction.IN)),
            ("input", (Direction.OUT,)),  # to the lab's own address on the bridge
            ("output", (Direction.IN,)),
        ):
            lines.append(f" chain {chain} {{ type filter hook {chain} priority -300;")
            matches = [
                f'{"iifname" if way is Direction.OUT else "oifname"} "{tap}"'
                for tap in self._taps(lab)
                for way in ways
                if self.direction in (Direction.BOTH, way)
            ]
            lines += [
                f"  {match} {verdict}" for verdict in ("counter", "drop") for match in matches
            ]
            lines.append(" }")
        return "\n".join([*lines, "}"]) + "\n"

    def bitten(self, lab: Lab) -> str:
        """The rules are there, and frames from or to every card have been dropped."""
        if (
            f"table bridge {self.table_in(lab)}\n"
            not in lab.host.run("nft", "list", "tables") + "\n"
        ):
            return ""
        counts, taps = self._dropped(lab), self._taps(lab)
        if any(counts.get(tap, 0) == 0 for tap in taps):
            return ""
        return "frames dropped: " + ", ".join(f"{tap} {counts[tap]}" for tap in taps)

    def _taps(self, lab: Lab) -> list[str]:
        return [
            lab.topology.machine(machine).card(link).tap
            for machine in self.machines
            for link in self.links
        ]

    def _dropped(self, lab: Lab) -> dict[str, int]:
        text = lab.host.run("nft", "-j", "list", "table", "bridge", self.table_in(lab))
        counts: dict[str, int] = {}
        for entry in json.loads(text)["nftables"]:
            rule: dict[str, Any] = entry.get("rule", {})
            tap, packets = "", 0
            for part in rule.get("expr", []):
                tap = part["match"]["right"] if "match" in part else tap
                packets = part["counter"]["packets"] if "counter" in part else packets
            if tap:
                counts[tap] = counts.get(tap, 0) + packets
        return counts

    def heal(self, lab: Lab) -> None:
        """Remove the rules."""
        lab.host.run("nft", "delete", "table", "bridge", self.table_in(lab))

    def healed(self, lab: Lab) -> str:
        """The rules are gone and the machines reach the other end."""
        if f"table bridge {self.table_in(lab)}\n" in lab.host.run("nft", "list", "tables") + "\n":
            return ""
        works = [link_works(lab, m, link) for m in self.machines for link in self.links]
        return "rules removed; " + "; ".join(works) if all(works) else ""
