"""Network cards: systemd-networkd's files, ifupdown's, and what ``ip -j`` shows of a running node.

All three become the same ``Card``; what a source does not say is None.
"""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass, field
from typing import Any

from harness.lint.formats.text import FormatError, is_true, seconds

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_MTU = re.compile(r"(\d{1,9})([KMG]?)", re.ASCII)
_SCALE = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
# Kinds of links that send over another card (ip-link(8)); a veth's "link" is only its peer.
_STACKED = ("vlan", "macvlan", "macvtap", "ipvlan")


@dataclass(slots=True)
class Card:
    """A network card as one source has it.

    Attributes:
        name: its name, or what else tells it from others.
        file, line: where.
        addresses: with their prefix lengths.
        mtu: bytes; None where the source does not say.
        default_route: it has one.
        below: the card that it sends over, where it is a VLAN or the like.
        keeps_address: whether its addresses outlast the loss of the carrier; None where the source
            does not say (``ip`` does not).
        without_carrier: whether it gets its addresses though it has no carrier.
        dhcp: its address comes from a server.
    """

    name: str
    file: str
    line: int = 0
    addresses: list[Interface] = field(default_factory=list)
    mtu: int | None = None
    default_route: bool = False
    below: str | None = None
    keeps_address: bool | None = None
    without_carrier: bool | None = None
    dhcp: bool = False


def interface(text: str, line: int | None = None) -> Interface:
    """An address with its prefix length.

    Raises:
        FormatError: it is none.
    """
    try:
        return ipaddress.ip_interface(text.split("%")[0])
    except ValueError as error:
        raise FormatError(f"no address: {text}", line) from error


def address(text: str) -> Address | None:
    """An address, or None where it is a name."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


# ------------------------------------------------------------------------------ systemd-networkd


@dataclass(frozen=True, slots=True)
class _Value:
    """One value of a setting, and where it is."""

    text: str
    file: str
    line: int


def parse_network_file(texts: dict[str, str]) -> Card | None:
    """A .network file (systemd.network(5)) and its drop-ins, by name, in their order.

    Returns:
        None where it is not for one card by name or MAC address.

    Raises:
        FormatError: a line that is no section, setting or comment, or a value that is none.
    """
    settings: dict[str, list[_Value]] = {}
    for name, text in texts.items():
        try:
            _ini(name, text, settings)
        except FormatError as error:
            raise FormatError(str(error), error.line, name) from error

    def last(key: str) -> str | None:
        found = settings.get(key)
        return (found[-1].text or None) if found else None

    named = [value for key in ("Match.Name", "Match.MACAddress") if (value := last(key))]
    if not named:
        return None
    card = Card(named[0], next(iter(texts)), 1)
    for key in ("Network.Address", "Address.Address"):
        for one in _kept(settings.get(key, [])):
            try:
                card.addresses.append(interface(one.text, one.line))
                card.file, card.line = one.file, one.line
            except FormatError as error:
                raise FormatError(str(error), error.line, one.file) from error
    if mtu := settings.get("Link.MTUBytes"):
        card.mtu = _mtu(mtu[-1].text, mtu[-1].line, mtu[-1].file)
    gateways = _kept(settings.get("Network.Gateway", []))
    card.default_route = bool(gateways) or is_true(last("Network.DefaultRouteOnDevice") or "no")
    destinations = [value.text for value in _kept(settings.get("Route.Destination", []))]
    if settings.get("Route.Gateway") and (
        not destinations or "0.0.0.0/0" in destinations or "::/0" in destinations
    ):
        card.default_route = True
    card.dhcp = (last("Network.DHCP") or "no").lower() not in ("no", "false", "0", "off")
    without = is_true(last("Network.ConfigureWithoutCarrier") or "no")
    always_up = last("Link.ActivationPolicy") == "always-up"
    card.without_carrier = without
    card.keeps_address = always_up or _ignores_loss(last("Network.IgnoreCarrierLoss"), without)
    return card


def _ignores_loss(setting: str | None, default: bool) -> bool:
    """IgnoreCarrierLoss: yes, no, or for how long; finite is no (systemd.network(5))."""
    if setting is None:
        return default
    if setting.lower() in ("infinite", "infinity"):
        return True
    # "1" is a boolean here, not a second.
    if setting != "1" and seconds(setting) is not None:
        return False
    return is_true(setting)


def _ini(file: str, text: str, settings: dict[str, list[_Value]]) -> None:
    section = ""
    joined, begun = "", 1
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not joined and (not line or line[0] in "#;"):
            continue
        if not joined:
            begun = number
        if line.endswith("\\"):
            joined += line[:-1] + " "
            continue
        line, joined = joined + line, ""
        if line.startswith("[") and line.endswith("]") and len(line) > 2:
            section = line[1:-1]
            continue
        key, equals, value = line.partition("=")
        if not equals or not section or not key.strip():
            raise FormatError(f"neither a section nor a setting: {line}", begun)
        found = settings.setdefault(f"{section}.{key.strip()}", [])
        found.append(_Value(value.strip(), file, begun))
    if joined:
        raise FormatError("the last line goes on in a next one that is not there", begun)


def _kept(values: list[_Value]) -> list[_Value]:
    """A list setting: an empty value forgets those before it."""
    kept: list[_Value] = []
    for value in values:
        if value.text:
            kept.append(value)
        else:
            kept.clear()
    return kept


def _mtu(text: str, line: int, file: str = "") -> int | None:
    if not text:
        return None
    match = _MTU.fullmatch(text)
    if match is None:
        raise FormatError(f"no MTU: {text}", line, file)
    return int(match[1]) * _SCALE[match[2]]


# ------------------------------------------------------------------------------------- ifupdown


def parse_interfaces(text: str, file: str) -> list[Card]:
    """/etc/network/interfaces (interfaces(5)): the cards with a static or dynamic address.

    Without ifplugd or the like, ifupdown does nothing when a carrier goes.

    Raises:
        FormatError: an option outside of a stanza, or a value that is none.
    """
    cards: list[Card] = []
    card: Card | None = None
    inside = False
    masks: dict[int, tuple[str, int]] = {}
    plain: dict[int, list[tuple[str, int]]] = {}
    for number, raw in enumerate(text.split("\n"), 1):
        words = raw.split()
        if not words or words[0].startswith("#"):
            continue
        match words:
            case ["iface", name, family, method, *_]:
                inside, card = True, None
                if family in ("inet", "inet6") and method in ("static", "dhcp", "manual"):
                    card = Card(name, file, number, keeps_address=True, without_carrier=True)
                    card.dhcp = method == "dhcp"
                    cards.append(card)
            case ["auto" | "allow-hotplug" | "source" | "source-directory" | "mapping", *_]:
                inside, card = words[0] == "mapping", None
            case [word, *_] if word.startswith(("allow-", "no-auto", "no-scripts", "rename")):
                inside, card = False, None
            case [key, *values]:
                if not inside:
                    raise FormatError(f"an option outside of a stanza: {key}", number)
                if card is None or not values:
                    continue
                if key == "address":
                    plain.setdefault(id(card), []).append((values[0], number))
                elif key == "netmask":
                    masks[id(card)] = (values[0], number)
                elif key == "mtu":
                    card.mtu = _mtu(values[0], number)
                elif key == "gateway":
                    card.default_route = True
                elif key == "vlan-raw-device":
                    card.below = values[0]
    for one in cards:
        mask = masks.get(id(one))
        for value, line in plain.get(id(one), []):
            with_mask = f"{value}/{mask[0]}" if mask and "/" not in value else value
            one.addresses.append(interface(with_mask, line))
    return _merged(cards)


def _merged(cards: list[Card]) -> list[Card]:
    """One card for each name: an interface has one stanza for each address or family."""
    merged: dict[str, Card] = {}
    for card in cards:
        first = merged.setdefault(card.name, card)
        if first is not card:
            first.addresses += card.addresses
            first.mtu = first.mtu or card.mtu
            first.default_route |= card.default_route
            first.below = first.below or card.below
    return list(merged.values())


# ------------------------------------------------------------------------------------------- ip


def parse_ip_address(text: str, file: str) -> list[Card]:
    """``ip -j -d address show`` (iproute2's ipaddress.c): all cards but the loopback.

    Raises:
        FormatError: not such a document.
    """
    cards = []
    for entry in _objects(text):
        name, mtu = entry.get("ifname"), entry.get("mtu")
        if not isinstance(name, str) or not isinstance(mtu, int) or isinstance(mtu, bool):
            raise FormatError("a card without a name or an MTU")
        if "LOOPBACK" in _list(entry, "flags"):
            continue
        card = Card(name, file, mtu=mtu)
        kind = entry.get("linkinfo")
        stacked = isinstance(kind, dict) and kind.get("info_kind") in _STACKED
        below = entry.get("link")
        card.below = below if stacked and isinstance(below, str) else None
        for one in _list(entry, "addr_info"):
            if not isinstance(one, dict):
                raise FormatError(f"no address of {name}")
            if one.get("scope") == "link" or not one:
                continue
            local, length = one.get("local"), one.get("prefixlen")
            if not isinstance(local, str) or not isinstance(length, int):
                raise FormatError(f"no address of {name}")
            card.addresses.append(interface(f"{local}/{length}"))
        cards.append(card)
    return cards


def parse_ip_route(text: str) -> list[str]:
    """``ip -j route show``: the cards that a default route goes over.

    Raises:
        FormatError: not such a document.
    """
    cards = []
    for entry in _objects(text):
        if entry.get("dst") != "default":
            continue
        hops = [entry, *(hop for hop in _list(entry, "nexthops") if isinstance(hop, dict))]
        found = [hop["dev"] for hop in hops if isinstance(hop.get("dev"), str)]
        if not found:
            raise FormatError("a default route over no card")
        cards += found
    return cards


def _objects(text: str) -> list[dict[str, Any]]:
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"no JSON: {error}") from error
    if not isinstance(raw, list) or not all(isinstance(one, dict) for one in raw):
        raise FormatError("not a list of objects, as ip -j prints one")
    # With a filter ip prints an empty object for what it left out.
    return [one for one in raw if one]


def _list(entry: dict[str, Any], key: str) -> list[Any]:
    value = entry.get(key, [])
    if not isinstance(value, list):
        raise FormatError(f"{key} is no list")
    return value


def parse_hosts(text: str) -> dict[str, list[Address]]:
    """/etc/hosts (hosts(5)): name to addresses.

    Raises:
        FormatError: a line that does not begin with an address.
    """
    names: dict[str, list[Address]] = {}
    for number, raw in enumerate(text.split("\n"), 1):
        words = raw.split("#", 1)[0].split()
        if not words:
            continue
        found = address(words[0].split("%")[0])
        if found is None:
            raise FormatError(f"no address: {words[0]}", number)
        for name in words[1:]:
            names.setdefault(name, []).append(found)
    return names
