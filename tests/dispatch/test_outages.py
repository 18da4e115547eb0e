"""What is an outage, and what is a row's own fault: by the faults that real databases raise."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from hsm.errors import HSMCredential, HSMKeyMissing, HSMMisuse, HSMUnavailable
from sifilma.dispatch.outages import HSM, SERVICE, outage_of
from sifilma.kernel.db import make_engine
from sifilma.kernel.errors import Conflict, Invalid, Unavailable


@pytest.mark.parametrize(
    ("fault", "away"),
    [
        (HSMUnavailable("x"), HSM),
        (HSMCredential("x"), HSM),
        (HSMKeyMissing("x"), HSM),
        (HSMMisuse("x"), ""),
        (Unavailable("x"), SERVICE),
        (OSError("no space left on device"), SERVICE),
        (PoolTimeout(), SERVICE),
        (ValueError("x"), ""),
        (OverflowError("x"), ""),
        (KeyError("x"), ""),
        (Conflict("x"), ""),
        (Invalid("x"), ""),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "x"), ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_faults_outside_the_database(fault: Exception, away: str) -> None:
    assert outage_of(fault) == away


def fault_of(connection: Connection, statement: str, **values: object) -> DBAPIError:
    with pytest.raises(SQLAlchemyError) as refused:
        connection.execute(text(statement), values)
    connection.rollback()
    assert isinstance(refused.value, DBAPIError)
    return refused.value


def test_what_postgresql_says_of_a_row_is_no_outage(postgresql_url: str) -> None:
    engine = make_engine(postgresql_url, pool_size=2)
    with engine.connect() as connection:
        for statement, values in (
            ("SELECT 1 / 0", {}),
            ("SELECT CAST(:x AS INTEGER)", {"x": "tujuh"}),
            ("SELECT CAST(:x AS TEXT)", {"x": "a\x00b"}),
            ("SELECT 2147483647 + 1", {}),
            ("INSERT INTO throttle (subject) VALUES ('x')", {}),
        ):
            assert outage_of(fault_of(connection, statement, **values)) == "", statement
        for statement in (
            "SELECT * FROM nowhere",
            "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '53100'; END $$",
            "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '25006'; END $$",
            "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END $$",
            "SET LOCAL statement_timeout = 10; SELECT pg_sleep(1)",
        ):
            assert outage_of(fault_of(connection, statement)) == SERVICE, statement
        assert outage_of(fault_of(connection, "SELECT pg_terminate_backend(pg_backend_pid())")) == SERVICE
    engine.dispose()


def test_what_sqlite_says_of_a_row_is_no_outage(tmp_path: Path) -> None:
    path = tmp_path / "one.db"
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 0})
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER NOT NULL UNIQUE CHECK (x > 0))"))
        connection.commit()
        for statement in ("INSERT INTO t VALUES (NULL)", "INSERT INTO t VALUES (0)", "INSERT INTO t VALUES (1), (1)"):
            assert outage_of(fault_of(connection, statement)) == "", statement
        other = sqlite3.connect(path)
        other.execute("BEGIN IMMEDIATE")
        assert outage_of(fault_of(connection, "INSERT INTO t VALUES (1)")) == SERVICE
        other.close()
        path.write_bytes(b"x" * 4096)
        assert outage_of(fault_of(connection, "SELECT * FROM t")) == SERVICE
    engine.dispose()
