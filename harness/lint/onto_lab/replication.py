"""DRBD's options and handlers (drbd.conf(5)), onto those that all of the lab's resources have."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.lint.formats.text import is_false
from harness.lint.model import Place
from harness.lint.rules.drbd import place_of, resources
from harness.lint.rules.handlers import DC_TIMEOUT, HANDLER_TIMEOUT, UNFENCES

if TYPE_CHECKING:
    from harness.lint.formats.drbd_conf import DrbdConfig, DrbdResource, Option
    from harness.lint.onto_lab.sheet import Given, Sheet

_RESOURCES = 3
# Options that the lab can be given: where they are (8.4, 9), the lab's key, and what DRBD does
# where nobody says anything (drbd.conf(5) of 8.4; linux/drbd_limits.h).
_WORDS = (
    (("net/protocol",), "drbd.protocol", "C"),
    (("disk/fencing", "net/fencing"), "drbd.fencing", "dont-care"),
    (("disk/on-io-error",), "drbd.on_io_error", "detach"),
    (("net/after-sb-0pri",), "drbd.after_sb_0pri", "disconnect"),
    (("net/after-sb-1pri",), "drbd.after_sb_1pri", "disconnect"),
    (("net/after-sb-2pri",), "drbd.after_sb_2pri", "disconnect"),
)
_SWITCHES = (
    ("disk/disk-flushes", "drbd.disk_flushes"),
    ("disk/md-flushes", "drbd.md_flushes"),
)
_NUMBERS = (
    ("net/ko-count", "drbd.ko_count", 7),
    ("net/timeout", "timing.drbd_timeout_ds", 60),
    ("net/ping-int", "timing.drbd_ping_int_s", 10),
    ("net/connect-int", "timing.drbd_connect_int_s", 10),
    ("net/ping-timeout", "timing.drbd_ping_timeout_ds", 5),
)
_FENCE_PEER = "handlers/fence-peer"
# What the lab's own files say besides (vagrant/cluster): the same elsewhere is nothing to tell.
_AS_HERE = {
    "disk/resync-rate": "10M",
    "disk/c-min-rate": "2M",
    "net/rr-conflict": "disconnect",
    "net/verify-alg": "sha256",
    "net/csums-alg": "sha256",
    "net/cram-hmac-alg": "sha256",
}
_SECRET = "net/shared-secret"


def map_replication(sheet: Sheet) -> None:
    """Map every resource's options."""
    found = list(resources(sheet.look))
    if not found:
        return
    names = list(dict.fromkeys(resource.name for _node, _config, resource in found))
    if len(names) != _RESOURCES:
        _node, _config, first = found[0]
        sheet.leave(
            Place(first.file, first.line),
            f"{len(names)} DRBD resources: {', '.join(names)}",
            f"the lab has {_RESOURCES}, r0 to r2, with one volume and one LUN each",
        )
    for keys, name, default in _WORDS:
        sheet.take(name, _given(sheet, keys, default))
    for key, name in _SWITCHES:
        given = _given(sheet, (key,), "yes")
        sheet.take(name, [(not is_false(value), place) for value, place in given])
    for key, name, usual in _NUMBERS:
        numbers = []
        for value, place in _given(sheet, (key,), str(usual)):
            if re.fullmatch(r"\d{1,9}", value, re.ASCII):
                numbers.append((int(value), place))
            elif place is not None:
                sheet.leave(place, f"{key.partition('/')[2]} {value}", "it is no number")
        sheet.take(name, numbers)
    _handlers(sheet)
    _others(sheet)


def _given(sheet: Sheet, keys: tuple[str, ...], default: str) -> list[tuple[str, Place | None]]:
    """The value of each resource on each node; DRBD's default where it has none."""
    values: list[tuple[str, Place | None]] = []
    for _node, config, resource in resources(sheet.look):
        options = [option for key in keys for option in config.option(resource, key)]
        values += [(one.value, place_of(config, one, resource)) for one in options]
        if not options:
            values.append((default, None))
    return values


def _handlers(sheet: Sheet) -> None:
    fences: list[Given] = []
    unfences: list[Given] = []
    patience: list[Given] = []
    dc_patience: list[Given] = []
    for _node, config, resource in resources(sheet.look):
        fence = config.option(resource, _FENCE_PEER)
        unfence = [option for name in UNFENCES for option in config.option(resource, name)]
        fences.append(_presence(sheet, config, resource, fence, "crm-fence-peer"))
        unfences.append(_presence(sheet, config, resource, unfence, "crm-unfence-peer"))
        for option in fence:
            place = place_of(config, option, resource)
            for pattern, into in ((HANDLER_TIMEOUT, patience), (DC_TIMEOUT, dc_patience)):
                if match := pattern.search(option.value):
                    into.append((int(match[1]), place))
    sheet.take("drbd.fence_peer", fences)
    sheet.take("drbd.unfence_peer", unfences)
    for name, given, switch in (
        ("timing.fence_handler_timeout_s", patience, "--timeout"),
        ("timing.fence_dc_timeout_s", dc_patience, "--dc-timeout"),
    ):
        if given:
            sheet.take(name, given)
        elif any(present for present, _place in fences):
            sheet.assume(f"the fence-peer handler has no {switch} of its own")


def _presence(
    sheet: Sheet, config: DrbdConfig, resource: DrbdResource, options: list[Option], script: str
) -> Given:
    for option in options:
        if script not in option.value:
            what = f"handler {option.value}"
            sheet.leave(place_of(config, option, resource), what, f"the lab has {script}.sh")
    first = place_of(config, options[0], resource) if options else None
    return (bool(options), first)


def _others(sheet: Sheet) -> None:
    mapped = {_SECRET, _FENCE_PEER, *UNFENCES}
    mapped |= {key for keys, _name, _default in _WORDS for key in keys}
    mapped |= {key for key, _name in _SWITCHES} | {key for key, _name, _default in _NUMBERS}
    for _node, config, resource in resources(sheet.look):
        for key in sorted({*config.common, *resource.options} - mapped):
            section, _, name = key.partition("/")
            here = _AS_HERE.get(key)
            why = "the lab does not set it" if here is None else f"the lab has {here}"
            for option in config.option(resource, key):
                if option.value != here:
                    what = f"{section}: {name} {option.value}"
                    sheet.leave(place_of(config, option, resource), what, why)
