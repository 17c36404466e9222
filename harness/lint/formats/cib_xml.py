"""A CIB in XML: ``cibadmin -Q``, ``pcs cluster cib`` or /var/lib/pacemaker/cib/cib.xml.

Source of the elements: Pacemaker's schemas (pacemaker-3.9.rng and what it includes).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from harness.lint.formats import cib as model
from harness.lint.formats.cib import Cib, Clone, Group, Operation, Part, Primitive, Values
from harness.lint.formats.text import FormatError, is_false

if TYPE_CHECKING:
    from collections.abc import Iterator


def parse_cib(text: str) -> Cib:
    """The configuration in a CIB.

    Raises:
        FormatError: no XML, one with a document type (a CIB has none, and entities of one could
            fill the memory), no CIB, or one that names what it has not.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise FormatError("a CIB has no document type")
    try:
        root = ET.fromstring(text)
    except ET.ParseError as error:
        raise FormatError(f"no XML: {error}", error.position[0]) from error
    configuration = root if root.tag == "configuration" else root.find("configuration")
    if root.tag not in ("cib", "configuration") or configuration is None:
        raise FormatError(f"no cib with a configuration, but <{root.tag}>")
    cib = Cib()
    cib.nodes = [node.get("uname", "") for node in configuration.iterfind("nodes/node")]
    for group in configuration.iterfind("crm_config/cluster_property_set"):
        _values(group, into=cib.properties)
    for group in configuration.iterfind("rsc_defaults/meta_attributes"):
        _values(group, into=cib.resource_defaults)
    for group in configuration.iterfind("op_defaults/meta_attributes"):
        _values(group, into=cib.operation_defaults)
    templates = {_id(one): one for one in configuration.iterfind("resources/template")}
    for resource in configuration.iterfind("resources/*"):
        _resource(resource, cib, templates)
    for constraint in configuration.iterfind("constraints/*"):
        _constraint(constraint, cib)
    model.check_names(cib)
    return cib


def _id(element: ET.Element) -> str:
    name = element.get("id", "")
    if not name:
        raise FormatError(f"<{element.tag}> without an id")
    return name


def _values(parent: ET.Element, into: dict[str, str]) -> dict[str, str]:
    for pair in parent.iterfind("nvpair"):
        name, value = pair.get("name"), pair.get("value")
        if name is not None and value is not None:
            # The first one counts where a set has two of a name.
            into.setdefault(name, value)
    return into


def _resource(element: ET.Element, cib: Cib, templates: dict[str, ET.Element]) -> None:
    match element.tag:
        case "primitive":
            cib.primitives[_new(cib, element)] = _primitive(element, templates)
        case "group":
            members = tuple(_id(child) for child in element.iterfind("primitive"))
            cib.groups[_new(cib, element)] = Group(_id(element), members, meta=_meta(element))
            for child in element.iterfind("primitive"):
                _resource(child, cib, templates)
        case "clone" | "master":
            inner = [child for child in element if child.tag in ("primitive", "group")]
            if len(inner) != 1:
                raise FormatError(f"clone {_id(element)} of {len(inner)} resources")
            meta = _meta(element)
            promotable = element.tag == "master" or model.is_promotable(meta)
            name = _new(cib, element)
            cib.clones[name] = Clone(name, _id(inner[0]), promotable, meta=meta)
            _resource(inner[0], cib, templates)
        case "template" | "bundle":
            return
        case tag:
            raise FormatError(f"<{tag}> is no resource")


def _new(cib: Cib, element: ET.Element) -> str:
    name = _id(element)
    if name in cib.primitives or name in cib.groups or name in cib.clones:
        raise FormatError(f"two resources are called {name}")
    return name


def _meta(element: ET.Element) -> dict[str, str]:
    meta: dict[str, str] = {}
    for one in element.iterfind("meta_attributes"):
        _values(one, into=meta)
    return meta


def _primitive(element: ET.Element, templates: dict[str, ET.Element]) -> Primitive:
    sources = [element]
    if (template := element.get("template")) is not None:
        if template not in templates:
            raise FormatError(f"{_id(element)} has a template that is not there: {template}")
        sources.append(templates[template])
    agent = sources[-1]
    words = (agent.get("class"), agent.get("provider"), agent.get("type"))
    primitive = Primitive(_id(element), ":".join(word for word in words if word))
    for source in sources:
        primitive.params += sorted(_sets(source), key=lambda one: one.node is None)
        for name, value in _meta(source).items():
            primitive.meta.setdefault(name, value)
        for operation in source.iterfind("operations/op"):
            extra: dict[str, str] = {}
            for one in operation.iterfind("meta_attributes"):
                _values(one, into=extra)
            primitive.operations.append(
                Operation(
                    operation.get("name", ""),
                    operation.get("interval", extra.get("interval", "0")),
                    operation.get("timeout", extra.get("timeout")),
                    model.role_of(operation.get("role")),
                )
            )
    return primitive


def _sets(element: ET.Element) -> Iterator[Values]:
    for one in element.iterfind("instance_attributes"):
        rules = one.findall("rule")
        yield Values(_values(one, into={}), _only_node(rules), bool(rules))


def _only_node(rules: list[ET.Element]) -> str | None:
    """The node that a rule restricts to, if that is all it does."""
    expressions = [child for rule in rules for child in rule]
    if len(expressions) != 1:
        return None
    (one,) = expressions
    by_name = one.get("attribute") == "#uname" and one.get("operation") == "eq"
    return one.get("value") if one.tag == "expression" and by_name else None


def _constraint(element: ET.Element, cib: Cib) -> None:
    match element.tag:
        case "rsc_colocation":
            _colocation(element, cib)
        case "rsc_order":
            _order(element, cib)
        case "rsc_location":
            _location(element, cib)
        case "rsc_ticket":
            return
        case tag:
            raise FormatError(f"<{tag}> is no constraint")


def _required(element: ET.Element, name: str) -> str:
    value = element.get(name)
    if not value:
        raise FormatError(f"<{element.tag}> {element.get('id', '')} has no {name}")
    return value


def _resource_sets(element: ET.Element, what: str) -> list[model.ResourceSet]:
    sets = []
    for one in element.iterfind("resource_set"):
        said = one.get(what)
        meant = model.role_of(said) if what == "role" else said
        parts = tuple(Part(_required(ref, "id"), meant) for ref in one.iterfind("resource_ref"))
        sets.append(model.ResourceSet(parts, not is_false(one.get("sequential", "true"))))
    return sets


def _colocation(element: ET.Element, cib: Cib) -> None:
    sets = _resource_sets(element, "role")
    if sets:
        pairs = model.colocated(sets)
    else:
        dependent = Part(_required(element, "rsc"), model.role_of(element.get("rsc-role")))
        primary = Part(_required(element, "with-rsc"), model.role_of(element.get("with-rsc-role")))
        pairs = ((dependent, primary),)
    score = model.score_of(element.get("score", "INFINITY"))
    if score is None:
        raise FormatError(f"{_id(element)}: no score: {element.get('score')}")
    cib.colocations.append(model.Colocation(_id(element), score, pairs))


def _order(element: ET.Element, cib: Cib) -> None:
    sets = _resource_sets(element, "action")
    if sets:
        pairs = model.ordered(sets)
    else:
        action = element.get("first-action")
        first = Part(_required(element, "first"), action)
        # What is not said for the second is the same as for the first (Pacemaker Explained).
        then = Part(_required(element, "then"), element.get("then-action", action))
        pairs = ((first, then),)
    kind = element.get("kind")
    mandatory = model.is_mandatory(kind, model.score_of(element.get("score")))
    cib.orders.append(model.Order(_id(element), mandatory, pairs))


def _location(element: ET.Element, cib: Cib) -> None:
    resources = [ref for one in _resource_sets(element, "role") for ref in one.parts]
    if (name := element.get("rsc")) is not None:
        resources.append(Part(name))
    rules = element.findall("rule")
    attributes = tuple(
        dict.fromkeys(
            expression.get("attribute", "")
            for rule in rules
            for expression in rule.iter("expression")
        )
    )
    by = tuple(r.get("score-attribute", "") for r in rules if r.get("score-attribute"))
    roles = [rule.get("role") for rule in rules if rule.get("role")]
    scores = [model.score_of(rule.get("score")) for rule in rules]
    score = model.score_of(element.get("score")) if not rules else next(iter(scores), None)
    for part in resources:
        role = model.role_of(next(iter(roles), element.get("role")))
        cib.locations.append(
            model.Location(_id(element), part.id, score, element.get("node"), attributes, by, role)
        )
