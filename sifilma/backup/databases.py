"""What a backup takes from a database and how it is brought back: SQLite by its own backup, PostgreSQL by pg_dump, pg_restore and COPY.

Bytes of files leave PostgreSQL by COPY in its binary form, in the snapshot of pg_dump: as hex they would be twice as many.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import URL

from sifilma.backup.archive import BLOCK, BackupRefused, Part
from sifilma.kernel.db import make_engine, normalise_url

SQLITE, DUMP, PARTS = "database.sqlite", "database.dump", "stored_part.copy"
COPIED = "stored_part (sha256, place, data)"
LEFT = r"^{own}_(new_\d{{14}}|drill_\d+)$"
"""The names of databases that are made beside one (a regular expression of PostgreSQL)."""
FACTS = {
    "schema": "SELECT version_num FROM alembic_version",
    "entries": "SELECT COUNT(*) FROM audit_entry",
    "cards": "SELECT COUNT(*) FROM card",
    "files": "SELECT COUNT(*) FROM stored_file",
    "bytes": "SELECT COALESCE(SUM(size), 0) FROM stored_file",
    "parts_of_files": "SELECT COUNT(*) FROM stored_part",
    "log": "SELECT COALESCE(MAX(size), 0) FROM log_checkpoint",
}
"""What is counted in the copy, and compared where it is restored."""


def facts_of(connection: Connection) -> dict[str, Any]:
    """Count what a backup says about its database."""
    return {name: _plain(connection.execute(text(query)).scalar()) for name, query in FACTS.items()}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else int(value)


@dataclass(frozen=True)
class Taken:
    """One moment of a database: the parts of it, read once and in this order, and what was counted in it."""

    parts: Iterator[Part]
    facts: dict[str, Any]


class Backed(Protocol):
    """A database that is backed up and brought back. Each method leaves what there is as it was, unless it returns."""

    def take(self, room: Path) -> Any:
        """Give a Taken as long as the block lasts. `room` is a folder for what must lie on a disk meanwhile."""

    def try_out(self, room: Path) -> Any:
        """Give an engine on a copy that is made of the parts in `room` and thrown away."""

    def replace(self, room: Path, check: Callable[[Engine], None], moment: datetime) -> str:
        """Put what the parts in `room` hold in the place of the database, if `check` passes. Return where the one of before is."""


def backed(url: str) -> Backed:
    """Return the way to back up the database of a URL."""
    parsed = normalise_url(url)
    return Sqlite(Path(parsed.database or "")) if parsed.get_backend_name() == "sqlite" else Postgresql(parsed)


@dataclass(frozen=True)
class Sqlite:
    """A database in a file."""

    path: Path

    @contextmanager
    def take(self, room: Path) -> Iterator[Taken]:
        """See Backed."""
        copy = room / SQLITE
        with (
            closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=30)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")
        try:
            with _engine(f"sqlite:///{copy}") as engine, engine.connect() as connection:
                facts = facts_of(connection.execution_options(sifilma_read_only=True))
            yield Taken(iter([(SQLITE, pieces_of(copy))]), facts)
        finally:
            _remove(copy)

    @contextmanager
    def try_out(self, room: Path) -> Iterator[Engine]:
        """See Backed."""
        with closing(sqlite3.connect(room / SQLITE)) as found:
            if found.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                raise BackupRefused("The database in the backup is damaged.")
        with _engine(f"sqlite:///{room / SQLITE}") as engine:
            yield engine

    def replace(self, room: Path, check: Callable[[Engine], None], moment: datetime) -> str:
        """See Backed."""
        with self.try_out(room) as engine:
            check(engine)
        new = room / SQLITE
        with closing(sqlite3.connect(new)) as found:  # `make_engine` may have left a WAL
            found.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            found.execute("PRAGMA journal_mode=DELETE")
        with new.open("rb") as file:
            os.fsync(file.fileno())
        if not self.path.exists():
            _remove(self.path)  # what is left of a database that is gone would be taken up by this one
            new.replace(self.path)
            return ""
        if readers := _who_has_open(self.path):
            raise BackupRefused(f"The database is in use by the processes {', '.join(readers)}: stop server and worker first.")
        before = self.path.with_name(f"{self.path.name}.before-{moment:%Y%m%d%H%M%S}")
        try:  # nothing of it may be left in its WAL, which the new one would take up
            with closing(sqlite3.connect(self.path, timeout=1)) as old:
                old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                old.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.DatabaseError:  # it is damaged: that may be why somebody restores
            for end in ("-wal", "-shm"):
                with suppress(FileNotFoundError):
                    self.path.with_name(self.path.name + end).rename(before.with_name(before.name + end))
        before.hardlink_to(self.path)
        new.replace(self.path)  # at no moment is there no database
        return str(before)


@dataclass(frozen=True)
class Postgresql:
    """A database of a PostgreSQL server. `into`: it is empty, and filled; otherwise one of another name is made, and takes its name."""

    url: URL
    into: bool = False

    @contextmanager
    def take(self, room: Path) -> Iterator[Taken]:
        """See Backed."""
        with closing(self._connect()) as held, _engine(self.url) as engine:
            held.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            held.execute("SET LOCAL statement_timeout = 0")
            snapshot = held.execute("SELECT pg_export_snapshot()").fetchone()
            assert snapshot is not None  # noqa: S101
            facts = {name: _plain(_one(held, query)) for name, query in FACTS.items()}
            dump = (
                "pg_dump", "--format=custom", "--compress=1", "--no-owner", "--no-privileges", "--lock-wait-timeout=30000",
                "--exclude-table-data=stored_part", f"--snapshot={snapshot[0]}",
            )  # fmt: skip
            yield Taken(iter([(DUMP, self._output(dump)), (PARTS, _copied(held))]), facts)
            engine.dispose()

    @contextmanager
    def try_out(self, room: Path) -> Iterator[Engine]:
        """See Backed."""
        name = f"{self.url.database}_drill_{os.getpid()}"
        with self._made(name) as url:
            self._fill(url, room)
            with _engine(url) as engine:
                yield engine
            with closing(self._connect("postgres")) as keeper:
                keeper.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def replace(self, room: Path, check: Callable[[Engine], None], moment: datetime) -> str:
        """See Backed."""
        own, stamp = str(self.url.database), f"{moment:%Y%m%d%H%M%S}"
        if self.into:
            self._fill(self.url, room)
            with _engine(self.url) as engine:
                check(engine)
            return ""
        new, before = f"{own}_new_{stamp}", f"{own}_before_{stamp}"
        with self._made(new) as url:
            self._fill(url, room)
            with _engine(url) as engine:
                check(engine)
            try:
                with closing(self._connect("postgres")) as keeper, keeper.transaction():
                    there = keeper.execute("SELECT 1 FROM pg_database WHERE datname = %s", (own,)).fetchone()
                    for name, other in ((own, before), (new, own)) if there else ((new, own),):
                        keeper.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(other)))
            except psycopg.errors.ObjectInUse as used:
                raise BackupRefused(f"The database {own} is in use: stop servers and worker first.") from used
        return f"the database {before}" if there else ""

    def _connect(self, database: str | None = None) -> psycopg.Connection[Any]:
        parts = self.url.translate_connect_args(username="user", database="dbname")
        options = {**parts, **dict(self.url.query)} | ({"dbname": database} if database else {})
        return psycopg.connect(**options, autocommit=True, connect_timeout=10)

    @contextmanager
    def _made(self, name: str) -> Iterator[URL]:
        """Make a database and give its URL. It is dropped if the block fails, and those that killed commands have left are.

        A lock on its name is held meanwhile: it goes with the process.
        """
        named = sql.Identifier(name)
        with closing(self._connect("postgres")) as keeper, ExitStack() as undo:
            self._drop_left(keeper)
            keeper.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (name,))
            try:
                keeper.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(named))
            except psycopg.errors.InsufficientPrivilege as refused:
                raise BackupRefused(
                    "This role may make no database: give it CREATEDB, or make an empty one and name it with --database URL."
                ) from refused
            undo.callback(self._drop, named)
            yield self.url.set(database=name)
            undo.pop_all()

    def _drop_left(self, keeper: psycopg.Connection[Any]) -> None:
        """Drop the databases of this one's restores and drills that nobody works on any more."""
        left = keeper.execute("SELECT datname FROM pg_database WHERE datname ~ %s", (LEFT.format(own=re.escape(str(self.url.database))),))
        for (name,) in left.fetchall():
            free = keeper.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (name,)).fetchone()
            if free == (True,):
                with suppress(psycopg.Error):  # a program that loads it may live longer than its command
                    keeper.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))

    def _drop(self, named: sql.Identifier) -> None:
        with suppress(psycopg.Error), closing(self._connect("postgres")) as keeper:
            keeper.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(named))

    def _fill(self, url: URL, room: Path) -> None:
        target = Postgresql(url)
        restore = ("pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", str(room / DUMP))
        done = subprocess.run(  # noqa: S603  # a program of PostgreSQL, no shell
            [*restore, "--dbname", target._conninfo()], env=target._environment(), capture_output=True, check=False
        )
        if done.returncode:
            raise BackupRefused(f"pg_restore failed: {done.stderr.decode(errors='replace').strip().splitlines()[-1:]}")
        with closing(target._connect()) as held, held.transaction():
            held.execute("SET LOCAL statement_timeout = 0")
            with held.cursor().copy(f"COPY {COPIED} FROM STDIN (FORMAT BINARY)") as copy:
                for piece in pieces_of(room / PARTS):
                    copy.write(piece)
        with closing(target._connect()) as held:
            held.execute("ANALYZE")

    def _output(self, command: tuple[str, ...]) -> Iterator[bytes]:
        """Yield what a program of PostgreSQL writes. Raise BackupRefused if it fails."""
        with subprocess.Popen(  # noqa: S603  # as above
            [*command, "--dbname", self._conninfo()], env=self._environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as running:
            assert running.stdout is not None  # noqa: S101
            assert running.stderr is not None  # noqa: S101
            while piece := running.stdout.read(BLOCK):
                yield piece
            told = running.stderr.read().decode(errors="replace").strip()
            if running.wait():
                raise BackupRefused(f"{command[0]} failed: {told.splitlines()[-1:]}")

    def _conninfo(self) -> str:
        """Return how to connect, without the password: a command line can be seen by everybody on the machine."""
        parts = self.url.translate_connect_args(username="user", database="dbname")
        parts.pop("password", None)
        named: dict[str, Any] = {**parts, **dict(self.url.query)}
        return psycopg.conninfo.make_conninfo("", **named)

    def _environment(self) -> dict[str, str]:
        return os.environ | ({"PGPASSWORD": str(self.url.password)} if self.url.password else {})


def pieces_of(path: Path) -> Iterator[bytes]:
    """Yield a file in pieces."""
    with path.open("rb") as file:
        while piece := file.read(BLOCK):
            yield piece


def _copied(held: psycopg.Connection[Any]) -> Iterator[bytes]:
    with held.cursor().copy(f"COPY {COPIED} TO STDOUT (FORMAT BINARY)") as copy:
        for piece in copy:
            yield bytes(piece)


def _one(held: psycopg.Connection[Any], query: str) -> Any:
    row = held.execute(query).fetchone()
    return row[0] if row else None


@contextmanager
def _engine(url: str | URL) -> Iterator[Engine]:
    engine = make_engine(url, pool_size=1)
    try:
        yield engine
    finally:
        engine.dispose()


def _remove(path: Path) -> None:
    for end in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def _who_has_open(path: Path) -> list[str]:
    """Return the ids of other processes that have a file open, as far as this account may see them (Linux)."""
    target, found = path.resolve(), []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        with suppress(OSError):
            if any(link.resolve() == target for link in (process / "fd").iterdir()):
                found.append(process.name)
    return found
