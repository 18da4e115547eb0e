"""The seams at which one step of an act is made to fail: database, HSM, file store.

Nothing of the application is replaced by a dummy. The faults are real ones: PostgreSQL itself refuses a statement or ends the connection,
the write of a file exceeds a limit of the kernel. SQLite has no server that could fail, so there the driver's error is raised.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, event
from sqlalchemy.orm import Session

from hsm import HSM, HSMUnavailable
from hsm.session import IV
from hsm.token import Operations
from sifilma.documents.models import StoredFile
from sifilma.documents.store import DatabaseStore
from sifilma.kernel.db import db
from sifilma.kernel.errors import Unavailable
from sifilma.resources import attach, resources
from tests.support.world import World

T = TypeVar("T")
DISK_FULL = "DO $$ BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '53100'; END $$"
SQLITE_FAULT = "disk I/O error"


class Step(StrEnum):
    """The kinds of steps, each with the way in which it fails."""

    STATEMENT = "statement refused"
    CONNECTION = "connection lost at a statement"
    COMMIT = "commit refused"
    ANSWER = "commit done, its answer lost"
    HSM = "HSM call"
    FILE = "file write"
    MESSAGE = "message"


@dataclass
class Trap:
    """Counts the steps of one kind since it was set, and fails the `nth` of them (0: none)."""

    step: Step | None = None
    nth: int = 0
    counts: dict[Step, int] = field(default_factory=dict)
    hit: bool = False

    def falls(self, step: Step) -> bool:
        """Count a step. Return whether it must fail."""
        self.counts[step] = self.counts.get(step, 0) + 1
        if step is not self.step or self.counts[step] != self.nth:
            return False
        self.hit = True
        return True


class Seams:
    """The seams of one world. They count and fail nothing until `trapped` sets a trap."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._trap: Trap | None = None
        with world.app.app_context():
            self._engine = db.engine
        self.is_postgresql = self._engine.dialect.name == "postgresql"
        hold_database(self._engine, self.falls)
        held = resources(world.app)
        hsm = WatchedHSM(world.hsm, self.falls)
        attach(world.app, replace(held, hsm=hsm, files=ScarceStore(self.falls)))
        self.hsm, self.files = hsm, resources(world.app).files

    @property
    def steps(self) -> list[Step]:
        """The kinds of steps that can fail here: SQLite has no connection that could be lost."""
        return [step for step in Step if self.is_postgresql or step not in (Step.CONNECTION, Step.ANSWER)]

    def falls(self, step: Step) -> bool:
        """Count a step. Return whether it must fail."""
        return self._trap is not None and self._trap.falls(step)

    @contextmanager
    def trapped(self, step: Step | None = None, nth: int = 0) -> Iterator[Trap]:
        """Count the steps within the block, and fail the `nth` of one kind."""
        self._trap = Trap(step, nth)
        try:
            yield self._trap
        finally:
            self._trap = None


Falls = Callable[[Step], bool]


def hold_database(engine: Engine, falls: Falls) -> None:
    """Attach to every statement and every commit of an engine."""

    def execute(cursor: Any, *_more: Any) -> None:
        pass_statement(cursor, falls)

    def prepared(_connection: Any, cursor: Any, _text: str, _values: Any, context: Any, _many: bool) -> None:
        if context is None:  # of `sifilma.kernel.statements.prepared`, which sends it past SQLAlchemy's execution
            pass_statement(cursor, falls)

    for name in ("do_execute", "do_execute_no_params", "do_executemany"):
        event.listen(engine, name, execute)
    event.listen(engine, "before_cursor_execute", prepared)
    event.listen(engine, "commit", lambda connection: pass_commit(connection, falls))


def pass_statement(cursor: Any, falls: Falls) -> None:
    """Count a statement that is about to be sent, and let it fail where the trap says so."""
    if falls(Step.STATEMENT):
        refuse(cursor)
    if falls(Step.CONNECTION):
        end_connection(cursor.connection)


def pass_commit(connection: Connection, falls: Falls) -> None:
    """Count a commit that is about to be sent. A lost answer is one to a commit that was done."""
    driver: Any = connection.connection.dbapi_connection
    is_lost, is_unanswered = falls(Step.COMMIT), falls(Step.ANSWER)
    if is_unanswered:
        driver.execute("COMMIT")
    if is_lost or is_unanswered:
        break_off(connection, driver)


def refuse(cursor: Any) -> None:
    """Have the database refuse the next statement: on PostgreSQL its transaction is broken from then on."""
    if isinstance(cursor, sqlite3.Cursor):
        raise sqlite3.OperationalError(SQLITE_FAULT)
    cursor.execute(DISK_FULL)


def break_off(connection: Connection, driver: Any) -> None:
    """Let a commit fail as SQLAlchemy sees it fail: on PostgreSQL the connection is gone, on SQLite the driver raises."""
    try:
        if isinstance(driver, sqlite3.Connection):
            raise sqlite3.OperationalError(SQLITE_FAULT)
        end_connection(driver)
        driver.execute("COMMIT")
    except (sqlite3.Error, psycopg.Error) as fault:
        # The call of SQLAlchemy's own commit. Raised from an event the error would pass it by.
        connection._handle_dbapi_exception(fault, None, None, None, None)


def end_connection(driver: Any) -> None:
    """Have PostgreSQL end the process that serves this connection, and wait until it is gone (5 s at most)."""
    info, until = driver.info, time.monotonic() + 5
    with psycopg.connect(info.dsn, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (info.backend_pid,))
        # PostgreSQL's own waiting looks ten times a second only.
        while other.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (info.backend_pid,)).fetchone():
            if time.monotonic() > until:
                raise TimeoutError("the connection was not ended")
            time.sleep(0.001)


class WatchedHSM(HSM):
    """The token of a world, whose operations are counted one by one. A failing one raises what a caller sees when the token is away."""

    def __init__(self, token: HSM, falls: Falls) -> None:
        super().__init__(token.config, token._before_call)
        self.falls = falls

    def run(self, function: Callable[[Operations], T]) -> T:
        """Run the function with counted operations."""
        return super().run(lambda do: function(WatchedOperations(do.session, self)))


class WatchedOperations(Operations):
    """Counts each operation before the token does it."""

    _hsm: WatchedHSM

    def _pass(self) -> None:
        if self._hsm.falls(Step.HSM):
            raise HSMUnavailable("planted")

    def sign(self, label: str, digest: bytes) -> bytes:
        self._pass()
        return super().sign(label, digest)

    def hmac(self, label: str, message: bytes) -> bytes:
        self._pass()
        return super().hmac(label, message)

    def derive_open_key(self, version: int, uid: bytes) -> bytes:
        self._pass()
        return super().derive_open_key(version, uid)

    def seal(self, label: str, plaintext: bytes, associated_data: bytes) -> bytes:
        self._pass()
        return super().seal(label, plaintext, associated_data)

    def open_sealed(self, label: str, sealed: bytes, associated_data: bytes, iv: int = IV) -> bytes:
        self._pass()
        return super().open_sealed(label, sealed, associated_data, iv)


class ScarceStore(DatabaseStore):
    """The world's file store. A failing `put` gets no further than the row of the file: none of its parts is stored."""

    def __init__(self, falls: Falls) -> None:
        super().__init__()
        self._falls = falls

    def put(self, session: Session, data: bytes) -> str:
        """Store the bytes, or raise Unavailable amid it."""
        if not self._falls(Step.FILE):
            return super().put(session, data)
        session.add(StoredFile(sha256=hashlib.sha256(data).hexdigest(), size=len(data), parts=1))
        session.flush()
        raise Unavailable("The file could not be stored; nothing was changed.", type="file-store-unavailable")
