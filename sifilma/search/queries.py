"""Look something up in all lists at once: whole identifiers by an index, parts as each list finds them, in one statement each.

Every kind asks the query of its own list, which knows what the actor may see. There is no other rule of scope here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import CTE, ColumnElement, Select, String, Uuid, cast, func, literal, null, select, union_all
from sqlalchemy.orm import InstrumentedAttribute, aliased

from sifilma.accounts import queries as accounts
from sifilma.accounts.service import ORGANISATION_FINDER, named_organisations_query
from sifilma.activation import queries as activated
from sifilma.activation.models import ActivationRequest
from sifilma.activation.requests import queries as activation
from sifilma.approvals.letters import letter_key
from sifilma.cards import queries as cards
from sifilma.cards.models import Card, DeviceModel, Unit
from sifilma.cards.outlets.models import Outlet
from sifilma.cards.outlets.queries import FINDER as OUTLET_FINDER
from sifilma.cards.outlets.queries import named_outlets_query, outlets_query
from sifilma.cards.outlets.queries import spelled as spelled_code
from sifilma.cards.part_queries import CARDS, UNITS, cards_with, follow, units_with
from sifilma.destruction import service as destruction
from sifilma.destruction.models import Destruction
from sifilma.documents.numbering import plain_number
from sifilma.handover import service as handover
from sifilma.handover.models import Handover
from sifilma.identity.models import Organisation, Person, User
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.context import Context
from sifilma.kernel.statements import built_once
from sifilma.kernel.statements.finders import Finder, Parameters, Sought, Value, find, given, values_of
from sifilma.kernel.ways import among_first, looked_through, reads_keys_first
from sifilma.personalisation import queries as personalisation
from sifilma.personalisation import service as personalised
from sifilma.personalisation.models import PersonalisationRequest
from sifilma.reports.card_page import NAMING

LONGEST, SHORTEST = 100, 3
"""Characters of what is looked up; letters and digits that a part needs at least."""
MOST_COUNTED, SHOWN = 50, 5
"""Rows of a kind that are counted, and those of them that are shown."""
LOOKED = 100
"""Newest rows of a list that are looked through for what very many have."""
SOUGHT = "sought"
"""The name of the parameters of what is looked up."""
LETTERS = [one.finder for one in NAMING]
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


BY_NUMBERS = frozenset({Kind.CARD, Kind.UNIT, Kind.DESTRUCTION})
"""Kinds that are found by the numbers of cards and units, of their own or of others."""


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
    """Where a kind is looked for: the operation that reads its list, and the query of whole identifiers, which has the values of `_named`.

    `listed` is the query of all that the actor may see, `finder` what finds a part in a column of its own, and `condition` that of a part
    in whatever it is found by, if that is more.
    """

    operation: Operation
    whole: Callable[[Context], Select[Any]]
    listed: Callable[[Context], Select[Any]]
    finder: Finder
    shape: Shape
    condition: Callable[[Context, Sought], ColumnElement[bool]] | None = None

    def fitting(self, ctx: Context, text: Sought) -> ColumnElement[bool]:
        """Return the condition of a part, where many have it."""
        return self.condition(ctx, text) if self.condition else self.finder.fitting(text)


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
    """What was found of one kind: the newest hits, and how many there are, at most MOST_COUNTED + 1.

    `among`: how many of the newest rows were looked through, where very many have the part; 0 where all were.
    """

    kind: Kind
    hits: Sequence[Hit]
    count: int
    among: int = 0


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
    """Return what each list that the actor may see finds for a part. The text must be long enough.

    Where few are found first they are read in one statement, which is kept. Where very many have the part, the newest LOOKED rows of each
    list are looked through for it.
    """
    sources = dict(_sources(ctx))
    others: list[Kind] = [kind for kind in sources if kind not in (Kind.UNIT, Kind.CARD)]
    numbers = (UNITS, CARDS, *LETTERS) if sources.keys() & BY_NUMBERS else ()
    each = find(ctx.session, text, *(sources[kind].finder for kind in others), *numbers)
    found: dict[Kind, list[UUID] | None] = dict(zip(others, each, strict=False))
    if numbers:
        units, uids, *letters = each[len(others) :]
        found[Kind.UNIT], found[Kind.CARD] = follow(ctx, units, uids, letters, NAMING)
        if (numbered := found.get(Kind.DESTRUCTION)) is not None:
            found[Kind.DESTRUCTION] = None if uids is None else [*numbered, *destruction.with_cards(ctx, uids)]
    few = {str(kind): found[kind] or [] for kind in sources}
    rows = list(built_once.rows(ctx, few_query, None, few)) if any(few.values()) else []
    if many := frozenset(kind for kind in sources if found[kind] is None):
        among = LOOKED if reads_keys_first(ctx.session) else 0
        rows += built_once.rows(ctx, many_query, (many, among), given(SOUGHT, [value(text) for value in _values()]))
    return _marked(rows)


def _marked(rows: Sequence[Any]) -> list[Found]:
    """Return what was found, with the kinds of which there are more rows than were looked through: they have a row without an id."""
    longer = {Kind(row.kind) for row in rows if row.id is None and int(row.title) >= LOOKED}
    found = {one.kind: one for one in _found([row for row in rows if row.id is not None])}
    each = {kind: Found(kind, [], 0) for kind in longer} | found
    return [replace(each[kind], among=LOOKED if kind in longer else 0) for kind in Kind if kind in each]


def few_query(ctx: Context, _: None) -> Select[Any] | None:
    """Return the query of all kinds that the actor may list, of the ids that were found first: a value for each kind."""
    found = {kind: source.listed(ctx).where(built_once.one_of_given(source.shape.id, str(kind))) for kind, source in _sources(ctx)}
    return _every(found)


def many_query(ctx: Context, which: tuple[frozenset[Kind], int]) -> Select[Any] | None:
    """Return the query of kinds of which very many have a part (SOUGHT): among so many of the newest of each, 0 for all."""
    kinds, among = which
    part = Parameters(SOUGHT, _values())
    many, newest = dict[Kind, Select[Any]](), dict[Kind, CTE]()
    for kind, source in _sources(ctx):
        if kind in kinds:
            many[kind] = looked_through(source.listed(ctx), source.fitting(ctx, part))
            if among:
                many[kind], newest[kind] = among_first(many[kind], source.shape.id, among)
    return _every(many, newest)


@cache
def _values() -> list[Value]:
    """Return what is made of a text to look for a part of it, each once."""
    finders = [source.finder for source in SOURCES.values()]
    return values_of(arm for finder in (*finders, *LETTERS) for arm in finder.arms)


def _sources(ctx: Context) -> Iterable[tuple[Kind, Source]]:
    return ((kind, source) for kind, source in SOURCES.items() if grants(ctx.actor, source.operation))


def _every(queries: dict[Kind, Select[Any]], newest: Mapping[Kind, CTE] | None = None) -> Select[Any] | None:
    """Return one query of the hits of all kinds, each with at most one row more than is counted, the newest first.

    Of the kinds whose `newest` rows are looked through, a row says in place of a title how many these are.
    """
    # A subquery each: SQLite has no order and limit inside a union.
    parts = [select(_shaped(kind, query, SOURCES[kind].shape).subquery()) for kind, query in queries.items()]
    none = [literal("", String).label(name) for name in ("state", "whose", "more")]
    for kind, looked in (newest or {}).items():
        number = cast(select(func.count()).select_from(looked).scalar_subquery(), String)
        parts.append(select(literal(str(kind)).label("kind"), cast(null(), Uuid()).label("id"), number.label("title"), *none))
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
        cards.cards_query,
        CARDS,
        Shape(Card.id, Card.uid, Card.state, Owner.name, Card.function, ((Owner, Owner.id == Card.holder_id),)),
        lambda ctx, text: cards_with(ctx, text, *NAMING),
    ),
    Kind.UNIT: Source(
        Operation.UNIT_READ,
        cards.named_units_query,
        cards.units_query,
        UNITS,
        Shape(
            Unit.id, Unit.hardware_number, literal(""), Owner.name, Maker.name,
            ((Owner, Owner.id == Unit.organisation_id), (Maker, Maker.id == Unit.model_id)),
        ),
        lambda _ctx, text: units_with(text),
    ),
    Kind.OUTLET: Source(
        Operation.OUTLET_SEE,
        named_outlets_query,
        outlets_query,
        OUTLET_FINDER,
        Shape(
            Outlet.id, Outlet.name, literal(""), Owner.name, func.coalesce(Outlet.branch_code, ""),
            ((Owner, Owner.id == Outlet.organisation_id),),
        ),
    ),
    Kind.PERSONALISATION: Source(
        Operation.PERSONALISATION_VIEW,
        personalisation.lettered_query,
        personalised.requests_query,
        personalisation.FINDER,
        _requests(PersonalisationRequest, PersonalisationRequest.requester_id),
    ),
    Kind.ACTIVATION: Source(
        Operation.ACTIVATION_VIEW,
        activation.lettered_query,
        activated.requests_query,
        activation.FINDER,
        _requests(ActivationRequest, ActivationRequest.organisation_id),
    ),
    Kind.HANDOVER: Source(
        Operation.HANDOVER_VIEW,
        handover.numbered_query,
        handover.handovers_query,
        handover.FINDER,
        Shape(Handover.id, Handover.number, Handover.state, Owner.name, literal(""), ((Owner, Owner.id == Handover.receiver_id),)),
    ),
    Kind.DESTRUCTION: Source(
        Operation.DESTRUCTION_VIEW,
        destruction.numbered_query,
        destruction.destructions_query,
        destruction.FINDER,
        Shape(
            Destruction.id, func.coalesce(Destruction.number, ""), Destruction.state, Owner.name, Destruction.cause,
            ((Owner, Owner.id == Destruction.organisation_id),),
        ),
        lambda _ctx, text: destruction.with_text(text),
    ),
    Kind.ORGANISATION: Source(
        Operation.REFERENCE_READ,
        lambda _ctx: named_organisations_query(),
        lambda _ctx: select(Organisation),
        ORGANISATION_FINDER,
        Shape(Organisation.id, Organisation.name, literal(""), Organisation.kind, func.coalesce(Organisation.region_code, "")),
    ),
    Kind.USER: Source(
        Operation.USERS_SEE,
        accounts.named_users_query,
        accounts.users_query,
        accounts.FINDER,
        Shape(
            User.id, Human.name, User.state, Owner.name, User.username,
            ((Owner, Owner.id == User.organisation_id), (Human, Human.id == User.person_id)),
        ),
    ),
}  # fmt: skip
