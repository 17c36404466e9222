"""Both notations of a CIB: they say the same, and what is none is refused."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.lint.formats import cib as model
from harness.lint.formats import crm_shell
from harness.lint.formats.cib import Cib, Part
from harness.lint.formats.cib_xml import parse_cib
from harness.lint.formats.crm_shell import parse_crm
from harness.lint.formats.text import FormatError
from tests.lint.reference import fixture, reference


def plain(cib: Cib) -> dict[str, Any]:
    """The content without lines, and without an order where Pacemaker knows none."""

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: walk(v) for k, v in sorted(value.items()) if k not in ("line", "password")}
        return [walk(one) for one in value] if isinstance(value, (list, tuple)) else value

    content = walk(dataclasses.asdict(cib))
    for constraints in ("colocations", "orders", "locations"):
        content[constraints] = sorted(content[constraints], key=lambda one: str(one["id"]))
    assert isinstance(content, dict)
    return content


@pytest.mark.parametrize("name", ["reference", "variant-post", "variant-by-node", "of-the-post"])
def test_both_notations_of_one_cib_say_the_same(name: str) -> None:
    """crmsh itself made one from the other."""
    assert plain(parse_cib(fixture(f"cib-{name}.xml"))) == plain(
        parse_crm(fixture(f"crm-{name}.txt"))
    )


def test_what_is_rendered_is_what_crmsh_made_of_it() -> None:
    rendered = plain(parse_crm(reference()["alpha"]["crm.txt"].decode()))
    stored = plain(parse_cib(fixture("cib-reference.xml")))
    # crmsh adds the nodes, and says intervals of 0.
    stored["nodes"] = []
    assert rendered == stored


def test_the_colocation_of_the_post_is_the_wrong_way_round() -> None:
    (one,) = parse_cib(fixture("cib-variant-post.xml")).colocations
    group = Part("DATA_GROUP")
    assert {dependent.id for dependent, primary in one.pairs if primary == group} == {
        "ms0",
        "ms1",
        "ms2",
    }
    assert not [pair for pair in one.pairs if pair[0] == group]


def test_brackets_are_sets_without_an_order() -> None:
    cib = parse_crm(fixture("crm-of-the-post.txt"))
    (two,) = [one for one in cib.colocations if one.id == "two"]
    master = Part("DRBD_R0_MS", "Promoted")
    assert set(two.pairs) == {(Part("VIP"), master), (Part("DATA_GROUP"), master)}
    (bracket,) = [one for one in cib.orders if one.id == "bracket"]
    assert not bracket.mandatory
    assert {first.id for first, _then in bracket.pairs} == {"DRBD_R0_MS", "DRBD_R1_MS"}


def test_members_of_one_set_follow_the_one_before() -> None:
    a, b, c = (Part(name) for name in "abc")
    assert model.colocated([model.ResourceSet((a, b, c))]) == ((b, a), (c, b))
    assert model.ordered([model.ResourceSet((a, b)), model.ResourceSet((c,))]) == (
        (a, b),
        (a, c),
        (b, c),
    )


def test_a_parameter_by_node() -> None:
    for cib in (
        parse_cib(fixture("cib-variant-by-node.xml")),
        parse_crm(fixture("crm-variant-by-node.txt")),
    ):
        sets = cib.primitives["lun1"].everywhere("scsi_sn")
        assert [(one.node, one.values["scsi_sn"]) for one in sets] == [
            ("bravo", "other1"),
            (None, "failover1"),
        ]
        assert cib.primitives["lun1"].param("scsi_sn") == "failover1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no XML"),
        ("<cib>", "no XML"),
        ("<!DOCTYPE x><cib><configuration/></cib>", "no document type"),
        ("<crm_mon/>", "no cib with a configuration, but <crm_mon>"),
        ("<cib/>", "no cib with a configuration"),
        ("<cib><configuration><resources><primitive/></resources></configuration></cib>", "an id"),
        ("<cib><configuration><resources><lump id='a'/></resources></configuration></cib>",
         "<lump> is no resource"),
        ("<cib><configuration><resources><clone id='a'/></resources></configuration></cib>",
         "clone a of 0 resources"),
        ("<cib><configuration><resources><primitive id='a'/><primitive id='a'/></resources>"
         "</configuration></cib>", "two resources are called a"),
        ("<cib><configuration><resources><primitive id='a' template='t'/></resources>"
         "</configuration></cib>", "a has a template that is not there: t"),
        ("<cib><configuration><constraints><rsc_order id='o' first='a'/></constraints>"
         "</configuration></cib>", "has no then"),
        ("<cib><configuration><constraints><rsc_colocation id='o' rsc='a' with-rsc='b' "
         "score='much'/></constraints></configuration></cib>", "no score: much"),
    ],
)  # fmt: skip
def test_what_is_no_cib(text: str, says: str) -> None:
    with pytest.raises(FormatError, match=says):
        parse_cib(text)


@pytest.mark.parametrize(
    ("text", "says", "line"),
    [
        (
            "primitive a Dummy\nfrobnicate b",
            "no statement of crm shell that is whole: frobnicate",
            2,
        ),
        ("primitive a", "whole: primitive", 1),
        ("primitive a Dummy \\", "goes on in a next one", 1),
        ('primitive a Dummy params x="1', "No closing quotation", 1),
        ("primitive a Dummy\nprimitive a Dummy", "two resources are called a", 2),
        ("\ngroup g a", "group g has no member a", 2),
        ("clone c a", "clone c of nothing: a", 1),
        ("colocation c much: a b", "no score: much:", 1),
        ("colocation c inf: a", "fewer than two", 1),
        ("order o Perhaps: a b", "neither a kind nor a score: Perhaps", 1),
        ("order o [ a b", "a bracket that is not closed", 1),
        ("order o ( ) a", "brackets around nothing", 1),
        ("location l a here", "names no node", 1),
        ("primitive a @t", "a has a template that is not there: t", 1),
        ("xml <rsc_order/>", "give the whole CIB in XML", 1),
        ("primitive a Dummy op", "an operation without a name", 1),
    ],
)
def test_what_crm_shell_would_not_take(text: str, says: str, line: int) -> None:
    with pytest.raises(FormatError, match=says.replace("(", r"\(")) as error:
        parse_crm(text)
    assert error.value.line == line


def test_templates_and_loose_parameters() -> None:
    cib = parse_crm(
        "rsc_template t ocf:heartbeat:Dummy params state=/run/x op start timeout=9\n"
        "primitive a @t params fake=1 meta priority=3\nprimitive b IPaddr2 ip=10.0.0.1\n"
    )
    assert cib.primitives["a"].agent == "ocf:heartbeat:Dummy"
    assert (cib.primitives["a"].param("state"), cib.primitives["a"].param("fake")) == (
        "/run/x",
        "1",
    )
    assert cib.primitives["a"].timeout("start") == "9"
    assert cib.primitives["b"].param("ip") == "10.0.0.1"


# What shlex takes for something of its own, in a shell or here, and spaces that it does not know.
_WORDS = st.text(
    st.sampled_from("ab= \t\r\n\x0b\x0c\x1f\x85\u00a0\u3000#;&|$\x00'\"\\"), max_size=12
)


@settings(max_examples=300, deadline=None)
@given(text=_WORDS)
def test_words_are_those_of_shlex(text: str) -> None:
    try:
        wanted = shlex.split(text)
    except ValueError as error:
        with pytest.raises(ValueError, match=str(error)):
            crm_shell._words(text)
    else:
        assert crm_shell._words(text) == wanted
