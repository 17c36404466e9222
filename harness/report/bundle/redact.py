"""Takes secrets out of evidence, so that it can be judged as before.

Each secret has a stand-in of its own (``redacted-drbd-secret-1``), the same at every place, and of
the same length where the secret is as long: what was equal stays equal and what differed differs,
in comparisons of before and after, say. JSON stays JSON: it is parsed, and only strings change.
Everything is read twice: the first time finds what is secret, the second takes it out wherever it
stands, also where nothing beside it says what it is.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.report.bundle.patterns import (
    FIELD,
    KEY_BEGINS,
    KEY_LINE,
    NO_SECRET,
    PATTERNS,
    SUSPECT,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_BINARY = (".bin", ".npz")  # the harness's own: block headers, digests, histories
# Long enough, and mixed, to be that secret and nothing else wherever it stands.
_UNMISTAKABLE = re.compile(r"^(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9+/=_-]{16,}$")
_MOST_EVERYWHERE = 50  # so many are looked for everywhere; guests may print any number
_MOST_KEY_LINES = 400
_LONGEST_JSON = 64_000_000  # bytes of a .json file that is parsed as a whole


class Redactor:
    """Finds secrets in files, then gives the files without them.

    Attributes:
        places: how many places were changed, by kind.
    """

    def __init__(self) -> None:
        self.places: Counter[str] = Counter()
        self._known: dict[str, tuple[str, str]] = {}  # secret: (kind, stand-in)
        self._per_kind: Counter[str] = Counter()
        self._everywhere: dict[str, None] = {}
        self._pattern: tuple[re.Pattern[str], re.Pattern[bytes]] | None = None
        self._in_key: dict[str, int] = {}
        self._changing = False

    @property
    def distinct(self) -> dict[str, int]:
        """How many different secrets were found, by kind."""
        return dict(self._per_kind)

    def scan(self, path: Path) -> None:
        """Find the secrets of a file.

        Raises:
            OSError: it cannot be read.
        """
        if path.suffix not in _BINARY:
            self._changing = False
            self._in_key.clear()
            for line in _lines(path):
                if self._in_key or SUSPECT.search(line.lower()):
                    self._line(line)

    def lines(self, path: Path) -> Iterator[bytes]:
        """The file without secrets, in pieces; byte for byte where it has none.

        Call it when everything was scanned, and for one file after the other.

        Raises:
            OSError: it cannot be read.
        """
        if path.suffix in _BINARY:
            with path.open("rb") as file:
                while piece := file.read(1 << 20):
                    yield piece
            return
        self._changing = True
        self._in_key.clear()
        self._compile()
        for line in _lines(path):
            yield self._line(line) if self._in_key or self._suspect(line) else line

    def value(self, value: Any) -> Any:
        """The same of what was read from JSON; call it when everything was scanned."""
        self._changing = True
        self._compile()
        return _walk(value, self._string)

    def _suspect(self, line: bytes) -> bool:
        known = self._pattern is not None and self._pattern[1].search(line) is not None
        return known or SUSPECT.search(line.lower()) is not None

    def _line(self, line: bytes) -> bytes:
        value = _json(line)
        if value is None:
            text = line.decode("utf-8", "surrogateescape")
            cleaned = self._in_stream("", text, "")
            return line if cleaned == text else cleaned.encode("utf-8", "surrogateescape")
        stream = f"{value.get('source')} {value.get('channel')}" if isinstance(value, dict) else ""
        before = self.places.total()
        new = _walk(value, partial(self._in_stream, stream))
        return _as_written(line, new) if self.places.total() > before else line

    def _in_stream(self, stream: str, text: str, field: str) -> str:
        """``text``, which may be a line of a private key, among lines of other streams."""
        if stream in self._in_key:
            self._in_key[stream] -= 1
            if "-----END " in text or not self._in_key[stream]:
                del self._in_key[stream]
            elif match := KEY_LINE.match(text):
                return text.replace(match["secret"], self._replace("private-key", match["secret"]))
        if KEY_BEGINS.search(text):
            self._in_key[stream] = _MOST_KEY_LINES
            return text
        return self._string(text, field)

    def _string(self, text: str, field: str) -> str:
        if field and FIELD.match(field) and text and not NO_SECRET.match(text):
            return self._replace("field", text)
        for kind, pattern in PATTERNS:
            text = pattern.sub(partial(self._match, kind), text)
        if self._changing and self._pattern is not None:
            text = self._pattern[0].sub(lambda match: self._replace("", match[0]), text)
        return text

    def _match(self, kind: str, match: re.Match[str]) -> str:
        group = "bare" if match.re.groupindex.get("bare") and match["bare"] else "secret"
        secret = match[group]
        if NO_SECRET.match(secret.strip()) or not secret.strip():
            return match[0]
        begin, end = match.start(group) - match.start(), match.end(group) - match.start()
        return match[0][:begin] + self._replace(kind, secret) + match[0][end:]

    def _replace(self, kind: str, secret: str) -> str:
        """The stand-in of a secret; the secret itself while they are only looked for."""
        if secret not in self._known:
            self._per_kind[kind] += 1
            name = f"redacted-{kind}-{self._per_kind[kind]}"
            self._known[secret] = kind, name.ljust(min(len(secret), 1000), "-")
            if _UNMISTAKABLE.match(secret) and len(self._everywhere) < _MOST_EVERYWHERE:
                self._everywhere[secret] = None
        if not self._changing:
            return secret
        known_as, stand_in = self._known[secret]
        self.places[known_as] += 1
        return stand_in

    def _compile(self) -> None:
        if self._everywhere and self._pattern is None:
            # The longest first: one may be a part of another. All are ASCII, and JSON has them as
            # they are.
            told = sorted(self._everywhere, key=lambda secret: (-len(secret), secret))
            joined = "|".join(re.escape(secret) for secret in told)
            self._pattern = re.compile(joined), re.compile(joined.encode())


def _lines(path: Path) -> Iterator[bytes]:
    """A .json file as one piece, if it is one and not huge; everything else by lines."""
    with path.open("rb") as file:
        if path.suffix == ".json" and path.stat().st_size <= _LONGEST_JSON:
            whole = file.read()
            if _json(whole) is not None:
                yield whole
                return
            file.seek(0)
        yield from file


def _json(data: bytes) -> Any:
    """The object or array in ``data``; None where it is neither."""
    if data[:100].lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _walk(value: Any, change: Callable[[str, str], str], field: str = "") -> Any:
    """``value`` with ``change(string, name of its field)`` for each string, names included."""
    if isinstance(value, str):
        return change(value, field)
    if isinstance(value, list):
        return [_walk(item, change, field) for item in value]
    if isinstance(value, dict):
        return {change(name, ""): _walk(item, change, name) for name, item in value.items()}
    return value


def _as_written(line: bytes, value: Any) -> bytes:
    """JSON in the manner of ``line``: indented by one, compact, or with blanks."""
    body = line.rstrip()
    if b"\n" in body:
        text = json.dumps(value, indent=1)
    elif b'": ' in body:
        text = json.dumps(value)
    else:
        text = json.dumps(value, separators=(",", ":"))
    return text.encode() + line[len(body) :]
