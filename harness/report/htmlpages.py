"""Templates to HTML text: escaping, the content security policy, and the pages' own scripts.

Everything that comes from guests goes through jinja2's autoescape; what a browser would take for
more than text anyway is stopped by a content security policy that allows nothing from outside and
no script but the page's own, known by their hashes. Data for scripts stands in blocks that no
browser runs.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.report import text
from harness.report.view import MARKS, stall_text

if TYPE_CHECKING:
    from collections.abc import Iterable

# In the order in which they need each other.
_INTERACTIVE = (
    "core.js", "writes.js", "rows.js", "plots.js", "log.js", "main.js",
)  # fmt: skip
_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def render(template: str, scripts: Iterable[str] = (), **values: Any) -> str:
    """The page that ``template`` makes of ``values``, with ``scripts`` at its end."""
    environment = _pages()
    own = [Markup(source) for source in scripts]
    return environment.get_template(template).render(
        style=style(),
        scripts=own,
        script_hashes=" ".join(f"'{_hash(script)}'" for script in own) or "'none'",
        **values,
    )


def style() -> Markup:
    """The pages' style sheets."""
    names = ("style.css", "picture.css", "interactive.css")
    own = [source_of(_pages(), name) for name in names]
    return Markup("\n".join([_asset("vendor/uplot/uPlot.min.css"), *own]))


def interactive_scripts() -> tuple[str, str]:
    """uPlot, and what the page of a scenario does with it."""
    parts = "\n".join(_asset(f"assets/{name}") for name in _INTERACTIVE)
    return _asset(
        "vendor/uplot/uPlot.iife.min.js"
    ), f'(function () {{\n"use strict";\n{parts}\n}})();'


def script_json(value: Any) -> Markup:
    """``value`` as JSON that may stand in a script element: nothing in it ends one or begins one.

    All of it is ASCII, so that no separator or override of Unicode's is in it either.
    """
    told = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for character, instead in _ESCAPED.items():
        told = told.replace(character, instead)
    return Markup(told)


@cache
def sources_digest() -> str:
    """A hash of everything that pages are made with: other code makes other pages."""
    from importlib.resources import files

    digest = hashlib.sha256()
    # What is shown is made here and read with these; checks matter for what they wrote.
    for package in ("harness.report", "harness.evidence", "harness.checks", "harness.fio_parser"):
        stack = [files(package)]
        while stack:
            place = stack.pop()
            for entry in sorted(place.iterdir(), key=lambda one: one.name):
                if entry.is_dir() and entry.name != "__pycache__":
                    stack.append(entry)
                elif entry.is_file():
                    digest.update(entry.name.encode() + b"\0" + entry.read_bytes() + b"\0")
    return digest.hexdigest()


def _hash(script: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


@cache
def _asset(name: str) -> str:
    from importlib.resources import files

    place = files("harness.report")
    for part in name.split("/"):
        place = place / part
    return place.read_text(encoding="utf-8")


def source_of(environment: Environment, name: str) -> str:
    """A template as it is written, such as a style sheet."""
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def environment_of(package: str) -> Environment:
    """Jinja2 on the templates of ``package``: strict, and everything that is put out is escaped."""
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.globals |= {
        "marks": {str(verdict): mark for verdict, mark in MARKS.items()},
        "plural": text.plural,
    }
    return environment


@cache
def _pages() -> Environment:
    environment = environment_of("harness.report")
    environment.globals |= {
        "stall_text": stall_text,
        "count": text.count,
        "seconds": text.seconds,
    }
    return environment


def _finalize(value: Any) -> Any:
    """Every string that is put out, without control characters and the like."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return text.clean(value)
    return value
