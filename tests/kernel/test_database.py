"""Transactions, recorded refusals, paging, idempotency keys and deadlines, on both databases."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import bindparam, func, select, text
from sqlalchemy.orm import Session, sessionmaker

from sifilma.documents.models import Document, StoredFile
from sifilma.documents.numbering import DocumentCounter
from sifilma.kernel import db, idempotency, paging
from sifilma.kernel.clock import ManualClock
from sifilma.kernel.context import Context
from sifilma.kernel.db import make_engine, normalise_url
from sifilma.kernel.errors import Conflict, Invalid
from sifilma.kernel.idempotency import Claim, StoredAnswer
from sifilma.kernel.ids import uuid7
from sifilma.kernel.paging import Order
from sifilma.kernel.statements.prepared import Prepared
from sifilma.kernel.unit_of_work import OpenTransaction, UnitOfWork, assert_no_transaction, own_reading
from tests.support.counting import counted
from tests.support.simultaneous_calls import run_simultaneously

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
DEADLINE = 10.0
CREATED = StoredAnswer(201, "application/json", b"{}")


@pytest.fixture
def sessions(database_url: str) -> Iterator[sessionmaker[Session]]:
    engine = make_engine(database_url, pool_size=5)
    made = sessionmaker(engine)
    with made.begin() as session:
        session.add(StoredFile(sha256="0" * 64, size=1, parts=1))  # whose bytes each `document` names
    yield made
    engine.dispose()


@pytest.fixture
def unit(sessions: sessionmaker[Session]) -> Iterator[UnitOfWork]:
    made = UnitOfWork(sessions)
    yield made
    made.close()


class CountingLoops(asyncio.DefaultEventLoopPolicy):
    """The usual event loops, counted."""

    made = 0

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        self.made += 1
        return super().new_event_loop()


def test_the_database_extension_takes_back_its_own_teardowns_only_and_a_request_starts_no_thread_and_no_event_loop(
    database_url: str,
) -> None:
    app = Flask("planted")
    called: list[str] = []
    app.config["SQLALCHEMY_ENGINES"] = {"default": {"url": normalise_url(database_url), **db.engine_options(database_url)}}
    app.teardown_appcontext(lambda _fault: called.append("before"))
    db.Database().init_app(app)
    app.teardown_appcontext(lambda _fault: called.append("after"))
    app.add_url_rule("/", view_func=lambda: "")
    loops, threads = CountingLoops(), []
    asyncio.set_event_loop_policy(loops)
    threading.setprofile(lambda *_: threads.append(threading.current_thread().name))  # called in every thread that starts from here on
    try:
        assert app.test_client().get("/").status_code == 200
    finally:
        threading.setprofile(None)
        asyncio.set_event_loop_policy(None)
    assert sorted(called) == ["after", "before"]
    assert (threads, loops.made) == ([], 0)


def document(name: str) -> Document:
    return Document(id=uuid7(), kind="letter", sha256="0" * 64, size=1, media_type="application/pdf", filename=name, created_at=NOW)


def count(sessions: sessionmaker[Session]) -> int:
    with sessions() as session:
        return session.scalar(select(func.count()).select_from(Document)) or 0


def test_an_upsert_leaves_the_row_that_came_first_or_changes_it(unit: UnitOfWork) -> None:
    def counter(last: int) -> Any:
        return db.upsert(unit.session, DocumentCounter).values(series="BA", year=2026, last=last)

    unit.begin_write()
    kept = [
        unit.session.execute(counter(last).on_conflict_do_nothing(index_elements=["series", "year"]).returning(DocumentCounter.last)).all()
        for last in (7, 9)
    ]
    assert kept == [[(7,)], []]
    again = counter(9).on_conflict_do_update(index_elements=["series", "year"], set_={"last": DocumentCounter.last + 1})
    assert unit.session.execute(again.returning(DocumentCounter.last)).scalar_one() == 8


def test_one_upsert_of_two_at_once_puts_the_row_in(sessions: sessionmaker[Session]) -> None:
    def insert(last: int) -> int:
        with sessions.begin() as session:
            made = db.upsert(session, DocumentCounter).values(series="BA", year=2026, last=last).on_conflict_do_nothing()
            return len(session.execute(made.returning(DocumentCounter.last)).all())

    assert sum(run_simultaneously([lambda: insert(1), lambda: insert(2)])) == 1


def test_postgresql_plans_a_read_for_its_values_and_keeps_the_plans_of_others(postgresql_url: str) -> None:
    engine = make_engine(postgresql_url, pool_size=1)
    kept = Prepared(select(StoredFile.size).where(StoredFile.sha256 == bindparam("sha256")))
    with Session(engine) as session:
        for number in range(12):
            session.execute(select(StoredFile.parts).where(StoredFile.size == number)).all()
            kept.all(session, {"sha256": "0" * 64})
        statements = session.scalars(text("SELECT statement FROM pg_prepared_statements")).all()
    engine.dispose()
    assert [statement for statement in statements if "stored_file" in statement] == [
        kept.compiled(engine.dialect).text.replace("%(sha256)s", "$1")
    ]


def test_nothing_is_saved_without_a_commit(unit: UnitOfWork, sessions: sessionmaker[Session]) -> None:
    unit.begin_write()
    unit.session.add(document("A"))
    unit.session.flush()
    unit.close()
    assert count(sessions) == 0
    unit.begin_write()
    unit.session.add(document("A"))
    unit.commit()
    assert count(sessions) == 1


def test_a_refusal_is_recorded_although_the_act_is_rolled_back(unit: UnitOfWork, sessions: sessionmaker[Session]) -> None:
    unit.begin_write()
    unit.session.add(document("the act"))
    unit.session.flush()
    unit.separately(lambda session: session.add(document("the refusal")))
    unit.rollback()
    with sessions() as session:
        assert session.scalars(select(Document.filename)).all() == ["the refusal"]


def test_an_hsm_call_within_a_transaction_is_refused(unit: UnitOfWork) -> None:
    assert_no_transaction()
    unit.begin_read()
    unit.session.execute(text("SELECT 1"))
    with pytest.raises(OpenTransaction):
        assert_no_transaction()
    unit.end_read()
    assert_no_transaction()


def test_reading_beside_a_unit_leaves_the_guard_to_it(unit: UnitOfWork, sessions: sessionmaker[Session]) -> None:
    unit.begin_write()
    unit.session.add(document("A"))
    unit.session.flush()
    with own_reading(sessions):
        assert_no_transaction()  # of this one
    with pytest.raises(OpenTransaction):
        assert_no_transaction()
    unit.rollback()
    assert_no_transaction()


def test_a_transaction_with_changes_cannot_end_as_a_read(unit: UnitOfWork) -> None:
    unit.begin_write()
    unit.session.add(document("B"))
    with pytest.raises(OpenTransaction):
        unit.end_read()


@pytest.mark.parametrize("begin", [UnitOfWork.begin_read, UnitOfWork.begin_snapshot])
def test_a_restarted_read_lets_go_what_was_read_and_sees_what_was_committed_since(
    begin: Callable[[UnitOfWork], None], unit: UnitOfWork, sessions: sessionmaker[Session]
) -> None:
    def add(name: str) -> None:
        with sessions() as session, session.begin():
            session.add(document(name))

    add("before")
    begin(unit)
    found = unit.session.scalars(select(Document)).one()
    add("since")
    unit.restart_read()
    assert (found in unit.session, found.filename) == (False, "before")
    assert len(unit.session.scalars(select(Document)).all()) == 2
    unit.session.add(document("lost"))
    with pytest.raises(OpenTransaction):
        unit.restart_read()


def test_a_restarted_read_ends_a_transaction_that_was_begun_for_writing(unit: UnitOfWork, sessions: sessionmaker[Session]) -> None:
    unit.begin_write()
    unit.session.add(document("never committed"))
    unit.session.flush()
    unit.begin_read()
    unit.restart_read()
    assert unit.session.scalars(select(Document)).all() == []


def test_what_is_noticed_is_written_after_the_unit_whatever_became_of_it(unit: UnitOfWork, sessions: sessionmaker[Session]) -> None:
    unit.begin_write()
    unit.session.add(document("act"))
    unit.afterwards(lambda session: session.add(document("noticed")))
    unit.afterwards(lambda session: session.execute(text("SELECT nothing")))  # what fails ends neither the unit nor the others
    unit.afterwards(lambda session: session.add(document("also noticed")))
    unit.rollback()
    assert count(sessions) == 0
    unit.close()
    assert count(sessions) == 2


def test_loaded_rows_stay_readable_after_the_read_ended(unit: UnitOfWork, sessions: sessionmaker[Session]) -> None:
    with sessions() as session, session.begin():
        session.add(document("C"))
    unit.begin_read()
    found = unit.session.scalars(select(Document)).one()
    unit.end_read()
    assert found.filename == "C"


def test_pages_have_no_gap_and_no_duplicate_while_rows_are_added(unit: UnitOfWork, sessions: sessionmaker[Session]) -> None:
    with sessions() as session, session.begin():
        session.add_all(document(f"O{n:02}") for n in range(25))
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        unit.begin_read()
        page = paging.page(unit.session, select(Document), Document.id, limit=10, cursor=cursor)
        unit.end_read()
        seen += [row.filename for row in page.items]
        cursor = page.next
        with sessions() as other, other.begin():
            other.add(document(f"new {uuid7()}"))
    assert seen == [f"O{n:02}" for n in reversed(range(25))]
    assert cursor is None


def test_a_snapshot_reads_one_state_whatever_others_commit_meanwhile(sessions: sessionmaker[Session]) -> None:
    def grow() -> None:
        with sessions() as other, other.begin():
            other.add(document(f"new {uuid7()}"))

    unit, count = UnitOfWork(sessions), select(func.count()).select_from(Document)
    grow()
    unit.begin_snapshot()
    before = unit.session.scalar(count)
    grow()
    assert unit.session.scalar(count) == before
    unit.end_read()
    unit.begin_read()
    assert unit.session.scalar(count) == (before or 0) + 1
    unit.close()


def test_a_walk_gives_every_row_in_order_by_one_query(sessions: sessionmaker[Session]) -> None:
    with sessions() as session, session.begin():
        session.add_all(document(f"O{number:04}") for number in range(1100))
    unit, listing = UnitOfWork(sessions), (select(Document), Document.id)
    unit.begin_snapshot()
    for order in (paging.OLDEST_FIRST, paging.NEWEST_FIRST, Order(Document.filename), Order(Document.filename, upwards=True)):
        with counted(unit.session.connection().engine) as count:
            groups = [list(group) for group in paging.walk(unit.session, listing, order, 1050)]
        assert (len(count.statements), [len(group) for group in groups]) == (1, [500, 500, 50])
        names = [one.filename for group in groups for one in group]
        assert names == sorted(names, reverse=not order.upwards)
    unit.close()


def context(sessions: sessionmaker[Session], clock: ManualClock) -> Context:
    return Context(UnitOfWork(sessions), clock)


def test_an_idempotency_key_is_claimed_once_replayed_and_bound_to_its_request(sessions: sessionmaker[Session]) -> None:
    clock = ManualClock(NOW)
    ctx = context(sessions, clock)
    print_ = idempotency.fingerprint("POST", "/x", b"body")
    mine = Claim("me", "k", print_)
    assert idempotency.claim(ctx, mine, DEADLINE) is None
    with pytest.raises(Conflict, match="being answered"):
        idempotency.claim(ctx, Claim("me", "k", print_), DEADLINE)
    assert idempotency.claim(ctx, Claim("somebody else", "k", print_), DEADLINE) is None
    idempotency.complete(ctx.session, mine, CREATED)
    ctx.uow.commit()
    assert idempotency.claim(ctx, Claim("me", "k", print_), DEADLINE) == CREATED
    with pytest.raises(Invalid, match="different request"):
        idempotency.claim(ctx, Claim("me", "k", idempotency.fingerprint("POST", "/x", b"other")), DEADLINE)
    for strange in ("", "x" * 201, "a\nb"):
        with pytest.raises(Invalid):
            idempotency.claim(ctx, Claim("me", strange, print_), DEADLINE)
    ctx.uow.close()


def test_a_claim_of_a_dead_process_bars_nobody_longer_than_a_request_lives(sessions: sessionmaker[Session]) -> None:
    clock = ManualClock(NOW)
    ctx = context(sessions, clock)
    assert idempotency.claim(ctx, Claim("me", "k", "p"), DEADLINE) is None
    clock.advance(seconds=DEADLINE + 1)
    with pytest.raises(Conflict):
        idempotency.claim(ctx, Claim("me", "k", "p"), DEADLINE)
    clock.advance(seconds=2)
    next_one = Claim("me", "k", "p")
    assert idempotency.claim(ctx, next_one, DEADLINE) is None
    idempotency.release(ctx, next_one)
    assert idempotency.claim(ctx, Claim("me", "k", "p"), DEADLINE) is None
    ctx.uow.close()


def test_a_request_that_lost_its_claim_neither_completes_nor_releases_that_of_its_successor(sessions: sessionmaker[Session]) -> None:
    clock = ManualClock(NOW)
    slow, quick = context(sessions, clock), context(sessions, clock)
    late, next_one = Claim("me", "k", "p"), Claim("me", "k", "p")
    assert idempotency.claim(slow, late, DEADLINE) is None
    clock.advance(seconds=DEADLINE + 3)
    assert idempotency.claim(quick, next_one, DEADLINE) is None
    idempotency.release(slow, late)
    with pytest.raises(Conflict, match="being answered"):  # the successor's claim stands
        idempotency.claim(slow, Claim("me", "k", "p"), DEADLINE)
    with pytest.raises(Conflict, match="being answered"):
        idempotency.complete(slow.session, late, CREATED)
    slow.uow.rollback()
    idempotency.complete(quick.session, next_one, CREATED)
    quick.uow.commit()
    with pytest.raises(Conflict):  # nor is an answer that is stored written over
        idempotency.complete(slow.session, late, StoredAnswer(201, "application/json", b"[]"))
    slow.uow.rollback()
    idempotency.release(quick, next_one)
    assert idempotency.claim(quick, Claim("me", "k", "p"), DEADLINE) == CREATED
    slow.uow.close()
    quick.uow.close()


def test_one_of_many_simultaneous_claims_gets_the_key(sessions: sessionmaker[Session]) -> None:
    def claim() -> str:
        ctx = context(sessions, ManualClock(NOW))
        try:
            return "mine" if idempotency.claim(ctx, Claim("me", "k", "p"), DEADLINE) is None else "stored"
        except Conflict:
            return "busy"
        finally:
            ctx.uow.close()

    assert Counter(run_simultaneously([claim] * 12)) == {"mine": 1, "busy": 11}


def test_times_are_read_back_in_utc_and_naive_ones_are_refused(sessions: sessionmaker[Session]) -> None:
    with sessions() as session, session.begin():
        made = document("D")
        made.created_at = NOW.astimezone().replace(microsecond=123456)
        session.add(made)
    with sessions() as session:
        found = session.scalars(select(Document.created_at)).one()
        assert found == NOW.replace(microsecond=123456)
        assert found.utcoffset() == timedelta(0)
    with sessions() as session, pytest.raises(Exception, match="without a time zone"):
        session.scalars(select(Document).where(Document.created_at > datetime(2026, 1, 1))).all()
