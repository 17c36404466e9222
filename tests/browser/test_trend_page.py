"""The page of all runs in a real browser: what it names, keys, two widths, paper, hostile names.

Runs only when it is asked for (``-m browser``) and where there is a Chromium.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.trend.build import INVALID, VALID, Came, began_ns, evidence, judged, stored
from tests.trend.test_trend_command import NAMES, ten_nights, trend

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.browser.chrome import Chrome

pytestmark = pytest.mark.browser

LONG_NAME = "The drbd and mgmt links are cut while the fence device is slow"
WIDTHS = [(1400, False), (1400, True), (400, False), (400, True)]


@pytest.fixture(scope="module")
def worse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten nights; one scenario a quarter slower from the seventh on, another one flaky."""
    reports = tmp_path_factory.mktemp("worse")
    ten_nights(reports, slow_from=6, flaky=True)
    trend(reports)
    return reports


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten nights of which none is unlike the others."""
    reports = tmp_path_factory.mktemp("unchanged")
    ten_nights(reports)
    trend(reports)
    return reports


@pytest.fixture
def window(chrome: Chrome) -> Iterator[Chrome]:
    """The browser, whose window is put back."""
    yield chrome
    chrome.call("Emulation.setEmulatedMedia", media="")
    chrome.window(1400, 1000)


def opened(chrome: Chrome, reports: Path) -> None:
    chrome.console.clear()
    chrome.open(reports / "index.html")


def at_peace(chrome: Chrome, reports: Path) -> None:
    """Nothing was complained of, and nothing but the page itself was asked for."""
    assert chrome.console == []
    assert set(chrome.requests) == {(reports / "index.html").as_uri()}


def texts(chrome: Chrome, selector: str) -> list[str]:
    told: list[str] = chrome.run(
        f"[...document.querySelectorAll({selector!r})].map(e => e.textContent.trim())"
    )
    return told


def tab_to(chrome: Chrome, condition: str) -> None:
    """Press Tab until what has the focus (``e``) meets a condition."""
    for _ in range(400):
        chrome.key("Tab")
        if chrome.run(f"(e => Boolean({condition}))(document.activeElement)"):
            return
    pytest.fail(f"Tab leads to nothing with {condition}")


def test_the_slow_and_the_flaky_one_are_named(chrome: Chrome, worse: Path) -> None:
    opened(chrome, worse)
    assert texts(chrome, ".gate strong") == ["the gate is closed: 1 reason"]
    longer, flaky = texts(chrome, "ul.findings li")
    assert longer.startswith("power 3: ")
    assert "since night-06" in longer
    assert flaky.startswith("power 7: 8 of 10 attempts were VALID")
    rows = "[...document.querySelectorAll('table.grid tr')].filter(r => r.cells.length > 2)"
    told = chrome.run(f"{rows}.map(r => [r.cells[0].textContent, [...r.cells].at(-1).textContent])")
    assert {name: flag for name, flag in told if flag} == {
        "power 3": "▲ longer", "power 7": "~ flaky",
    }  # fmt: skip
    assert texts(chrome, "figure.flagged figcaption") == ["power 3 ▲ +25 %"]
    at_peace(chrome, worse)


def test_unchanged_runs_flag_nothing(chrome: Chrome, unchanged: Path) -> None:
    opened(chrome, unchanged)
    assert texts(chrome, ".gate strong") == ["the gate is open"]
    assert texts(chrome, "ul.findings li") == []
    assert "".join(texts(chrome, ".flag")) == ""
    assert texts(chrome, "figure.flagged") == []
    assert len(texts(chrome, "figure")) == len(NAMES)
    at_peace(chrome, unchanged)


@pytest.mark.parametrize(("width", "dark"), WIDTHS)
def test_it_fits_wide_and_narrow_light_and_dark(
    window: Chrome, worse: Path, width: int, dark: bool
) -> None:
    window.window(width, 900, dark=dark)
    opened(window, worse)
    window.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert window.run("document.documentElement.scrollWidth") <= width
    assert window.run("document.querySelector('h1').getBoundingClientRect().top") >= 15
    background = window.run("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") is not dark
    at_peace(window, worse)


@pytest.mark.parametrize("width", [1400, 400])
def test_the_newest_run_is_seen_first(window: Chrome, worse: Path, width: int) -> None:
    """Where the grid does not fit, it is the old runs that take scrolling, not the newest."""
    window.window(width, 900)
    opened(window, worse)
    inside = window.run(
        "(() => { const s = document.querySelector('.scroll').getBoundingClientRect();"
        " return [...document.querySelectorAll('table.grid tbody tr')].map(r => r.cells[10])"
        ".filter(Boolean).every(c => c.getBoundingClientRect().right <= s.right); })()"
    )
    assert inside is True
    # The features' names stay beside the rows, and a grid that is narrower begins at the left.
    left = window.run("document.querySelector('.scroll').getBoundingClientRect().left")
    for what in ("tr.feature th", "thead th.name"):
        # Of the text: a cell that spans all columns is never out of sight.
        text = window.run(
            f"(() => {{ const r = document.createRange(); r.selectNodeContents("
            f"document.querySelector('table.grid {what}'));"
            " return r.getBoundingClientRect().left; })()"
        )
        assert left <= text <= left + 2


def test_every_row_keeps_its_cells_to_itself(window: Chrome, tmp_path: Path) -> None:
    """A name that is long, or one word, is wrapped beside its cells and not written over them."""
    for night in range(20):
        stored(tmp_path, night, {LONG_NAME: Came(), "A" * 250: Came()})
    trend(tmp_path)
    for width in (1400, 400):
        window.window(width, 900)
        opened(window, tmp_path)
        over = window.run(
            "[...document.querySelectorAll('table.grid th')].filter(e => "
            "e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.slice(0, 20))"
        )
        assert over == []
        # The upright days pass below the word at the left, not over it.
        on_top = window.run(
            "(() => { const e = document.querySelector('thead th.name'); e.scrollIntoView();"
            " const r = e.getBoundingClientRect(), found = new Set();"
            " for (let x = r.left + 2; x < r.right - 2; x += 4)"
            " found.add(document.elementFromPoint(x, r.bottom - 30).className);"
            " return [...found]; })()"
        )
        assert on_top == ["name"]


def test_by_keyboard(chrome: Chrome, worse: Path) -> None:
    opened(chrome, worse)
    tab_to(chrome, "e.matches('a.cell')")
    assert chrome.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for summary in ("The runs", "How this is judged"):
        tab_to(chrome, f"e.matches('summary') && e.textContent === '{summary}'")
        assert chrome.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        chrome.key("Enter")
        chrome.wait("document.activeElement.parentElement.open")
    opened(chrome, worse)
    tab_to(chrome, "e.matches('a.cell.INVALID')")
    chrome.key("Enter")
    chrome.wait("location.pathname.endsWith('/night-02/index.html')")


def test_what_has_the_focus_is_not_behind_the_names(window: Chrome, worse: Path) -> None:
    window.window(400, 900)
    opened(window, worse)
    hidden = 0
    for _ in range(60):
        window.key("Tab")
        hidden += window.run(
            "(e => e.matches('a.cell') && e.getBoundingClientRect().left < e.closest('tr')"
            ".cells[0].getBoundingClientRect().right - 1)(document.activeElement)"
        )
    assert hidden == 0


def test_what_scrolls_can_be_scrolled_by_keyboard(window: Chrome, tmp_path: Path) -> None:
    """Also without a link in it, as when the runs' pages are gone."""
    for night in range(3):
        run = stored(tmp_path, night, {LONG_NAME: Came()}, command="harness run " * 20)
        (run / "index.html").unlink()
    trend(tmp_path)
    window.window(400, 900)
    opened(window, tmp_path)
    window.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    tab_to(window, "e.matches('.scroll') && e.querySelector('table.runs')")
    assert window.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    before = window.run("document.activeElement.scrollLeft")
    window.key("ArrowRight")
    window.wait(f"document.activeElement.scrollLeft > {before}")


@pytest.mark.parametrize("dark", [False, True])
def test_on_paper(window: Chrome, worse: Path, dark: bool, tmp_path: Path) -> None:
    """Dark ink on white; what is INVALID stands out there as well; nothing is cut off."""
    window.window(720, 1000, dark=dark)
    opened(window, worse)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    window.call("Emulation.setEmulatedMedia", media="print", features=[scheme])
    assert window.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    red, green, blue = (
        int(part) for part in window.run(
            "getComputedStyle(document.body).color.match(/[0-9]+/g)"
        )
    )  # fmt: skip
    assert red + green + blue < 200
    # Browsers leave backgrounds out on paper, and a light sign on none is not seen.
    assert window.run(
        "getComputedStyle(document.querySelector('.cell.INVALID')).printColorAdjust"
    ) == "exact"  # fmt: skip
    assert window.run("document.documentElement.scrollWidth") <= 720
    window.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def test_a_long_history_fits_on_paper(window: Chrome, tmp_path: Path) -> None:
    """Paper does not scroll: what does not fit is left out, the oldest first, and that is said."""
    for night in range(60):
        stored(tmp_path, night, {LONG_NAME: Came()})
    trend(tmp_path)
    window.window(718, 1000)  # A4, less margins of a centimetre
    opened(window, tmp_path)
    window.call("Emulation.setEmulatedMedia", media="print")
    assert window.run("document.documentElement.scrollWidth") <= 718
    shown = window.run(
        "[...document.querySelectorAll('table.grid a.cell')].filter(e => e.offsetParent)"
        ".map(e => e.getAttribute('href'))"
    )
    assert shown == [f"night-{night:02d}/index.html" for night in range(30, 60)]
    assert "On paper: the last 30 runs." in window.run("document.body.innerText")


HOSTILE = (
    "<script>window.owned = 1</script>",
    "</style><script>window.owned = 2</script>",
    "<img src=x onerror='window.owned = 3'>",
    "'\" onmouseover='window.owned = 4' x=\"",
    "\x1b[31mred\x1b]8;;http://evil.example/\x07link\x1b]8;;\x07 \x00\x07",
    "line\u2028separator \u202egnirts \u2066x\u2069",
    "A" * 10_000,
    "javascript:window.owned = 5",
)


def test_hostile_names_change_nothing_but_the_text(chrome: Chrome, tmp_path: Path) -> None:
    for night in range(8):
        told = {
            what: HOSTILE[(night + n + 5) % len(HOSTILE)]
            for n, what in enumerate(("run", "code", "command", "harness"))
        }
        run = stored(tmp_path, night, {}, **told, versions={HOSTILE[night][:60]: HOSTILE[night]})
        for n, name in enumerate(HOSTILE):
            came = Came(INVALID if n == night else VALID, 9.0 + n, {"feature": HOSTILE[-1 - n]})
            evidence(run, name, came, began_ns(night) + n * 10**9, f"evidence/s{n}")
        judged(run)
    _, said = trend(tmp_path, "--gate")
    assert not {"\x1b", "\x00", "\x07", "\u202e", "\u2028"} & set(said)
    assert max(map(len, said.splitlines())) < 2_000
    opened(chrome, tmp_path)
    chrome.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert chrome.run("window.owned") is None
    assert chrome.run("document.images.length + document.scripts.length") == 0
    assert chrome.run("document.documentElement.scrollWidth") <= 1400
    assert chrome.run("document.title") == "Runs over time: the gate is closed: 1 reason"
    names = texts(chrome, "table.grid th.name")[1:]
    assert len(names) == len(HOSTILE)
    assert HOSTILE[0] in names
    body = chrome.run("document.body.textContent")
    assert not {"\x1b", "\x00", "\x07", "\u202e", "\u2028"} & set(body)
    # Nothing is so long that what else there is cannot be found.
    assert "A" * 400 not in body
    assert set(texts(chrome, "table.runs td:nth-child(2)")) >= {HOSTILE[0], HOSTILE[1]}
    at_peace(chrome, tmp_path)
