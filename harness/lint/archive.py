"""The archive that the collector writes: what is in it, without unpacking it to a disk."""

from __future__ import annotations

import io
import re
import tarfile
from typing import TYPE_CHECKING

from harness.lint.formats.text import FormatError

if TYPE_CHECKING:
    from harness.lint.folder import Files

_MOST_FILES = 2000
_LARGEST = 8 << 20
_NAME = re.compile(r"(?:\./)?([\w.-]{1,64})/([\w.@:+/-]{1,200})", re.ASCII)


def read_archive(raw: bytes) -> Files:
    """Machine to name of a file to its bytes.

    It comes from a machine that is not trusted: links, absolute names and ``..`` are refused.

    Raises:
        FormatError: no such archive, or more in it than a configuration.
    """
    files: Files = {}
    left = _LARGEST
    try:
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as archive:
            for count, member in enumerate(archive, 1):
                if count > _MOST_FILES:
                    raise FormatError(f"more than {_MOST_FILES} files")
                if member.isdir():
                    continue
                match = _NAME.fullmatch(member.name)
                if match is None or ".." in match[2].split("/") or match[1].strip(".") == "":
                    raise FormatError(f"a file with a strange name: {member.name[:80]!r}")
                if not member.isreg() or not 0 <= member.size <= left:
                    raise FormatError(f"{member.name} is no plain file, or too large")
                left -= member.size
                content = archive.extractfile(member)
                data = content.read(member.size) if content is not None else b""
                if len(data) != member.size:
                    raise FormatError(f"{member.name} is cut short")
                files.setdefault(match[1], {})[match[2]] = data
    except (tarfile.TarError, OSError, ValueError, OverflowError, EOFError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"no tar archive: {error}") from error
    if not files:
        raise FormatError("an archive without files")
    return files
