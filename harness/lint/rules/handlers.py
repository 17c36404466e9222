"""Rules on DRBD's fence handlers: there are two, they fit each other, they are patient."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.lint.formats.text import seconds
from harness.lint.registry import Look, Severity, Source, rule
from harness.lint.rules.drbd import place, place_of, resources
from harness.lint.rules.resources import DRBD
from harness.lint.wiring import cib_place

if TYPE_CHECKING:
    from harness.lint.formats.cib import Primitive
    from harness.lint.formats.drbd_conf import DrbdConfig, DrbdResource, Option

_SCRIPT = re.compile(r"(\S*/)?([\w.-]+)", re.ASCII)
HANDLER_TIMEOUT = re.compile(r"(?:--timeout|-t)[= ](\d{1,6})(?:\s|$)", re.ASCII)
DC_TIMEOUT = re.compile(r"(?:--dc-timeout|-d)[= ](\d{1,6})(?:\s|$)", re.ASCII)
# Each fence-peer handler that leaves a constraint, and the one that takes it back.
_PAIRS = {
    "crm-fence-peer.sh": "crm-unfence-peer.sh",
    "crm-fence-peer.9.sh": "crm-unfence-peer.9.sh",
}
# What DRBD calls when a peer is as good as new again: 8.4's, and 9's.
UNFENCES = ("handlers/after-resync-target", "handlers/unfence-peer")


def _script(option: Option) -> str:
    match = _SCRIPT.match(option.value)
    return match[2] if match else ""


def _handlers(config: DrbdConfig, resource: DrbdResource, *names: str) -> list[Option]:
    return [option for name in names for option in config.option(resource, name)]


@rule("fence-handlers", "DRBD's fence handlers are complete and fit", Severity.ERROR, Source.SEEN)
def fence_handlers(look: Look) -> None:
    """Without a fence-peer handler, writes stay frozen for as long as the peer is away. Without the
    handler that takes the constraint back after the resync, the next failover has nowhere to go.
    Both have to be of one kind: crm-fence-peer.sh and crm-unfence-peer.sh for 8.4, the two with .9
    for 9."""
    for _node, config, resource in resources(look):
        fences = _handlers(config, resource, "handlers/fence-peer")
        unfences = _handlers(config, resource, *UNFENCES)
        if not fences:
            look.report(place(resource), "no fence-peer handler")
        if not unfences:
            text = "no handler takes the fence constraint back (after-resync-target)"
            look.report(place(resource), text)
        for fence in fences:
            wanted = _PAIRS.get(_script(fence))
            if wanted is None:
                text = f"fence-peer {_script(fence)} is none that is known here: not judged further"
                look.report(place_of(config, fence, resource), text, Severity.WARNING)
            elif unfences and all(_script(one) != wanted for one in unfences):
                text = f"{_script(unfences[0])} does not take back what {_script(fence)} places"
                look.report(place_of(config, unfences[0], resource), text)
        look.saw()


@rule("handler-patience", "The layers' timeouts are in order", Severity.WARNING, Source.DOCS)
def handler_patience(look: Look) -> None:
    """The fence-peer handler waits for Pacemaker: --dc-timeout for a controller, --timeout for the
    peer's state, and the first should not exceed the second. A promotion waits for the handler: its
    timeout has to be longer, else Pacemaker calls it failed while DRBD still waits."""
    cib = look.need(look.cluster.cib)
    for _node, config, resource in resources(look):
        for fence in _handlers(config, resource, "handlers/fence-peer"):
            patience = HANDLER_TIMEOUT.search(fence.value)
            dc = DC_TIMEOUT.search(fence.value)
            where = place_of(config, fence, resource)
            if patience is None:
                look.lacks(f"{where}: the handler has no --timeout of its own")
                continue
            if dc is not None and int(dc[1]) > int(patience[1]):
                look.report(where, f"--dc-timeout {dc[1]} is more than --timeout {patience[1]}")
            for primitive in cib.of_agent(DRBD) if cib is not None else []:
                if primitive.param("drbd_resource") == resource.name:
                    _promotion_waits(look, primitive, int(patience[1]))
        # Without a handler there is nobody whose patience counts: another rule's finding.
        look.saw()


def _promotion_waits(look: Look, primitive: Primitive, patience_s: int) -> None:
    given = primitive.timeout("promote")
    promote = seconds(given) if given is not None else None
    place = cib_place(look, f"primitive {primitive.id}", primitive.line)
    if promote is None:
        look.report(place, f"no timeout for promote; the handler may take {patience_s} s")
    elif promote <= patience_s:
        text = f"promote times out after {given}, the handler after {patience_s} s"
        look.report(place, text, Severity.ERROR)
