"""What an actor may see of requests, activations and manifests."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, literal_column, or_, select
from sqlalchemy.orm import aliased

from sifilma.activation.models import Activation, ActivationRequest, ActivationRequestCard, Manifest, ManifestState, Revocation, Token
from sifilma.approvals.models import ProposalState
from sifilma.cards.derived.models import CardUid
from sifilma.cards.identifiers import plain_hex
from sifilma.cards.models import Card
from sifilma.cards.outlets.queries import card_at_outlets
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import at_outlets, scoped
from sifilma.kernel.actor import Actor
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.kernel.paging import Listing
from sifilma.kernel.statements.built_once import one_of_given
from sifilma.kernel.statements.prepared import Prepared

IS_OPEN = Token.state == literal_column("'issued'")
"""The condition of tokens that can be used, if they have not lapsed. A bound value would keep a prepared plan from the index of these."""


def newest_moment_query() -> Select[datetime]:
    """Return a query of the moments at which manifests were signed, the newest first."""
    return select(Manifest.issued_at).order_by(Manifest.id.desc())


def requests_query(ctx: Context, operation: Operation = Operation.ACTIVATION_VIEW) -> Select[ActivationRequest]:
    """Return a query of the activation requests the actor may see."""
    return scoped(select(ActivationRequest), ctx.actor, operation, ActivationRequest.organisation_id, unit=requests_at_outlets)


_named = aliased(ActivationRequestCard)


def requests_at_outlets(actor: Actor) -> ColumnElement[bool]:
    """Return the condition that every card of a request is in a unit at an outlet to which an actor is limited, and stays at such ones."""
    leaves = and_(_named.unit_id.is_not(None), ~at_outlets(actor, _named.unit_id))
    elsewhere = or_(~card_at_outlets(_named.card_id)(actor), leaves)
    return ~exists().where(_named.activation_request_id == ActivationRequest.id, elsewhere)


def tokens_query(ctx: Context, operation: Operation) -> Select[Token]:
    """Return a query of the tokens the actor may see or use."""
    return scoped(select(Token), ctx.actor, operation, Token.organisation_id, unit=card_at_outlets(Token.card_id))


def list_activations(ctx: Context, review: str | None, *, part: str = "") -> Listing[Activation]:
    """Return the activations the actor may see, by state of the place's review (None: any) and by a part of the card's UID."""
    query = activations_query(ctx)
    if part:
        query = query.where(Activation.card_id.in_(_cards_like_query(part)))
    return (query.where(Activation.review_state == review) if review else query), Activation.id


def _cards_like_query(part: str) -> Select[UUID]:
    return select(CardUid.card_id).where(CardUid.uid.contains(plain_hex(part), autoescape=True))


def list_manifests(
    ctx: Context, state: str | None, uid: str | None, *, part: str = "", ends_before: datetime | None = None
) -> Listing[Manifest]:
    """Return the manifests the actor may see, by state and by card (or a part of its UID).

    With `ends_before`, only those active or suspended whose validity ends by then.
    """
    query = manifests_query(ctx, uid=uid)
    if part:
        query = query.where(Manifest.card_id.in_(_cards_like_query(part)))
    if ends_before:
        query = query.where(Manifest.state.in_((ManifestState.ACTIVE, ManifestState.SUSPENDED)), Manifest.expires_at <= ends_before)
    return (query.where(Manifest.state == state) if state else query), Manifest.id


def get_request(ctx: Context, request_id: UUID, operation: Operation = Operation.ACTIVATION_VIEW) -> ActivationRequest:
    """Return one activation request. Raise NotFound if there is none in the actor's scope."""
    found = ctx.session.scalars(requests_query(ctx, operation).where(ActivationRequest.id == request_id)).first()
    if found is None:
        raise NotFound()
    return found


def activations_query(ctx: Context, operation: Operation = Operation.MANIFEST_VIEW) -> Select[Activation]:
    """Return a query of the activations the actor may see."""
    return scoped(select(Activation), ctx.actor, operation, Activation.organisation_id, unit=Activation.unit_id)


def get_activation(ctx: Context, activation_id: UUID, operation: Operation = Operation.MANIFEST_VIEW) -> Activation:
    """Return one activation. Raise NotFound if there is none in the actor's scope."""
    found = ctx.session.scalars(activations_query(ctx, operation).where(Activation.id == activation_id)).first()
    if found is None:
        raise NotFound()
    return found


def manifests_query(ctx: Context, operation: Operation = Operation.MANIFEST_VIEW, uid: str | None = None) -> Select[Manifest]:
    """Return a query of the manifests whose metadata the actor may see, of one card if `uid` is given."""
    query = scoped(select(Manifest), ctx.actor, operation, Manifest.organisation_id, unit=card_at_outlets(Manifest.card_id))
    return query.where(Manifest.card_id.in_(select(Card.id).where(Card.uid == uid))) if uid else query


def get_manifest(ctx: Context, manifest_id: UUID, operation: Operation = Operation.MANIFEST_VIEW) -> Manifest:
    """Return one manifest. Raise NotFound if there is none in the actor's scope."""
    found = ctx.session.scalars(manifests_query(ctx, operation).where(Manifest.id == manifest_id)).first()
    if found is None:
        raise NotFound()
    return found


def chain(ctx: Context, card_id: UUID) -> list[Manifest]:
    """Return the manifests of a card that the actor may see, newest first."""
    query = manifests_query(ctx).where(Manifest.card_id == card_id)
    return list(ctx.session.scalars(query.order_by(Manifest.epoch.desc(), Manifest.seq.desc())))


def find_open_revocation(ctx: Context, manifest_id: UUID) -> Revocation | None:
    """Return the proposal to revoke this manifest that waits for a decision, or None."""
    query = select(Revocation).where(Revocation.manifest_id == manifest_id, Revocation.state == ProposalState.PROPOSED)
    return ctx.session.scalars(query).first()


def list_revocations(ctx: Context) -> Listing[Revocation]:
    """Return the proposals to revoke that wait for a decision, on manifests the actor may see."""
    seen = manifests_query(ctx).with_only_columns(Manifest.id)
    return select(Revocation).where(Revocation.state == ProposalState.PROPOSED, Revocation.manifest_id.in_(seen)), Revocation.id


_UIDS = Prepared(select(Card.id, Card.uid).where(one_of_given(Card.id, "cards")))


def uids(ctx: Context, card_ids: list[UUID]) -> dict[UUID, str]:
    """Return UIDs by card id."""
    return {row.id: row.uid for row in _UIDS.read(ctx.session, {"cards": card_ids})}
