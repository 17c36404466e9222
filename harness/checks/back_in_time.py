"""A fence-peer handler that DRBD calls broken, as its peer was back before it looked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.checks.kernel import OF_DRBD
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence

# drbd_nl.c of drbd 8.4 (conn_try_outdate_peer): every exit code but 3 to 7 is "broken".
_BROKEN = re.compile(rf"^{OF_DRBD}: fence-peer helper broken, returned 1$")
# crm-fence-peer.sh of drbd-utils 9.22: the exit code is 1 then.
_REFUSED = "All peer disks are UpToDate! Did not place the constraint."
_NEAR_NS = 15_000_000_000  # a journal may arrive so much later than a console under load


def back_in_time(evidence: Evidence, node: str, text: str, t_ns: int) -> bool:
    """Whether the handler of this message refused because the peer had come back meanwhile.

    A connection that fails and is made again within seconds (large frames that do not pass, say)
    has DRBD call the handler, which asks ``drbdsetup`` some seconds later, finds every disk
    UpToDate, places no constraint and exits with 1. Nothing is wrong with that: the connection has
    let the I/O go on before. Two witnesses have to say so: the handler in the node's journal, and
    ``drbdsetup events2`` of that node, by which the resource is connected and not suspended at
    that moment. A handler that fails in any other way is broken.
    """
    match = _BROKEN.search(text)
    if match is None or match["resource"] is None:
        return False
    refused = any(
        abs(seen.t_ns - t_ns) <= _NEAR_NS
        and seen.text("identifier").startswith("crm-fence-peer")
        and _REFUSED in seen.text("message")
        for seen in evidence.select(Channel.JOURNAL, "entry", source=node)
    )
    return refused and _goes_on(evidence, node, match["resource"], t_ns)


def _goes_on(evidence: Evidence, node: str, resource: str, t_ns: int) -> bool:
    """Whether the node's last word until then was that it is connected, and its I/O not held."""
    connection, suspended = "", ""
    for seen in evidence.select(Channel.EVENTS2, "exists", "create", "change", source=node):
        fields = seen.event.data.get("fields")
        if seen.t_ns > t_ns or not isinstance(fields, dict) or fields.get("name") != resource:
            continue
        if seen.text("object") == "connection":
            connection = str(fields.get("connection", connection))
        elif seen.text("object") == "resource":
            suspended = str(fields.get("suspended", suspended))
    return connection == "Connected" and suspended == "no"
