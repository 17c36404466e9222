"""The iSCSI target and its LUNs, onto the lab's LIO."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.lint.rules.resources import LUN, TARGET
from harness.lint.wiring import cib_place

if TYPE_CHECKING:
    from harness.lint.formats.cib import Cib, Primitive
    from harness.lint.model import Place
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
        sheet.leave(_place(sheet, other), f"target {other.id}", "the lab has one target")
    _target(sheet, targets[0])
    _luns(sheet, cib)
    for primitive in (targets[0], *cib.of_agent(LUN)):
        _others(sheet, primitive)


def _place(sheet: Sheet, primitive: Primitive) -> Place:
    return cib_place(sheet.look, f"primitive {primitive.id}", primitive.line)


def _target(sheet: Sheet, target: Primitive) -> None:
    place = _place(sheet, target)
    if iqn := target.param("iqn"):
        sheet.set("target.iqn", iqn, place)
    sheet.set("target.allowed_initiators", _words(target.param(_INITIATORS)), place)
    for one in target.everywhere(_INITIATORS):
        if not one.ruled:
            continue
        node = sheet.names.get(one.node or "")
        if node is None:
            sheet.leave(place, f"{_INITIATORS} by a rule", "the lab has them by node alone")
        else:
            allowed = _words(one.values[_INITIATORS])
            sheet.set(f"target.allowed_initiators_on.{node}", allowed, place)


def _words(text: str | None) -> list[str]:
    return [word for word in re.split(r"[\s,]+", text or "") if word]


def _luns(sheet: Sheet, cib: Cib) -> None:
    luns = cib.of_agent(LUN)
    if len(luns) != _LUNS:
        why = f"the lab has {_LUNS}, one on each DRBD resource"
        sheet.leave(cib_place(sheet.look, "resources"), f"{len(luns)} LUNs", why)
    backstores: list[Given] = []
    for lun in luns:
        place = _place(sheet, lun)
        file = lun.param("liot_bstype") == "fileio" or not (
            lun.param("path") or "/dev/"
        ).startswith("/dev/")
        backstores.append(("fileio" if file else "block", place))
        for one in lun.everywhere(_SERIAL):
            if not one.ruled:
                continue
            node = sheet.names.get(one.node or "")
            if node is None:
                sheet.leave(place, f"{_SERIAL} by a rule", "the lab has it by node alone")
                continue
            match = re.match(r"[a-z]{1,20}", one.values[_SERIAL], re.ASCII)
            sheet.set(f"target.serial_on.{node}", match[0] if match else _OTHER, place)
    sheet.take("target.backstore", backstores)


def _others(sheet: Sheet, primitive: Primitive) -> None:
    place = _place(sheet, primitive)
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
