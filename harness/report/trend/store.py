"""The trend's database: ``reports/trend.sqlite``, its schema, and what goes in and out of it.

One writer at a time: a transaction takes the database as it begins (``BEGIN IMMEDIATE``), and
others wait. A file of an older schema is migrated when it is opened; a newer one is refused.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from harness.checks.verdict import Verdict
from harness.errors import HarnessError
from harness.report.text import one_line
from harness.report.trend.model import CheckLine, RunLine, ScenarioLine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATABASE = "trend.sqlite"
_APPLICATION = 0x46487472  # "FHtr", PRAGMA application_id: a foreign database is not touched
_WAIT_S = 30.0

# One script for each version of the schema, from the one before; never changed once released.
MIGRATIONS = (
    """
    CREATE TABLE run (
      id INTEGER PRIMARY KEY, name TEXT NOT NULL, started_ns INTEGER NOT NULL,
      ended_ns INTEGER NOT NULL, digest TEXT NOT NULL, folder TEXT NOT NULL, series TEXT NOT NULL,
      accelerator TEXT NOT NULL, profile TEXT NOT NULL, host TEXT NOT NULL, config TEXT NOT NULL,
      code TEXT NOT NULL, versions TEXT NOT NULL, harness TEXT NOT NULL, seed TEXT,
      command TEXT NOT NULL, injecting INTEGER NOT NULL, verdict TEXT NOT NULL,
      UNIQUE (name, started_ns));
    CREATE TABLE scenario (
      id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
      name TEXT NOT NULL, feature TEXT NOT NULL, slug TEXT NOT NULL, verdict TEXT NOT NULL,
      attempts TEXT NOT NULL, stall_s REAL, bound_s REAL, phases TEXT NOT NULL, failovers INTEGER,
      fencings INTEGER, writes INTEGER, seconds REAL, why TEXT NOT NULL, UNIQUE (run, name));
    CREATE TABLE check_result (
      scenario INTEGER NOT NULL REFERENCES scenario (id) ON DELETE CASCADE,
      slug TEXT NOT NULL, verdict TEXT NOT NULL, seen TEXT NOT NULL);
    CREATE INDEX check_of ON check_result (scenario);
    """,
)


class Store:
    """The database, open. Use ``opened``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    @contextmanager
    def writing(self) -> Iterator[None]:
        """All that is written inside is there in the end, or none of it."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def digests(self) -> dict[tuple[str, int], str]:
        """The digest of every run's verdicts, by the run's identity (name, start in ns)."""
        rows = self._db.execute("SELECT name, started_ns, digest FROM run")
        return {(name, started_ns): digest for name, started_ns, digest in rows}

    def folders(self) -> dict[tuple[str, int], str]:
        """Where every run lay when it was read, by the run's identity."""
        rows = self._db.execute("SELECT name, started_ns, folder FROM run")
        return {(name, started_ns): folder for name, started_ns, folder in rows}

    def moved(self, identity: tuple[str, int], folder: str) -> None:
        """Keep that a run lies somewhere else now."""
        self._db.execute(
            "UPDATE run SET folder = ? WHERE name = ? AND started_ns = ?", (folder, *identity)
        )

    def put(self, run: RunLine) -> None:
        """Keep a run, in place of what was kept of it before."""
        self._db.execute(
            "DELETE FROM run WHERE name = ? AND started_ns = ?", (run.name, run.started_ns)
        )
        seed = None if run.seed is None else str(run.seed)  # may be larger than SQLite's integers
        at = self._insert(
            "run", name=run.name, started_ns=run.started_ns, ended_ns=run.ended_ns,
            digest=run.digest, folder=run.folder, series=run.series, accelerator=run.accelerator,
            profile=run.profile, host=run.host, config=run.config, code=run.code,
            versions=json.dumps(dict(run.versions)), harness=run.harness, seed=seed,
            command=run.command, injecting=int(run.injecting), verdict=str(run.verdict),
        )  # fmt: skip
        for one in run.scenarios:
            own = self._insert(
                "scenario", run=at, name=one.name, feature=one.feature, slug=one.slug,
                verdict=str(one.verdict), attempts=json.dumps([str(v) for v in one.attempts]),
                stall_s=one.stall_s, bound_s=one.bound_s, phases=json.dumps(dict(one.phases)),
                failovers=one.failovers, fencings=one.fencings, writes=one.writes,
                seconds=one.seconds, why=one.why,
            )  # fmt: skip
            self._db.executemany(
                "INSERT INTO check_result VALUES (?, ?, ?, ?)",
                [(own, check.check, str(check.verdict), check.seen) for check in one.checks],
            )

    def runs(self) -> list[RunLine]:
        """All runs, the oldest first.

        Raises:
            sqlite3.DatabaseError: what is in a row is none of ours.
        """
        try:
            return self._runs()
        except (ValueError, TypeError) as error:
            raise sqlite3.DatabaseError(f"a row cannot be read: {error}") from error

    def _runs(self) -> list[RunLine]:
        checks: dict[int, list[CheckLine]] = {}
        for scenario, slug, verdict, seen in self._db.execute(
            "SELECT scenario, slug, verdict, seen FROM check_result ORDER BY rowid"
        ):
            checks.setdefault(scenario, []).append(CheckLine(slug, Verdict(verdict), seen))
        scenarios: dict[int, list[ScenarioLine]] = {}
        for row in self._rows("scenario"):
            one = _scenario(row, tuple(checks.get(row["id"], ())))
            scenarios.setdefault(row["run"], []).append(one)
        runs = [_run(row, tuple(scenarios.get(row["id"], ()))) for row in self._rows("run")]
        return sorted(runs, key=lambda run: (run.started_ns, run.name))

    def _rows(self, table: str) -> list[dict[str, Any]]:
        cursor = self._db.execute(f"SELECT * FROM {table} ORDER BY id")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def _insert(self, table: str, **values: object) -> int:
        marks = ", ".join("?" * len(values))
        cursor = self._db.execute(
            f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values())
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    """The database at ``path``, made or migrated if need be.

    Raises:
        HarnessError: it is damaged, of a newer harness, no database of the trend's, in use by
            another for long, or cannot be written. Whatever it was, the runs are as they were.
    """
    try:
        with closing(sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            _prepare(connection, path)
            yield Store(connection)
    except sqlite3.Error as error:
        raise _told(error, path) from error


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version, application = _stamp(connection)
    if version > len(MIGRATIONS) and application == _APPLICATION:
        raise HarnessError(
            f"{path} is of a newer harness (schema {version}, this one knows {len(MIGRATIONS)})",
            hint="check out the newer code, or name another folder of reports",
        )
    if version == len(MIGRATIONS) and application == _APPLICATION:
        return
    with Store(connection).writing():
        version, application = _stamp(connection)  # another may have been quicker
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and application != _APPLICATION:
            raise HarnessError(
                f"{path} is a database of something else", hint="name another folder of reports"
            )
        for script in MIGRATIONS[version:]:
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _stamp(connection: sqlite3.Connection) -> tuple[int, int]:
    """(version of the schema, application) of the file."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    return int(version), int(application)


def _told(error: Exception, path: Path) -> HarnessError:
    said = one_line(str(error), 120)
    code = getattr(error, "sqlite_errorname", "")
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return HarnessError(
            f"{path} is being written by another harness", hint="try again when that has ended"
        )
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_FULL")):
        return HarnessError(
            f"{path} cannot be written: {said}",
            hint="see to rights and free space; a reports folder made by root wants sudo",
        )
    return HarnessError(
        f"{path} is damaged: {said}",
        hint="move it away, and harness trend makes a new one of the runs that are still there",
    )


def _scenario(row: dict[str, Any], checks: tuple[CheckLine, ...]) -> ScenarioLine:
    return ScenarioLine(
        name=row["name"],
        feature=row["feature"],
        slug=row["slug"],
        verdict=Verdict(row["verdict"]),
        attempts=tuple(Verdict(one) for one in json.loads(row["attempts"])),
        stall_s=row["stall_s"],
        bound_s=row["bound_s"],
        phases=dict(json.loads(row["phases"])),
        failovers=row["failovers"],
        fencings=row["fencings"],
        writes=row["writes"],
        seconds=row["seconds"],
        why=row["why"],
        checks=checks,
    )


def _run(row: dict[str, Any], scenarios: tuple[ScenarioLine, ...]) -> RunLine:
    seed = row["seed"]
    return RunLine(
        name=row["name"],
        started_ns=row["started_ns"],
        ended_ns=row["ended_ns"],
        digest=row["digest"],
        folder=row["folder"],
        series=row["series"],
        accelerator=row["accelerator"],
        profile=row["profile"],
        host=row["host"],
        config=row["config"],
        code=row["code"],
        versions=dict(json.loads(row["versions"])),
        harness=row["harness"],
        seed=None if seed is None else int(seed),
        command=row["command"],
        injecting=bool(row["injecting"]),
        verdict=Verdict(row["verdict"]),
        scenarios=scenarios,
    )
