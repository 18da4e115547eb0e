"""What happens by time: tokens, requests and manifests expire. The worker calls these functions.

What has ended stays ended. So only what fell due by a trusted clock ends (`Context.due_until`). Each function raises ClockNotTrusted.
"""

from __future__ import annotations

from sqlalchemy import exists, select

from sifilma.activation.manifests.revocation import STANDING, withdraw
from sifilma.activation.models import (
    ACTIVATION_REQUEST,
    TOKEN,
    ActivationRequest,
    Manifest,
    ManifestState,
    RequestState,
    Token,
    TokenIssue,
    TokenState,
)
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.kernel.context import Context
from sifilma.kernel.text import say

# At most so many in one transaction.
AT_ONCE = 200


def expire_tokens(ctx: Context) -> int:
    """Move open tokens past their time to `expired`, each by an act of its own. Return their number."""
    late = (
        select(Token).where(Token.state == TokenState.ISSUED, Token.expires_at <= ctx.due_until()).order_by(Token.expires_at).limit(AT_ONCE)
    )
    # A token that an activation or another worker has locked is left for the next run.
    rows = list(ctx.session.scalars(late.with_for_update(skip_locked=True)))
    for token in rows:
        act = record(ctx, Action.TOKEN_EXPIRE, "token", token.id, organisation_id=token.organisation_id)
        TOKEN.move(ctx.session, token, TokenState.EXPIRED, act)
        ctx.session.flush()
    return len(rows)


def expire_requests(ctx: Context) -> int:
    """Move approved requests whose last token has expired to `expired`. Return their number.

    A request waits while one of its cancelled tokens has time left, since that token can be issued anew until then.
    """
    still_open = exists().where(Token.activation_request_id == ActivationRequest.id, Token.expires_at > ctx.due_until())
    late = select(ActivationRequest).where(
        ActivationRequest.state == RequestState.APPROVED,
        ActivationRequest.redeemed < ActivationRequest.machines,
        ~still_open,
        exists().where(Token.activation_request_id == ActivationRequest.id),
        ~exists().where(TokenIssue.activation_request_id == ActivationRequest.id, TokenIssue.ended_at.is_(None)),
        ~exists().where(Token.activation_request_id == ActivationRequest.id, Token.state == TokenState.ISSUED),
    )
    # Only the request is locked, and one that an approver or another worker has locked is left for the next run.
    rows = list(ctx.session.scalars(late.limit(AT_ONCE).with_for_update(of=ActivationRequest, skip_locked=True)))
    for request in rows:
        act = record(ctx, Action.ACTIVATION_EXPIRE, "activation_request", request.id, organisation_id=request.organisation_id)
        ACTIVATION_REQUEST.move(ctx.session, request, RequestState.EXPIRED, act)
        ctx.session.flush()
    return len(rows)


def expire_manifests(ctx: Context) -> int:
    """Move manifests past `exp` and `grace` to `expired`, and their cards back to `received`. Return their number."""
    late = select(Manifest).where(Manifest.state.in_(STANDING), Manifest.refuse_after <= ctx.due_until()).limit(AT_ONCE)
    rows = list(ctx.session.scalars(late.with_for_update(skip_locked=True)))
    for manifest in rows:
        act = record(ctx, Action.MANIFEST_EXPIRE, "manifest", manifest.id, organisation_id=manifest.organisation_id)
        withdraw(ctx.session, manifest, ManifestState.EXPIRED, act, say("Its validity and its days of grace have ended."))
    return len(rows)
