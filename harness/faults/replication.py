"""The replication of one resource is cut, while everything else on the link passes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.faults.fault import Fault, needs_own_resource
from harness.faults.journal import Undo
from harness.lab.topology import RESOURCES, Link

if TYPE_CHECKING:
    from harness.lab.lab import Lab

# vagrant/cluster/resource.res.j2: one port for each resource, the same on both nodes.
_FIRST_PORT = 7780
_COUNTER = re.compile(r"\bcounter packets (\d+) ")


@dataclass(slots=True)
class ReplicationCut(Fault):
    """Drops every frame of one resource's DRBD connection on the lab's bridge (nftables).

    As a firewall does that knows a port too few. Corosync and the other resources go on over the
    same link. DRBD's nodes connect to each other's port, so a frame of the connection has it as its
    source or as its destination. Counters of the drop rules are the proof.
    """

    resource: str
    kind: str = "cut-replication"

    @property
    def target(self) -> str:
        """Whose replication."""
        return f"replication of {self.resource}"

    @property
    def _table(self) -> str:
        return f"cut_replication_{self.resource}"

    def undo(self) -> list[Undo]:
        """Remove the table of rules."""
        return [Undo("drop-table", {"table": self._table})]

    def prepare(self, lab: Lab) -> None:
        """Whether there is such a connection.

        Raises:
            HarnessError: it is the connection of other devices, too.
        """
        needs_own_resource(lab, self.resource)

    def inject(self, lab: Lab) -> None:
        """Add the rules, in one transaction."""
        lab.host.run("nft", "-f", "-", input_text=self.ruleset(lab))

    def ruleset(self, lab: Lab) -> str:
        """The nftables script: out of either node's card means into the bridge by its tap."""
        port = _FIRST_PORT + RESOURCES.index(self.resource)
        rules = [
            f'  iifname "{plan.card(Link.DRBD).tap}" tcp {end} {port} counter drop'
            for plan in lab.topology.nodes
            for end in ("sport", "dport")
        ]
        return "\n".join(
            [
                f"table bridge {self._name(lab)} {{",
                " chain forward { type filter hook forward priority -300;",
                *rules,
                " }",
                "}",
                "",
            ]
        )

    def bitten(self, lab: Lab) -> str:
        """The rules are there, and frames have been dropped."""
        if not self._there(lab):
            return ""
        shown = lab.host.run("nft", "list", "table", "bridge", self._name(lab))
        dropped = sum(int(packets) for packets in _COUNTER.findall(shown))
        return f"{dropped} frames of {self.resource} dropped" if dropped else ""

    def heal(self, lab: Lab) -> None:
        """Remove the rules."""
        lab.host.run("nft", "delete", "table", "bridge", self._name(lab))

    def healed(self, lab: Lab) -> str:
        """The rules are gone. Whether DRBD connects again is for the checks."""
        return "" if self._there(lab) else "rules removed"

    def _there(self, lab: Lab) -> bool:
        return f"table bridge {self._name(lab)}\n" in lab.host.run("nft", "list", "tables") + "\n"

    def _name(self, lab: Lab) -> str:
        return f"{lab.topology.prefix}_{self._table}"
