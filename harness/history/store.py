"""Histories on disk: one ``.npz`` file per LUN, versioned; older versions are migrated on reading.

The file is NumPy's own format (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html),
a zip archive without compression whose CRCs are checked on reading: one array per column, and
``meta``, a JSON object in UTF-8 as an array of bytes.
"""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.history.model import Flushes, History, HistoryError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    Columns = dict[str, npt.NDArray[Any]]
    Migration = Callable[[dict[str, Any], Columns], None]

FORMAT = "failover-harness history"
VERSION = 1

_COLUMNS: dict[str, type[np.generic]] = {
    "block": np.uint32,
    "kind": np.uint8,
    "outcome": np.uint8,
    "flags": np.uint8,
    "wrote": np.int32,
    "issue_ns": np.int64,
    "done_ns": np.int64,
    "flush_issue_ns": np.int64,
    "flush_done_ns": np.int64,
    "flush_outcome": np.uint8,
}

# What reading a damaged archive raises, by where the damage is; the last three are zipfile's.
_DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    MemoryError,
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
)

MIGRATIONS: dict[int, Migration] = {}
"""From a version to the next one: changes ``meta`` and columns in place."""


def save(history: History, path: Path) -> None:
    """Write ``path``, whole or not at all.

    Raises:
        HistoryError: the arrays are no history.
        OSError: it cannot be written.
    """
    history.check()
    meta = {
        "format": FORMAT,
        "version": VERSION,
        "block_size": history.block_size,
        "uncertainty_ns": history.uncertainty_ns,
    }
    columns: Columns = {
        one.name: getattr(history, one.name) for one in fields(history) if one.name in _COLUMNS
    }
    columns |= {f"flush_{one.name}": getattr(history.flushes, one.name) for one in fields(Flushes)}
    columns = {name: np.asarray(columns[name], dtype=kind) for name, kind in _COLUMNS.items()}
    said = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, meta=said, **columns)
        os.replace(temporary, path)
    except OSError:
        # A full disk is not made fuller.
        temporary.unlink(missing_ok=True)
        raise


def load(path: Path) -> History:
    """Read a history of this version or an older one.

    Raises:
        HistoryError: it is not one, is damaged, or is of a newer version; the message names it.
        FileNotFoundError: there is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            columns: Columns = {name: archive[name] for name in archive.files}
        meta = _meta(columns)
        for version in range(meta["version"], VERSION):
            MIGRATIONS[version](meta, columns)
        history = _history(meta, columns)
        history.check()
    except FileNotFoundError:
        raise
    except _DAMAGED as error:
        raise HistoryError(f"{path.name}: {error or type(error).__name__}") from error
    return history


def _meta(columns: Columns) -> dict[str, Any]:
    meta = json.loads(columns.pop("meta").tobytes())
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise HistoryError("not a history")
    version = meta.get("version")
    if type(version) is not int or version < 1:
        raise HistoryError(f"version {version!r} of the format")
    if version > VERSION:
        raise HistoryError(f"version {version} of the format; this harness reads up to {VERSION}")
    return meta


def _history(meta: dict[str, Any], columns: Columns) -> History:
    for name, kind in _COLUMNS.items():
        if name not in columns:
            raise HistoryError(f"there is no {name}")
        if columns[name].dtype != np.dtype(kind) or columns[name].ndim != 1:
            raise HistoryError(
                f"{name} is {columns[name].dtype} of {columns[name].ndim} dimensions"
            )
    flushes = [columns.pop(f"flush_{one.name}") for one in fields(Flushes)]
    if len({len(column) for column in flushes}) > 1:
        raise HistoryError("flushes have columns of different lengths")
    block_size, uncertainty = meta.get("block_size"), meta.get("uncertainty_ns")
    if type(block_size) is not int or block_size <= 0:
        raise HistoryError(f"blocks of {block_size!r} bytes")
    if type(uncertainty) is not int or not 0 <= uncertainty < 2**40:
        raise HistoryError(f"an uncertainty of {uncertainty!r} ns")
    own = {name: columns[name] for name in _COLUMNS if not name.startswith("flush_")}
    return History(
        **own, flushes=Flushes(*flushes), block_size=block_size, uncertainty_ns=uncertainty
    )
