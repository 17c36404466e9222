"""Reads a written report back as a browser would."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote

from harness.report import write_report

if TYPE_CHECKING:
    from pathlib import Path

# Elements that HTML closes by itself, and those of the picture that have no children.
_VOID = {"meta", "br", "input", "rect", "line", "path", "circle"}


class Page(HTMLParser):
    """Collects what a browser would fetch or run, and checks that elements are nested well."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.handlers: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in _VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "href":
                self.links.append(value or "")
            if name in ("src", "srcset", "data", "action", "poster", "xlink:href"):
                self.fetched.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)
            if name == "id":
                self.ids.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        # <p>, <li> and table parts are closed explicitly in these templates too.
        assert self.open
        assert self.open.pop() == tag


def page_of(run: Path) -> tuple[str, Page]:
    """The page of a run; well formed, with nothing in it that a browser would fetch or run."""
    text = write_report(run).read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.fetched == []
    assert page.handlers == []
    assert page.tags.count("script") == 1
    assert not {"link", "img", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        assert link.startswith(("#", "evidence/"))
        if link.startswith("#"):
            assert link[1:] in page.ids
        else:
            assert (run / unquote(link)).is_file()
    assert not re.search(r"(?:url\(|@import|src=|href=)\s*[\"']?\s*(?:https?:)?//", text)
    assert not list(run.glob("*.tmp"))
    return text, page
