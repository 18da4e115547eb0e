"""Queries of personalisation requests: the filter of the list, those the actor can act on now, and the files of one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, String, and_, bindparam, false, func, literal_column, or_, select, union_all

from sifilma.approvals.file_access import HandedOut, hand_out
from sifilma.approvals.four_eyes import EDITABLE
from sifilma.approvals.letters import letter_warnings
from sifilma.approvals.queries import Wanted, decisions, finder_of, late, narrowed_query
from sifilma.cards.models import Card, Unit, UnitCondition
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.lifecycle import History
from sifilma.kernel.paging import Listing
from sifilma.kernel.text import Text, say
from sifilma.kernel.timekeeping.targets import APPROVAL, PERSONALISATION, Targets
from sifilma.personalisation.batch import warnings_of
from sifilma.personalisation.models import PersonalisationRequest
from sifilma.personalisation.models import PersonalisationState as State
from sifilma.personalisation.rules import REPLACEABLE, replaceable
from sifilma.personalisation.service import KIND, REQUESTS, get_request, requests_query

FILES = {"surat": "letter_document_id", "pesanan": "purchase_order_document_id", "batch": "batch_document_id"}
MAKING = (State.APPROVED, State.PERSONALISING)
R = PersonalisationRequest
FINDER = finder_of(R, R.requester_id, R.buyer_id)
MOST_BROKEN = 100
"""Cards out of use that a form offers to replace. Others are typed or scanned."""
MANY = 20
"""From this many cards on, a request is compared with the registered units: an office registers the machines of a smaller one later."""


def list_requests(ctx: Context, wanted: Wanted) -> Listing[PersonalisationRequest]:
    """Return the requests the actor may see that match the filter. `wanted.text` also matches the names of requester and buyer."""
    query = narrowed_query(ctx, requests_query(ctx), R, wanted, FINDER)
    if wanted.late:
        query = query.where(_late(ctx, wanted.late))
    return (query.where(waiting(ctx)) if wanted.waiting else query), R.id


def lettered_query(ctx: Context) -> Select[PersonalisationRequest]:
    """Return a query of the requests whose letter number is `letter_key`, of those that the actor may see."""
    return requests_query(ctx).where(R.letter_key == bindparam("letter_key", type_=String))


def waiting(ctx: Context) -> ColumnElement[bool]:
    """Return a condition in SQL: the requests the actor can now approve, verify, personalise or submit."""
    return or_(false(), *_tasks(ctx))


def approved_at() -> ColumnElement[datetime]:
    """Return when a request was approved, as a column of the selects of requests."""
    steps = select(func.max(History.at)).where(History.object_kind == KIND, History.object_id == R.id, History.to_state == State.APPROVED)
    return steps.correlate(R).scalar_subquery()


def _late(ctx: Context, targets: Targets) -> ColumnElement[bool]:
    """Return the condition that the approval of a request, or its personalisation, is late."""
    return or_(
        and_(R.state == State.SUBMITTED, late(ctx, targets, APPROVAL, R.submitted_at)),
        and_(R.state.in_(MAKING), late(ctx, targets, PERSONALISATION, approved_at())),
    )


def _tasks(ctx: Context) -> Iterator[ColumnElement[bool]]:
    yield from decisions(ctx, REQUESTS)
    if grants(ctx.actor, Operation.PERSONALISE):
        yield R.state.in_(MAKING)
    if grants(ctx.actor, Operation.PERSONALISATION_SUBMIT):
        yield and_(R.state.in_(EDITABLE), R.requester_id == ctx.actor.organisation_id)


def open_file(ctx: Context, store: FileStore, request_id: UUID, name: str) -> HandedOut:
    """Return a file of a request (`name` is a key of FILES) and record the download.

    Raise NotFound outside the actor's scope and if there is no such file.
    """
    request = get_request(ctx, request_id)
    if name not in FILES:
        raise NotFound()
    return hand_out(ctx, store, getattr(request, FILES[name]), KIND, request.id, request.requester_id)


def replaceable_cards(ctx: Context, buyer_id: UUID, besides: UUID | None = None) -> list[Card]:
    """Return the cards of a buyer that a request (`besides`, if it is edited) can replace, newest broken first; at most MOST_BROKEN."""
    # By states: the newest of one are found by the index, whatever the others are.
    query = select(Card.id).where(*replaceable(buyer_id, besides)).order_by(Card.changed_at.desc(), Card.id.desc()).limit(MOST_BROKEN)
    arms = [query.where(Card.state == literal_column(f"'{state.value}'")).subquery() for state in REPLACEABLE]
    newest = union_all(*(select(arm) for arm in arms)).subquery()
    found = select(Card).where(Card.id.in_(select(newest.c.id))).order_by(Card.changed_at.desc(), Card.uid).limit(MOST_BROKEN)
    return list(ctx.session.scalars(found))


def request_warnings(ctx: Context, request: PersonalisationRequest) -> list[Text]:
    """Return what should be looked at in a request: its letter, its batch, and more cards than its office has machines for."""
    told = [*letter_warnings(ctx.now, request.letter_number, request.letter_date), *warnings_of(ctx, request)]
    if request.batch_document_id is None and request.quantity >= MANY:
        units = _registered(ctx, request)
        if request.quantity > 2 * units:
            many = say(
                "%(cards)s %(function)s cards are asked for, but %(units)s units for them are registered. Compare with the letter.",
                cards=request.quantity,
                function=request.function,
                units=units,
            )
            told.append(many)
    return told


def _registered(ctx: Context, request: PersonalisationRequest) -> int:
    query = select(func.count()).where(
        Unit.organisation_id == request.buyer_id, Unit.function == request.function, Unit.condition == UnitCondition.WORKING
    )
    return ctx.session.scalar(query) or 0
