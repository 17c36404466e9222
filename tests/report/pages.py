"""Reads written reports back as a browser would."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import lru_cache
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from harness.report import write_report

if TYPE_CHECKING:
    from pathlib import Path

# Elements that HTML closes by itself, and those of the picture that have no children.
_VOID = {"meta", "br", "input", "rect", "line", "path", "circle"}
_DATA = ("application/json", "application/octet-stream")


class Page(HTMLParser):
    """Collects what a browser would fetch or run, and checks that elements are nested well."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.handlers: list[str] = []
        self.policy = ""
        self.scripts: list[str] = []
        self.data: dict[str, str] = {}
        self.words: list[str] = []
        self.open: list[str] = []
        self._script: list[str] | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in _VOID:
            self.open.append(tag)
        known = dict(attrs)
        if tag == "script":
            self._script = []
            kind = known.get("type")
            assert kind is None or kind in _DATA
            self._kind = (kind, known.get("id") or "")
        if tag == "meta" and known.get("http-equiv") == "Content-Security-Policy":
            self.policy = known.get("content") or ""
        for name, value in attrs:
            if name == "href":
                self.links.append(value or "")
            if name in ("src", "srcset", "data", "action", "poster", "xlink:href"):
                self.fetched.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)
            if name == "id":
                self.ids.append(value or "")

    def handle_data(self, data: str) -> None:
        (self.words if self._script is None else self._script).append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        # <p>, <li> and table parts are closed explicitly in these templates too.
        assert self.open
        assert self.open.pop() == tag
        if tag == "script" and self._script is not None:
            kind, name = self._kind
            if kind is None:
                self.scripts.append("".join(self._script))
            else:
                self.data[name] = "".join(self._script)
            self._script = None

    @property
    def json(self) -> Any:
        """What the page's scripts draw."""
        return json.loads(self.data["data"])


@lru_cache(maxsize=4)
def _parsed(text: str) -> Page:
    """Kept for a while: a page is read as one of all, and then by itself."""
    return Page(text)


def read(run: Path, name: str) -> tuple[str, Page]:
    """A written page of a run; well formed, and nothing in it is fetched or run but its own."""
    path = run / name
    text = path.read_text(encoding="utf-8")
    page = _parsed(text)
    assert page.open == []
    assert page.fetched == []
    assert page.handlers == []
    assert not {"link", "img", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    assert len(page.ids) == len(set(page.ids))
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in page.scripts]
    allowed = " ".join(f"'sha256-{one}'" for one in hashes) or "'none'"
    assert page.policy == (
        "default-src 'none'; style-src 'unsafe-inline'; "
        f"script-src {allowed}; base-uri 'none'; form-action 'none'"
    )
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids
        else:
            target = (path.parent / unquote(link)).resolve()
            assert target.is_file()
            assert target.is_relative_to(run.resolve())
    assert not re.search(r"(?:url\(|@import|src=|href=)\s*[\"']?\s*(?:https?:)?//", text)
    assert not list(run.rglob("*.tmp"))
    return text, page


def page_of(run: Path) -> tuple[str, Page]:
    """The page of a run, newly written; all pages of scenarios are looked at as well."""
    write_report(run)
    for path in run.glob("scenarios/*.html"):
        read(run, f"scenarios/{path.name}")
    assert len(list(run.glob("scenarios/*.html"))) == len(list(run.glob("evidence/*/")))
    text, page = read(run, "index.html")
    assert page.scripts == []
    return text, page


def scene_of(run: Path, slug: str = "power-off-active") -> tuple[str, Page]:
    """The page of a scenario, newly written, as all of the run's are."""
    page_of(run)
    return read(run, f"scenarios/{slug}.html")
