"""How long PostgreSQL keeps a plan for all values: for the statements that say so, and no longer than a transaction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import errors
from sqlalchemy import Engine, Integer, bindparam, func, insert, literal, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from sifilma.documents.models import StoredFile
from sifilma.kernel import db
from sifilma.kernel.db import make_engine
from sifilma.kernel.statements.driver import DeadlineConnection
from sifilma.kernel.statements.prepared import ONE_PLAN, Prepared
from sifilma.kernel.unit_of_work import UnitOfWork
from tests.support.counting import counted

FOR_ALL = Prepared(select(func.current_setting("plan_cache_mode")).where(bindparam("one", 1) == 1), one_plan=True)
FOR_THEIRS = text("SELECT current_setting('plan_cache_mode')")
OF_SIZE = Prepared(select(StoredFile.sha256).where(StoredFile.size == bindparam("size")), one_plan=True)


@pytest.fixture
def engine(postgresql_url: str) -> Iterator[Engine]:
    made = make_engine(postgresql_url, pool_size=1)
    yield made
    made.dispose()


@pytest.fixture
def unit(engine: Engine) -> Iterator[UnitOfWork]:
    made = UnitOfWork(sessionmaker(engine))
    yield made
    made.close()


def mode(session: Session) -> str:
    return str(session.scalar(FOR_THEIRS))


def driver(session: Session) -> DeadlineConnection:
    connection: Any = session.connection().connection.dbapi_connection
    assert isinstance(connection, DeadlineConnection)
    return connection


def test_only_the_statements_that_say_so_are_planned_for_all_values(unit: UnitOfWork) -> None:
    for begin in (unit.begin_read, unit.begin_write, unit.begin_snapshot):
        begin()
        assert mode(unit.session) == "auto"
        assert FOR_ALL.first(unit.session, {}) == ("force_generic_plan",)
        assert [tuple(row) for row in FOR_ALL.all(unit.session, {})] == [("force_generic_plan",)]
        assert mode(unit.session) == "auto"
        unit.rollback()


def test_its_plan_is_made_once(unit: UnitOfWork) -> None:
    unit.begin_read()
    for size in range(12):
        OF_SIZE.all(unit.session, {"size": size})
        unit.session.execute(select(StoredFile.parts).where(StoredFile.size == size)).all()
    query = text("SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE :mark")
    plans = unit.session.execute(query, {"mark": f"%{ONE_PLAN} %"}).all()
    assert [(generic > 5, custom) for generic, custom in plans] == [(True, 0)]


def test_what_is_prepared_outlasts_a_rollback_and_a_rest(engine: Engine, unit: UnitOfWork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "PING_AFTER", 0.0)
    for end in (unit.rollback, unit.end_read, unit.close):
        unit.begin_read()
        OF_SIZE.all(unit.session, {"size": 1})
        end()
    with engine.connect() as connection:
        connection.execute(insert(StoredFile).values(sha256="b" * 64, size=9, parts=1))
        connection.rollback()
        assert connection.scalar(text("SELECT COUNT(*) FROM stored_file WHERE size = 9")) == 0
        kept = connection.execute(text("SELECT generic_plans FROM pg_prepared_statements WHERE statement LIKE '%one plan%'")).all()
    assert kept == [(3,)]


def test_statements_that_follow_each_other_share_a_transaction_which_ends_with_them(engine: Engine, unit: UnitOfWork) -> None:
    unit.begin_read()
    with counted(engine) as found:
        for size in range(3):
            OF_SIZE.all(unit.session, {"size": size})
    assert len(found.statements) == 3
    assert driver(unit.session).info.transaction_status.name == "INTRANS"
    assert mode(unit.session) == "auto"
    assert driver(unit.session).info.transaction_status.name == "IDLE"


@pytest.mark.parametrize("end", ["commit", "rollback", "end_read"])
def test_neither_setting_nor_transaction_outlives_the_unit(unit: UnitOfWork, end: str) -> None:
    for begin in (unit.begin_read, unit.begin_write):
        begin()
        OF_SIZE.all(unit.session, {"size": 1})
        connection = driver(unit.session)
        getattr(unit, end)()
        assert (connection.plans_for_all, connection.info.transaction_status.name) == (False, "IDLE")
        assert connection.execute("SHOW plan_cache_mode").fetchone() == ("auto",)
        connection.rollback()


def test_a_fault_amid_them_leaves_a_connection_that_serves(unit: UnitOfWork) -> None:
    unit.begin_read()
    OF_SIZE.all(unit.session, {"size": 1})
    broken = Prepared(select(literal(1) // bindparam("by", type_=Integer)), one_plan=True)
    with pytest.raises(DBAPIError) as caught:
        broken.all(unit.session, {"by": 0})
    assert isinstance(caught.value.orig, errors.DivisionByZero)
    assert mode(unit.session) == "auto"
    assert FOR_ALL.first(unit.session, {}) == ("force_generic_plan",)


def test_one_that_fails_keeps_no_other_from_its_rows(unit: UnitOfWork) -> None:
    broken = Prepared(select(literal(1) // bindparam("by", type_=Integer)), one_plan=True)
    unit.begin_read()
    for _ in range(3):
        with pytest.raises(DBAPIError):
            broken.all(unit.session, {"by": 0})
        assert FOR_ALL.first(unit.session, {}) == ("force_generic_plan",)
    unit.rollback()
    unit.begin_write()
    with pytest.raises(DBAPIError), unit.session.begin_nested():
        broken.all(unit.session, {"by": 0})
    assert FOR_ALL.first(unit.session, {}) == ("force_generic_plan",)
    assert mode(unit.session) == "auto"


def test_what_is_written_after_them_is_written(engine: Engine) -> None:
    with Session(engine) as session:
        OF_SIZE.all(session, {"size": 7})
        with session.begin_nested():
            session.add(StoredFile(sha256="a" * 64, size=7, parts=1))
        assert [row.sha256 for row in OF_SIZE.all(session, {"size": 7})] == ["a" * 64]
        with session.begin_nested() as point:
            OF_SIZE.all(session, {"size": 7})
            point.rollback()
        assert mode(session) == "auto"
        session.commit()
    with Session(engine) as session:
        assert [row.sha256 for row in OF_SIZE.all(session, {"size": 7})] == ["a" * 64]
