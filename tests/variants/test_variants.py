"""Variants: their files, what a run of one came to, and the table that is written of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from harness.checks import Verdict
from harness.checks.verdict import CheckResult, ScenarioVerdict
from harness.cli import app
from harness.cluster.config import load_config
from harness.errors import BadInputError
from harness.evidence.files import write_json
from harness.lab.guests import guest_names
from harness.report.ledger import read_ledger
from harness.resuming import code_hash
from harness.timing import PROFILES
from harness.variants.campaign import run_variant
from harness.variants.ledger import Outcome, outcome_of
from harness.variants.matrix import answered, last_of, matrix
from harness.variants.model import (
    REFERENCE,
    VARIANTS,
    Variant,
    load_variant,
    load_variants,
    unbuilt_guests,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

VALID, INVALID, UNCLEAR = Verdict.VALID, Verdict.INVALID, Verdict.INCONCLUSIVE
SCENARIOS = ("A cut", "Power | <b>", "The control")
OWN = """\
# Something is other
# and this is why,
#
# in two parts.

[pacemaker]
ping_rule = false
"""


@pytest.fixture
def variant(tmp_path: Path) -> Variant:
    path = tmp_path / "other.toml"
    path.write_text(OWN)
    return load_variant(path)


def judged(run: Path, name: str, verdict: Verdict, *, aside: bool = False) -> None:
    slug = str(SCENARIOS.index(name))
    folder = run / "superseded" / f"{slug}-1" if aside else run / "evidence" / slug
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "scenario.json", {"name": name, "outcome": "finished", "started_ns": 1})
    result = CheckResult(
        check="stall", title="t", verdict=verdict, expected="-", seen="300 s | <i>", when_ns=(),
        evidence=(), operations=7, details={},
    )  # fmt: skip
    ScenarioVerdict(slug, (result,), None).save(folder / "verdict.json")


def stored(run: Path, *verdicts: Verdict, started_ns: int = 1_764_000_000_000_000_000) -> None:
    facts = {"code": code_hash(), "accelerator": "tcg", "started_ns": started_ns}
    run.mkdir(parents=True, exist_ok=True)
    versions = {"kernel": "6.1.0-41", "pacemaker": "2.1.5"}
    write_json(run / "run.json", facts | {"versions": versions})
    for name, verdict in zip(SCENARIOS, verdicts, strict=False):
        judged(run, name, verdict)


def test_all_variants_can_be_read_and_say_what_and_why() -> None:
    there = load_variants()
    assert there[0].name == REFERENCE
    assert there[0].path is None
    assert {one.path for one in there[1:]} == set(VARIANTS.glob("*.toml"))
    assert len({one.title for one in there}) == len(there)
    assert all(len(one.why) > 20 and not one.title.endswith(".") for one in there)
    assert [one.name for one in load_variants(["knet-rr", REFERENCE])] == ["knet-rr", REFERENCE]


def test_a_file_tells_of_itself_in_its_comment(variant: Variant) -> None:
    assert (variant.name, variant.title) == ("other", "Something is other")
    assert variant.why == "and this is why, in two parts."
    assert len(variant.digest) == 64


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[pacemaker]\nping_rule = false\n", "does not begin with a comment"),
        ("# Title alone\n[pacemaker]\nping_rule = false\n", "does not begin with a comment"),
        ("# Title\n# why\n[pacemaker]\nping_rule = true\n", "changes nothing"),
        ("# Title\n# why\n[pacemaker]\nping_rul = true\n", "ping_rul"),
    ],
)
def test_a_file_that_is_no_variant(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(BadInputError, match=said):
        load_variant(path)


def test_a_name_that_there_is_not() -> None:
    with pytest.raises(BadInputError, match="no variant knet-both") as caught:
        load_variants(["knet-both", "knet-rr"])
    assert caught.value.hint.startswith("there are: reference, ")
    assert " knet-active, " in caught.value.hint


def test_what_a_run_came_to(variant: Variant, tmp_path: Path) -> None:
    stored(tmp_path / "run", VALID, INVALID)
    outcome = outcome_of(variant, tmp_path / "run", SCENARIOS)
    assert (outcome.valid, outcome.missing, outcome.verdict) == (1, ("The control",), INVALID)
    assert [(one.scenario, one.checks) for one in outcome.red] == [("Power | <b>", ("stall",))]
    assert not answered(outcome), "not all of it was judged"
    judged(tmp_path / "run", "The control", VALID)
    assert answered(outcome_of(variant, tmp_path / "run", SCENARIOS))


def test_what_was_judged_before_a_scenario_was_run_again_counts(
    variant: Variant, tmp_path: Path
) -> None:
    stored(tmp_path, VALID, VALID, VALID)
    assert outcome_of(variant, tmp_path, SCENARIOS).verdict is VALID
    judged(tmp_path, "A cut", INVALID, aside=True)
    assert outcome_of(variant, tmp_path, SCENARIOS).verdict is INVALID


@pytest.mark.parametrize(
    ("verdicts", "verdict", "closed"),
    [
        ((VALID, VALID, VALID), VALID, True),
        ((VALID, INVALID, UNCLEAR), INVALID, True),
        ((VALID, VALID, UNCLEAR), UNCLEAR, False),
        ((VALID, VALID), None, False),
        ((), None, False),
    ],
)
def test_only_a_whole_run_with_a_verdict_is_an_answer(
    variant: Variant, tmp_path: Path, verdicts: tuple[Verdict, ...], verdict: Verdict | None,
    closed: bool,
) -> None:  # fmt: skip
    stored(tmp_path, *verdicts)
    outcome = outcome_of(variant, tmp_path, SCENARIOS)
    assert (outcome.verdict, answered(outcome)) == (verdict, closed)


def test_a_run_goes_on_and_is_added_once_it_is_whole(variant: Variant, tmp_path: Path) -> None:
    asked: list[Sequence[str]] = []
    ledger, run = tmp_path / "ledger", tmp_path / "runs" / "other"

    def start(arguments: Sequence[str]) -> int:
        asked.append(arguments)
        stored(run, *[VALID, VALID, INVALID][: len(asked) + 1])
        return 1

    for whole in (False, True, True):
        outcome = run_variant(
            variant, run.parent, SCENARIOS, ("--cache", "c"), ledger=ledger, start=start
        )
        assert bool(read_ledger(ledger, Outcome)) is whole is answered(outcome)
    assert [list(one) for one in asked] == [
        ["run", "--resume", str(run), "--config", str(variant.path), "--cache", "c"]
    ] * 2, "what was judged is not run again"
    (line,) = read_ledger(ledger, Outcome)
    assert (line.variant, line.file, line.code) == ("other", variant.digest, code_hash())


def test_a_run_of_other_code_is_not_gone_on_with(variant: Variant, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    write_json(tmp_path / "other" / "run.json", {"code": "another"})
    with pytest.raises(BadInputError, match="other code"):
        run_variant(variant, tmp_path, SCENARIOS, start=lambda _arguments: 0)


def test_the_table_has_the_last_run_of_the_file_as_it_is(variant: Variant, tmp_path: Path) -> None:
    day = 86_400_000_000_000
    stored(tmp_path / "1", VALID, VALID, VALID)
    stored(tmp_path / "2", VALID, INVALID, UNCLEAR, started_ns=1_764_000_000_000_000_000 + day)
    first, second = (outcome_of(variant, tmp_path / n, SCENARIOS) for n in "12")
    other_file = first.model_copy(update={"file": "0", "started_ns": first.started_ns + 9 * day})
    told = [second, first, other_file]
    assert last_of(variant, told) == second
    never = Variant("never", None, "Nobody ran it", "why")
    rows = [line for line in matrix([variant, never], told).splitlines() if line.startswith("| `")]
    assert rows == [
        "| `other` | Something is other | INVALID | 1 of 3 VALID | Power \\| &lt;b>: stall<br>"
        f"The control: stall (INCONCLUSIVE) | 2025-11-25 | {code_hash()} | "
        "kernel 6.1.0-41, pacemaker 2.1.5, tcg |",
        "| `never` | Nobody ran it | not run |  |  |  |  |  |",
    ]


def test_the_command_lists_and_writes_without_running(tmp_path: Path) -> None:
    ledger, table = tmp_path / "ledger", tmp_path / "matrix.md"
    stored(tmp_path / "run", VALID, INVALID, VALID)
    (reference, *_) = load_variants()
    with ledger.open("w") as file:
        file.write(outcome_of(reference, tmp_path / "run", SCENARIOS).model_dump_json() + "\n")
    options = ["--ledger", str(ledger), "--matrix", str(table)]
    listed = CliRunner().invoke(app, ["variants", "--list", *options])
    assert listed.output.startswith("reference: The reference configuration (INVALID)\n")
    assert "knet-rr: knet spreads its messages over both links in turn (not run)" in listed.output
    assert not table.exists()
    assert CliRunner().invoke(app, ["variants", "--matrix-only", *options]).exit_code == 0
    text = table.read_text()
    assert "| `reference` | The reference configuration | INVALID | 2 of 3 VALID |" in text
    assert len([line for line in text.splitlines() if "not run" in line and "`" in line]) == len(
        [*VARIANTS.glob("*.toml"), *unbuilt_guests()]
    )
    assert "| `rhel9` | RHEL 9 and its rebuilds" in text


def test_every_guest_has_a_row_and_those_that_can_be_built_a_variant() -> None:
    built = {load_config(one.path, PROFILES["tcg"]).guest.name for one in load_variants()}
    unbuilt = {one.name for one in unbuilt_guests()}
    assert not built & unbuilt
    assert built | unbuilt == set(guest_names())


def test_the_table_in_the_documents_is_the_one_that_the_ledger_gives() -> None:
    docs = Path(VARIANTS.parents[1] / "docs")
    told = read_ledger(docs / "ledgers" / "variants.jsonl", Outcome)
    assert (docs / "support-matrix.md").read_text(encoding="utf-8") == matrix(
        [*load_variants(), *unbuilt_guests()], told
    ), "harness variants --matrix-only"
