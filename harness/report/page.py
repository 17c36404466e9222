"""Writes the pages of a run: ``index.html``, and one page and one whole log for each scenario.

Every file stands for itself: it needs no network and opens from disk. Pages of scenarios whose
evidence and verdict have not changed since they were written are left as they are: while somebody
watches a run, its report is written after each scenario. What a page was made of is noted by its
hash in ``scenarios/pages.json``; a page of which nothing is known there is written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from harness.evidence.files import read_json, write_json, write_whole
from harness.report.facts import facts
from harness.report.fulllog import write_full_log
from harness.report.htmlpages import interactive_scripts, render, script_json, sources_digest
from harness.report.kept import (
    facts_from_json,
    facts_to_json,
    seconds_from_json,
    seconds_to_json,
)
from harness.report.load import load_run
from harness.report.runview import Row, run_view, scenario_row, seconds_spent
from harness.report.view import scenario_view

if TYPE_CHECKING:
    from pathlib import Path

    from harness.report.facts import Facts
    from harness.report.load import LoadedRun, LoadedScenario

FOLDER = "scenarios"
_MANIFEST = "pages.json"
_LONGEST_NAME = 120  # bytes; a file's name may have 255 with what is appended
# What a page shows more of than that it is there and how large; the rest is linked, not read.
_READ = ("timeline.jsonl", "scenario.json", "verdict.json", "span.json", "fio/")


def write_report(run_folder: Path, into: Path | None = None) -> Path:
    """Write the pages of a run folder (``reports/<run>``), each whole or not at all.

    Works on half-written runs. Returns the path of ``index.html``.

    Args:
        into: another folder for them. Two writers in one folder would be in each other's way.

    Raises:
        OSError: a page cannot be written.
    """
    loaded = load_run(run_folder)
    into = into or run_folder
    pages = _Pages(into, loaded)
    rows = [pages.write(scenario) for scenario in loaded.scenarios]
    path = into / "index.html"
    write_whole(path, render("index.html.j2", run=run_view(loaded, rows)))
    pages.finish()
    return path


def page_name(slug: str) -> str:
    """The file name of a scenario's page, without its suffix, by its evidence folder's name."""
    raw = slug.encode("utf-8", "surrogateescape")
    if len(raw) <= _LONGEST_NAME and raw.isascii():
        return slug
    kept = "".join(c if c.isascii() and c.isprintable() else "-" for c in slug)
    return f"{kept[:_LONGEST_NAME]}-{hashlib.sha256(raw).hexdigest()[:12]}"


class _Pages:
    """The pages of the scenarios of one run, and what the ones on disk were made of."""

    def __init__(self, into: Path, run: LoadedRun) -> None:
        self._folder = into / FOLDER
        self._run = run
        self._before = _pages_of(read_json(self._folder / _MANIFEST))
        self._now: dict[str, dict[str, Any]] = {}

    def write(self, scenario: LoadedScenario) -> Row:
        """Write a scenario's page and log, unless they are there and made of the same; its row."""
        name = page_name(scenario.evidence.folder.name)
        href = f"{FOLDER}/{quote(name)}.html"
        digest = self._digest(scenario)
        before = self._before.get(name, {})
        if before.get("made_of") == digest and before.get("files") == self._sizes(name):
            known = facts_from_json(before.get("facts"))
            end_ns = before.get("end_ns")
            if known is not None and type(end_ns) is int:
                self._now[name] = before
                scenario.evidence.ended_at(end_ns)
                return scenario_row(scenario, known, href, seconds_from_json(before.get("seconds")))
        known = facts(scenario)
        spent = seconds_spent(scenario)
        self._render(scenario, known, name)
        self._now[name] = {
            "made_of": digest,
            "files": self._sizes(name),
            "end_ns": scenario.evidence.end_ns,
            "facts": facts_to_json(known),
            "seconds": seconds_to_json(spent),
        }
        scenario.evidence.forget()
        return scenario_row(scenario, known, href, spent)

    def _render(self, scenario: LoadedScenario, known: Facts, name: str) -> None:
        self._folder.mkdir(exist_ok=True)
        log = self._folder / f"{name}.log"
        write_full_log(scenario.evidence, log)
        view = scenario_view(scenario, known, quote(log.name))
        page = render(
            "scenario.html.j2",
            interactive_scripts() if view.interactive else (),
            s=view,
            run=self._run,
            data=script_json(view.interactive.data) if view.interactive else "",
        )
        write_whole(self._folder / f"{name}.html", page)

    def finish(self) -> None:
        """Note what the pages were made of, and remove those of scenarios that are gone."""
        for name in self._before.keys() - self._now.keys():
            for suffix in ("html", "log"):
                with contextlib.suppress(OSError):
                    (self._folder / f"{name}.{suffix}").unlink()
        if self._folder.is_dir() and self._now != self._before:
            write_json(self._folder / _MANIFEST, {"schema": 1, "pages": self._now})

    def _sizes(self, name: str) -> dict[str, int]:
        sizes = {}
        for suffix in ("html", "log"):
            with contextlib.suppress(OSError):
                sizes[suffix] = (self._folder / f"{name}.{suffix}").stat().st_size
        return sizes

    def _digest(self, scenario: LoadedScenario) -> str:
        """A hash of everything that a page shows, and of what it is made with."""
        info = self._run.info
        digest = hashlib.sha256(sources_digest().encode())
        facts_of_run = [self._run.name, info.model_dump(mode="json") if info else None]
        attempts = [attempt.said for attempt in scenario.earlier]
        digest.update(json.dumps([facts_of_run, attempts], sort_keys=True, default=str).encode())
        folder = scenario.evidence.folder
        for path in sorted(folder.rglob("*")):
            relative = path.relative_to(folder).as_posix()
            try:
                size = path.stat().st_size if path.is_file() else -1
                digest.update(json.dumps([relative, size]).encode())
                if size >= 0 and relative.startswith(_READ):
                    with path.open("rb") as file:
                        digest.update(hashlib.file_digest(file, "sha256").digest())
            except OSError as error:
                digest.update(str(error.errno).encode())
        return digest.hexdigest()


def _pages_of(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What is noted of the pages on disk; names that lead elsewhere are none of ours."""
    pages = manifest.get("pages") if manifest.get("schema") == 1 else None
    if not isinstance(pages, dict):
        return {}
    return {
        name: noted
        for name, noted in pages.items()
        if isinstance(noted, dict)
        and "/" not in name
        and "\0" not in name
        and name not in ("", ".")
    }
