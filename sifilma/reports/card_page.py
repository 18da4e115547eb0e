"""A card with everything about it: holder and buyer, manifests, documents. The actor sees each part within their scope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, TypeAlias
from uuid import UUID

from flask_babel import gettext, ngettext
from flask_babel import lazy_gettext as _
from sqlalchemy import ColumnElement, Select, String, Uuid, bindparam, func, literal, select, union_all
from sqlalchemy.orm import InstrumentedAttribute

from sifilma.activation import queries
from sifilma.activation.manifests import revocation
from sifilma.activation.manifests.pages import Shown, shown
from sifilma.activation.manifests.revocation import STANDING
from sifilma.activation.models import Activation, ActivationRequest, ActivationRequestCard
from sifilma.activation.requests import queries as requests
from sifilma.approvals.models import ProposalState
from sifilma.approvals.queries import by_letter
from sifilma.cards.models import CARD, Card, CardState, Unit
from sifilma.cards.part_queries import Naming
from sifilma.cards.queries import units_query
from sifilma.cards.schemas import CardOut
from sifilma.cards.serializers import TimelineStep, cards_out, organisation_names, timeline
from sifilma.destruction.form_choices import CAUSES
from sifilma.destruction.models import Destruction, DestructionCard
from sifilma.destruction.service import destructions_query
from sifilma.documents.indonesian import zone_of
from sifilma.documents.lists import Export
from sifilma.handover.models import Handover, HandoverCard
from sifilma.handover.service import handovers_query
from sifilma.identity.permissions import Operation, grants
from sifilma.identity.scope import may_reach
from sifilma.kernel.context import Context
from sifilma.kernel.paging import Listing
from sifilma.kernel.statements import built_once
from sifilma.personalisation import queries as personalisation_queries
from sifilma.personalisation import service as personalisation
from sifilma.personalisation.models import PersonalisationRequest
from sifilma.web.pages import moment
from sifilma.web.states import named, state

TO_DESTROY = "broken"
"""The value of the filter by state that stands for every state in which a card is to be destroyed."""
Attribute: TypeAlias = InstrumentedAttribute[UUID]
EXPORT = Export(
    "kartu",
    {
        _("UID"): lambda line: line.of.uid,
        _("State"): lambda line: str(state(line.of.state).name),
        _("Function"): lambda line: line.of.function,
        _("Holder"): lambda line: line.holder,
        _("Buyer"): lambda line: line.buyer,
        _("Unit"): lambda line: line.of.unit or "",
        _("Key version"): lambda line: line.of.key_version,
        _("KCV"): lambda line: line.of.kcv,
        _("Manifests"): lambda line: line.of.seq,
        _("Since"): lambda line: moment(line.of.changed_at),
    },
    orders={"uid": (_("UID"), Card.uid)},
    counted=lambda number, words: ngettext("%(count)s card", "%(count)s cards", number, count=words),
    filters={"text": "", "state": "", "function": "", "holder": "", "aktif": "", "milik": ""},
)


@dataclass(frozen=True)
class CardLine:
    """A card in a list, with the names of its holder and buyer."""

    of: CardOut
    holder: str
    buyer: str


@dataclass(frozen=True)
class Paper:
    """A document that names the card. `kind` and `id` are those of its object. `number` is empty while it has none."""

    kind: str
    id: UUID
    number: str
    at: datetime
    state: str


def lines(ctx: Context, cards: list[Card]) -> list[CardLine]:
    """Return cards with the names of holder and buyer, in one query for all names."""
    parties = {party for card in cards for party in (card.holder_id, card.buyer_id)}
    names = organisation_names(ctx, parties)
    return [CardLine(out, names[out.holder_id], names[out.buyer_id]) for out in cards_out(ctx, cards)]


def _made(ctx: Context, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition of cards of the personalisation requests with a condition that the actor may see."""
    made = personalisation.requests_query(ctx).where(condition).with_only_columns(PersonalisationRequest.id)
    return Card.personalisation_request_id.in_(made)


def _asked(ctx: Context, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition of cards of the activation requests with a condition that the actor may see."""
    asked = queries.requests_query(ctx).where(condition).with_only_columns(ActivationRequest.id)
    return Card.id.in_(select(ActivationRequestCard.card_id).where(ActivationRequestCard.activation_request_id.in_(asked)))


NAMING = (
    Naming(by_letter(personalisation_queries.FINDER), PersonalisationRequest.id, _made),
    Naming(by_letter(requests.FINDER), ActivationRequest.id, _asked),
)
"""Requests of each kind whose letter number has a part: they name cards."""


def states() -> list[tuple[str, str]]:
    """Return the states of a card for the choices of a filter, and the one choice of all that are to be destroyed."""
    return [*named(CardState), (TO_DESTROY, gettext("To be destroyed"))]


def list_narrowed(ctx: Context, listing: Listing[Card], *, to_destroy: bool, own: bool, activated: date | None) -> Listing[Card]:
    """Return the listing with those cards alone that are to be destroyed, that the actor's organisation holds, or that were activated."""
    query, key = listing
    if to_destroy:
        query = query.where(Card.state.in_(CAUSES))
    if own:
        query = query.where(held(ctx))
    return (query.where(activated_on(ctx, activated)) if activated else query), key


def held(ctx: Context) -> ColumnElement[bool]:
    """Return the condition that the actor's organisation holds a card."""
    return Card.holder_id == ctx.actor.organisation_id


def destroys(ctx: Context) -> bool:
    """Return whether the actor's organisation destroys the broken cards that it holds; otherwise the actor only oversees."""
    return bool(grants(ctx.actor, Operation.DESTRUCTION_RECORD))


def activated_on(ctx: Context, day: date) -> ColumnElement[bool]:
    """Return the condition that a card was activated on a day in the actor's zone."""
    zone = zone_of(ctx.actor.region_code)
    start, end = (datetime.combine(each, time(), zone) for each in (day, day + timedelta(days=1)))
    return Card.id.in_(select(Activation.card_id).where(Activation.at >= start, Activation.at < end, Activation.stated_by.is_(None)))


def steps_of(ctx: Context, card: Card) -> list[TimelineStep]:
    """Return all steps of the card's life, oldest first."""
    return timeline(ctx, CARD.kind, card.id)


def find_unit(ctx: Context, card: Card) -> Unit | None:
    """Return the unit the card is tied to if the actor may see it, else None."""
    return ctx.session.scalars(units_query(ctx).where(Unit.id == card.unit_id)).first() if card.unit_id else None


def manifests_of(ctx: Context, card: Card, public_url: str) -> list[Shown]:
    """Return the card's manifests, newest first, with their places."""
    chain = queries.chain(ctx, card.id)
    return shown(ctx, chain, public_url) if chain else []


def revocable(ctx: Context, card: Card, manifests: Sequence[Shown]) -> str:
    """Return whether the actor may propose to revoke the card's manifest: `yes`, `waits` if a proposal is open, else an empty text.

    `manifests` are those of the card that the actor sees. A province may propose it without seeing them.
    """
    if not grants(ctx.actor, Operation.MANIFEST_PROPOSE):
        return ""
    if manifests:
        standing = next((one for one in manifests if one.of.state in STANDING), None)
        if standing and may_reach(ctx.actor, Operation.MANIFEST_PROPOSE, standing.organisation_id):
            return "waits" if (standing.of.revocation or {}).get("state") == ProposalState.PROPOSED else "yes"
    found = revocation.find_standing_manifest(ctx, card.id)
    return "" if found is None else "waits" if queries.find_open_revocation(ctx, found.id) else "yes"


def papers_of(ctx: Context, card: Card) -> list[Paper]:
    """Return every document that names the card and that the actor may see, oldest first."""
    rows = built_once.rows(ctx, papers_query, None, {"card": card.id, "request": card.personalisation_request_id})
    return sorted((Paper(*row) for row in rows), key=lambda paper: paper.at)


def papers_query(ctx: Context, _: None) -> Select[Any]:
    """Return the query of what names `card` and was made by the personalisation `request`, of what the actor may see."""
    P, H, A, D = PersonalisationRequest, Handover, ActivationRequest, Destruction  # noqa: N806  # as the selects read
    born = personalisation.requests_query(ctx).where(bindparam("request", type_=Uuid()) == P.id)
    handed = handovers_query(ctx).where(_names(H.id, HandoverCard.handover_id, HandoverCard.card_id))
    asked = queries.requests_query(ctx).where(_names(A.id, ActivationRequestCard.activation_request_id, ActivationRequestCard.card_id))
    ended = destructions_query(ctx).where(_names(D.id, DestructionCard.destruction_id, DestructionCard.card_id))
    found = union_all(
        _papers("personalisation_request", born, P.id, P.letter_number, P.created_at, P.state),
        _papers("handover", handed, H.id, H.number, H.issued_at, H.state),
        _papers("activation_request", asked, A.id, A.letter_number, A.created_at, A.state),
        _papers("destruction", ended, D.id, func.coalesce(D.number, ""), D.created_at, D.state),
    )
    return select(found.subquery())


def _names(key: Attribute, named: Attribute, of: Attribute) -> ColumnElement[bool]:
    return key.in_(select(named).where(of == bindparam("card", type_=Uuid())))


def _papers(kind: str, query: Select[Any], *columns: Any) -> Select[Any]:
    return query.with_only_columns(literal(kind, String), *columns)
