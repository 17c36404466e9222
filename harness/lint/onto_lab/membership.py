"""Corosync's rings and quorum (corosync.conf(5), votequorum(5)), onto the lab's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.lint.formats import corosync_conf
from harness.lint.formats.text import FormatError, is_false, is_true
from harness.lint.model import Place
from harness.lint.onto_lab.links import DATA
from harness.lint.wiring import rings

if TYPE_CHECKING:
    from harness.lint.formats.corosync_conf import Section
    from harness.lint.model import Machine
    from harness.lint.onto_lab.links import Wires
    from harness.lint.onto_lab.sheet import Given, Sheet

# corosync.conf(5) of Corosync 3.1.
_DEFAULT_TOKEN_MS = 3000
_MODES = ("passive", "active", "rr")
# Mapped, or the cluster's own affair: its name, its secrets.
_TOTEM = {"version", "cluster_name", "transport", "link_mode", "rrp_mode", "token",
          "crypto_cipher", "crypto_hash", "secauth", "keyfile", "config_version", "ip_version",
          "crypto_model"}  # fmt: skip
_QUORUM = {"provider", "two_node", "wait_for_all", "expected_votes"}
_RING = {"ringnumber", "linknumber", "bindnetaddr", "mcastaddr"}
_MAPPED_SECTIONS = {"totem", "nodelist", "quorum", "logging"}


def map_membership(sheet: Sheet, wires: Wires) -> None:
    """Rings, how they are used, the token, and who waits for whom."""
    tokens: list[Given] = []
    modes: list[Given] = []
    waits: list[Given] = []
    for node in sheet.cluster.nodes:
        conf = sheet.look.need(node.corosync)
        if conf is None:
            continue
        tokens.append(_token(sheet, node, conf))
        modes.append(_mode(sheet, node, conf))
        waits.append(_waits(sheet, node, conf))
        _others(sheet, node, conf)
    sheet.take_least("timing.corosync_token_ms", tokens)
    sheet.take("corosync.link_mode", modes)
    sheet.take("corosync.wait_for_all", waits)
    _rings(sheet, wires)


def _rings(sheet: Sheet, wires: Wires) -> None:
    for node in sheet.cluster.nodes:
        own = rings(sheet.look, node)
        if own is None:
            continue
        links: list[str] = []
        for ring in own:
            link = wires.get(ring.end.interface.network) if ring.end is not None else None
            if link is None:
                sheet.assume(f"{ring.place}: no card of {node.name} is known to have its address")
            elif link == DATA:
                why = "the lab's rings are on its management and DRBD links"
                sheet.leave(ring.place, f"ring {ring.ring.number} on the data link", why)
            elif link in links:
                why = f"another ring is on the {link} link already: the lab has one ring for a link"
                sheet.leave(ring.place, f"ring {ring.ring.number}", why)
            else:
                links.append(link)
        if links:
            sheet.set("corosync.rings", links, Place(node.corosync.name))
            return


def _token(sheet: Sheet, node: Machine, conf: Section) -> Given:
    setting = conf.find("totem.token")
    if setting is None:
        return (_DEFAULT_TOKEN_MS, None)
    place = Place(node.corosync.name, setting.line)
    try:
        return (corosync_conf.number_of(setting), place)
    except FormatError:
        sheet.leave(place, f"token {setting.value}", "it is no number")
        return (_DEFAULT_TOKEN_MS, None)


def _mode(sheet: Sheet, node: Machine, conf: Section) -> Given:
    knet = corosync_conf.is_knet(conf)
    setting = conf.find("totem.link_mode" if knet else "totem.rrp_mode")
    if not knet:
        transport = conf.find("totem.transport")
        said = transport or setting
        sheet.leave(
            Place(node.corosync.name, said.line if said is not None else None),
            f"transport {transport.value if transport is not None else 'udp'}",
            "the lab has knet, whose links stand for the rings of RRP",
        )
    if setting is None:
        return ("passive", None)
    place = Place(node.corosync.name, setting.line)
    if setting.value not in _MODES:
        sheet.leave(place, f"rrp_mode {setting.value}", "knet uses all links in each of its modes")
        return ("passive", None)
    return (setting.value, place)


def _waits(sheet: Sheet, node: Machine, conf: Section) -> Given:
    two, waits = conf.find("quorum.two_node"), conf.find("quorum.wait_for_all")
    if two is None or not is_true(two.value):
        line = two.line if two is not None else None
        why = "the lab's cluster has it: with two votes and without it, none survives the other"
        sheet.leave(Place(node.corosync.name, line), "no two_node", why)
    if waits is not None:
        return (not is_false(waits.value), Place(node.corosync.name, waits.line))
    # two_node brings wait_for_all with it (votequorum(5)).
    return (two is not None and is_true(two.value), None)


def _others(sheet: Sheet, node: Machine, conf: Section) -> None:
    file = node.corosync.name
    for section in conf.all("totem"):
        _unknown(sheet, file, section, _TOTEM, "the lab does not set it")
        for inner in section.sections:
            _unknown(sheet, file, inner, _RING, "the lab's links have Corosync's defaults")
    for section in conf.all("quorum"):
        _unknown(sheet, file, section, _QUORUM, "the lab does not set it")
        for inner in section.sections:
            place = Place(file, inner.line)
            sheet.leave(
                place,
                f"quorum: {inner.name}",
                "a third vote is not taken over: corosync.qdevice says which one the lab has",
            )
    for section in conf.sections:
        if section.name not in _MAPPED_SECTIONS:
            place = Place(file, section.line)
            sheet.leave(place, f"section {section.name}", "the lab does not have it")


def _unknown(sheet: Sheet, file: str, section: Section, known: set[str], why: str) -> None:
    for key, setting in section.settings.items():
        if key not in known:
            what = f"{section.name}: {key} {setting.value}"
            sheet.leave(Place(file, setting.line), what, why)
