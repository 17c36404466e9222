"""Silent cuts: the ruleset drops the frames of exactly the cards and directions asked for."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from harness.faults.cuts import Direction, SilentCut
from harness.lab.topology import Link, Topology

if TYPE_CHECKING:
    from harness.lab.lab import Lab

LAB = cast("Lab", SimpleNamespace(topology=Topology()))


def rules(cut: SilentCut) -> set[tuple[str, str, str]]:
    """The ruleset as (chain, match, tap); what is counted must be dropped after all counting."""
    chain = ""
    found: list[tuple[str, str, str]] = []
    counted: list[tuple[str, str, str]] = []
    for line in cut.ruleset(LAB).splitlines():
        if head := re.match(r" chain (\w+) \{ type filter hook (\w+) priority -300;$", line):
            chain = head[1]
            assert head[2] == chain
        elif rule := re.match(r"  (iifname|oifname) \"([\w-]+)\" counter$", line):
            counted.append((chain, rule[1], rule[2]))
            assert chain not in {place for place, *_ in found}, "counted after a drop"
        elif rule := re.match(r"  (iifname|oifname) \"([\w-]+)\" drop$", line):
            found.append((chain, rule[1], rule[2]))
        else:
            assert line.strip() in ("}", f"table bridge fh0_{cut.undo()[0].arguments['table']} {{")
    assert len(found) == len(set(found))
    assert found == counted
    return set(found)


OUT = {("forward", "iifname", "fh0a-data"), ("input", "iifname", "fh0a-data")}
IN = {("forward", "oifname", "fh0a-data"), ("output", "oifname", "fh0a-data")}


@pytest.mark.parametrize(
    ("direction", "expected"),
    [(Direction.OUT, OUT), (Direction.IN, IN), (Direction.BOTH, OUT | IN)],
)
def test_directions(direction: Direction, expected: set[tuple[str, str, str]]) -> None:
    assert rules(SilentCut(("alpha",), (Link.DATA,), direction)) == expected


def test_several_machines_and_links_are_cut_in_one_transaction() -> None:
    cut = SilentCut(("alpha", "bravo"), (Link.DRBD, Link.MGMT))
    assert {tap for _chain, _match, tap in rules(cut)} == {
        "fh0a-drbd", "fh0a-mgmt", "fh0b-drbd", "fh0b-mgmt",
    }  # fmt: skip
    assert len(rules(cut)) == 4 * 4
    assert cut.ruleset(LAB).count("table ") == 1
    assert cut.target == "drbd and mgmt link of alpha and bravo"


def test_every_cut_has_a_table_of_its_own() -> None:
    """Healing one cut must not heal another, and nft limits a table's name to 255 characters."""
    machines = [("alpha",), ("bravo",), ("alpha", "bravo"), ("client",)]
    links = [(Link.DATA,), (Link.DRBD,), (Link.DATA, Link.DRBD, Link.MGMT)]
    tables = [
        cut.undo()[0].arguments["table"]
        for cut in (SilentCut(m, ls, d) for m in machines for ls in links for d in Direction)
    ]
    assert len(set(tables)) == len(machines) * len(links) * len(Direction)
    assert all(re.fullmatch(r"[a-z_]{1,255}", table) for table in tables)


def test_a_one_sided_cut_says_so() -> None:
    assert SilentCut(("alpha",), (Link.DATA,), Direction.IN).target.endswith(", inbound only")
    assert SilentCut(("alpha",), (Link.DATA,), Direction.OUT).target.endswith(", outbound only")


def counting_lab(packets: dict[tuple[str, str], int]) -> Lab:
    """A lab whose nft lists these counters, as nft 1.0 prints them; (match key, tap): packets."""
    rules: list[dict[str, object]] = [{"metainfo": {"version": "1.0.6"}}, {"table": {}}]
    for (key, tap), count in packets.items():
        match = {"op": "==", "left": {"meta": {"key": key}}, "right": tap}
        counter = {"packets": count, "bytes": count * 90}
        rules.append({"rule": {"expr": [{"match": match}, {"counter": counter}]}})
        rules.append({"rule": {"expr": [{"match": match}, {"drop": None}]}})
    text = json.dumps({"nftables": rules})

    def run(*command: str) -> str:
        return "table bridge fh0_cut_alpha_bravo_drbd_both\n" if "tables" in command else text

    return cast("Lab", SimpleNamespace(topology=Topology(), host=SimpleNamespace(run=run)))


def test_the_proof_needs_dropped_frames_of_every_card() -> None:
    cut = SilentCut(("alpha", "bravo"), (Link.DRBD,))
    quiet = {("iifname", "fh0a-drbd"): 0, ("oifname", "fh0a-drbd"): 0, ("iifname", "fh0b-drbd"): 7}
    assert cut.bitten(counting_lab(quiet)) == ""
    proof = cut.bitten(counting_lab({**quiet, ("oifname", "fh0a-drbd"): 2}))
    assert proof == "frames dropped: fh0a-drbd 2, fh0b-drbd 7"
    assert cut.bitten(counting_lab({})) == ""


def test_a_cut_whose_rules_are_gone_has_ended() -> None:
    """Counters never fall: that the table is there is what says that the cut still is."""
    lab = counting_lab({("iifname", "fh0a-data"): 9})
    assert SilentCut(("alpha",), (Link.DATA,)).bitten(lab) == ""


@pytest.mark.parametrize(
    ("tables", "pings", "healed"),
    [
        ("", True, True),
        ("table bridge fh0_cut_bravo_data_both\n", True, True),
        ("table bridge fh0_cut_alpha_data_both\n", True, False),
        ("", False, False),
    ],
)
def test_a_cut_is_healed_without_its_table_and_with_an_answer(
    tables: str, pings: bool, healed: bool
) -> None:
    result = SimpleNamespace(exit_code=0 if pings else 1)
    commands: list[str] = []

    def run(command: str, **_options: object) -> SimpleNamespace:
        commands.append(command)
        return result

    lab = SimpleNamespace(
        topology=Topology(),
        host=SimpleNamespace(run=lambda *_: tables),
        machines={"alpha": SimpleNamespace(guest=SimpleNamespace(run=run))},
    )
    proof = SilentCut(("alpha",), (Link.DATA,)).healed(cast("Lab", lab))
    assert bool(proof) == healed
    # On the data link the lab itself answers: the peer may be the one that is cut.
    assert all(command.endswith("-I data 10.77.3.1") for command in commands)
