"""Pages of scenarios are written when what they show has changed, and only then."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from harness.report import htmlpages
from harness.report.page import page_name, write_report
from tests.report import build, scenes
from tests.report.pages import page_of, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def written(run: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Writes the report and tells which templates were rendered for it."""
    scenes.power_off(run, writes=300).save()
    scenes.inconclusive(run)
    rendered: list[str] = []
    real = htmlpages.render

    def noted(template: str, *arguments: object, **values: object) -> str:
        rendered.append(template)
        return real(template, *arguments, **values)  # type: ignore[arg-type]

    monkeypatch.setattr("harness.report.page.render", noted)

    def write() -> list[str]:
        rendered.clear()
        write_report(run)
        return list(rendered)

    return write


SCENE, INDEX = "scenario.html.j2", "index.html.j2"


def test_nothing_new_is_not_written_again(run: Path, written: Callable[[], list[str]]) -> None:
    assert written() == [SCENE, SCENE, INDEX]
    before = (run / "index.html").read_text()
    assert written() == [INDEX]
    # What is kept of a scenario says the same as its evidence.
    assert (run / "index.html").read_text() == before


@pytest.mark.parametrize(
    "name",
    ["verdict.json", "scenario.json", "timeline.jsonl", "fio/raw0_lat.1.log", "../../run.json"],
)
def test_what_has_changed_is_written(
    run: Path, written: Callable[[], list[str]], name: str
) -> None:
    written()
    path = run / "evidence/power-off-active" / name
    text = path.read_text()
    # As long as before, and the file's time set back: only its content tells.
    stamp = path.stat()
    path.write_text(text.replace("9", "8", 1))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    both = name.endswith("run.json")
    assert written() == [SCENE] * (2 if both else 1) + [INDEX]


def test_a_page_that_is_gone_or_damaged_is_written(
    run: Path, written: Callable[[], list[str]]
) -> None:
    written()
    (run / "scenarios/power-off-active.html").unlink()
    assert written() == [SCENE, INDEX]
    (run / "scenarios/power-off-active.log").write_text("")
    assert written() == [SCENE, INDEX]
    (run / "scenarios/pages.json").write_text("[]")
    assert written() == [SCENE, SCENE, INDEX]
    noted = json.loads((run / "scenarios/pages.json").read_text())
    noted["pages"]["power-off-active"]["facts"] = {"stall": "x"}
    (run / "scenarios/pages.json").write_text(json.dumps(noted))
    assert written() == [SCENE, INDEX]


def test_an_earlier_attempt_changes_the_page(run: Path, written: Callable[[], list[str]]) -> None:
    written()
    folder = scenes.power_off(run, "before", writes=300)
    folder.check("stall", "Stall")
    folder.save()
    (run / "superseded").mkdir()
    folder.path.rename(run / "superseded/before")
    assert written() == [SCENE, INDEX]
    assert "is that of attempt 2" in (run / "scenarios/power-off-active.html").read_text()


def test_pages_of_scenarios_that_are_gone_go(run: Path, written: Callable[[], list[str]]) -> None:
    written()
    mine = run / "scenarios/notes.html"
    mine.write_text("somebody's own")
    (run / "evidence/loss-on-replication").rename(run / "aside")
    written()
    left = {path.name for path in (run / "scenarios").iterdir()}
    assert left == {"power-off-active.html", "power-off-active.log", "pages.json", "notes.html"}


def test_a_manifest_cannot_lead_out_of_its_folder(run: Path) -> None:
    scenes.power_off(run, writes=300).save()
    (run / "scenarios").mkdir()
    victim = run / "victim.html"
    victim.write_text("")
    pages: dict[str, object] = {"../victim": {}, "x/../../victim": {}}
    (run / "scenarios/pages.json").write_text(json.dumps({"schema": 1, "pages": pages}))
    page_of(run)
    assert victim.exists()


def test_names_of_pages_are_names_of_files(tmp_path: Path) -> None:
    assert page_name("power-off") == "power-off"
    names = ["a" * 250, "a" * 249 + "b", "\udcff bad", "ü"]
    made = {page_name(name) for name in names}
    assert len(made) == len(names)
    assert all(len(name) < 200 and name.isascii() for name in made)
    run = tmp_path / "run"
    build.run_json(run)
    for name in ("a" * 240, "what is this? 100% & more #1"):
        scenes.power_off(run, name, writes=300).save()
    page_of(run)


def test_a_damaged_page_never_replaces_a_whole_one(
    run: Path, written: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    written()
    before = (run / "scenarios/power-off-active.html").read_bytes()
    path = run / "evidence/power-off-active/verdict.json"
    path.write_text(path.read_text().replace("42", "43"))

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("harness.report.page.write_whole", fails)
    with pytest.raises(OSError, match="No space"):
        write_report(run)
    assert (run / "scenarios/power-off-active.html").read_bytes() == before
    monkeypatch.undo()
    write_report(run)
    assert (run / "scenarios/power-off-active.html").read_bytes() != before
    read(run, "scenarios/power-off-active.html")
