"""A feature file that is named is run by pytest, on a lab that is there already and stays."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
import typer

from harness import cli, resuming
from harness.explore.feature import Origin, write
from harness.explore.schedule import Schedule, Step
from harness.lab.paths import PROJECT, Cache
from harness.running import run_feature
from harness.scenario import ScenarioInfo
from harness.session import LabSession, RunOptions, code_hash
from tests.explore.fakes import INVALID, VALID, verdict

if TYPE_CHECKING:
    from harness.checks.verdict import ScenarioVerdict, Verdict

STEPS = (Step("power-off", "active"), Step("writes", number=100))


class Run:
    """A scenario in which every step is done as soon as it is said."""

    def __init__(self, folder: Path, info: ScenarioInfo, said: Verdict) -> None:
        self.folder, self.info, self.said = folder, info, said
        self.writer = SimpleNamespace(add=self._note)
        self.steps: list[str] = []
        self.lab = SimpleNamespace(nodes=[], machines={})
        self.timing = SimpleNamespace(name="tcg")
        self.expect = SimpleNamespace(max_stall_s=0.0)
        self.faults = SimpleNamespace(active={}, heal_all=lambda: None)

    def _note(self, _source: str, _channel: str, kind: str, data: dict[str, Any]) -> None:
        if kind == "begin":
            self.steps.append(data["text"])

    def __getattr__(self, _name: str) -> Any:
        return lambda *_arguments, **_more: None

    def node(self, word: str) -> str:
        return word


class Session:
    """A lab session that is there already."""

    def __init__(self, folder: Path, said: Verdict) -> None:
        self.folder, self.said = folder, said
        self.options = RunOptions(cache=Cache(Path("/nonexistent")), everything=True)
        self.runs: list[Run] = []
        self.closed = self.failed = False

    def scenario(
        self, name: str, feature: str, tags: list[str], gherkin: list[str], file: Path
    ) -> Run:
        folder = self.folder / f"s{len(self.runs)}"
        folder.mkdir(parents=True)
        info = ScenarioInfo(folder.name, name, feature, tags, gherkin, str(file))
        self.runs.append(Run(folder, info, self.said))
        return self.runs[-1]

    def start(self) -> None:
        raise AssertionError("it runs already")

    def judged(self, run: Run, from_ns: int, to_ns: int, *, whole: bool) -> None:
        assert run is self.runs[-1]
        assert whole
        assert from_ns <= to_ns

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge finds what the session was told to find."""

    def judge(folder: Path) -> ScenarioVerdict:
        found = {"stall": INVALID} if (folder / "bad").exists() else {"stall": VALID}
        return verdict(folder.name, found)

    def keep(folder: Path) -> ScenarioVerdict:
        judge(folder).save(folder / "verdict.json")
        return judge(folder)

    monkeypatch.setattr("harness.plugin.judge", judge)
    monkeypatch.setattr("harness.plugin.judge_and_keep", keep)


@pytest.mark.usefixtures("judged")
def test_a_schedule_is_run_by_the_code_that_runs_all_features(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = Session(tmp_path / "run", VALID)
    for number in (1, 2):
        path = write(Schedule(9, number, STEPS), Origin("c"), tmp_path / "schedules", "x")
        assert run_feature(cast("LabSession", session), path) == pytest.ExitCode.OK
    one, two = session.runs
    assert one.steps[0] == "the healthy cluster"
    assert "the active node loses power" in one.steps
    assert one.steps[-1] == "the cluster is whole again"
    assert (one.info.name, two.info.name) == ("Schedule 1 of seed 9", "Schedule 2 of seed 9")
    assert one.info.tags == ["explored"]
    assert one.info.reproduce.endswith(".feature"), "it is told where it comes from"
    assert not session.closed, "the lab is somebody else's"
    assert not session.failed
    capsys.readouterr()


@pytest.mark.usefixtures("judged")
def test_a_verdict_that_is_not_valid_fails_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(tmp_path / "run", INVALID)
    monkeypatch.setattr(Run, "finish", lambda run: (run.folder / "bad").touch(), raising=False)
    path = write(Schedule(9, 1, STEPS), Origin("c"), tmp_path / "schedules", "x")
    assert run_feature(cast("LabSession", session), path) == pytest.ExitCode.TESTS_FAILED
    assert session.failed
    assert not session.closed
    assert "INVALID: Schedule 1 of seed 9" in capsys.readouterr().err


def reproduced(file: Path | None, config: Path | None = None, **options: Any) -> str:
    session = LabSession.__new__(LabSession)
    session.options = RunOptions(cache=Cache(Path("/nonexistent")), config=config, **options)
    return session._reproduce("A name", file)


def test_the_command_that_runs_it_again() -> None:
    assert reproduced(None) == ".venv/bin/harness run 'A name'"
    assert reproduced(PROJECT / "features" / "links.feature") == ".venv/bin/harness run 'A name'"
    saved = PROJECT / "scenarios" / "schedules" / "1-001-abc.feature"
    assert reproduced(saved) == ".venv/bin/harness replay scenarios/schedules/1-001-abc.feature"
    assert reproduced(Path("/tmp/x.feature"), Path("m.toml")) == (
        ".venv/bin/harness replay /tmp/x.feature --config m.toml"
    )


def test_it_runs_again_where_it_ran() -> None:
    there = "qemu+ssh://host.example/system"
    links = PROJECT / "features" / "links.feature"
    assert reproduced(links, connect=there) == f".venv/bin/harness run 'A name' --connect {there}"
    assert reproduced(Path("/tmp/x.feature"), connect=there) == (
        f".venv/bin/harness replay /tmp/x.feature --connect {there}"
    )


def test_the_command_has_everything_that_a_result_depends_on() -> None:
    config = PROJECT / "scenarios" / "mutants" / "protocol-a.toml"
    options: dict[str, Any] = {
        "config": config, "accelerator": "tcg", "max_stall_s": 90.0, "injecting": False,
        "connect": "qemu:///system",
    }  # fmt: skip
    assert reproduced(None, **options) == (
        ".venv/bin/harness run 'A name' --config scenarios/mutants/protocol-a.toml "
        "--accelerator tcg --connect qemu:///system --max-stall 90 --without-injecting"
    )
    # Each of them is an option of the command.
    words = shlex.split(reproduced(None, **options))[1:]
    app: Any = typer.main.get_command(cli.app)
    context = app.make_context("harness", list(words))
    with app.get_command(context, "run").make_context("run", words[1:], parent=context) as own:
        assert own.params["max_stall"] == 90.0
        assert own.params["config"] == Path("scenarios/mutants/protocol-a.toml")
    assert reproduced(Path("/tmp/x.feature"), accelerator="kvm") == (
        ".venv/bin/harness replay /tmp/x.feature --accelerator kvm"
    )


def test_saved_schedules_and_how_they_are_drawn_are_no_part_of_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming, "PROJECT", tmp_path)
    for name in ("harness/explore/draw.py", "scenarios/schedules/a.feature", "features/b.feature"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("before")
    before = code_hash()
    (tmp_path / "harness/explore/draw.py").write_text("after")
    (tmp_path / "scenarios/schedules/a.feature").write_text("after")
    (tmp_path / "scenarios/schedules/c.feature").write_text("new")
    assert code_hash() == before
    (tmp_path / "features/b.feature").write_text("after")
    assert code_hash() != before
