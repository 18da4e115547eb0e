"""The way of one card: from the letter that asked for it to its manifest, or to its destruction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Uuid, bindparam, exists, or_, select
from sqlalchemy.orm import aliased, lazyload

from sifilma.activation import queries as activation
from sifilma.activation.models import (
    ACTIVATION_REQUEST,
    ActivationRequest,
    ActivationRequestCard,
    Manifest,
    ManifestState,
    RequestState,
    Token,
    TokenState,
)
from sifilma.activation.requests.form_choices import RENEWED_WITHIN
from sifilma.activation.suspensions.models import PlaceSuspension, SuspensionState
from sifilma.activation.suspensions.queries import find_open, find_unreviewed
from sifilma.cards import program_reports
from sifilma.cards.models import CARD, Card, CardState
from sifilma.destruction.models import DESTRUCTION, Destruction, DestructionCard
from sifilma.destruction.service import destructions_query
from sifilma.handover.discrepancies.models import DifferenceState, DiscrepancyCard
from sifilma.handover.models import RECEIPTS, Handover, HandoverCard, HandoverKind, HandoverState
from sifilma.handover.service import handovers_query
from sifilma.identity.models import Organisation
from sifilma.kernel.context import Context
from sifilma.kernel.statements import built_once
from sifilma.kernel.statements.prepared import Prepared
from sifilma.personalisation import service as personalisation
from sifilma.personalisation.models import PERSONALISATION, PersonalisationRequest
from sifilma.reports.way.papers.pages import (
    AHEAD,
    OPERATORS,
    Taken,
    destruction_awaits,
    destruction_steps,
    done,
    last,
    letter_and_approval,
    taken,
)
from sifilma.reports.way.serializers import Awaited, Status, Step, Way

S = CardState
BROKEN = (S.DAMAGED, S.LOCKED, S.REVOKED)


@dataclass(frozen=True)
class _Handed:
    """A BAST that names the card. `difference` is the state of the card among what its receipt differed in, if it did."""

    id: UUID
    state: str
    kind: str
    receiver_id: UUID
    issued_at: datetime
    changed_at: datetime
    issuer: str
    receiver: str
    difference: str | None


@dataclass(frozen=True)
class _Token:
    """The newest token of the card."""

    state: str
    expires_at: datetime


@dataclass(frozen=True)
class _Facts:
    """What is known of a card: the papers that name it, as far as the actor may see them, and its steps."""

    card: Card
    holder: str
    made: PersonalisationRequest | None
    handed: Sequence[_Handed]
    asked: ActivationRequest | None
    token: _Token | None
    ended: Destruction | None
    place: PlaceSuspension | None
    steps: Sequence[Taken]

    def of(self, kind: str) -> list[Taken]:
        """Return the steps of one kind of object."""
        return [step for step in self.steps if step.kind == kind]

    @property
    def cards(self) -> list[Taken]:
        """Return the steps of the card itself."""
        return self.of(CARD.kind)

    @property
    def underway(self) -> _Handed | None:
        """Return the BAST that nobody has answered yet."""
        return next((one for one in self.handed if one.state == HandoverState.ISSUED), None)

    @property
    def short(self) -> _Handed | None:
        """Return the BAST from which the card is missing."""
        return next((one for one in self.handed if one.difference == DifferenceState.MISSING), None)

    @property
    def received(self) -> list[_Handed]:
        """Return the BASTs that brought the card, oldest first."""
        came = (None, DifferenceState.DAMAGED, DifferenceState.ARRIVED)
        return [one for one in self.handed if one.state in RECEIPTS and one.difference in came]


def of_card(ctx: Context, card: Card) -> Way:
    """Return the way of a card, with what it waits for now."""
    facts = _facts(ctx, card)
    steps = [*_made(facts), *_handed(facts)]
    if card.state in (*BROKEN, S.DESTROYED):
        return Way([*steps, *_broken(facts)], _broken_awaits(facts), "destroyed" if card.state == S.DESTROYED else "")
    if card.state == S.LOST:
        end = last(facts.cards, S.LOST)
        return Way([*steps, Step("lost", Status.STOPPED, end.who if end else "", card.changed_at)], [], "lost")
    if card.state == S.SUSPENDED and facts.place is None:
        report = program_reports.find_pending(ctx, card)
        here = Step("report", Status.CURRENT, facts.holder, card.changed_at)
        return Way([*steps, here], [Awaited("decide_report", report.id)] if report else [], "" if report else "suspended")
    if card.holder_id != card.buyer_id or card.state in (S.REGISTERED, S.PERSONALISED, S.HANDED_OVER):
        is_back = facts.underway is not None and facts.underway.kind == HandoverKind.RETURN
        ahead = [] if is_back else [Step("request"), Step("approval"), Step("manifest")]
        return Way([*steps, *ahead], _made_awaits(facts))
    used, awaited = _used(ctx, facts)
    return Way([*steps, *used], awaited, "in_use" if card.state == S.ACTIVE and not awaited else "")


def _facts(ctx: Context, card: Card) -> _Facts:
    born = personalisation.requests_query(ctx).where(PersonalisationRequest.id == card.personalisation_request_id)
    made = ctx.session.scalars(born.options(lazyload(PersonalisationRequest.approvals))).first()
    request = _find_request(ctx, card) if card.holder_id == card.buyer_id else None
    ended = _find_destruction(ctx, card) if card.state in (*BROKEN, S.DESTROYED) else None
    token = _TOKENS.read(ctx.session, {"card": card.id, "request": request.id}) if request else []
    kinds = ((CARD.kind, card), (PERSONALISATION.kind, made), (ACTIVATION_REQUEST.kind, request), (DESTRUCTION.kind, ended))
    return _Facts(
        card,
        ctx.session.get_one(Organisation, card.holder_id).name,
        made,
        [_Handed(*row) for row in built_once.rows(ctx, handed_query, None, {"card": card.id})],
        request,
        _Token(*token[0]) if token else None,
        ended,
        find_open(ctx.session, card.id) if card.state in (S.ACTIVE, S.SUSPENDED) else None,
        taken(ctx, *((kind, paper.id) for kind, paper in kinds if paper is not None)),
    )


_CARD = bindparam("card", type_=Uuid())
_TOKENS = Prepared(
    select(Token.state, Token.expires_at)
    .where(Token.card_id == bindparam("card"), Token.activation_request_id == bindparam("request"))
    .order_by(Token.id.desc())
    .limit(1)
)


def handed_query(ctx: Context, _: None) -> Select[Any]:
    """Return the query of the BASTs that name `card`, oldest first, of those that the actor may see."""
    issuer, receiver = aliased(Organisation), aliased(Organisation)
    query: Select[Any] = handovers_query(ctx).with_only_columns(  # type: ignore[assignment]  # eight columns and more
        *(Handover.id, Handover.state, Handover.kind, Handover.receiver_id, Handover.issued_at, Handover.changed_at),
        *(issuer.name.label("issuer"), receiver.name.label("receiver"), DiscrepancyCard.state.label("difference")),
    )
    query = query.join(HandoverCard, HandoverCard.handover_id == Handover.id)
    query = query.join(issuer, issuer.id == Handover.issuer_id).join(receiver, receiver.id == Handover.receiver_id)
    differs = (DiscrepancyCard.handover_id == Handover.id) & (DiscrepancyCard.card_id == HandoverCard.card_id)
    return query.outerjoin(DiscrepancyCard, differs).where(HandoverCard.card_id == _CARD).order_by(Handover.id)


def _find_request(ctx: Context, card: Card) -> ActivationRequest | None:
    """Return the newest activation request that names the card and is open, or by which it was activated."""
    found = built_once.rows(ctx, asked_query, None, {"card": card.id})
    parts = (ActivationRequest.cards, ActivationRequest.approvals)
    return ctx.session.get(ActivationRequest, found[0].id, options=[*map(lazyload, parts)]) if found else None


def asked_query(ctx: Context, _: None) -> Select[Any]:
    """Return the query of the id of the newest activation request of `card` that is open, or by which it was activated."""
    bound = ActivationRequestCard.activation_request_id == ActivationRequest.id
    named = activation.requests_query(ctx).join(ActivationRequestCard, bound).where(ActivationRequestCard.card_id == _CARD)
    redeemed = Token.card_id == _CARD, Token.state == TokenState.REDEEMED
    used = exists().where(Token.activation_request_id == ActivationRequest.id, *redeemed)
    query = named.where(or_(ActivationRequest.state.in_(AHEAD), used)).with_only_columns(ActivationRequest.id)
    return query.order_by(ActivationRequest.id.desc()).limit(1)


def _find_destruction(ctx: Context, card: Card) -> Destruction | None:
    """Return the newest destruction that names the card."""
    named = destructions_query(ctx).join(DestructionCard, DestructionCard.destruction_id == Destruction.id)
    parts = (Destruction.cards, Destruction.witnesses, Destruction.photos, Destruction.approvals)
    query = named.where(DestructionCard.card_id == card.id).options(*map(lazyload, parts))
    return ctx.session.scalars(query.order_by(Destruction.id.desc()).limit(1)).first()


# --- made and handed over --------------------------------------------------------------------------------------------


def _made(facts: _Facts) -> list[Step]:
    """Return letter, approval and personalisation. Without the letter, which the actor may not see, personalisation alone."""
    card = facts.card
    first = letter_and_approval(facts.made, facts.made.requester.name, facts.of(PERSONALISATION.kind)) if facts.made else []
    step = last(facts.cards, S.PERSONALISED)
    if step:
        return [*first, done("personalisation", step)]
    if card.state == S.REGISTERED:
        return [*first, Step("personalisation", Status.CURRENT, OPERATORS, card.changed_at)]
    return [*first, Step("personalisation", Status.STOPPED, "", card.changed_at)]  # it failed


def _handed(facts: _Facts) -> list[Step]:
    """Return a step for each handing over: to whoever asked, from a manufacturer to the buyer, and back."""
    card = facts.card
    if not last(facts.cards, S.PERSONALISED) and card.state in (*BROKEN, S.DESTROYED):
        return []
    steps = [Step(_leg(facts, one), Status.DONE, one.receiver, one.changed_at) for one in facts.received]
    if facts.short:
        return [*steps, Step("missing", Status.CURRENT, facts.short.issuer, facts.short.changed_at)]
    if facts.underway:
        steps.append(Step(_leg(facts, facts.underway), Status.CURRENT, facts.underway.receiver, facts.underway.issued_at))
        return steps + [Step(name) for name in _ahead(facts, facts.underway.receiver_id)]
    first, *more = _ahead(facts, card.holder_id) or [""]
    if first and card.state in (S.PERSONALISED, S.RECEIVED):
        steps.append(Step(first, Status.CURRENT, OPERATORS if card.state == S.PERSONALISED else facts.holder, card.changed_at))
    elif first:
        steps.append(Step(first))
    return steps + [Step(name) for name in more]


def _leg(facts: _Facts, handover: _Handed) -> str:
    if handover.kind == HandoverKind.RETURN:
        return "bast_back"
    return "bast" if handover.receiver_id == facts.card.buyer_id else "bast_maker"


def _ahead(facts: _Facts, where: UUID) -> list[str]:
    """Return the handing overs that lie ahead of a card at an organisation: none of one that is out of use or goes back."""
    card, made = facts.card, facts.made
    goes_back = facts.underway is not None and facts.underway.kind == HandoverKind.RETURN
    if where == card.buyer_id or goes_back or card.state in (*BROKEN, S.LOST, S.DESTROYED):
        return []
    if made is None or made.requester_id == made.buyer_id or where == made.requester_id:
        return ["bast"]
    return ["bast_maker", "bast"]


def _made_awaits(facts: _Facts) -> list[Awaited]:
    card = facts.card
    if card.state == S.HANDED_OVER:
        return _underway_awaits(facts)
    task = "record_results" if card.state == S.REGISTERED else "issue_handover"
    return [Awaited(task, card.personalisation_request_id)]


# --- asked for and activated -----------------------------------------------------------------------------------------


def _used(ctx: Context, facts: _Facts) -> tuple[list[Step], list[Awaited]]:
    """Return activation request, approval and manifest of a card at its buyer, and what it waits for."""
    card, asked, token = facts.card, facts.asked, facts.token
    is_open = asked is not None and asked.state in AHEAD and not (token is not None and token.state == TokenState.REDEEMED)
    if asked is not None and is_open:
        first = [replace(step, name="request") if step.name == "letter" else step for step in _asked(facts, asked)]
        manifest = Step("manifest")
        if asked.state == RequestState.APPROVED:
            manifest = Step("manifest", Status.CURRENT, facts.holder, first[-1].at, token.expires_at if token else None)
        return [*first, manifest], _asked_awaits(ctx, asked, token)
    if facts.place is not None:
        return _misplaced(ctx, facts, facts.place)
    if card.state == S.ACTIVE:
        return _in_use(ctx, facts)
    arrived = [one.id for one in facts.received if one.receiver_id == card.holder_id]
    here = Step("request", Status.CURRENT, facts.holder, card.changed_at)
    return [here, Step("approval"), Step("manifest")], [Awaited("request_activation", key) for key in arrived[-1:]]


def _asked(facts: _Facts, asked: ActivationRequest) -> list[Step]:
    return letter_and_approval(asked, asked.organisation.name, facts.of(ACTIVATION_REQUEST.kind))


def _asked_awaits(ctx: Context, asked: ActivationRequest, token: _Token | None) -> list[Awaited]:
    if asked.state == RequestState.APPROVED:
        is_live = token is not None and token.state == TokenState.ISSUED and token.expires_at > ctx.now
        return [Awaited("activate" if is_live else "reissue_token", asked.id)]
    if asked.state == RequestState.SUBMITTED:
        tasks = ["approve_activation"] if asked.verified_at else ["approve_activation", "verify_activation"]
    else:
        tasks = ["submit_activation" if asked.state == RequestState.DRAFT else "mend_activation"]
    return [Awaited(task, asked.id) for task in tasks]


def _in_use(ctx: Context, facts: _Facts) -> tuple[list[Step], list[Awaited]]:
    """Return the steps of an active card: its manifest is due for renewal when it ends soon."""
    manifest = next(iter(built_once.rows(ctx, standing_query, None, {"card": facts.card.id})), None)
    step = last(facts.cards, S.ACTIVE)
    first = [replace(one, name="request") if one.name == "letter" else one for one in _asked(facts, facts.asked)] if facts.asked else []
    used = replace(done("manifest", step), until=manifest.expires_at if manifest else None)
    if manifest is None or manifest.expires_at > ctx.now + RENEWED_WITHIN:
        return [*first, used], []
    due = Step("renewal", Status.CURRENT, facts.holder, manifest.expires_at - RENEWED_WITHIN, manifest.expires_at)
    return [*first, used, due], [Awaited("renew_manifests", facts.card.holder_id)]


def standing_query(ctx: Context, _: None) -> Select[Any]:
    """Return the query of the end of the active manifest of `card`, if the actor may see it."""
    active = activation.manifests_query(ctx).where(
        Manifest.card_id == bindparam("card", type_=Uuid()), Manifest.state == ManifestState.ACTIVE
    )
    return active.with_only_columns(Manifest.expires_at)


def _misplaced(ctx: Context, facts: _Facts, place: PlaceSuspension) -> tuple[list[Step], list[Awaited]]:
    """Return the steps of a card whose place was rejected: its holder relocates it, and before the deadline a second person may decide."""
    first = [replace(one, name="request") if one.name == "letter" else one for one in _asked(facts, facts.asked)] if facts.asked else []
    until = place.due_at if place.state == SuspensionState.PROPOSED else None
    decides = [Awaited("decide_place_suspension", place.id)] if until else []
    if newer := find_unreviewed(ctx.session, place):
        here, awaited = Step("place", Status.CURRENT, OPERATORS, facts.card.changed_at), [Awaited("review_place", newer)]
    else:
        here, awaited = Step("place", Status.CURRENT, facts.holder, place.changed_at, until), [Awaited("answer_place", place.id)]
    return [*first, done("manifest", last(facts.cards, S.ACTIVE)), here], [*awaited, *decides]


# --- broken ----------------------------------------------------------------------------------------------------------


def _broken(facts: _Facts) -> list[Step]:
    card = facts.card
    end = last(facts.cards, *BROKEN)
    broke = Step(str(end.state) if end else card.state, Status.DONE, end.who if end else "", end.at if end else card.changed_at)
    if facts.underway or facts.short:  # who destroys it is known when the BAST is answered: `_handed` says who has it
        return [broke, Step("proposal"), Step("destruction_approval"), Step("berita_acara"), Step("verification")]
    steps = facts.of(DESTRUCTION.kind)
    if facts.ended is not None and not _is_free(facts.ended):
        return [broke, *destruction_steps(facts.ended, steps)]
    proposal = Step("proposal", Status.CURRENT, facts.holder, card.changed_at)
    return [broke, proposal, Step("destruction_approval"), Step("berita_acara"), Step("verification")]


def _is_free(ended: Destruction) -> bool:
    return ended.state in ("rejected", "cancelled")


def _underway_awaits(facts: _Facts) -> list[Awaited]:
    """Return what a card waits for that is on its way, or did not come."""
    if facts.underway:
        return [Awaited("receive_handover", facts.underway.id)]
    return [Awaited("settle_missing", facts.short.id)] if facts.short else []


def _broken_awaits(facts: _Facts) -> list[Awaited]:
    if facts.underway or facts.short:
        return _underway_awaits(facts)
    if facts.ended is None or _is_free(facts.ended):
        return [Awaited("propose_destruction", facts.card.holder_id, facts.card.state)]
    return destruction_awaits(facts.ended)
