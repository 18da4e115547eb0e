"""What an approver weighs beside a request, within the approver's own scope and in a fixed number of statements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, String, and_, case, exists, func, literal, select, union_all

from sifilma.activation import queries as activation
from sifilma.activation.models import ActivationRequest, ActivationRequestCard, RequestKind, RequestState
from sifilma.activation.requests.service import cards_changed
from sifilma.approvals.letters import Lettered
from sifilma.cards.models import Card, CardState, Unit, UnitCondition
from sifilma.cards.queries import ENDED, cards_query, units_query
from sifilma.documents.indonesian import WIB
from sifilma.identity.models import Organisation
from sifilma.kernel.context import Context
from sifilma.kernel.text import Text, say
from sifilma.oversight.service import NO_AGREEMENT, lacking_right
from sifilma.personalisation import service as personalisation
from sifilma.personalisation.models import PERSONALISATION, PersonalisationRequest
from sifilma.personalisation.models import PersonalisationState as P

EARLIER = 5
OLD = timedelta(days=90)
"""How long before its submission a letter may be dated without a word."""
UNDERWAY = (P.SUBMITTED, P.APPROVED, P.PERSONALISING, RequestState.SUBMITTED, RequestState.APPROVED)
GROUPS = {
    CardState.ACTIVE: "active",
    CardState.RECEIVED: "stock",
    CardState.SUSPENDED: "suspended",
    CardState.LOST: "lost",
    CardState.DAMAGED: "broken",
    CardState.LOCKED: "broken",
    CardState.REVOKED: "broken",
}
"""How the cards in the applicant's hands are counted, by state; destroyed ones are not."""


@dataclass(frozen=True)
class Units:
    """The applicant's units of one function: how many are registered, and how many of them hold no living card."""

    function: str
    registered: int
    free: int


@dataclass(frozen=True)
class Earlier:
    """An earlier letter of the applicant, with what became of it. `same` says that it has the same number."""

    kind: str
    id: UUID
    number: str
    day: date
    quantity: int
    state: str
    same: bool


@dataclass(frozen=True)
class Basis:
    """What is weighed. `cards` counts the applicant's cards of the asked function, by a name of GROUPS or `coming`.

    `open_requests` and `open_quantity` are of other requests of the same kind that are not at their end.
    """

    applicant: str
    function: str
    asked: int
    units: list[Units]
    cards: dict[str, int]
    earlier: list[Earlier]
    open_requests: int
    open_quantity: int
    warnings: list[Text]


def basis_page(ctx: Context, kind: str, key: UUID) -> Basis:
    """Return what is weighed beside a request (`personalisation_request` or `activation_request`) that the actor may see."""
    if kind == PERSONALISATION.kind:
        return of_personalisation(ctx, ctx.session.get_one(PersonalisationRequest, key))
    return of_activation(ctx, ctx.session.get_one(ActivationRequest, key))


def of_personalisation(ctx: Context, request: PersonalisationRequest) -> Basis:
    """Return what is weighed beside a personalisation request: the units and cards are those of the buyer."""
    found = _basis(ctx, request, request.buyer, request.quantity)
    free = next((units.free for units in found.units if units.function == request.function), 0)
    wanted = request.quantity + found.open_quantity
    if request.quantity > free:
        told = say("%(asked)s cards are asked for, but %(free)s units without a card are registered.", asked=request.quantity, free=free)
        found.warnings.append(told)
    elif wanted > free:
        told = say("With other open requests, %(wanted)s cards are asked for %(free)s units without a card.", wanted=wanted, free=free)
        found.warnings.append(told)
    return found


def of_activation(ctx: Context, request: ActivationRequest) -> Basis:
    """Return what is weighed beside an activation request."""
    found = _basis(ctx, request, request.organisation, request.machines)
    if changed := cards_changed(ctx, [request]).get(request.id):
        found.warnings.append(changed)
    if request.kind == RequestKind.NEW:
        named = select(ActivationRequestCard.card_id).where(ActivationRequestCard.activation_request_id == request.id)
        tied = ctx.session.scalar(select(func.count(Card.unit_id)).where(Card.id.in_(named))) or 0
        free = next((units.free for units in found.units if units.function == request.function), 0)
        if request.machines > free + tied:
            told = say("%(asked)s cards are asked for, but %(free)s units can take one.", asked=request.machines, free=free + tied)
            found.warnings.append(told)
    return found


def _basis(ctx: Context, request: Any, applicant: Organisation, asked: int) -> Basis:
    earlier = _earlier(ctx, request, applicant.id)
    open_requests, open_quantity = _open(ctx, request, applicant.id)
    cards = _cards(ctx, applicant.id, request.function)
    return Basis(
        applicant=applicant.name,
        function=request.function,
        asked=asked,
        units=_count_units(ctx, applicant.id),
        cards=cards,
        earlier=earlier,
        open_requests=open_requests,
        open_quantity=open_quantity,
        warnings=list(_warnings(ctx, request, applicant, earlier)),
    )


def _warnings(ctx: Context, request: Any, applicant: Organisation, earlier: list[Earlier]) -> Iterator[Text]:
    if lacking_right(ctx, [applicant]):
        yield NO_AGREEMENT
    if any(letter.same for letter in earlier):
        yield say("An earlier request has a letter with the same number.")
    submitted: datetime = request.submitted_at or ctx.now
    age = submitted.astimezone(WIB).date() - request.letter_date
    if age > OLD:
        yield say("The letter was %(days)s days old when it was submitted.", days=age.days)


def _count_units(ctx: Context, applicant: UUID) -> list[Units]:
    held = exists().where(Card.unit_id == Unit.id, Card.state.not_in(ENDED))
    query = units_query(ctx).where(Unit.organisation_id == applicant, Unit.condition == UnitCondition.WORKING)
    counted = query.with_only_columns(Unit.function, func.count(), func.sum(case((held, 0), else_=1))).group_by(Unit.function)
    return [Units(function, total, int(free or 0)) for function, total, free in ctx.session.execute(counted.order_by(Unit.function))]


def _cards(ctx: Context, applicant: UUID, function: str) -> dict[str, int]:
    here = case((Card.holder_id == applicant, 1), else_=0)
    query = cards_query(ctx).where((Card.holder_id == applicant) | (Card.buyer_id == applicant), Card.function == function)
    found: dict[str, int] = {}
    for state, is_here, count in ctx.session.execute(query.with_only_columns(Card.state, here, func.count()).group_by(Card.state, here)):
        is_coming = not is_here and CardState(state) not in ENDED
        name = "coming" if is_coming else GROUPS.get(CardState(state), "") if is_here else ""
        if name:
            found[name] = found.get(name, 0) + count
    return found


def _earlier(ctx: Context, request: Any, applicant: UUID) -> list[Earlier]:
    """Return the newest letters of the applicant, those with the number of this one first."""
    R, A = PersonalisationRequest, ActivationRequest  # noqa: N806  # as the selects read
    made = personalisation.requests_query(ctx).where((R.requester_id == applicant) | (R.buyer_id == applicant))
    asked = activation.requests_query(ctx).where(A.organisation_id == applicant)
    every = union_all(
        _letters_query(made, R, "personalisation_request", R.quantity, request),
        _letters_query(asked, A, "activation_request", A.machines, request),
    ).subquery()
    query = select(every).order_by(every.c.same.desc(), every.c.at.desc()).limit(EARLIER)
    rows = ctx.session.execute(query)
    return [Earlier(row.kind, row.id, row.number, row.day, row.quantity, row.state, bool(row.same)) for row in rows]


def _letters_query(query: Select[Any], of: Any, kind: str, quantity: Any, request: Lettered) -> Select[Any]:
    same = case((of.letter_key == request.letter_key, 1), else_=0).label("same")
    named = (literal(kind, String).label("kind"), of.id.label("id"), of.letter_number.label("number"), of.letter_date.label("day"))
    facts = (quantity.label("quantity"), of.state.label("state"), same, of.created_at.label("at"))
    return query.where(of.id != request.id, of.state != P.DRAFT).with_only_columns(*named, *facts)  # type: ignore[attr-defined]  # a request


def _open(ctx: Context, request: Any, applicant: UUID) -> tuple[int, int]:
    """Return how many other requests of the same kind and function are under way, and for how many cards."""
    R, A = PersonalisationRequest, ActivationRequest  # noqa: N806  # as the selects read
    if isinstance(request, R):
        query, quantity, of = personalisation.requests_query(ctx).where(R.buyer_id == applicant), R.quantity, R
    else:
        left = A.machines - A.redeemed
        query, quantity, of = activation.requests_query(ctx).where(A.organisation_id == applicant), left, A  # type: ignore[assignment]  # either kind
    others = query.where(and_(of.id != request.id, of.function == request.function, of.state.in_(UNDERWAY)))
    count, total = ctx.session.execute(others.with_only_columns(func.count(), func.sum(quantity))).one()
    return count, int(total or 0)
