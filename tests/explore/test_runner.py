"""Runs on one lab: what each leaves, when the lab is thrown away, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import HarnessError
from harness.explore import runner as module
from harness.explore.runner import LabRunner
from harness.lab.paths import Cache
from harness.session import RunOptions
from tests.explore.fakes import INVALID, VALID, verdict

if TYPE_CHECKING:
    from collections.abc import Callable

FEATURE = Path("/nonexistent/x.feature")


class Labs:
    """Stands for LabSession and for pytest: which labs there were, and what ran on each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log: list[str] = []
        self.error: str | None = None
        self.checks = {"stall": INVALID}
        self.leaves = 1
        self.judged = True
        self.code = 1
        self.broken: Exception | None = None

    def session(self, options: RunOptions) -> Labs.Session:
        return Labs.Session(self, options)

    class Session:
        def __init__(self, labs: Labs, options: RunOptions) -> None:
            self.labs, self.options = labs, options

        def start(self) -> None:
            self.labs.log.append("start")
            if self.labs.broken is not None:
                raise self.labs.broken
            facts = {"started_ns": 100 + len(self.labs.log), "code": "c"}
            self.labs.folder.mkdir(exist_ok=True)
            (self.labs.folder / "run.json").write_text(json.dumps(facts))

        def close(self) -> None:
            self.labs.log.append("close")

    def run(self, session: Labs.Session, feature: Path) -> int:
        assert isinstance(session, Labs.Session)
        self.log.append(feature.name)
        for _ in range(self.leaves):
            number = sum(1 for line in self.log if line.endswith(".feature"))
            folder = self.folder / "evidence" / f"s{number}-{_}"
            folder.mkdir(parents=True)
            if self.judged:
                verdict(folder.name, self.checks, self.error).save(folder / "verdict.json")
        return self.code


@pytest.fixture
def labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Labs:
    labs = Labs(tmp_path / "run")
    monkeypatch.setattr(module, "LabSession", labs.session)
    monkeypatch.setattr(module, "run_feature", labs.run)
    return labs


@pytest.fixture
def begin(labs: Labs) -> Callable[..., LabRunner]:
    def begin(**options: Any) -> LabRunner:
        return LabRunner(
            RunOptions(cache=Cache(Path("/nonexistent")), folder=labs.folder, **options)
        )

    return begin


def test_one_lab_for_all_and_none_before_the_first(
    labs: Labs, begin: Callable[..., LabRunner]
) -> None:
    runner = begin()
    assert labs.log == []
    first, second = runner.run(FEATURE), runner.run(FEATURE)
    assert first.evidence.name == "s1-0"
    assert second.evidence.name == "s2-0"
    assert [result.check for result in first.verdict.checks] == ["witnesses", "stall"]
    assert first.seconds >= 0
    runner.close()
    runner.close()
    assert labs.log == ["start", "x.feature", "x.feature", "close"]


def test_a_lab_that_made_trouble_is_thrown_away(
    labs: Labs, begin: Callable[..., LabRunner]
) -> None:
    runner = begin()
    labs.error = "the snapshot's cluster is not healthy"
    assert runner.run(FEATURE).verdict.error == labs.error
    started = json.loads((labs.folder / "run.json").read_text())["started_ns"]
    labs.error = None
    runner.run(FEATURE)
    assert labs.log == ["start", "x.feature", "close", "start", "x.feature"]
    facts = json.loads((labs.folder / "run.json").read_text())
    assert facts == {"started_ns": started, "code": "c"}, "it is the same run"


def test_a_kept_lab_is_the_user_s(labs: Labs, begin: Callable[..., LabRunner]) -> None:
    runner = begin(lab="lab0")
    labs.error = "trouble"
    runner.run(FEATURE)
    runner.run(FEATURE)
    assert labs.log == ["start", "x.feature", "x.feature"]


def test_trouble_again_and_again_ends_it(labs: Labs, begin: Callable[..., LabRunner]) -> None:
    runner = begin()
    labs.error = "no more disk"
    for _ in range(4):
        # With a violation it is a finding, however often.
        runner.run(FEATURE)
    labs.checks = {"stall": VALID}
    runner.run(FEATURE)
    runner.run(FEATURE)
    with pytest.raises(HarnessError, match=r"3 runs in a row could not be judged.*no more disk"):
        runner.run(FEATURE)
    labs.error = None


def test_a_run_that_was_not_judged_is_trouble(labs: Labs, begin: Callable[..., LabRunner]) -> None:
    labs.judged = False
    ran = begin().run(FEATURE)
    assert str(ran.verdict.error).startswith("not judged: ")
    assert ran.verdict.checks == ()


@pytest.mark.parametrize("leaves", [0, 2])
def test_a_file_is_one_scenario(labs: Labs, begin: Callable[..., LabRunner], leaves: int) -> None:
    labs.leaves = leaves
    with pytest.raises(HarnessError, match=rf"x\.feature: {leaves} scenarios were run"):
        begin().run(FEATURE)


def test_ctrl_c_ends_everything(labs: Labs, begin: Callable[..., LabRunner]) -> None:
    labs.code = 2
    with pytest.raises(KeyboardInterrupt):
        begin().run(FEATURE)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (OSError("no such file"), "the lab did not come up: no such file"),
        (HarnessError("no image"), "no image"),
    ],
)
def test_a_lab_that_does_not_come_up(
    labs: Labs, begin: Callable[..., LabRunner], broken: Exception, says: str
) -> None:
    labs.broken = broken
    runner = begin()
    with pytest.raises(HarnessError, match=says):
        runner.run(FEATURE)
    assert labs.log == ["start", "close"]
    runner.close()
    assert labs.log == ["start", "close"]
