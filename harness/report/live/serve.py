"""``harness watch``: a run that goes on, and its report as far as it has come, on loopback.

Nobody but this machine can reach it, and a page of another site cannot either: requests that do not
name a loopback address as their host are refused. Only files of the run's folder are handed out,
and the pages that are made here, in a folder of their own: the run itself writes its own ones.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from harness.checks.verdict import ScenarioVerdict, VerdictError
from harness.evidence.files import read_json
from harness.report.live.terminal import LiveRun
from harness.report.page import write_report
from harness.report.text import one_line
from harness.report.trend.extract import Stage, stage_of

_RENDER_S = 2.0  # how often is looked whether there is a new verdict
_LARGEST = 64 << 20  # bytes of a file that is handed out
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".xml": "application/xml",
    ".svg": "image/svg+xml",
}
# The page asks for its own status, and for nothing else.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class RunWatch:
    """What is told of a run that goes on; renders its report when there is a new verdict.

    Args:
        pages: where the report is written.
    """

    def __init__(self, folder: Path, pages: Path) -> None:
        self.folder, self.pages = folder.resolve(), pages.resolve()
        self._run = LiveRun(self.folder)
        self._lock = threading.Lock()
        self._rendered: dict[str, int] = {}

    def told(self) -> dict[str, Any]:
        """Everything the page shows."""
        with self._lock:
            status = self._run.status()
        return {
            "gone": not self.folder.is_dir(),
            "over": stage_of(self.folder) is Stage.FINISHED,
            "status": status.to_json() if status is not None else None,
            "verdicts": self._verdicts(),
            "report": (self.pages / "index.html").exists(),
        }

    def render_if_new(self) -> bool:
        """Write the report anew if anything was judged since; whether it was."""
        judged = {str(path): _changed_ns(path) for path in self._judged()}
        if judged == self._rendered:
            return False
        write_report(self.folder, self.pages)
        self._rendered = judged
        return True

    def file(self, relative: str) -> Path | None:
        """A page that was made here, or a file of the run; None where there is neither.

        Raises:
            ValueError: that is no path.
        """
        for root in (self.pages, self.folder):
            path = (root / relative).resolve()
            if path.is_relative_to(root) and path.is_file():
                return path
        return None

    def _judged(self) -> list[Path]:
        return sorted((self.folder / "evidence").glob("*/verdict.json"))

    def _verdicts(self) -> list[dict[str, str]]:
        found = []
        for path in self._judged():
            try:
                verdict = str(ScenarioVerdict.load(path).verdict)
            except (OSError, VerdictError):
                verdict = "INCONCLUSIVE"
            name = read_json(path.with_name("scenario.json")).get("name", path.parent.name)
            found.append((_changed_ns(path), {"name": one_line(str(name)), "verdict": verdict}))
        return [told for _, told in sorted(found, key=lambda one: one[0], reverse=True)]


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


class WatchServer:
    """Serves one run on 127.0.0.1; ``close`` ends it.

    Attributes:
        url: where it is.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, folder: Path, port: int = 0) -> None:
        self._pages = tempfile.TemporaryDirectory(prefix="harness-watch-")
        watch = RunWatch(folder, Path(self._pages.name))

        class Handler(_Handler):
            run = watch

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._server.serve_forever, name="watch", daemon=True),
            threading.Thread(target=self._render, args=(watch,), name="render", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End it."""
        self._stop.set()
        self._server.shutdown()
        for thread in self._threads:
            thread.join()
        self._server.server_close()
        self._pages.cleanup()

    def _render(self, watch: RunWatch) -> None:
        # The guests come first: Linux has a nice value of every thread.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        while True:
            # Half-written evidence may be gone the next moment; the next look will do.
            with contextlib.suppress(OSError):
                watch.render_if_new()
            if self._stop.wait(_RENDER_S):
                return


class _Handler(BaseHTTPRequestHandler):
    run: RunWatch
    server_version = "harness"
    sys_version = ""

    def do_GET(self) -> None:
        """The page, what it asks for, or a file of the run."""
        host = self.headers.get("Host", "").rsplit(":", 1)[0]
        if host not in ("127.0.0.1", "localhost"):
            return self._refuse(HTTPStatus.FORBIDDEN)
        path = unquote(urlsplit(self.path).path)
        if path == "/":
            return self._send(self._page, "text/html; charset=utf-8", _POLICY)
        if path == "/status.json":
            told = json.dumps(self.run.told()).encode()
            return self._send(told, "application/json")
        if path.startswith("/run/"):
            return self._file(path.removeprefix("/run/"))
        return self._refuse(HTTPStatus.NOT_FOUND)

    def _file(self, relative: str) -> None:
        try:
            path = self.run.file(relative)
            if path is None or path.stat().st_size > _LARGEST:
                return self._refuse(HTTPStatus.NOT_FOUND)
            content = path.read_bytes()
        except (OSError, ValueError):
            return self._refuse(HTTPStatus.NOT_FOUND)
        # Logs of guests are text, whatever they look like.
        return self._send(content, _TYPES.get(path.suffix, "text/plain; charset=utf-8"))

    @cached_property
    def _page(self) -> bytes:
        return files("harness.report.live").joinpath("watch.html").read_bytes()

    def _send(self, content: bytes, kind: str, policy: str = "") -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if policy:
            self.send_header("Content-Security-Policy", policy)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(content)

    def _refuse(self, status: HTTPStatus) -> None:
        with contextlib.suppress(OSError):
            self.send_error(status)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not of interest."""
