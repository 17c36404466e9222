"""fio's verify state files: ``local-<job>-<n>-verify.state`` (``verify_state_save=1``).

Source of the format: verify-state.h and verify.c of fio; version 3 checked against fio 3.33's
own files, version 4 known from fio 3.39's own files and what its fio-verify-state(1) prints of
them. Little-endian: version, size and CRC as ``<QQQ``, then ``size`` bytes that fio's CRC-32C
covers:

* version 3: completions ``<Q``, depth ``<I``, files ``<I``, numberio ``<Q``, index ``<Q``, random
  state (``<Q`` use64, then 48 bytes: four ``<I`` or six ``<Q``), name (64 bytes), then
  depth times files slots of ``<QQ``: file and offset of the last completed writes, newest first;
* version 4 (fio 3.39): as 3, but after the depth ``<I`` slots per file, files ``<I`` and 4 bytes of
  padding; one file's completions after the other's;
* version 5 (later fio): depth ``<I`` and 4 bytes of padding, numberio ``<Q``, index ``<Q``, random
  state and name as above, then depth slots of ``<Q``: numberio of the writes in flight. From the
  source alone: no file of such a version was at hand.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .crc32c import crc32c
from .errors import FioParseError

if TYPE_CHECKING:
    import os

_PREFIX = struct.Struct("<QQQ")
_V3 = struct.Struct("<QIIQQ")
_V4 = struct.Struct("<QIII4xQQ")
_V5 = struct.Struct("<I4xQQ")
_HEADS = {3: _V3, 4: _V4, 5: _V5}
_RAND_AND_NAME = struct.Struct("<Q48s64s")
_NOT_IN_FLIGHT = 2**64 - 1


@dataclass(frozen=True, slots=True)
class VerifyState:
    """Where a job's writes stood when it ended.

    Attributes:
        version: 3, 4 or 5.
        name: the job's.
        index: of the job, from 0.
        number_ios: writes issued.
        depth: the job's iodepth.
        files: of the job; None in version 5.
        completions: (file number, offset in bytes) of the last completed writes, of each file
            newest first; in version 3 at most depth per file, in version 4 at most twice as many;
            empty in version 5.
        inflight: numberio of the writes that had not completed; empty in versions 3 and 4.
        random_state: of the job's offset generator, 3 or 5 numbers and a spare.
    """

    version: int
    name: str
    index: int
    number_ios: int
    depth: int
    files: int | None
    completions: tuple[tuple[int, int], ...]
    inflight: tuple[int, ...]
    random_state: tuple[int, ...]


def read_verify_state(path: str | os.PathLike[str]) -> VerifyState:
    """A verify state from a file.

    Raises:
        FioParseError: with the byte that does not fit.
        OSError: the file cannot be read.
    """
    return parse_verify_state(Path(path).read_bytes(), path=str(path))


def parse_verify_state(data: bytes, *, path: str | None = None) -> VerifyState:
    """A verify state from its bytes; raises like :func:`read_verify_state`."""

    def fail(reason: str, offset: int) -> FioParseError:
        return FioParseError(reason, path=path, offset=offset)

    if len(data) < _PREFIX.size:
        raise fail(f"torn: {len(data)} bytes", len(data))
    version, size, crc = _PREFIX.unpack_from(data)
    if version not in _HEADS:
        raise fail(f"verify state version {version}: only 3, 4 and 5 are supported", 0)
    body = data[_PREFIX.size :]
    if size != len(body):
        raise fail(f"{len(body)} bytes follow, {size} announced", 8)
    head = _HEADS[version]
    slots_at = head.size + _RAND_AND_NAME.size
    if len(body) < slots_at:
        raise fail(f"torn: {len(body)} bytes of at least {slots_at}", len(data))
    actual = int(crc32c(np.frombuffer(body, np.uint8).reshape(1, -1))[0])
    if actual != crc:
        raise fail(f"CRC {actual:#010x}, {crc:#010x} stored", 16)
    if version == 3:
        completed, depth, files, number_ios, index = _V3.unpack_from(body)
        slots, slot_bytes = depth * files, 16
    elif version == 4:
        completed, depth, per_file, files, number_ios, index = _V4.unpack_from(body)
        slots, slot_bytes = per_file * files, 16
    else:
        completed, files = 0, None
        depth, number_ios, index = _V5.unpack_from(body)
        slots, slot_bytes = depth, 8
    if len(body) != slots_at + slots * slot_bytes:
        raise fail(f"no room for {slots} slots, or too much", _PREFIX.size)
    if completed > slots:
        raise fail(f"{completed} completions in {slots} slots", _PREFIX.size)
    use64, random, name = _RAND_AND_NAME.unpack_from(body, head.size)
    words = struct.unpack_from(f"<{slots * slot_bytes // 8}Q", body, slots_at)
    try:
        text = name.split(b"\0", 1)[0].decode("utf-8")
    except UnicodeDecodeError as error:
        at = _PREFIX.size + head.size + 8 + 48
        raise fail("the name is not UTF-8", at + error.start) from error
    return VerifyState(
        version=version,
        name=text,
        index=index,
        number_ios=number_ios,
        depth=depth,
        files=files,
        completions=tuple(zip(words[::2], words[1::2], strict=True))[:completed]
        if version != 5
        else (),
        inflight=tuple(word for word in words if word != _NOT_IN_FLIGHT) if version == 5 else (),
        random_state=struct.unpack("<6Q", random) if use64 else struct.unpack_from("<4I", random),
    )
