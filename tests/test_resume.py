"""Resuming a run: what is VALID stays, the rest is set aside; results of other code never mix."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import session
from harness.checks.verdict import CheckResult, ScenarioVerdict, Verdict
from harness.errors import BadInputError, ExitCode
from harness.lab.paths import Cache
from harness.session import RunOptions, code_hash, done_before

CODE = "0123456789abcdef"
# Never touched: nothing here starts a lab.
CACHE = Cache(Path("/nonexistent/cache"))


@pytest.fixture(autouse=True)
def same_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "code_hash", lambda: CODE)


def options(folder: Path | None, *, resume: bool = True) -> RunOptions:
    return RunOptions(cache=CACHE, folder=folder, resume=resume)


def begun(folder: Path, code: str | None = CODE) -> Path:
    """A run's folder as LabSession.start leaves it."""
    (folder / "evidence").mkdir(parents=True)
    facts = {"run": folder.name} if code is None else {"run": folder.name, "code": code}
    (folder / "run.json").write_text(json.dumps(facts))
    return folder


def ran(folder: Path, slug: str, verdict: Verdict | None) -> Path:
    """A scenario of the run; None is one that was never judged."""
    evidence = folder / "evidence" / slug
    evidence.mkdir()
    (evidence / "scenario.json").write_text(json.dumps({"name": f"The {slug}"}))
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
    """A run of four scenarios, one of which is VALID."""
    folder = begun(tmp_path / "run")
    ran(folder, "good", Verdict.VALID)
    ran(folder, "bad", Verdict.INVALID)
    ran(folder, "unclear", Verdict.INCONCLUSIVE)
    ran(folder, "torn", None)
    return folder


def test_what_is_valid_is_done_and_the_rest_is_set_aside(folder: Path) -> None:
    before = tree(folder)
    assert done_before(options(folder), ALL) == {"The good"}
    assert [path.name for path in (folder / "evidence").iterdir()] == ["good"]
    aside = sorted((folder / "superseded").iterdir())
    slugs = [path.name.rpartition("-")[0] for path in aside]
    assert slugs == ["bad", "torn", "unclear"]
    # Nothing is lost: every file is there, with its content, at its place or set aside.
    moved = {
        f"evidence/{slug}/{name}": content
        for slug, path in zip(slugs, aside, strict=True)
        for name, content in tree(path).items()
    }
    kept = {n: c for n, c in tree(folder).items() if not n.startswith("superseded/")}
    assert kept | moved == before


def test_only_chosen_scenarios_are_set_aside(folder: Path) -> None:
    before = tree(folder)
    assert done_before(options(folder), set()) == {"The good"}
    assert done_before(options(folder), {"The good", "Another"}) == {"The good"}
    assert tree(folder) == before
    assert done_before(options(folder), {"The bad"}) == {"The good"}
    (aside,) = (folder / "superseded").iterdir()
    assert aside.name.startswith("bad-")
    assert sorted(p.name for p in (folder / "evidence").iterdir()) == ["good", "torn", "unclear"]


def test_a_scenario_may_be_set_aside_again_and_again(folder: Path) -> None:
    assert done_before(options(folder), ALL) == {"The good"}
    ran(folder, "bad", Verdict.INVALID)
    assert done_before(options(folder), ALL) == {"The good"}
    ran(folder, "bad", Verdict.VALID)
    assert done_before(options(folder), ALL) == {"The good", "The bad"}
    assert len([p for p in (folder / "superseded").iterdir() if p.name.startswith("bad-")]) == 2


@pytest.mark.parametrize("code", ["fedcba9876543210", "", None])
def test_results_of_other_code_are_refused_and_left_alone(tmp_path: Path, code: str | None) -> None:
    folder = begun(tmp_path / "run", code)
    ran(folder, "good", Verdict.VALID)
    ran(folder, "bad", Verdict.INVALID)
    before = tree(folder)
    with pytest.raises(BadInputError, match="holds results of other code") as caught:
        done_before(options(folder), ALL)
    assert str(folder) in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code is ExitCode.MISSING_ENVIRONMENT
    assert tree(folder) == before


def test_a_new_run_has_nothing_done(folder: Path, tmp_path: Path) -> None:
    before = tree(folder)
    assert done_before(options(folder, resume=False), ALL) == set()
    assert done_before(options(None), ALL) == set()
    # --resume of a folder that is not there begins it.
    assert done_before(options(tmp_path / "new"), ALL) == set()
    assert not (tmp_path / "new").exists()
    (tmp_path / "empty").mkdir()
    assert done_before(options(tmp_path / "empty"), ALL) == set()
    assert tree(folder) == before


def test_a_run_that_had_not_come_to_its_first_scenario(tmp_path: Path) -> None:
    folder = begun(tmp_path / "run")
    assert done_before(options(folder), ALL) == set()
    (folder / "evidence").rmdir()
    assert done_before(options(folder), ALL) == set()


def test_the_code_s_hash_is_of_what_a_result_depends_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "PROJECT", tmp_path)
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
        "harness/cli.py", "harness/report/page.py", "scenarios/mutants/a.toml",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    assert code_hash() == now, "what a result does not depend on does not end a run"
