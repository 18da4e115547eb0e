"""Revoke a manifest: proposed by an operator or the province, decided by an approver; at once when its card is reported."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from sifilma.activation.models import MANIFEST, REVOCATION, Manifest, ManifestState, Revocation, Token
from sifilma.activation.queries import find_open_revocation, get_manifest, manifests_query
from sifilma.activation.suspensions import service as suspensions
from sifilma.activation.tokens import service as tokens
from sifilma.approvals.models import ProposalState
from sifilma.approvals.proposals import Proposals
from sifilma.approvals.service import require_note
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.models import CARD, Card, CardState
from sifilma.cards.program_reports import return_to
from sifilma.cards.upkeep.models import CORRECTION, UnitCorrection
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.actor import Role
from sifilma.kernel.context import Act, Context
from sifilma.kernel.errors import Conflict, NotFound
from sifilma.kernel.ids import uuid7
from sifilma.kernel.text import say

PROPOSALS = Proposals(REVOCATION, Revocation, say("Another person than the proposer decides this."))
STANDING = (ManifestState.ACTIVE, ManifestState.SUSPENDED)


def propose(ctx: Context, manifest_id: UUID, reason: str) -> Revocation:
    """Propose to revoke a manifest. Nothing changes yet. Return the proposal.

    Raise NotFound outside the actor's scope, and Conflict if the manifest is not active or suspended, a proposal is open, or the actor may
    only decide.
    """
    able = grants(ctx.actor, Operation.MANIFEST_PROPOSE)
    manifest = _standing(ctx, manifest_id, Operation.MANIFEST_PROPOSE if able else Operation.MANIFEST_REVOKE)
    if not able:
        raise Conflict("Nobody has proposed to revoke this manifest: an operator does that first.", type="no-proposal")
    if find_open_revocation(ctx, manifest_id) is not None:
        raise Conflict("A proposal to revoke this manifest waits already.", type="proposed-already")
    act = record(ctx, Action.MANIFEST_REVOKE_PROPOSE, "manifest", manifest.id, organisation_id=manifest.organisation_id, reason=reason)
    proposal = Revocation(id=uuid7(), manifest_id=manifest.id, reason=require_note(reason))
    PROPOSALS.propose(ctx, proposal, act, reason)
    return proposal


def find_standing_manifest(ctx: Context, card_id: UUID) -> Manifest | None:
    """Return the active or suspended manifest of a card if the actor may propose to revoke it, else None."""
    query = manifests_query(ctx, Operation.MANIFEST_PROPOSE).where(Manifest.card_id == card_id, Manifest.state.in_(STANDING))
    return ctx.session.scalars(query).first()


def propose_of_card(ctx: Context, card_id: UUID, reason: str) -> Revocation:
    """Propose to revoke a card's manifest, for a province that may see the card but not the manifest. Raise NotFound if there is none."""
    manifest = find_standing_manifest(ctx, card_id)
    if manifest is None:
        raise NotFound()
    return propose(ctx, manifest.id, reason)


def get_open_proposal(ctx: Context, manifest_id: UUID) -> Revocation:
    """Return the proposal that waits for a decision. Raise Conflict if there is none."""
    found = find_open_revocation(ctx, get_manifest(ctx, manifest_id, Operation.MANIFEST_REVOKE).id)
    if found is None:
        raise Conflict("No proposal to revoke this manifest waits for a decision.", type="no-proposal")
    return found


def decide(ctx: Context, proposal: Revocation, *, execute: bool, note: str = "") -> Manifest:
    """Execute or reject a proposal. The actor is an approver and not the proposer.

    Executing sets status 1 (revoked) and moves the card back to `received`. A proposal for a manifest that has ended meanwhile can only be
    rejected. Raise Conflict if the actor is no approver or the manifest has ended, and what `Proposals` raises.
    """
    manifest = _standing(ctx, proposal.manifest_id) if execute else get_manifest(ctx, proposal.manifest_id, Operation.MANIFEST_REVOKE)
    if Role.APPROVER not in ctx.actor.roles:
        raise Conflict("The proposal waits for an approver.", type="proposed-already")
    PROPOSALS.take(ctx, proposal)
    PROPOSALS.require_second_person(ctx, proposal)
    action = Action.MANIFEST_REVOKE if execute else Action.MANIFEST_REVOKE_REJECT
    act = record(ctx, action, "manifest", manifest.id, organisation_id=manifest.organisation_id, reason=proposal.reason, note=note)
    PROPOSALS.decide(ctx, proposal, execute, act, note)
    if execute:
        withdraw(ctx.session, manifest, ManifestState.REVOKED, act, proposal.reason)
    return manifest


def _standing(ctx: Context, manifest_id: UUID, operation: Operation = Operation.MANIFEST_REVOKE) -> Manifest:
    manifest = get_manifest(ctx, manifest_id, operation)
    if manifest.state not in STANDING:
        raise Conflict(say("A manifest that is %(state)s cannot be revoked.", state=manifest.state), state=manifest.state)
    return manifest


def withdraw(session: Session, manifest: Manifest, target: ManifestState, act: Act, note: str) -> None:
    """End an active or suspended manifest, and move its card back to `received` if it is active; a suspended card returns there later.

    The manifest comes before the card: the trigger `card_leaves_active` refuses the card's step while its manifest is in force. A card
    that was suspended for the place of this manifest is suspended no more: the place counts no more either.
    """
    card = session.get_one(Card, manifest.card_id)
    freed = suspensions.close(session, card, act)
    MANIFEST.move(session, manifest, target, act, note)
    session.flush()
    if card.state == CardState.ACTIVE or freed:
        CARD.move(session, card, CardState.RECEIVED, act, note)
        session.flush()
    elif card.state == CardState.SUSPENDED:
        return_to(session, card, CardState.RECEIVED)


def when_card_falls(session: Session, card: Card, act: Act) -> None:
    """Revoke the manifest and cancel the open tokens of a card that is about to be damaged, locked, lost or revoked (a hook)."""
    with session.no_autoflush:
        tokens.cancel_open(session, act, f"the card is no longer {card.state}", Token.card_id == card.id)
        suspensions.close(session, card, act)
        manifest = session.scalars(select(Manifest).where(Manifest.card_id == card.id, Manifest.state.in_(STANDING))).first()
        if manifest is not None:
            MANIFEST.move(session, manifest, ManifestState.REVOKED, act, say("The card was reported."))
            session.flush()


def when_unit_is_corrected(session: Session, correction: UnitCorrection, act: Act) -> None:
    """Revoke the manifest of the card in a unit that is about to get other numbers: it names the former ones (a hook)."""
    with session.no_autoflush:
        of_unit = select(Manifest).join(Card, Card.id == Manifest.card_id).where(Card.unit_id == correction.unit_id)
        manifest = session.scalars(of_unit.where(Manifest.state.in_(STANDING))).first()
        if manifest is not None:
            withdraw(session, manifest, ManifestState.REVOKED, act, say("The numbers of the unit were corrected."))


def when_card_is_suspended(session: Session, card: Card, act: Act) -> None:
    """Suspend the active manifest of a card that is about to be suspended (a hook). Its tokens stay, and open nothing meanwhile."""
    _carry(session, card, act, ManifestState.ACTIVE, ManifestState.SUSPENDED)


def when_card_returns(session: Session, card: Card, act: Act) -> None:
    """Bring the suspended manifest of a card that is about to be active again back into force (a hook)."""
    _carry(session, card, act, ManifestState.SUSPENDED, ManifestState.ACTIVE)


def _carry(session: Session, card: Card, act: Act, source: ManifestState, target: ManifestState) -> None:
    with session.no_autoflush:
        manifest = session.scalars(select(Manifest).where(Manifest.card_id == card.id, Manifest.state == source)).first()
        if manifest is not None:
            MANIFEST.move(session, manifest, target, act)
            session.flush()


def register_hooks() -> None:
    """Attach the hooks to the life cycles of cards and of corrections of units (docs/domain.md, rule 13)."""
    CORRECTION.on(ProposalState.EXECUTED, when_unit_is_corrected)
    CARD.on(CardState.SUSPENDED, when_card_is_suspended)
    CARD.on(CardState.ACTIVE, when_card_returns)
    for state in (CardState.DAMAGED, CardState.LOCKED, CardState.LOST, CardState.REVOKED):
        CARD.on(state, when_card_falls)
