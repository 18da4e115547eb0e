"""Look something up in all lists at once: whole identifiers by an index, parts as each list finds them, in one statement each.

Every kind asks the query of its own list, which knows what the actor may see. There is no other rule of scope here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, literal, select, union_all
from sqlalchemy.orm import InstrumentedAttribute, aliased

from sifilma.accounts import queries as accounts
from sifilma.accounts.service import list_organisations, named_organisations_query
from sifilma.activation.models import ActivationRequest
from sifilma.activation.requests import queries as activation
from sifilma.approvals.letters import letter_key
from sifilma.approvals.queries import Wanted
from sifilma.cards import service as cards
from sifilma.cards.models import Card, DeviceModel, Unit
from sifilma.cards.outlets.models import Outlet
from sifilma.cards.outlets.queries import list_outlets, named_outlets_query
from sifilma.cards.outlets.queries import spelled as spelled_code
from sifilma.cards.part_queries import Part
from sifilma.cards.service import CardFilter, UnitFilter
from sifilma.destruction import service as destruction
from sifilma.destruction.models import Destruction
from sifilma.documents.numbering import plain_number
from sifilma.handover import service as handover
from sifilma.handover.models import Handover
from sifilma.identity.models import Organisation, Person, User
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.context import Context
from sifilma.kernel.paging import Listing, is_empty
from sifilma.kernel.statements import built_once
from sifilma.personalisation import queries as personalisation
from sifilma.personalisation.models import PersonalisationRequest
from sifilma.reports.card_page import lettered

LONGEST, SHORTEST = 100, 3
"""Characters of what is looked up; letters and digits that a part needs at least."""
MOST_COUNTED, SHOWN = 50, 5
"""Rows of a kind that are counted, and those of them that are shown."""
Owner, Maker, Human = aliased(Organisation), aliased(DeviceModel), aliased(Person)


class Kind(StrEnum):
    """What can be found, in the order of the page."""

    CARD = "card"
    UNIT = "unit"
    OUTLET = "outlet"
    PERSONALISATION = "personalisation_request"
    ACTIVATION = "activation_request"
    HANDOVER = "handover"
    DESTRUCTION = "destruction"
    ORGANISATION = "organisation"
    USER = "user"


@dataclass(frozen=True)
class Shape:
    """The columns of a kind that a Hit is made of, in its order, and the tables they need beside the kind's own, with how they join."""

    id: InstrumentedAttribute[UUID]
    title: Any
    state: Any
    whose: Any
    more: Any
    joined: tuple[tuple[Any, ColumnElement[bool]], ...] = ()


@dataclass(frozen=True)
class Source:
    """Where a kind is looked for: the operation that reads its list, the query of whole identifiers, and the list of parts.

    The query of whole identifiers has the values of `_named`.
    """

    operation: Operation
    whole: Callable[[Context], Select[Any]]
    part: Callable[[Context, str, Part], Listing[Any]]
    shape: Shape


@dataclass(frozen=True)
class Hit:
    """Something found. `title` is its identifier, `state` a state or empty; `whose` and `more` are further words or codes of it."""

    kind: Kind
    id: UUID
    title: str
    state: str
    whose: str
    more: str


@dataclass(frozen=True)
class Found:
    """What was found of one kind: the first hits, newest first, and how many there are, at most MOST_COUNTED + 1."""

    kind: Kind
    hits: Sequence[Hit]
    count: int


def spelled(typed: str) -> str:
    """Return what was typed in the form in which it is looked up: NFKC, single spaces, at most LONGEST characters."""
    return " ".join(unicodedata.normalize("NFKC", typed[: 2 * LONGEST]).split())[:LONGEST]


def is_long_enough(text: str) -> bool:
    """Return whether a part is looked for: it has SHORTEST letters or digits."""
    return len(re.sub(r"[\W_]", "", text)) >= SHORTEST


def identified(ctx: Context, text: str) -> list[Found]:
    """Return what the text identifies as a whole, by equality, of every kind the actor may list."""
    return _found(built_once.rows(ctx, identified_query, None, _named(ctx, text)))


def identified_query(ctx: Context, _: None) -> Select[Any] | None:
    """Return the query of all kinds that the actor may list, for the values of `_named`."""
    return _every({kind: source.whole(ctx) for kind, source in _sources(ctx)})


def _named(ctx: Context, text: str) -> dict[str, Any]:
    """Return what a text names as a whole, in the forms in which identifiers are kept."""
    others = {"name": text, "branch_code": spelled_code(text), "letter_key": letter_key(text), "paper": plain_number(text)}
    return others | cards.numbers_of(text) | accounts.names_of(ctx, text)


def containing(ctx: Context, text: str) -> list[Found]:
    """Return what each list that the actor may see finds for a part. The text must be long enough."""
    part = Part(ctx, text)
    queries = {kind: source.part(ctx, text, part)[0] for kind, source in _sources(ctx)}
    every = _every({kind: query for kind, query in queries.items() if not is_empty(query)})
    return [] if every is None else _found(ctx.session.execute(every).all())


def _sources(ctx: Context) -> Iterable[tuple[Kind, Source]]:
    return ((kind, source) for kind, source in SOURCES.items() if grants(ctx.actor, source.operation))


def _every(queries: dict[Kind, Select[Any]]) -> Select[Any] | None:
    """Return one query of the hits of all kinds, each with at most one row more than is counted, newest first."""
    # A subquery each: SQLite has no order and limit inside a union.
    parts = [select(_shaped(kind, query, SOURCES[kind].shape).subquery()) for kind, query in queries.items()]
    return select(union_all(*parts).subquery()) if parts else None


def _found(rows: Sequence[Any]) -> list[Found]:
    found: dict[Kind, list[Hit]] = {}
    for kind, *columns in rows:
        found.setdefault(Kind(kind), []).append(Hit(Kind(kind), *columns))
    return [Found(kind, found[kind][:SHOWN], len(found[kind])) for kind in Kind if kind in found]


def _shaped(kind: Kind, query: Select[Any], shape: Shape) -> Select[Any]:
    for table, condition in shape.joined:
        query = query.join(table, condition)
    columns = {"title": shape.title, "state": shape.state, "whose": shape.whose, "more": shape.more}
    named = [literal(str(kind)).label("kind"), shape.id.label("id"), *(column.label(name) for name, column in columns.items())]
    return query.with_only_columns(*named).order_by(shape.id.desc()).limit(MOST_COUNTED + 1)


def _requests(model: Any, whose: Any) -> Shape:
    return Shape(model.id, model.letter_number, model.state, Owner.name, model.subject, ((Owner, Owner.id == whose),))


SOURCES: dict[Kind, Source] = {
    Kind.CARD: Source(
        Operation.CARD_VIEW,
        cards.named_cards_query,
        lambda ctx, text, part: cards.list_cards(ctx, CardFilter(text=text), *lettered(ctx, text), part=part),
        Shape(Card.id, Card.uid, Card.state, Owner.name, Card.function, ((Owner, Owner.id == Card.holder_id),)),
    ),
    Kind.UNIT: Source(
        Operation.UNIT_READ,
        cards.named_units_query,
        lambda ctx, text, part: cards.list_units(ctx, UnitFilter(text=text), part),
        Shape(
            Unit.id, Unit.hardware_number, literal(""), Owner.name, Maker.name,
            ((Owner, Owner.id == Unit.organisation_id), (Maker, Maker.id == Unit.model_id)),
        ),
    ),
    Kind.OUTLET: Source(
        Operation.OUTLET_SEE,
        named_outlets_query,
        lambda ctx, text, _part: list_outlets(ctx, text),
        Shape(
            Outlet.id, Outlet.name, literal(""), Owner.name, func.coalesce(Outlet.branch_code, ""),
            ((Owner, Owner.id == Outlet.organisation_id),),
        ),
    ),
    Kind.PERSONALISATION: Source(
        Operation.PERSONALISATION_VIEW,
        personalisation.lettered_query,
        lambda ctx, text, _part: personalisation.list_requests(ctx, Wanted(text=text)),
        _requests(PersonalisationRequest, PersonalisationRequest.requester_id),
    ),
    Kind.ACTIVATION: Source(
        Operation.ACTIVATION_VIEW,
        activation.lettered_query,
        lambda ctx, text, _part: activation.list_requests(ctx, Wanted(text=text)),
        _requests(ActivationRequest, ActivationRequest.organisation_id),
    ),
    Kind.HANDOVER: Source(
        Operation.HANDOVER_VIEW,
        handover.numbered_query,
        lambda ctx, text, _part: handover.list_handovers(ctx, None, text),
        Shape(Handover.id, Handover.number, Handover.state, Owner.name, literal(""), ((Owner, Owner.id == Handover.receiver_id),)),
    ),
    Kind.DESTRUCTION: Source(
        Operation.DESTRUCTION_VIEW,
        destruction.numbered_query,
        lambda ctx, text, _part: destruction.list_destructions(ctx, None, text=text),
        Shape(
            Destruction.id, func.coalesce(Destruction.number, ""), Destruction.state, Owner.name, Destruction.cause,
            ((Owner, Owner.id == Destruction.organisation_id),),
        ),
    ),
    Kind.ORGANISATION: Source(
        Operation.REFERENCE_READ,
        lambda _ctx: named_organisations_query(),
        lambda _ctx, text, _part: list_organisations(None, text),
        Shape(Organisation.id, Organisation.name, literal(""), Organisation.kind, func.coalesce(Organisation.region_code, "")),
    ),
    Kind.USER: Source(
        Operation.USERS_SEE,
        accounts.named_users_query,
        lambda ctx, text, _part: accounts.list_users(ctx, text),
        Shape(
            User.id, Human.name, User.state, Owner.name, User.username,
            ((Owner, Owner.id == User.organisation_id), (Human, Human.id == User.person_id)),
        ),
    ),
}  # fmt: skip
