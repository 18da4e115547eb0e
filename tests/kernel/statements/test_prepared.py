"""Statements compiled once do what SQLAlchemy's own way does. They use its private parts: the versions they were checked with are named."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import bindparam, event, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from sifilma.identity.models import Organisation
from sifilma.kernel import triggers
from sifilma.kernel.db import make_engine
from sifilma.kernel.ids import uuid7
from sifilma.kernel.statements import built_once, driver
from sifilma.kernel.statements.prepared import Prepared, run_all

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
CHECKED_WITH = {"2.1.9"}
"""The versions of SQLAlchemy that `sifilma/kernel/statements/prepared.py` was read against."""
TO_CHECK = """
sifilma/kernel/statements/prepared.py uses what SQLAlchemy does not promise to keep. Before {version} goes into CHECKED_WITH, look into
its source:
- SQLCompiler: `bind_names`, `positiontup`, `_bind_processors`, `_result_columns` and their entries' `keyname` and `type`; whether a
  bindparam's `required` and `effective_value` mean what they did; whether a processor is a tuple for expanding parameters only.
- Types: `dialect_impl(dialect).result_processor(dialect, None)` gives the processor of a column.
- Connection and Engine: `_has_events`, and the arguments of `dispatch.before_cursor_execute`; `connection.connection.cursor()`.
- Faults: `dialect.is_disconnect`, `DBAPIError.instance(...)`, `dialect.loaded_dbapi`.
- A dialect's `statement_compiler` may be inherited from; its `visit_bindparam` writes a value, or a list of them, with `literal_binds`.
- `sifilma/kernel/statements/built_once.py`: a cache key names the parameters in their order; `BindParameter.callable` is called at
  execution, for the statement that was compiled and for those of the same key; a prefix of a select is part of its key.
- `make bench`: SQLAlchemy's own way may have become fast enough to leave this module out.
The tests of this file, of tests/activation/issuing and of tests/faults must pass."""

COLUMNS = (Organisation.id, Organisation.name, Organisation.region_code, Organisation.created_at)
BY_ID = select(*COLUMNS).where(Organisation.id == bindparam("wanted"))
ADD = insert(Organisation).values(
    {name: bindparam(name) for name in ("id", "name", "region_code", "created_at")} | {"kind": "institution", "address": "", "version": 1}
)
RENAME = update(Organisation).where(Organisation.name == bindparam("old")).values(name=bindparam("new")).returning(Organisation.id)


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    engine = make_engine(database_url, pool_size=2)
    with engine.begin() as connection:  # organisations serve as rows here: no act makes them
        for rule in triggers.rules():
            if rule.table == "organisation":
                connection.execute(text(f"DROP TRIGGER {rule.full_name}{' ON organisation' if engine.name == 'postgresql' else ''}"))
    with Session(engine) as made:
        yield made
    engine.dispose()


def organisation(name: str) -> dict[str, Any]:
    return {"id": uuid7(), "name": name, "region_code": None, "created_at": NOW}


def test_the_installed_sqlalchemy_is_one_that_was_checked() -> None:
    assert sqlalchemy.__version__ in CHECKED_WITH, TO_CHECK.format(version=sqlalchemy.__version__)


def test_a_row_is_the_one_that_sqlalchemy_reads(session: Session) -> None:
    added = organisation("A")
    Prepared(ADD).first(session, added)
    found = Prepared(BY_ID).first(session, {"wanted": added["id"]})
    assert found == tuple(session.execute(BY_ID, {"wanted": added["id"]}).one())
    assert found == (added["id"], "A", None, NOW)
    assert (found.id, found.region_code, found.created_at) == (added["id"], None, NOW)
    assert Prepared(BY_ID).first(session, {"wanted": uuid7()}) is None


def test_listeners_see_every_statement(session: Session) -> None:
    seen: list[str] = []
    event.listen(session.get_bind(), "before_cursor_execute", lambda _c, _cursor, statement, *_more: seen.append(statement))
    Prepared(BY_ID).first(session, {"wanted": uuid7()})
    assert [statement.split()[0] for statement in seen if "organisation" in statement] == ["SELECT"]


def test_a_refusal_of_the_database_is_sqlalchemys(session: Session) -> None:
    twice, statement = organisation("A"), Prepared(ADD)
    statement.first(session, twice)
    with pytest.raises(IntegrityError, match=r"(?i)unique constraint"):
        statement.first(session, twice)


def test_writes_that_run_together_say_which_touched_no_row(session: Session) -> None:
    add, rename = Prepared(ADD), Prepared(RENAME)
    assert run_all(session, [(add, organisation("A")), (rename, {"old": "A", "new": "B"})]) is None
    assert session.scalars(select(Organisation.name)).all() == ["B"]
    assert run_all(session, [(add, organisation("C")), (rename, {"old": "A", "new": "D"})]) == 1


def test_writes_of_which_one_fails_leave_a_connection_that_writes_them_later(session: Session) -> None:
    """Psycopg takes a statement for prepared as soon as it has sent it, also behind one that fails."""
    add, rename = Prepared(ADD), Prepared(RENAME)
    there = organisation("there")
    run_all(session, [(add, there)])
    session.commit()
    for _ in range(12):
        with pytest.raises(IntegrityError):
            run_all(session, [(add, there), (rename, {"old": "A", "new": "B"})])
        session.rollback()
        assert run_all(session, [(add, organisation("A")), (rename, {"old": "A", "new": "B"})]) is None
        session.rollback()


def test_what_is_always_the_same_stands_in_a_statement_of_one_plan(session: Session) -> None:
    wanted = organisation("50%' OR ''") | {"name": "50%' OR ''"}
    Prepared(ADD).first(session, wanted)
    query = select(Organisation.id).where(Organisation.name.in_(["50%' OR ''", "B"]), Organisation.version == 1)
    found = Prepared(query.where(Organisation.created_at <= bindparam("until")), one_plan=True)
    assert [row.id for row in found.all(session, {"until": NOW})] == [wanted["id"]]
    assert found.first(session, {"until": NOW - timedelta(days=1)}) is None
    made = found.compiled(session.connection().dialect)
    assert (made.text.count("'' OR ''''"), made.literals) == (1, {})


def test_a_parameter_may_be_a_call_that_is_made_at_each_execution(session: Session) -> None:
    for name in ("A", "B"):
        Prepared(ADD).first(session, organisation(name))
    names = iter(["A", "B"])
    named = Prepared(select(Organisation.name).where(Organisation.name == bindparam("name", callable_=lambda: next(names))))
    assert [named.first(session, {}), named.first(session, {})] == [("A",), ("B",)]


def test_a_list_of_ids_is_one_value_of_any_length(session: Session) -> None:
    rows = [organisation(name) for name in "ABC"]
    for row in rows:
        Prepared(ADD).first(session, row)
    query = select(Organisation.name).where(built_once.one_of_given(Organisation.id, "ids")).order_by(Organisation.name)
    listed = Prepared(query, one_plan=True)
    for count in (0, 1, 3):
        assert [row.name for row in listed.all(session, {"ids": [row["id"] for row in rows[:count]]})] == ["A", "B", "C"][:count]


def test_a_long_statement_is_read_once_and_takes_other_values_each_time(postgresql_url: str) -> None:
    engine, names = make_engine(postgresql_url), [f"p{number}" for number in range(400)]
    statement = text("SELECT " + " + ".join(f"CAST(:{name} AS int)" for name in [*names, "p7"]))
    with engine.connect() as connection:
        assert connection.scalar(statement, dict.fromkeys(names, 1)) == 401
        before = driver._as_sent.cache_info()
        assert connection.scalar(statement, dict.fromkeys(names, 1) | {"p7": 100}) == 599
        after = driver._as_sent.cache_info()
    engine.dispose()
    assert (after.hits - before.hits, after.misses) == (1, before.misses)
