"""Renders ``index.html``: one file that needs nothing else and opens from disk.

Everything that comes from guests goes through jinja2's autoescape; what a browser would take for
more than text anyway is stopped by a content security policy that allows nothing from outside and
no script but the page's own.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.checks import ALL_CHECKS
from harness.evidence.files import write_whole
from harness.report import text
from harness.report.load import load_run
from harness.report.view import MARKS, run_view, stall_text

if TYPE_CHECKING:
    from pathlib import Path


def write_report(run_folder: Path) -> Path:
    """Write ``index.html`` of a run folder (``reports/<run>``), whole or not at all.

    Works on half-written runs. Returns the path of the page.

    Raises:
        OSError: the page cannot be written.
    """
    page = render(run_folder)
    path = run_folder / "index.html"
    write_whole(path, page)
    return path


def render(run_folder: Path) -> str:
    """The page of a run folder, as HTML."""
    descriptions = {slug: check.description for slug, check in ALL_CHECKS.items()}
    view = run_view(load_run(run_folder), descriptions)
    environment = _environment()
    # Read by themselves: they are the page's own and must not be escaped.
    style, script = (Markup(_source(environment, name)) for name in ("style.css", "filter.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("index.html.j2").render(
        run=view, style=style, script=script, script_hash=f"sha256-{digest}"
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.globals |= {
        "marks": {str(verdict): mark for verdict, mark in MARKS.items()},
        "stall_text": stall_text,
        "count": text.count,
        "plural": text.plural,
        "seconds": text.seconds,
    }
    return environment


def _finalize(value: Any) -> Any:
    """Every string that is put out, without control characters and the like."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return text.clean(value)
    return value


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]
