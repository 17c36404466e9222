"""The iSCSI target and its LUNs, onto the lab's LIO."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.lint.rules.resources import LUN, TARGET, primitive_place
from harness.lint.wiring import cib_place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.lint.formats.cib import Cib, Primitive
    from harness.lint.onto_lab.sheet import Given, Sheet

_IMPLEMENTATION = "implementation"
_LIO = ("lio-t", "lio")
_INITIATORS = "allowed_initiators"
_SERIAL = "scsi_sn"
# What the lab's serial numbers, which it makes itself, are told apart with.
_OTHER = "other"
_LUNS = 3
_MAPPED = {
    TARGET: {_IMPLEMENTATION, "iqn", "portals", _INITIATORS, "tid"},
    LUN: {_IMPLEMENTATION, "target_iqn", "lun", "path", _SERIAL, "scsi_id", "product_id",
          "vendor_id", "liot_bstype", _INITIATORS},
}  # fmt: skip


def map_target(sheet: Sheet) -> None:
    """Map what the group serves."""
    cib = sheet.cluster.cib.value
    if cib is None:
        return
    targets = cib.of_agent(TARGET)
    if not targets:
        sheet.assume("no iSCSI target among the resources")
        return
    for other in targets[1:]:
        sheet.leave(
            primitive_place(sheet.look, other), f"target {other.id}", "the lab has one target"
        )
    _target(sheet, targets[0])
    _luns(sheet, cib)
    for primitive in (targets[0], *cib.of_agent(LUN)):
        _others(sheet, primitive)


def _target(sheet: Sheet, target: Primitive) -> None:
    place = primitive_place(sheet.look, target)
    if iqn := target.param("iqn"):
        sheet.set("target.iqn", iqn, place)
    sheet.set("target.allowed_initiators", _words(target.param(_INITIATORS)), place)
    for node, text in _by_node(sheet, target, _INITIATORS, "the lab has them by node alone"):
        sheet.set(f"target.allowed_initiators_on.{node}", _words(text), place)


def _by_node(sheet: Sheet, primitive: Primitive, name: str, why: str) -> Iterator[tuple[str, str]]:
    """(the lab's node, value) of each rule that gives a parameter another value on one node."""
    for one in primitive.everywhere(name):
        if not one.ruled:
            continue
        node = sheet.names.get(one.node or "")
        if node is None:
            sheet.leave(primitive_place(sheet.look, primitive), f"{name} by a rule", why)
        else:
            yield node, one.values[name]


def _words(text: str | None) -> list[str]:
    return [word for word in re.split(r"[\s,]+", text or "") if word]


def _luns(sheet: Sheet, cib: Cib) -> None:
    luns = cib.of_agent(LUN)
    if len(luns) != _LUNS:
        why = f"the lab has {_LUNS}, one on each DRBD resource"
        sheet.leave(cib_place(sheet.look, "resources"), f"{len(luns)} LUNs", why)
    backstores: list[Given] = []
    for lun in luns:
        place = primitive_place(sheet.look, lun)
        path = lun.param("path") or "/dev/"
        file = lun.param("liot_bstype") == "fileio" or not path.startswith("/dev/")
        backstores.append(("fileio" if file else "block", place))
        for node, serial in _by_node(sheet, lun, _SERIAL, "the lab has it by node alone"):
            match = re.match(r"[a-z]{1,20}", serial, re.ASCII)
            sheet.set(f"target.serial_on.{node}", match[0] if match else _OTHER, place)
    sheet.take("target.backstore", backstores)


def _others(sheet: Sheet, primitive: Primitive) -> None:
    place = primitive_place(sheet.look, primitive)
    implementation = primitive.param(_IMPLEMENTATION)
    if implementation not in (*_LIO, None):
        what = f"{_IMPLEMENTATION}={implementation}"
        sheet.leave(place, what, "the lab's target is LIO: another target fails in other ways")
    for one in primitive.params:
        for name, value in one.values.items():
            if name in _MAPPED[primitive.agent]:
                continue
            # A password or the like is nobody's business.
            told = name if "pass" in name or "username" in name else f"{name}={value}"
            sheet.leave(place, told, "the lab does not set it")
