"""Takes secrets out of evidence, so that it can be judged as before.

Each secret has a stand-in of its own (``redacted-drbd-secret-1``), the same at every place, and of
the same length where the secret is as long: what was equal stays equal and what differed differs,
in comparisons of before and after, say. JSON stays JSON: lines are parsed and only strings changed.
Everything is read twice: the first time finds what is secret, the second takes it out wherever it
stands, also where nothing beside it says what it is.
"""

from __future__ import annotations

import json
import re
from collections import Counter
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
    from collections.abc import Iterator
    from pathlib import Path

_TEXT = (".json", ".jsonl", ".log", ".out", ".txt", ".xml", ".conf", ".cib", "")
# Long enough, and mixed, to be that secret and nothing else wherever it stands.
_UNMISTAKABLE = re.compile(r"^(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9+/=_-]{16,}$")
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
        self._everywhere: set[str] = set()
        self._everywhere_pattern: re.Pattern[str] | None = None
        self._raw_pattern: re.Pattern[bytes] | None = None
        self._in_key: dict[str, int] = {}

    @property
    def distinct(self) -> dict[str, int]:
        """How many different secrets were found, by kind."""
        return dict(self._per_kind)

    # ------------------------------------------------------------------------------- finding

    def scan(self, path: Path) -> None:
        """Find the secrets of a file; what is no text has none that could be found.

        Raises:
            OSError: it cannot be read.
        """
        if path.suffix not in _TEXT:
            return
        self._in_key.clear()
        for line in _lines(path):
            if self._in_key or SUSPECT.search(line):
                self._scan_line(line)

    def _scan_line(self, line: bytes) -> None:
        value = _json(line)
        if value is None:
            text = line.decode("utf-8", "surrogateescape")
            self._text(text, "")
            self._key_line(text, "")
            return
        stream = ""
        if isinstance(value, dict):
            stream = f"{value.get('source')} {value.get('channel')}"
        _walk(value, lambda text, field: self._found(text, field, stream))

    def _found(self, text: str, field: str, stream: str) -> str:
        self._text(text, field)
        self._key_line(text, stream)
        return text

    def _key_line(self, text: str, stream: str) -> None:
        """A private key that was printed line by line, among lines of other streams."""
        if KEY_BEGINS.search(text):
            self._in_key[stream] = _MOST_KEY_LINES
        elif stream in self._in_key:
            if match := KEY_LINE.match(text):
                self._stand_in("private-key", match["secret"], everywhere=True)
            self._in_key[stream] -= 1
            if "-----END " in text or not self._in_key[stream]:
                del self._in_key[stream]

    # -------------------------------------------------------------------------------- taking out

    def lines(self, path: Path) -> Iterator[bytes]:
        """The file without secrets, in pieces; byte for byte where it has none.

        Call it when everything was scanned.

        Raises:
            OSError: it cannot be read.
        """
        if path.suffix not in _TEXT:
            with path.open("rb") as file:
                while piece := file.read(1 << 20):
                    yield piece
            return
        self._compile()
        for line in _lines(path):
            yield self._clean(line) if self._suspect(line) else line

    def _suspect(self, line: bytes) -> bool:
        if self._raw_pattern is not None and self._raw_pattern.search(line):
            return True
        return SUSPECT.search(line) is not None

    def _clean(self, line: bytes) -> bytes:
        value = _json(line)
        if value is None:
            text = line.decode("utf-8", "surrogateescape")
            cleaned = self._without(text, "")
            return line if cleaned == text else cleaned.encode("utf-8", "surrogateescape")
        before = sum(self.places.values())
        cleaned_value = _walk(value, self._without)
        if sum(self.places.values()) == before:
            return line
        return _as_written(line, cleaned_value)

    def _without(self, text: str, field: str) -> str:
        text = self._text(text, field, change=True)
        if self._everywhere_pattern is not None:
            text = self._everywhere_pattern.sub(self._counted, text)
        return text

    def _counted(self, match: re.Match[str]) -> str:
        kind, stand_in = self._known[match[0]]
        self.places[kind] += 1
        return stand_in

    # ------------------------------------------------------------------------------- both

    def _text(self, text: str, field: str, *, change: bool = False) -> str:
        """``text`` with what its patterns find replaced, where that is wanted, else only noted."""
        if field and FIELD.match(field) and text and not NO_SECRET.match(text):
            return self._replace("field", text, change=change)
        for kind, pattern in PATTERNS:
            text = pattern.sub(lambda match, k=kind: self._match(k, match, change=change), text)
        return text

    def _match(self, kind: str, match: re.Match[str], *, change: bool) -> str:
        group = "bare" if match.re.groupindex.get("bare") and match["bare"] else "secret"
        secret = match[group]
        if NO_SECRET.match(secret) or secret.startswith("redacted-"):
            return match[0]
        begin, end = match.start(group) - match.start(), match.end(group) - match.start()
        new = self._replace(kind, secret, change=change)
        return match[0][:begin] + new + match[0][end:]

    def _replace(self, kind: str, secret: str, *, change: bool) -> str:
        stand_in = self._stand_in(kind, secret, everywhere=bool(_UNMISTAKABLE.match(secret)))
        if not change:
            return secret
        self.places[self._known[secret][0]] += 1
        return stand_in

    def _stand_in(self, kind: str, secret: str, *, everywhere: bool) -> str:
        if secret not in self._known:
            self._per_kind[kind] += 1
            name = f"redacted-{kind}-{self._per_kind[kind]}"
            self._known[secret] = kind, name.ljust(min(len(secret), 1000), "-")
        if everywhere:
            self._everywhere.add(secret)
        return self._known[secret][1]

    def _compile(self) -> None:
        if self._everywhere and self._everywhere_pattern is None:
            # The longest first: one may be a part of another.
            told = sorted(self._everywhere, key=lambda secret: (-len(secret), secret))
            joined = "|".join(re.escape(secret) for secret in told)
            self._everywhere_pattern = re.compile(joined)
            # All are plain ASCII, and "/" is written as it is by json: the same in JSON.
            self._raw_pattern = re.compile(joined.encode())


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
    if data.lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _walk(value: Any, change: Any, field: str = "") -> Any:
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
    elif b'": ' in body or b"', " in body:
        text = json.dumps(value)
    else:
        text = json.dumps(value, separators=(",", ":"))
    return text.encode() + line[len(body) :]
