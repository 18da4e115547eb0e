"""Pages: a cursor is decoded to the same values, and anything else is refused; a list that is reached in several ways has each row once."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import ColumnElement, Engine, Select, or_, select
from sqlalchemy.orm import Session, aliased, sessionmaker

from sifilma.activation.models import Activation, ActivationRequest, Manifest
from sifilma.cards.models import Unit
from sifilma.documents.models import Document, StoredFile
from sifilma.kernel import paging, ways
from sifilma.kernel.db import make_engine
from sifilma.kernel.errors import Invalid
from sifilma.kernel.ids import uuid7
from sifilma.kernel.paging import NEWEST_FIRST, OLDEST_FIRST, Order, Page, _decode, _encode
from sifilma.kernel.ways import Way, looked_through, reached
from sifilma.regions.models import Region
from tests.support.counting import counted

MOMENT = datetime(2026, 11, 25, 3, 4, 5, 6, tzinfo=UTC)
KEPT: list[tuple[list[Any], list[Any]]] = [
    ([uuid7()], [Unit.id]),
    (["35.20"], [Region.code]),
    (["HW-1", uuid7()], [Unit.hardware_number, Unit.id]),
    ([date(2026, 11, 25), uuid7()], [ActivationRequest.letter_date, ActivationRequest.id]),
    ([MOMENT, uuid7()], [Manifest.refuse_after, Manifest.id]),
    ([12, uuid7()], [Activation.place_distance_m, Activation.id]),
]
STRANGE = ["x", "!!!!", "", "A" * 60, "w6k", "W10", "MQ", _encode(["x", "y"]), _encode([""]), _encode([*KEPT[1][0], uuid7(), uuid7()])]

KINDS, TYPES = ("letter", "order", "photo"), ("image/png", "application/pdf", "text/csv", "text/plain")
OWN, TYPED = Document.kind == "letter", Document.media_type.in_(TYPES[:2])
_OTHER = aliased(Document)
TWO_TYPES = select(_OTHER.media_type).where(_OTHER.media_type.in_(TYPES[:2])).distinct()


def day(number: int) -> datetime:
    return datetime(2026, 12, 1 + number, tzinfo=UTC)


Restrict = Callable[[Select[Document]], Select[Document]]


@pytest.mark.parametrize(("values", "columns"), KEPT)
def test_a_cursor_is_decoded_to_its_values(values: list[Any], columns: list[Any]) -> None:
    assert _decode(_encode(values), columns) == values


@pytest.mark.parametrize(("values", "columns"), KEPT)
def test_a_cursor_of_another_order_or_form_is_refused(values: list[Any], columns: list[Any]) -> None:
    for strange in [*STRANGE, *(_encode(other) for other, _ in KEPT if len(other) != len(values))]:
        with pytest.raises(Invalid):
            _decode(strange, columns)


@pytest.mark.parametrize(
    ("value", "column"),
    [
        (MOMENT.replace(tzinfo=None), Manifest.refuse_after),
        ("0001-01-01T00:00:00+07:00", Manifest.refuse_after),
        ("9" * 40, Activation.place_distance_m),
        ("x\x00", Unit.hardware_number),
        ("\ud800", Unit.hardware_number),
    ],
)
def test_a_value_no_column_can_hold_is_refused_before_the_database(value: object, column: Any) -> None:
    with pytest.raises(Invalid):
        _decode(_encode([value, uuid7()]), [column, column.class_.id])


@pytest.mark.parametrize("values", [[5], [None], [[]], [{}], [1.5], {"a": 1}, [True]])
def test_a_cursor_holds_only_texts(values: Any) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")
    with pytest.raises(Invalid):
        _decode(cursor, [Unit.id])


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    """Sixty documents of three kinds and four types, so that some come in both ways, one, or none."""
    engine = make_engine(database_url, pool_size=2)
    with sessionmaker(engine)() as made:
        made.add(StoredFile(sha256="0" * 64, size=1, parts=1))
        made.flush()
        for at in range(60):
            made.add(
                Document(
                    id=uuid7(), kind=KINDS[at % 3], sha256="0" * 64, size=1, media_type=TYPES[at % 4], filename=f"{at:02}",
                    created_at=day(at % 5),
                )
            )  # fmt: skip
            made.flush()
        yield made
    engine.dispose()


def read(session: Session, query: Select[Document], order: Order, limit: int = 7) -> list[str]:
    """Return the names of all rows, page by page."""
    return [row.filename for page in pages(session, query, order, limit) for row in page.items]


def pages(session: Session, query: Select[Document], order: Order, limit: int = 7) -> list[Page[Document]]:
    found = [paging.page(session, query, Document.id, limit=limit, order=order)]
    while found[-1].next:
        found.append(paging.page(session, query, Document.id, limit=limit, cursor=found[-1].next, order=order))
    return found


def in_two_ways() -> Select[Document]:
    return reached(select(Document), or_(OWN, TYPED), [Way(Document.kind, "letter"), Way(Document.media_type, TWO_TYPES)])


@pytest.mark.parametrize("order", [NEWEST_FIRST, OLDEST_FIRST, Order(by=Document.created_at)])
@pytest.mark.parametrize(
    ("restrict", "by_ways"),
    [
        (lambda query: query, True),
        (lambda query: query.where(Document.created_at == day(3)), True),
        (lambda query: query.where(Document.created_at == day(20)), True),
        (lambda query: query.where(Document.created_at == day(3), Document.filename > "20"), True),
        (lambda query: query.where(or_(Document.created_at == day(3), Document.created_at == day(4))), False),
        (lambda query: query.where(Document.id.in_(select(Document.id).where(Document.created_at < day(2)))), False),
        (lambda query: query.join(StoredFile, StoredFile.sha256 == Document.sha256), False),
        (lambda query: reached(query, OWN, [Way(Document.kind, "letter")]), True),
        (lambda query: reached(query, OWN, []), False),
        (lambda query: reached(query, OWN, []).where(Document.created_at == day(3)), False),
    ],
)
def test_a_list_has_the_same_pages_by_its_ways_as_by_its_conditions(
    session: Session, order: Order, restrict: Restrict, by_ways: bool
) -> None:
    query = restrict(in_two_ways())
    assert query.whereclause is not None
    plain: Select[Any] = select(Document.filename).where(query.whereclause).order_by(*_order(order))
    if "JOIN" in str(query):
        plain = plain.join(StoredFile, StoredFile.sha256 == Document.sha256)
    engine = session.get_bind()
    assert isinstance(engine, Engine)
    with counted(engine) as sent:
        seen = read(session, query, order)
    assert seen == list(session.scalars(plain))
    is_by_ways = by_ways and order.by is None and engine.dialect.name == "postgresql"
    assert ["UNION" in str(one) for one in sent.statements].count(True) == (len(sent.statements) if is_by_ways and _ways(query) > 1 else 0)


def test_one_owner_alone_needs_no_other_way(session: Session) -> None:
    query = reached(select(Document), OWN, [Way(Document.kind, "letter")])
    engine = session.get_bind()
    assert isinstance(engine, Engine)
    with counted(engine) as sent:
        assert len(read(session, query, NEWEST_FIRST)) == 20
    assert not any("array" in str(one).lower() for one in sent.statements)


@pytest.mark.parametrize("order", [NEWEST_FIRST, OLDEST_FIRST])
def test_keys_of_all_rows_with_a_value_are_read_before_the_rows(session: Session, order: Order) -> None:
    query = select(Document).where(Document.kind == "letter")
    engine = session.get_bind()
    assert isinstance(engine, Engine)
    with counted(engine) as sent:
        assert read(session, query, order) == list(session.scalars(query.with_only_columns(Document.filename).order_by(*_order(order))))
        assert len(pages(session, select(Document), order)) == 9
    by_keys = ["array" in str(one).lower() for one in sent.statements]
    assert by_keys.count(True) == (3 if engine.dialect.name == "postgresql" else 0)


def _order(order: Order) -> list[ColumnElement[Any]]:
    columns = [order.by, Document.id] if order.by is not None else [Document.id]
    return [column.asc() if order.upwards else column.desc() for column in columns]


def _ways(query: Select[Any]) -> int:
    return len(query.get_execution_options()["sifilma_reached"][1])


@pytest.mark.parametrize("order", [NEWEST_FIRST, OLDEST_FIRST, Order(by=Document.created_at)])
@pytest.mark.parametrize("narrowed", [False, True])
def test_a_list_that_is_looked_through_gives_each_row_that_fits_once(
    session: Session, order: Order, narrowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ways, "LOOKED", 8)
    fits = or_(Document.filename.like("%7"), Document.filename.like("1%"))
    query = looked_through(in_two_ways() if narrowed else select(Document), fits)
    found = pages(session, query, order)
    plain = in_two_ways() if narrowed else select(Document)
    names = [row.filename for page in found for row in page.items]
    assert names == [row.filename for row in session.scalars(plain.where(fits).order_by(*_order(order)))]
    engine = session.get_bind()
    assert isinstance(engine, Engine)
    assert (8 in {page.looked for page in found}) == (engine.dialect.name == "postgresql")
    assert found[-1].looked == 0


def test_a_full_page_of_what_is_looked_through_goes_on_behind_its_last_row(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "LOOKED", 20)
    query = looked_through(select(Document), or_(Document.kind == "letter", Document.kind == "order"))
    assert len(set(read(session, query, NEWEST_FIRST, limit=3))) == 40
