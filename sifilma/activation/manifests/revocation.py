"""Taking a manifest back: proposed by an operator, executed by an approver; or at once, when its card is reported."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from sifilma.activation.models import MANIFEST, Manifest, ManifestState, Revocation, Token
from sifilma.activation.queries import get_manifest, manifests_query, open_revocation
from sifilma.activation.tokens import service as tokens
from sifilma.approvals.service import require_note
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.models import CARD, Card, CardState
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.actor import Role
from sifilma.kernel.context import Act, Context
from sifilma.kernel.db import hold
from sifilma.kernel.errors import Conflict, Forbidden, NotFound
from sifilma.kernel.ids import uuid7
from sifilma.kernel.text import say

STANDING = (ManifestState.ACTIVE, ManifestState.SUSPENDED)


def propose(ctx: Context, manifest_id: UUID, reason: str) -> Revocation:
    """An operator, or the card's province, asks with a reason; nothing changes yet. Conflict if it does not stand, or one waits already."""
    able = grants(ctx.actor, Operation.MANIFEST_PROPOSE)
    manifest = _standing(ctx, manifest_id, Operation.MANIFEST_PROPOSE if able else Operation.MANIFEST_REVOKE)
    if not able:
        raise Conflict("Nobody has proposed to revoke this manifest: an operator does that first.", type="no-proposal")
    if open_revocation(ctx, manifest_id) is not None:
        raise Conflict("A proposal to revoke this manifest waits already.", type="proposed-already")
    person_id = ctx.actor.person_id
    assert person_id is not None  # noqa: S101  # no key may propose
    proposal_id = uuid7()
    act = record(ctx, Action.MANIFEST_REVOKE_PROPOSE, "manifest", manifest.id, organisation_id=manifest.organisation_id, reason=reason)
    proposal = Revocation(
        id=proposal_id,
        manifest_id=manifest.id,
        reason=require_note(reason),
        state="proposed",
        proposed_by_person=person_id,
        proposed_at=ctx.now,
        act_id=act.id,
    )
    ctx.session.add(proposal)
    ctx.session.flush()
    return proposal


def standing_of(ctx: Context, card_id: UUID) -> Manifest | None:
    """The standing manifest of a card, if the actor may propose to revoke it."""
    query = manifests_query(ctx, Operation.MANIFEST_PROPOSE).where(Manifest.card_id == card_id, Manifest.state.in_(STANDING))
    return ctx.session.scalars(query).first()


def propose_of_card(ctx: Context, card_id: UUID, reason: str) -> Revocation:
    """Ask for it by the card, for a province that sees the card and not its manifest."""
    manifest = standing_of(ctx, card_id)
    if manifest is None:
        raise NotFound()
    return propose(ctx, manifest.id, reason)


def open_proposal(ctx: Context, manifest_id: UUID) -> Revocation:
    """The proposal that waits for a decision; Conflict where there is none."""
    found = open_revocation(ctx, get_manifest(ctx, manifest_id, Operation.MANIFEST_REVOKE).id)
    if found is None:
        raise Conflict("No proposal to revoke this manifest waits for a decision.", type="no-proposal")
    return found


def decide(ctx: Context, proposal: Revocation, *, execute: bool, note: str = "") -> Manifest:
    """An approver, who is not the proposer, executes or rejects. Executed: status 1, and the card is back at received.

    Rejected is also what came too late, for a manifest that does not stand any more.
    """
    manifest = _standing(ctx, proposal.manifest_id) if execute else get_manifest(ctx, proposal.manifest_id, Operation.MANIFEST_REVOKE)
    if Role.APPROVER not in ctx.actor.roles:
        raise Conflict("The proposal waits for an approver.", type="proposed-already")
    if ctx.actor.person_id == proposal.proposed_by_person:
        raise Forbidden("Another person than the proposer decides this.", type="four-eyes")
    hold(ctx.session, proposal)  # who executes and who rejects at once do not both win
    if proposal.state != "proposed":
        raise Conflict("This proposal has been decided.")
    action = Action.MANIFEST_REVOKE if execute else Action.MANIFEST_REVOKE_REJECT
    act = record(ctx, action, "manifest", manifest.id, organisation_id=manifest.organisation_id, reason=proposal.reason, note=note)
    proposal.decided_by_person, proposal.decided_at = ctx.actor.person_id, ctx.now
    proposal.state, proposal.act_id = ("executed" if execute else "rejected"), act.id
    ctx.session.flush()
    if execute:
        withdraw(ctx.session, manifest, ManifestState.REVOKED, act, proposal.reason)
    return manifest


def _standing(ctx: Context, manifest_id: UUID, operation: Operation = Operation.MANIFEST_REVOKE) -> Manifest:
    manifest = get_manifest(ctx, manifest_id, operation)
    if manifest.state not in STANDING:
        raise Conflict(say("A manifest that is %(state)s cannot be revoked.", state=manifest.state), state=manifest.state)
    return manifest


def withdraw(session: Session, manifest: Manifest, target: ManifestState, act: Act, note: str) -> None:
    """End a standing manifest; its card, if active, is back at received. The manifest goes first: the database wants it so."""
    MANIFEST.move(session, manifest, target, act, note)
    session.flush()
    card = session.get_one(Card, manifest.card_id)
    if card.state == CardState.ACTIVE:
        CARD.move(session, card, CardState.RECEIVED, act, note)
        session.flush()


def when_card_falls(session: Session, card: Card, act: Act) -> None:
    """Hook: a card about to be damaged, locked, lost or revoked takes its manifest and its open tokens with it."""
    with session.no_autoflush:
        tokens.cancel_open(session, act, f"the card is no longer {card.state}", Token.card_id == card.id)
        manifest = session.scalars(select(Manifest).where(Manifest.card_id == card.id, Manifest.state.in_(STANDING))).first()
        if manifest is not None:
            MANIFEST.move(session, manifest, ManifestState.REVOKED, act, say("The card was reported."))
            session.flush()


def register_hooks() -> None:
    """Attach to the card's life (rule 13)."""
    for state in (CardState.DAMAGED, CardState.LOCKED, CardState.LOST, CardState.REVOKED):
        CARD.on(state, when_card_falls)
