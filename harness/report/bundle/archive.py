"""A tar.gz of pieces that are compressed one by one, so that its size is known before it is made.

gzip's members may follow each other (RFC 1952, 2.2), and tar, gzip and Python read such a file as
one. Names, owners, modes and times are fixed: the same content gives the same bytes (by the same
zlib).
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

_LEVEL = 6
_GZIP = 31  # wbits: a window of 32 KiB, with gzip's header (its time is 0) and trailer
_ZEROS = b"\0" * tarfile.BLOCKSIZE


@dataclass(frozen=True, slots=True)
class Packed:
    """A file in the spool.

    Attributes:
        begin, length: where its compressed piece lies, in bytes.
        size, sha256: of its content, uncompressed.
    """

    name: str
    begin: int
    length: int
    size: int
    sha256: str


class Spool:
    """Compressed files that are not yet an archive; on disk, nameless, beside the target."""

    def __init__(self, folder: Path, mtime_s: int) -> None:
        self._folder, self._mtime_s = folder, mtime_s
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed by __exit__)
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def pack(self, name: str, content: Iterable[bytes]) -> Packed:
        """Compress a file of this name and content.

        Raises:
            OSError: no room.
        """
        # Its header comes first and tells its size.
        digest, size = hashlib.sha256(), 0
        with tempfile.TemporaryFile(dir=self._folder) as whole:
            for piece in content:
                whole.write(piece)
                digest.update(piece)
                size += len(piece)
            whole.seek(0)
            press = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
            self._file.seek(self._end)
            self._file.write(press.compress(self._header(name, size)))
            while piece := whole.read(1 << 20):
                self._file.write(press.compress(piece))
            self._file.write(press.compress(_ZEROS[: -size % tarfile.BLOCKSIZE]) + press.flush())
        begin, self._end = self._end, self._file.tell()
        return Packed(name, begin, self._end - begin, size, digest.hexdigest())

    def forget(self, last: Packed) -> None:
        """Take back the one that was packed last."""
        assert last.begin + last.length == self._end
        self._end = last.begin
        self._file.truncate(self._end)

    def write(self, target: Path, members: Iterable[Packed]) -> int:
        """Write the archive, whole or not at all; returns its size in bytes.

        Raises:
            OSError: it cannot be written.
        """
        temporary = target.with_name(target.name + ".tmp")
        try:
            with temporary.open("wb") as file:
                for one in members:
                    self._file.seek(one.begin)
                    left = one.length
                    while left and (piece := self._file.read(min(left, 1 << 20))):
                        file.write(piece)
                        left -= len(piece)
                file.write(END)
                size = file.tell()
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        return size

    def _header(self, name: str, size: int) -> bytes:
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = size, self._mtime_s, 0o644
        return info.tobuf(tarfile.PAX_FORMAT)


def _compressed(data: bytes) -> bytes:
    press = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return press.compress(data) + press.flush()


END = _compressed(_ZEROS * 2)
"""What ends an archive."""
