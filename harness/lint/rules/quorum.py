"""Rules on quorum: two_node, or a third vote, and that a node that boots alone has none.

Sources: votequorum(5), corosync-qdevice(8) and votequorum.c of Corosync 3.1, and what 3.1.7 did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.lint.formats import corosync_conf
from harness.lint.formats.text import FormatError, is_false, is_true
from harness.lint.registry import Look, Severity, Source, rule
from harness.lint.rules.rings import confs, place_of

if TYPE_CHECKING:
    from harness.lint.formats.corosync_conf import Section
    from harness.lint.model import Machine


def device_of(conf: Section) -> Section | None:
    """The quorum device, where there is one."""
    found = [device for quorum in conf.all("quorum") for device in quorum.all("device")]
    return next((device for device in found if "model" in device.settings), None)


@rule("waits-for-all", "A node that boots alone does not serve", Severity.ERROR, Source.SEEN)
def waits_for_all(look: Look) -> None:
    """two_node lets the survivor of two go on, and brings wait_for_all with it (votequorum(5)).
    Without wait_for_all, a node that boots alone fences the other and serves whatever data it has.
    Without two_node, the loss of either stops the service. A quorum device takes the place of
    two_node, and brings nothing with it: wait_for_all has to be said, and expected_votes too, with
    the device's vote in it. The node list makes it 2, and then that vote fills the place of the
    node that is missing (seen with Corosync 3.1.7)."""
    for node, conf in confs(look):
        two_node, waits = conf.find("quorum.two_node"), conf.find("quorum.wait_for_all")
        provider = conf.find("quorum.provider")
        if provider is None or provider.value != "corosync_votequorum":
            said = provider.value if provider is not None else "not set"
            line = provider.line if provider is not None else None
            look.report(
                place_of(node, line, "quorum"), f"quorum.provider is {said}: no quorum at all"
            )
        elif (device := device_of(conf)) is not None:
            _with_a_device(look, node, conf, device)
        elif two_node is None or not is_true(two_node.value):
            line = two_node.line if two_node is not None else None
            look.report(place_of(node, line, "quorum"), "two_node is not set, in a cluster of two")
        elif waits is not None and is_false(waits.value):
            look.report(place_of(node, waits.line, "quorum"), "wait_for_all is switched off")
        look.saw()


def _with_a_device(look: Look, node: Machine, conf: Section, device: Section) -> None:
    two_node, waits = conf.find("quorum.two_node"), conf.find("quorum.wait_for_all")
    if two_node is not None and is_true(two_node.value):
        place = place_of(node, two_node.line, "quorum")
        look.report(place, "two_node with a quorum device: Corosync does not start")
        return
    if waits is None or is_false(waits.value):
        line = waits.line if waits is not None else device.line
        look.report(
            place_of(node, line, "quorum"), "wait_for_all is not set, and no two_node brings it"
        )
        return
    given, votes = conf.find("quorum.expected_votes"), device.settings.get("votes")
    needed = len(corosync_conf.node_sections(conf))
    try:
        needed += corosync_conf.number_of(votes) if votes is not None else 1
        expected = corosync_conf.number_of(given) if given is not None else None
    except FormatError as error:
        look.lacks(f"{node.corosync.name}:{error.line}: {error}")
        return
    if expected is None or expected < needed:
        said = f"is {expected}" if expected is not None else "is not set"
        text = f"expected_votes {said}: {needed} are to be waited for, the device's among them"
        look.report(place_of(node, given.line if given else device.line, "quorum"), text)
