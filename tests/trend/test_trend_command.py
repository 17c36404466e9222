"""``harness trend`` from stored runs to page and exit code."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import ExitCode, HarnessError
from harness.report.trend.page import _href
from harness.report.trend.store import opened
from tests.trend.build import (
    INCONCLUSIVE,
    INVALID,
    VALID,
    Came,
    evidence,
    judged,
    noisy_stalls,
    stored,
)

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [f"power {number}" for number in range(12)]


def trend(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["trend", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def ten_nights(reports: Path, *, slow_from: int | None = None, flaky: bool = False) -> None:
    stalls = noisy_stalls(12, 10, seed=3, spread=0.05)
    if slow_from is not None:
        stalls[3, slow_from:] *= 1.25
    for night in range(10):
        came = {name: Came(VALID, float(stalls[n, night])) for n, name in enumerate(NAMES)}
        if flaky and night in (2, 5):
            came[NAMES[7]] = Came(INVALID, float(stalls[7, night]))
        stored(reports, night, came)


class Page(HTMLParser):
    """What of a page matters here."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.titles: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("href", "src"):
                self.links.append(value or "")
            if name == "title":
                self.titles.append(value or "")


def test_ten_unchanged_runs_flag_nothing(tmp_path: Path) -> None:
    ten_nights(tmp_path)
    code, said = trend(tmp_path, "--gate")
    assert code == 0
    assert "the gate is open" in said
    text = (tmp_path / "index.html").read_text()
    for word in ("▲", "flaky</td>", "Longer blackouts", "<h3>~ Flaky"):
        assert word not in text


def test_the_slow_and_the_flaky_one_are_named(tmp_path: Path) -> None:
    ten_nights(tmp_path, slow_from=6, flaky=True)
    code, said = trend(tmp_path, "--gate")
    assert code == 1
    assert re.search(
        r"longer blackout: power 3: [\d.]+ s to [\d.]+ s \(\+2\d %\) since night-06", said
    )
    assert "flaky: power 7: 8 of 10 attempts were VALID" in said
    text = (tmp_path / "index.html").read_text()
    assert re.search(r'row">power 3</th>(?:(?!</tr>).)*▲ longer', text, re.DOTALL)
    assert re.search(r'row">power 7</th>(?:(?!</tr>).)*~ flaky', text, re.DOTALL)
    assert text.count('<figure class="flagged">') == 1
    assert text.count("▲ longer") == text.count("~ flaky") == 1


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    ten_nights(tmp_path)
    trend(tmp_path)
    text = (tmp_path / "index.html").read_text()
    page = Page(text)
    assert "default-src 'none'" in text
    assert "script" not in page.tags
    assert set(page.links) == {f"night-{night:02d}/index.html" for night in range(10)}
    assert "http" not in text.replace("http-equiv", "")
    assert all((tmp_path / link).is_file() for link in page.links)
    assert any("failover time" in tip and "its phases: detected" in tip for tip in page.titles)
    assert text.count("<figure") == 12
    assert text.count('class="band"') == 12
    assert text.count('class="m VALID"') == 120


def test_a_sign_leads_to_the_scenario_s_own_page(tmp_path: Path) -> None:
    runs = [stored(tmp_path, night, {"power off": Came(), "a b": Came()}) for night in (0, 1)]
    (runs[1] / "scenarios").mkdir()
    (runs[1] / "scenarios" / "a-b.html").touch()
    trend(tmp_path)
    links = Page((tmp_path / "index.html").read_text()).links
    assert set(links) == {
        "night-00/index.html", "night-01/index.html", "night-01/scenarios/a-b.html",
    }  # fmt: skip
    assert links.count("night-01/scenarios/a-b.html") == 1


def test_a_run_that_was_put_aside_is_linked_where_it_is(tmp_path: Path) -> None:
    """A nightly run leaves its name to the next one, which is another run at the same place."""
    first = stored(tmp_path, 0, {"power off": Came()})
    trend(tmp_path)
    aside = first.rename(first.with_name("night-00-until-20261128-010203"))
    stored(tmp_path, 1, {"power off": Came()}).rename(first)
    # Before the first is looked at again: rather no link than one to another run.
    with opened(tmp_path / "trend.sqlite") as store:
        (line,) = store.runs()
    assert _href(tmp_path, line) == ""
    trend(tmp_path)
    links = Page((tmp_path / "index.html").read_text()).links
    assert set(links) == {f"{aside.name}/index.html", f"{first.name}/index.html"}
    shutil.copytree(first, tmp_path / "a copy")
    trend(tmp_path)
    assert set(Page((tmp_path / "index.html").read_text()).links) == set(links)


def test_the_page_says_what_closes_the_gate(tmp_path: Path) -> None:
    ten_nights(tmp_path, slow_from=6, flaky=True)
    trend(tmp_path)
    text = (tmp_path / "index.html").read_text()
    assert "<h3>▲ Longer blackouts: they close the gate</h3>" in text
    assert "<h3>~ Flaky</h3>" in text
    assert "<b>The gate.</b>" in text
    for option in ("--gate", "--since", "--run"):
        assert f"<code>{option}" in text or f"{option}</code>" in text


def test_a_page_that_is_gone_is_not_linked(tmp_path: Path) -> None:
    stored(tmp_path, 0, {"power off": Came()})
    run = stored(tmp_path, 1, {"power off": Came()})
    (run / "index.html").unlink()
    trend(tmp_path)
    assert set(Page((tmp_path / "index.html").read_text()).links) == {"night-00/index.html"}


def test_markup_in_names_stays_text(tmp_path: Path) -> None:
    name = "<script>alert(1)</script><img src=x>"
    run = stored(tmp_path, 0, {})
    evidence(run, name, Came(INVALID, 9.0), 1, "evidence/bad")
    judged(run)
    trend(tmp_path)
    page = Page((tmp_path / "index.html").read_text())
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert "&lt;script&gt;" in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize(
    ("first", "last", "code", "said"),
    [
        (VALID, VALID, 0, "the gate is open"),
        (VALID, INVALID, 1, "new failure: power off is INVALID: No acknowledged write is lost"),
        (VALID, INCONCLUSIVE, 10, "newly inconclusive: power off"),
        (INVALID, INVALID, 0, "still failing (does not count): power off"),
        (None, VALID, 0, "the first run of its conditions"),
        (None, INVALID, 1, "the first result of it under these conditions"),
        (None, INCONCLUSIVE, 10, "the gate is closed: 1 newly inconclusive"),
    ],
)
def test_the_gate(tmp_path: Path, first: object, last: object, code: int, said: str) -> None:
    for night, verdict in enumerate((first, last)):
        if verdict is not None:
            stored(tmp_path, night, {"power off": Came(verdict)})  # type: ignore[arg-type]
    found = trend(tmp_path, "--gate")
    assert found[0] == code
    assert said in found[1]
    assert trend(tmp_path)[0] == 0, "only the gate has an opinion"


def test_a_run_that_was_cut_short_does_not_pass_for_the_one_before(tmp_path: Path) -> None:
    stored(tmp_path, 0, {"power off": Came()})
    run = stored(tmp_path, 1, {"power off": Came()})
    (run / "verdicts.json").unlink()
    with pytest.raises(HarnessError, match="night-01, is not finished") as raised:
        trend(tmp_path, "--gate")
    assert raised.value.exit_code is ExitCode.HARNESS_ERROR
    assert trend(tmp_path, "--gate", "--run", "night-00")[0] == 0
    assert trend(tmp_path)[0] == 0


def test_another_run_is_judged_as_if_none_came_after(tmp_path: Path) -> None:
    for night, verdict in enumerate((VALID, INVALID, VALID)):
        stored(tmp_path, night, {"power off": Came(verdict)})
    assert trend(tmp_path, "--gate")[0] == 0
    code, said = trend(tmp_path, "--gate", "--run", "night-01")
    assert code == 1
    assert "gate on night-01" in said


@pytest.mark.parametrize("since", ["night-06", "2025-11-30"])
def test_after_a_change_that_was_meant(tmp_path: Path, since: str) -> None:
    ten_nights(tmp_path, slow_from=6)
    assert trend(tmp_path, "--gate")[0] == 1
    code, said = trend(tmp_path, "--gate", "--since", since)
    assert code == 0
    assert "no scenario has 7 results under these conditions yet (4 runs)" in said


def test_a_copied_run_is_named_by_its_folder(tmp_path: Path) -> None:
    ten_nights(tmp_path, slow_from=6)
    shutil.move(tmp_path / "night-06", tmp_path / "copied")
    for name in ("copied", f"{tmp_path}/copied/"):
        assert trend(tmp_path, "--gate", "--since", name)[0] == 0
        assert "gate on night-06" in trend(tmp_path, "--gate", "--run", name)[1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--since", "yesterday"], "neither a run nor a day"),
        (["--run", "night-77"], "no finished run called 'night-77'"),
        (["--add", "{reports}/gone"], "is not the folder of a run"),
    ],
)
def test_mistakes_are_told_with_a_hint(tmp_path: Path, arguments: list[str], told: str) -> None:
    stored(tmp_path, 0, {"power off": Came()})
    with pytest.raises(HarnessError, match=told) as raised:
        trend(tmp_path, *(one.format(reports=tmp_path) for one in arguments))
    assert raised.value.hint


def test_nothing_there(tmp_path: Path) -> None:
    code, said = trend(tmp_path)
    assert code == 0
    assert "0 runs in the database" in said
    assert "No finished run yet" in (tmp_path / "index.html").read_text()
    with pytest.raises(HarnessError, match="no finished run") as raised:
        trend(tmp_path, "--gate")
    assert raised.value.exit_code is ExitCode.MISSING_ENVIRONMENT
    with pytest.raises(HarnessError, match="no folder"):
        trend(tmp_path / "gone")


def test_a_broken_database_touches_no_run(tmp_path: Path) -> None:
    run = stored(tmp_path, 0, {"power off": Came()})
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    (tmp_path / "trend.sqlite").write_bytes(b"garbage" * 1000)
    with pytest.raises(HarnessError, match="damaged"):
        trend(tmp_path, "--gate")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["\x1b[31mred\x1b]0;t\x07 \x00", "A" * 10_000, "l\u202eine\u2028"])
def test_the_name_of_a_run_is_never_more_than_a_short_line(tmp_path: Path, name: str) -> None:
    """It is what run.json says, and that folder may have come from elsewhere."""
    stored(tmp_path, 0, {"power off": Came()}, run=name)
    said = trend(tmp_path, "--gate")[1]
    with pytest.raises(HarnessError) as raised:
        trend(tmp_path, "--run", "night-77")
    run = stored(tmp_path, 1, {"power off": Came()}, run=name)
    (run / "verdicts.json").unlink()
    with pytest.raises(HarnessError) as unfinished:
        trend(tmp_path, "--gate")
    page = (tmp_path / "index.html").read_text()
    for text in (said, raised.value.hint or "", str(unfinished.value), page):
        assert not {"\x1b", "\x00", "\x07", "\u202e", "\u2028"} & set(text)
        assert "A" * 81 not in text


def test_a_name_that_is_no_text_keeps_its_run_out_and_no_other(tmp_path: Path) -> None:
    stored(tmp_path, 0, {"power off": Came()})
    run = stored(tmp_path, 1, {"power off": Came()}, run="half a \ud800 sign")
    assert "\\ud800" in (run / "run.json").read_text()
    stored(tmp_path, 2, {"power off": Came()})
    code, said = trend(tmp_path)
    assert code == 0
    assert "2 runs in the database" in said
    assert "night-01: not taken in: " in said
