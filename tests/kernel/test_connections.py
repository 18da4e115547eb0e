"""Connections that hang, die or fail, on both databases."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from sifilma.documents.numbering import DocumentCounter
from sifilma.identity.models import ApiKey
from sifilma.kernel import db, deadline
from sifilma.kernel.db import make_engine
from sifilma.kernel.ids import uuid7
from sifilma.kernel.unit_of_work import UnitOfWork
from tests.support.databases import Cluster

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def test_a_frozen_postgresql_is_given_up_at_the_deadline_and_works_afterwards(pg_cluster: Cluster, postgresql_url: str) -> None:
    engine = make_engine(postgresql_url, pool_size=1)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    with pg_cluster.frozen():
        started = time.monotonic()
        with deadline.limit(0.7), pytest.raises(OperationalError), engine.connect() as connection:
            connection.execute(text("SELECT 1"))
        assert time.monotonic() - started < 2
    with deadline.limit(5), engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    engine.dispose()


def test_a_connection_that_hangs_in_its_ping_takes_the_deadline_once(
    pg_cluster: Cluster, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(postgresql_url, pool_size=1)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    monkeypatch.setattr(db, "PING_AFTER", -1.0)
    with pg_cluster.frozen():
        started = time.monotonic()
        with deadline.limit(0.7), pytest.raises(OperationalError), engine.connect():
            pass
        assert time.monotonic() - started < 1.5
    with deadline.limit(5), engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    engine.dispose()


def test_a_connection_that_died_while_idle_is_replaced_without_an_error(pg_cluster: Cluster, postgresql_url: str) -> None:
    engine = make_engine(postgresql_url, pool_size=1)
    with engine.connect() as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar()
    other = make_engine(postgresql_url, pool_size=1)
    with other.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    other.dispose()
    time.sleep(1.2)  # longer than PING_AFTER
    with engine.connect() as connection:
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar() != pid
    engine.dispose()


@pytest.mark.parametrize("end", [UnitOfWork.rollback, UnitOfWork.close], ids=["rollback", "close"])
def test_a_transaction_whose_connection_died_unnoticed_ends_without_a_fault(postgresql_url: str, end: Callable[[UnitOfWork], None]) -> None:
    engine, other = make_engine(postgresql_url, pool_size=1), make_engine(postgresql_url, pool_size=1)
    lost = UnitOfWork(sessionmaker(engine))
    lost.session.add(DocumentCounter(series="BA", year=2026, last=1))
    lost.session.flush()
    pid = lost.session.scalar(text("SELECT pg_backend_pid()"))
    with other.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 2000)"), {"pid": pid})
    end(lost)
    assert lost.session.scalar(select(func.count()).select_from(DocumentCounter)) == 0
    lost.close()
    engine.dispose()
    other.dispose()


def test_sqlite_readers_do_not_wait_for_a_writer(sqlite_url: str) -> None:
    engine = make_engine(sqlite_url, pool_size=3)
    made = sessionmaker(engine)
    with made() as writer, writer.begin():
        writer.add(DocumentCounter(series="BA", year=2026, last=1))
        writer.flush()
        reader = UnitOfWork(made)
        reader.begin_read()
        assert reader.session.scalar(select(func.count()).select_from(DocumentCounter)) == 0
        reader.close()
    engine.dispose()


def test_a_connection_whose_commit_failed_does_not_keep_the_write_lock(sqlite_url: str) -> None:
    """SQLAlchemy takes a transaction for ended when its COMMIT has failed, but in SQLite it is still open."""
    engine, other = make_engine(sqlite_url, pool_size=1), make_engine(sqlite_url, pool_size=1)
    with Session(engine) as session:
        session.execute(text("PRAGMA defer_foreign_keys = ON"))  # so that the COMMIT fails, as it does when the disk is full
        key = {
            "id": uuid7(),
            "organisation_id": uuid7(),
            "name": "",
            "prefix": "",
            "key_hash": "",
            "scopes": "",
            "created_at": NOW,
            "expires_at": NOW,
        }
        session.execute(insert(ApiKey), key)
        with pytest.raises(IntegrityError):
            session.commit()
    for one in (other, engine):
        with Session(one) as session:
            session.execute(delete(ApiKey))
            session.commit()
        one.dispose()
