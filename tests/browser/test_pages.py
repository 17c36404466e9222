"""The page of a scenario in a real browser, opened from disk: zoomed, filtered, followed both ways.

Runs only when it is asked for (``-m browser``) and where there is a Chromium.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from harness.evidence.timeline import Channel
from harness.report import write_report
from tests.report import build, scenes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser.chrome import Chrome

pytestmark = pytest.mark.browser

GREEN = "power-off-active"
RED = "replication-and-management-cut"
UNCLEAR = "loss-on-replication"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A written run with a green, a red and an inconclusive scenario."""
    folder = tmp_path_factory.mktemp("reports") / "run-1"
    build.run_json(folder)
    scenes.green(folder)
    scenes.red(folder)
    scenes.inconclusive(folder)
    write_report(folder)
    return folder


def opened(chrome: Chrome, run: Path, slug: str) -> None:
    chrome.console.clear()
    chrome.requests.clear()
    chrome.open(run / "scenarios" / f"{slug}.html")


def at_peace(chrome: Chrome) -> None:
    """Nothing was complained of, and nothing but the page itself was asked for."""
    assert chrome.console == []
    assert chrome.requests
    assert all(url.startswith("file:") for url in chrome.requests)
    assert len({url.split("#")[0] for url in chrome.requests}) == 1


def visible(chrome: Chrome) -> tuple[float, float]:
    told: list[float] = chrome.run("[Number(plots.dataset.from), Number(plots.dataset.to)]")
    return told[0], told[1]


def marker(chrome: Chrome) -> float | None:
    told = chrome.run("plots.dataset.marker")
    return float(told) if told else None


def place_of(chrome: Chrome, selector: str, number: int = 0) -> dict[str, float]:
    """Where an element is in the window."""
    told: dict[str, float] = chrome.run(
        f"(() => {{ const r = document.querySelectorAll({selector!r})[{number}]"
        ".getBoundingClientRect(); return {x: r.x, y: r.y, w: r.width, h: r.height}; })()"
    )
    return told


def latency_plot(chrome: Chrome) -> dict[str, float]:
    chrome.run("live.scrollIntoView()")
    return place_of(chrome, "#plots .u-over", 1)


@pytest.mark.parametrize(
    ("slug", "verdict"), [(GREEN, "VALID"), (RED, "INVALID"), (UNCLEAR, "INCONCLUSIVE")]
)
def test_it_opens_from_disk_and_asks_for_nothing(
    chrome: Chrome, run: Path, slug: str, verdict: str
) -> None:
    opened(chrome, run, slug)
    assert chrome.run("document.title").startswith(verdict)
    assert chrome.run("document.querySelector('.verdict strong').textContent") == verdict
    assert chrome.run("document.querySelectorAll('#plots canvas').length") == 4
    # The picture without scripts gives way on the screen, and is there on paper.
    assert chrome.run("getComputedStyle(still).display") == "none"
    chrome.call("Emulation.setEmulatedMedia", media="print")
    assert chrome.run("getComputedStyle(still).display") == "block"
    assert chrome.run("getComputedStyle(live).display") == "none"
    chrome.call("Emulation.setEmulatedMedia", media="")
    at_peace(chrome)


def test_every_write_arrives(chrome: Chrome, run: Path) -> None:
    opened(chrome, run, GREEN)
    logs = (run / "evidence" / GREEN / "fio").glob("*_lat.1.log")
    assert chrome.run("JSON.parse(data.textContent).writes.n") == sum(
        len(path.read_text().splitlines()) for path in logs
    )
    plot = latency_plot(chrome)
    # Something was drawn where the writes before the fault are, in the colour of writes.
    assert chrome.run(
        "(() => { const c = document.querySelectorAll('#plots canvas')[1];"
        " const p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;"
        " for (let i = 0; i < p.length; i += 4) n += p[i + 2] > p[i] + 60; return n; })()"
    ) > 200  # fmt: skip
    whole = visible(chrome)
    share = (120 - whole[0]) / (whole[1] - whole[0])
    chrome.mouse("mouseMoved", plot["x"] + plot["w"] * share, plot["y"] + 40)
    median = re.search(r"writes: .* median ([0-9.]+) ms", chrome.run("readout.textContent"))
    assert median is not None
    # As the logs were made: lognormal around 9 ms.
    assert 7 < float(median[1]) < 12
    chrome.mouse("mouseMoved", plot["x"] + plot["w"] * (50 - whole[0]) / (whole[1] - whole[0]),
                 plot["y"] + 40)  # fmt: skip
    assert "no acknowledged write here" in chrome.run("readout.textContent")


def test_zoom_by_drag_wheel_keys_and_buttons(chrome: Chrome, run: Path) -> None:
    opened(chrome, run, GREEN)
    plot = latency_plot(chrome)
    whole = visible(chrome)
    span = whole[1] - whole[0]
    chrome.drag(plot["x"] + plot["w"] * 0.25, plot["x"] + plot["w"] * 0.5, plot["y"] + 50)
    dragged = visible(chrome)
    assert dragged[0] == pytest.approx(whole[0] + span * 0.25, abs=span / 100)
    assert dragged[1] == pytest.approx(whole[0] + span * 0.5, abs=span / 100)
    middle = plot["x"] + plot["w"] / 2, plot["y"] + 50
    chrome.mouse("mouseWheel", *middle, deltaX=0, deltaY=-100, modifiers=2)
    chrome.wait(f"plots.dataset.from > {dragged[0]}")
    inner = visible(chrome)
    assert inner[1] - inner[0] < dragged[1] - dragged[0]
    chrome.run("plots.focus({preventScroll: true})")
    chrome.key("0")
    assert visible(chrome) == pytest.approx(whole)
    chrome.key("+")
    closer = visible(chrome)
    assert closer[1] - closer[0] == pytest.approx(span / 1.6, rel=0.01)
    chrome.key("ArrowRight")
    assert visible(chrome)[0] > closer[0]
    chrome.key("b")
    stall = visible(chrome)
    assert stall[0] < 0.0 < 98.6 < stall[1]
    assert stall[1] - stall[0] < span / 2
    chrome.run("document.querySelector('[data-do=reset]').click()")
    assert visible(chrome) == pytest.approx(whole)
    # A plain wheel scrolls the page.
    chrome.mouse("mouseWheel", *middle, deltaX=0, deltaY=-100)
    assert visible(chrome) == pytest.approx(whole)
    at_peace(chrome)


def test_events_one_after_the_other(chrome: Chrome, run: Path) -> None:
    opened(chrome, run, GREEN)
    chrome.run("plots.focus()")
    found = []
    for _ in range(6):
        chrome.key("n")
        found.append(marker(chrome))
    assert all(one is not None for one in found)
    assert found == sorted(set(found), key=lambda t: t or 0)
    assert 0.0 in found  # the injection
    chrome.key("p")
    assert marker(chrome) == found[-2]


def test_the_focus_can_be_seen(chrome: Chrome, run: Path) -> None:
    opened(chrome, run, GREEN)
    for _ in range(40):
        chrome.key("Tab")
        if chrome.run("document.activeElement.id") == "plots":
            break
    assert chrome.run("document.activeElement.id") == "plots"
    assert chrome.run("getComputedStyle(plots).outlineStyle") == "solid"


def rows(chrome: Chrome) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = chrome.run(
        "[...document.querySelectorAll('#logbox tr[data-t]')].filter(r => !r.hidden)"
        ".map(r => ({t: Number(r.dataset.t), s: r.dataset.s, c: r.dataset.c, text: r.textContent}))"
    )
    return told


def test_the_log_is_filtered(chrome: Chrome, run: Path) -> None:
    opened(chrome, run, GREEN)
    every = rows(chrome)
    chrome.run("document.querySelector('.filter').focus()")
    chrome.call("Input.insertText", text="PingAck")
    some = rows(chrome)
    assert 0 < len(some) < len(every)
    assert all("PingAck" in one["text"] for one in some)
    assert chrome.run("shown.textContent") == f"{len(some)} of {len(every)} lines"
    chrome.run("(() => { const f = document.querySelector('.filter'); f.value = '';"
               " f.dispatchEvent(new Event('input')); })()")  # fmt: skip
    chrome.run("document.querySelector('.choices[data-of=s] input[value=bravo]').click()")
    assert {one["s"] for one in rows(chrome)} == {one["s"] for one in every} - {"bravo"}
    chrome.run("document.querySelector('.choices[data-of=c] input[value=journal]').click()")
    assert "journal" not in {one["c"] for one in rows(chrome)}
    at_peace(chrome)


def test_from_a_line_to_the_axis_and_back(chrome: Chrome, run: Path) -> None:
    opened(chrome, run, GREEN)
    plot = latency_plot(chrome)
    whole = visible(chrome)
    # Look elsewhere, so that the line's time is out of sight.
    chrome.drag(plot["x"] + plot["w"] * 0.7, plot["x"] + plot["w"] * 0.8, plot["y"] + 50)
    assert marker(chrome) is None
    chrome.run("log.scrollIntoView()")
    which = (
        "[...document.querySelectorAll('#logbox tr[data-t]')]"
        ".find(r => r.textContent.includes('Node alpha state is now lost'))"
    )
    chrome.run(f"{which}.scrollIntoView({{block: 'center'}})")
    place = chrome.run(f"(() => {{ const r = {which}.getBoundingClientRect();"
                       " return [r.x + 40, r.y + r.height / 2]; })()")  # fmt: skip
    chrome.click(*place)
    wanted = chrome.run(f"Number({which}.dataset.t)")
    assert wanted == pytest.approx(8.1, abs=0.01)
    assert marker(chrome) == pytest.approx(wanted)
    seen = visible(chrome)
    assert seen[0] <= wanted <= seen[1]
    assert "here" in chrome.run(f"{which}.className")
    # The plots are in the window again.
    plot = place_of(chrome, "#plots .u-over", 1)
    assert 0 <= plot["y"] < 1000
    # And back: a click in the lanes finds the line that is nearest.
    chrome.run("plots.focus()")
    chrome.key("0")
    assert visible(chrome) == pytest.approx(whole)
    share = (21.0 - whole[0]) / (whole[1] - whole[0])
    chrome.click(plot["x"] + plot["w"] * share, plot["y"] + 50)
    assert marker(chrome) == pytest.approx(21.0, abs=0.5)
    here = chrome.run("document.querySelector('#logbox tr.here').textContent")
    assert "Operation 'reboot' targeting alpha by bravo" in here
    inside = chrome.run(
        "(() => { const b = logbox.getBoundingClientRect(), r = document.querySelector("
        "'#logbox tr.here').getBoundingClientRect();"
        " return r.top >= b.top && r.bottom <= b.bottom; })()"
    )
    assert inside is True
    at_peace(chrome)


def test_a_check_leads_to_its_moment(chrome: Chrome, run: Path) -> None:
    opened(chrome, run, RED)
    chrome.run(
        "[...document.querySelectorAll('.finding .jump')]"
        ".find(e => e.textContent === '+22.0 s').click()"
    )
    assert marker(chrome) == pytest.approx(22.0)
    at_peace(chrome)


def test_each_resource_by_itself(chrome: Chrome, run: Path) -> None:
    opened(chrome, run, GREEN)
    height = "document.querySelectorAll('#plots canvas')[3].height"
    together = chrome.run(height)
    chrome.run("single.click()")
    assert chrome.run(height) > together
    at_peace(chrome)


@pytest.mark.parametrize("width", [1400, 420])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_wide_and_narrow_light_and_dark(
    chrome: Chrome, run: Path, width: int, dark: bool
) -> None:
    chrome.window(width, 900, dark=dark)
    try:
        for name in ("index.html", f"scenarios/{RED}.html"):
            chrome.open(run / name)
            assert chrome.run("document.documentElement.scrollWidth") <= width
            background = chrome.run("getComputedStyle(document.body).backgroundColor")
            assert (background == "rgb(255, 255, 255)") is not dark
    finally:
        chrome.window(1400, 1000)


def test_the_reason_has_the_room_that_figures_leave(chrome: Chrome, run: Path) -> None:
    chrome.open(run / "index.html")
    table = place_of(chrome, "table.summary")
    assert place_of(chrome, "table.summary td:nth-child(2)")["w"] > table["w"] * 0.4


def test_a_long_entry_of_the_legend_wraps(chrome: Chrome, tmp_path: Path) -> None:
    scene = scenes.power_off(tmp_path / "run-1")
    for n, state in enumerate(
        ("NetworkFailure", "Unconnected", "WFReportParams", "WFBitMapT", "WFSyncUUID",
         "Disconnecting", "WFBitMapS", "Timeout")
    ):  # fmt: skip
        scene.events2(60 + n, "alpha", "change", "connection", name="r1", connection=state)
    scene.save()
    build.run_json(tmp_path / "run-1")
    write_report(tmp_path / "run-1")
    chrome.window(390, 900)
    try:
        chrome.open(next((tmp_path / "run-1" / "scenarios").glob("*.html")))
        assert "WFReportParams" in chrome.run("document.querySelector('main').textContent")
        assert chrome.run("document.documentElement.scrollWidth") <= 390
    finally:
        chrome.window(1400, 1000)


def test_the_run_leads_to_its_scenarios(chrome: Chrome, run: Path) -> None:
    chrome.console.clear()
    chrome.open(run / "index.html")
    chrome.run("document.querySelector('table.summary a').click()")
    chrome.wait("document.title.startsWith('INVALID · Cut replication')")
    chrome.wait("document.documentElement.dataset.ready === 'yes'")
    assert chrome.console == []


LONG = "A" * 10_000_000
HOSTILE = (
    "<script>window.owned = 1</script>",
    "</script><script>window.owned = 2</script>",
    "<img src=x onerror='window.owned = 3'>",
    "\x1b[31mred\x1b]8;;http://evil.example/\x07link\x1b]8;;\x07 \x00\x07",
    "line\u2028separator\u2029 \u202egnirts \u2066x\u2069",
    "\udcff\udcfe not UTF-8 \ud800",
    "<!--<script>",
    LONG,
)


def test_hostile_logs_change_nothing_but_the_text(chrome: Chrome, tmp_path: Path) -> None:
    build.run_json(tmp_path / "run-2")
    folder = scenes.power_off(tmp_path / "run-2")
    for n, line in enumerate(HOSTILE):
        folder.kernel(1 + n, "alpha", f"drbd r0: error {line}")
        folder.journal(30 + n, "bravo", "pacemaker-fenced", f"fence {line}", p=2)
        folder.events2(35 + n, "bravo", "change", "resource", name="r0", role=line[:3000])
        folder.add(40 + n, "host", Channel.FENCE, "line", text=line)
        folder.fault(line[:200], line[:200], ("inject", 60 + n), ("bitten", 61 + n), id_=f"h{n}")
        folder.check(f"hostile-{n}", line[:500], seen=line[:500], details={line[:50]: line[:500]})
    folder.save()
    write_report(tmp_path / "run-2")
    page = tmp_path / "run-2/scenarios" / f"{GREEN}.html"
    assert page.stat().st_size < 5_000_000
    opened(chrome, tmp_path / "run-2", GREEN)
    assert chrome.run("document.documentElement.dataset.ready") == "yes"
    assert chrome.run("window.owned") is None
    assert chrome.run("document.images.length") == 0
    assert chrome.run("document.scripts.length") == 4
    text = chrome.run("document.querySelector('#logbox').textContent")
    assert "<script>window.owned = 1</script>" in text
    assert "</script><script>window.owned = 2</script>" in text
    plot = latency_plot(chrome)
    for n in range(8):
        chrome.mouse("mouseMoved", plot["x"] + plot["w"] * n / 8, plot["y"] - 30)
    chrome.run("plots.focus()")
    for key in "nnnn0+b":
        chrome.key(key)
    assert chrome.run("window.owned") is None
    at_peace(chrome)
