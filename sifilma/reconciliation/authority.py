"""Who may act after a restore: sessions and invitations end, keys of programs are held, and who was disabled or revoked stays so."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from sifilma.accounts import api_keys
from sifilma.accounts.service import end_account, lapse_invitations
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.identity.models import AccountState, ApiKey, Invitation, User
from sifilma.kernel.context import Context
from sifilma.reconciliation.beyond import Beyond
from sifilma.sign_in.service import end_sessions
from sifilma.witness.statements import Kind

REASON = "an older database was brought back"


def end(ctx: Context, found: Beyond) -> str:
    """End sessions and invitations, disable and revoke what the witness knows, hold every other key. Return what was done."""
    end_sessions(ctx, REASON)
    invited = _lapse(ctx)
    items = found.items.get(Kind.DISABLED, [])
    disabled = sum(_disable(ctx, UUID(item["id"])) for item in items if item["kind"] == "user")
    revoked = sum(_revoke(ctx, UUID(item["id"])) for item in items if item["kind"] == "api_key")
    held = sum(_hold(ctx, key) for key in _keys(ctx.session) if key.scopes and key.expires_at > ctx.now)
    return f"all sessions and {invited} invitations ended, {disabled} accounts disabled, {revoked} keys revoked, {held} keys held"


def _lapse(ctx: Context) -> int:
    waiting = select(Invitation.user_id).where(Invitation.used_at.is_(None), Invitation.expires_at > ctx.now)
    users = ctx.session.scalars(select(User).where(User.id.in_(waiting))).all()
    for user in users:
        lapse_invitations(ctx, user)
    return len(users)


def _disable(ctx: Context, user_id: UUID) -> bool:
    user = ctx.session.get(User, user_id)
    if user is None or user.state == AccountState.DISABLED:
        return False
    end_account(ctx, user, REASON)
    return True


def _revoke(ctx: Context, key_id: UUID) -> bool:
    key = ctx.session.get(ApiKey, key_id)
    if key is None or key.revoked_at is not None:
        return False
    key.revoked_at = ctx.now
    record(ctx, Action.API_KEY_REVOKE, "api_key", key.id, organisation_id=key.organisation_id)
    return True


def _keys(session: Session) -> list[ApiKey]:
    return list(session.scalars(select(ApiKey).where(ApiKey.revoked_at.is_(None)).order_by(ApiKey.id)))


def _hold(ctx: Context, key: ApiKey) -> bool:
    """Leave a key without scopes: it opens nothing until its organisation gives it scopes again."""
    former = key.scopes
    key.scopes = ""
    record(ctx, Action.API_KEY_CHANGE, "api_key", key.id, organisation_id=key.organisation_id, **api_keys.terms_of(key), held=former)
    return True
