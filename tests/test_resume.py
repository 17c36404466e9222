"""Resuming a run: what was judged is done, what was cut short begins anew, nothing is forgotten."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from harness import resuming
from harness.checks.verdict import CheckResult, ScenarioVerdict, Verdict
from harness.errors import BadInputError, ExitCode
from harness.evidence.attempts import cut_short, superseded
from harness.evidence.files import write_json
from harness.lab import guests
from harness.resuming import (
    check_code,
    check_mergeable,
    code_hash,
    done_before,
    make_room,
    set_aside,
    set_aside_fragments,
)

if TYPE_CHECKING:
    from pathlib import Path

CODE = "0123456789abcdef"
FINISHED = {"outcome": "finished", "error": None, "touched": True}
KILLED = {"outcome": "running", "error": None, "touched": True}


@pytest.fixture(autouse=True)
def same_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming, "code_hash", lambda: CODE)


def begun(folder: Path, facts: dict[str, Any] | None = None) -> Path:
    """A run's folder as LabSession.start leaves it."""
    (folder / "evidence").mkdir(parents=True)
    told = {"run": folder.name, **({"code": CODE} if facts is None else facts)}
    (folder / "run.json").write_text(json.dumps(told))
    return folder


def ran(
    folder: Path, slug: str, verdict: Verdict | None, scenario: dict[str, Any] | None = None
) -> Path:
    """A scenario of the run; a verdict of None is one that was never judged."""
    evidence = folder / "evidence" / slug
    evidence.mkdir()
    told = {"name": f"The {slug}", **(scenario or FINISHED)}
    (evidence / "scenario.json").write_text(json.dumps(told))
    (evidence / "timeline.jsonl").write_text("a witness\n")
    if verdict is not None:
        result = CheckResult("stall", "Stall", verdict, "short", "seen", operations=1)
        ScenarioVerdict(slug, (result,)).save(evidence / "verdict.json")
    return evidence


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


ALL = {"The good", "The bad", "The unclear", "The torn"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of four scenarios, one of which was killed."""
    folder = begun(tmp_path / "run")
    ran(folder, "good", Verdict.VALID)
    ran(folder, "bad", Verdict.INVALID)
    ran(folder, "unclear", Verdict.INCONCLUSIVE)
    ran(folder, "torn", None, KILLED)
    return folder


def test_what_was_judged_is_done_whatever_the_verdict(folder: Path) -> None:
    before = tree(folder)
    assert done_before(folder, ALL, again=False) == ALL - {"The torn"}
    assert tree(folder) == before, "asking changes nothing"


def test_what_was_not_valid_is_run_again_only_when_that_is_asked_for(folder: Path) -> None:
    assert done_before(folder, ALL, again=True) == {"The good"}
    # And only what is wanted now.
    assert done_before(folder, {"The bad"}, again=True) == {"The good", "The unclear"}
    assert done_before(folder, set(), again=True) == ALL - {"The torn"}


@pytest.mark.parametrize(
    ("scenario", "short"),
    [
        (FINISHED, False),
        (KILLED, True),
        ({}, True),
        ({"outcome": "error", "error": "interrupted", "touched": True}, True),
        # The fork failed: nothing was broken, so nothing is known of the cluster.
        ({"outcome": "error", "error": "libvirt is gone", "touched": False}, True),
        # The harness gave up when something was broken: INCONCLUSIVE, and it stays so.
        ({"outcome": "error", "error": "libvirt is gone", "touched": True}, False),
        ({"outcome": "error", "error": "of an older harness"}, False),
    ],
)
def test_what_was_cut_short_says_nothing(
    tmp_path: Path, scenario: dict[str, Any], short: bool
) -> None:
    """Even where somebody judged it later (harness recheck): it is begun anew."""
    folder = begun(tmp_path / "run")
    evidence = ran(folder, "one", Verdict.INCONCLUSIVE, scenario or {"outcome": "nonsense"})
    assert cut_short(evidence) is short
    assert done_before(folder, {"The one"}, again=False) == (set() if short else {"The one"})
    (evidence / "scenario.json").write_text('{"name": "The on')
    assert cut_short(evidence)
    assert done_before(folder, {"The one"}, again=False) == set()


def test_a_verdict_that_cannot_be_read_is_none(folder: Path) -> None:
    (folder / "evidence/good/verdict.json").write_text("{")
    assert "The good" not in done_before(folder, ALL, again=False)


def test_a_scenario_that_begins_anew_is_set_aside_whole(folder: Path) -> None:
    before = tree(folder)
    set_aside(folder, "The bad")
    set_aside(folder, "The torn")
    set_aside(folder, "Another")
    assert sorted(p.name for p in (folder / "evidence").iterdir()) == ["good", "unclear"]
    aside = superseded(folder)
    slugs = [path.name.rpartition("-")[0] for path in aside]
    assert slugs == ["bad", "torn"]
    # Nothing is lost: every file is there, with its content, at its place or set aside.
    moved = {
        f"evidence/{slug}/{name}": content
        for slug, path in zip(slugs, aside, strict=True)
        for name, content in tree(path).items()
    }
    kept = {n: c for n, c in tree(folder).items() if not n.startswith("superseded/")}
    assert kept | moved == before


def test_a_scenario_may_be_set_aside_again_and_again(folder: Path) -> None:
    for _ in range(3):
        set_aside(folder, "The bad")
        ran(folder, "bad", Verdict.INVALID)
    assert len(superseded(folder)) == 3
    assert "The bad" in done_before(folder, ALL, again=False)


def test_evidence_without_a_name_makes_room(folder: Path) -> None:
    """Killed between its folder and its scenario.json: nobody could tell which one it was."""
    (folder / "evidence/nameless").mkdir()
    (folder / "evidence/half").mkdir()
    (folder / "evidence/half/scenario.json").write_text('{"name": "The ha')
    damaged = ran(folder, "damaged", Verdict.VALID)
    (damaged / "scenario.json").unlink()
    set_aside_fragments(folder)
    assert [path.name.rpartition("-")[0] for path in superseded(folder)] == ["half", "nameless"]
    assert damaged.exists(), "a verdict without its scenario is damage that has to be seen"


@pytest.mark.parametrize("facts", [{"code": "fedcba9876543210"}, {"code": ""}, {}])
def test_results_of_other_code_are_refused_and_left_alone(
    tmp_path: Path, facts: dict[str, Any]
) -> None:
    folder = begun(tmp_path / "run", facts)
    ran(folder, "good", Verdict.VALID)
    before = tree(folder)
    with pytest.raises(BadInputError, match="holds results of other code") as caught:
        check_code(folder)
    assert str(folder) in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code is ExitCode.MISSING_ENVIRONMENT
    assert tree(folder) == before


def test_a_run_that_is_not_there_is_begun(tmp_path: Path) -> None:
    for folder in (tmp_path / "new", tmp_path):
        check_code(folder)
        check_mergeable(folder, {"code": CODE})
        set_aside(folder, "The good")
        set_aside_fragments(folder)
        assert done_before(folder, ALL, again=False) == set()
    assert list(tmp_path.iterdir()) == []


FACTS = {
    "code": CODE,
    "accelerator": "tcg",
    "host": "private",
    "config": {"drbd": {"protocol": "C"}},
    "timing": {"name": "tcg", "boot_deadline_s": 180.0},
    "versions": {"kernel": "6.1"},
    "max_stall_s": None,
    "injecting": True,
}


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({}, ""),
        ({"started_ns": 4, "command": "harness run --tag x"}, ""),
        ({"accelerator": "kvm"}, "other accelerator"),
        ({"host": "qemu:///system"}, "other libvirt"),
        ({"config": {"drbd": {"protocol": "A"}}}, "other configuration of the cluster"),
        ({"timing": {"name": "tcg", "boot_deadline_s": 90.0}}, "other timing"),
        ({"versions": {"kernel": "6.2"}}, "other versions of packages"),
        ({"max_stall_s": 900.0}, "other --max-stall"),
        ({"injecting": False}, "other injection of faults"),
        ({"accelerator": "kvm", "code": "x"}, "other code and accelerator"),
    ],
)
def test_parts_are_added_only_where_they_are_alike(
    tmp_path: Path, other: dict[str, Any], named: str
) -> None:
    folder = begun(tmp_path / "run", FACTS)
    if not named:
        check_mergeable(folder, FACTS | other)
        return
    with pytest.raises(BadInputError, match=named) as caught:
        check_mergeable(folder, FACTS | other)
    assert caught.value.hint


def test_a_refusal_names_what_was_updated_and_the_way_out(tmp_path: Path) -> None:
    guests = {f"package-{n}": "1" for n in range(9)}
    before = FACTS | {"packages": {"guests": guests, "host": {"vim": "1"}}}
    folder = begun(tmp_path / "run", before)
    host = {"packages": {"guests": guests, "host": {"vim": "2"}}}
    check_mergeable(folder, before | host)  # no result depends on it
    now = {"packages": {"guests": dict.fromkeys(guests, "2") | {"new": "1"}}}
    with pytest.raises(BadInputError) as caught:
        check_mergeable(folder, before | now)
    assert "versions of packages (new: none there, 1 now; package-0: 1 there, 2 now; " in (
        caught.value.message
    )
    assert caught.value.message.endswith("; and 6 more)")
    assert "harness nightly --anew" in caught.value.hint
    with pytest.raises(BadInputError, match=r"\(kernel: 6.1 there, 6.2 now\) "):
        check_mergeable(folder, before | {"versions": {"kernel": "6.2"}})


def test_an_update_makes_room_for_another_run(tmp_path: Path) -> None:
    folder = begun(tmp_path / "nightly-c0de", FACTS)
    ran(folder, "good", Verdict.VALID)
    before = tree(folder)
    assert make_room(folder, {"versions": {"kernel": "6.1"}}) == ""
    assert make_room(tmp_path / "none", {"versions": {"kernel": "6.2"}}) == ""
    assert tree(folder) == before
    said = make_room(folder, {"versions": {"kernel": "6.2"}})
    assert "made with other versions of packages (kernel: 6.1 there, 6.2 now)" in said
    (aside,) = tmp_path.iterdir()
    assert aside.name.startswith("nightly-c0de-until-")
    assert aside.name in said
    assert tree(aside) == before, "nothing is lost"


def test_run_json_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill -9 must not leave half of it: nobody could go on with the run."""
    folder = begun(tmp_path / "run")
    before = (folder / "run.json").read_bytes()

    def killed(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_json(folder / "run.json", {"code": CODE, "parts": []})
    assert (folder / "run.json").read_bytes() == before


def test_the_code_s_hash_is_of_what_a_result_depends_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming, "PROJECT", tmp_path)
    seen = {code_hash()}
    for name in ("harness/a.py", "features/a.feature", "scenarios/test_a.py", "vagrant/cluster/a"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text("1")
        seen.add(code_hash())
        path.write_text("2")
        seen.add(code_hash())
    (tmp_path / "harness/a.py").rename(tmp_path / "harness/b.py")
    seen.add(code_hash())
    assert len(seen) == 10
    assert all(len(value) == 16 for value in seen)
    now = code_hash()
    for name in (
        "harness/__pycache__/a.pyc", "docs/a.md", "tests/test_a.py", "reports/r/run.json",
        "harness/cli.py", "harness/report/page.py", "harness/nightly/budget.py",
        "harness/fleet/pool.py", "scenarios/mutants/a.toml", "scenarios/durations.json",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    assert code_hash() == now, "what a result does not depend on does not end a run"


def test_of_a_guest_s_profile_what_the_image_is_made_of_is_code_and_what_is_told_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a profile that is called tested would make other code of the run that tested it."""
    copy = tmp_path / "guests"
    shutil.copytree(guests.GUESTS, copy)
    monkeypatch.setattr(guests, "GUESTS", copy)
    before, path = code_hash(), copy / "debian13.toml"
    text = path.read_text()
    path.write_text("tested = true\n" + text.replace("as it is", "as it came"))
    assert code_hash() == before
    path.write_text(text.replace("linux-image-cloud-amd64", "linux-image-amd64"))
    assert code_hash() != before
    path.write_text(text)
    (copy / "another.toml").write_text('extends = "debian12"\ntitle = "Debian 12 once more"\n')
    assert code_hash() != before
