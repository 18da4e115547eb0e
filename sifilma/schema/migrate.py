"""Migrate a database to the code's schema, under a lock and with time-outs, and check whether it has this schema."""

from __future__ import annotations

import fcntl
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import URL

from sifilma.kernel import triggers
from sifilma.kernel.db import make_engine, normalise_url
from sifilma.kernel.errors import Conflict
from sifilma.schema import tables

FOLDER = Path(__file__).resolve().parents[2] / "migrations"
SEALED_SINCE = "0020"
"""The revision that brings seals. Rows of before have none."""
LOCK_ID = 0x51F11A  # of an advisory lock; any number that no other lock of this database has


@dataclass(frozen=True)
class SchemaCheck:
    """The result of `sifilma db check`. Its lists are empty and the heads equal if the database fits the code."""

    database_head: str | None
    code_head: str | None
    differences: list[str] = field(default_factory=list)
    missing_rules: list[str] = field(default_factory=list)
    unknown_rules: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Return whether schema, triggers and revision are what the code expects."""
        return self.database_head == self.code_head and not (self.differences or self.missing_rules or self.unknown_rules)


def configuration(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration, made in code: an ini file would have to be kept in step."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("recursive_version_locations", "true")  # the older ones have folders of their own
    config.attributes["connection"] = connection
    return config


@cache
def head() -> str | None:
    """Return the newest revision that the code knows."""
    return ScriptDirectory.from_config(configuration()).get_current_head()


@cache
def known() -> frozenset[str]:
    """Return every revision that the code can migrate from, the newest included."""
    return frozenset(one.revision for one in ScriptDirectory.from_config(configuration()).walk_revisions())


def upgrade(url: str | URL, revision: str = "head", seal: Callable[[Connection, str], None] | None = None) -> None:
    """Migrate forward to `revision` in one transaction. Raise Conflict at once if another migration is running.

    `seal` is called in the same transaction, with the triggers in place and the revision the database came from: what stands may have no
    seals yet, or seals that do not cover the columns that are covered now.

    Triggers are removed first and installed last (only at the head), in the same transaction, so no other session sees unguarded data.
    They would refuse what a migration must change, and SQLite drops those of a table it rebuilds.
    """
    from alembic import command  # noqa: PLC0415  # 14 MB that a server does not need

    engine = make_engine(url, pool_size=1)
    try:
        with migration_lock(engine) as connection:
            before = current(connection)
            triggers.uninstall(connection)
            command.upgrade(configuration(connection), revision)
            if revision in ("head", head()):
                triggers.install(connection)
                if seal is not None and before is not None and before != head():
                    seal(connection, before)
    finally:
        engine.dispose()


@contextmanager
def migration_lock(engine: Engine) -> Iterator[Connection]:
    """Give a connection with a transaction that only one migrator at a time can have. Commit it at the end of the block."""
    if engine.dialect.name == "sqlite":
        with _file_lock(engine), engine.connect() as connection:
            driver = connection.connection.dbapi_connection
            assert driver is not None  # noqa: S101
            driver.execute("PRAGMA foreign_keys=OFF")  # possible outside a transaction only; rebuilding a table needs it, checked below
            yield connection
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
            if broken:
                connection.rollback()
                raise Conflict(f"the migration would leave a row of {broken[0]} without what it refers to")
            connection.commit()
    else:
        with engine.begin() as connection:
            # A migration that waits for a lock makes every later query on the table wait behind it, so it gives up soon.
            connection.execute(text("SET LOCAL lock_timeout = '5s'"))
            connection.execute(text("SET LOCAL statement_timeout = '600s'"))
            if not connection.execute(text("SELECT pg_try_advisory_xact_lock(:id)"), {"id": LOCK_ID}).scalar():
                raise Conflict("another migration is running")
            yield connection


@contextmanager
def _file_lock(engine: Engine) -> Iterator[None]:
    """Hold a lock on a file beside the database. The file stays afterwards.

    If it were deleted, one process could hold a lock on the deleted file while another locks a new file of the same name.
    """
    path = Path(f"{engine.url.database}.migrating")
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as busy:
            raise Conflict("another migration is running") from busy
        yield


def current(connection: Connection) -> str | None:
    """Return the revision that the database has."""
    return MigrationContext.configure(connection).get_current_revision()


def check(url: str | URL) -> SchemaCheck:
    """Compare the database behind a URL with the code."""
    engine = make_engine(normalise_url(str(url)) if isinstance(url, str) else url, pool_size=1)
    try:
        with engine.connect() as connection:
            return compare(connection)
    finally:
        engine.dispose()


def _engine_differences(connection: Connection) -> Iterator[str]:
    """Yield what is wrong with the schema of the engine that dispatches work: migration 0043 notes its version there."""
    if connection.dialect.name == "postgresql":
        noted = connection.scalar(text("SELECT obj_description(to_regnamespace('procrastinate'), 'pg_namespace')"))
        if noted != (expected := f"procrastinate {version('procrastinate')}"):
            yield f"the schema procrastinate is of {noted or 'no version'}, the code needs {expected}"


def compare(connection: Connection) -> SchemaCheck:
    """Compare the database with the code: revision, tables, columns, indexes and triggers."""
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415  # as in `upgrade`

    migration = MigrationContext.configure(connection, opts={"compare_type": True, "target_metadata": tables.METADATA})
    with warnings.catch_warnings():
        # On SQLite it says of each index of an expression that it passes it over: they are made on PostgreSQL only.
        warnings.filterwarnings("ignore", "autogenerate skipping metadata-specified expression-based index")
        differences = [str(diff) for diff in compare_metadata(migration, tables.METADATA)]
    missing, unknown = triggers.missing(connection)
    return SchemaCheck(
        database_head=migration.get_current_revision(),
        code_head=head(),
        differences=differences + list(_engine_differences(connection)),
        missing_rules=sorted(missing),
        unknown_rules=sorted(unknown),
    )
