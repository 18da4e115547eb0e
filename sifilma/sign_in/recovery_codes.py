"""Recovery codes: ten are made at once, each is accepted once, for when the authenticator is lost."""

from __future__ import annotations

import hmac
import re
import secrets
from uuid import UUID

from sqlalchemy import func, select, update

from config.settings import Settings
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.identity.models import User
from sifilma.kernel import sealing
from sifilma.kernel.context import Context
from sifilma.kernel.db import changed
from sifilma.kernel.errors import Conflict
from sifilma.kernel.ids import uuid7
from sifilma.kernel.seals import columns, stored
from sifilma.sign_in.authority import is_authentic
from sifilma.sign_in.models import RecoveryCode

COUNT = 10
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # without letters and digits that look alike
LENGTH = 12


def made_at(ctx: Context, user_id: UUID) -> str:
    """Return when the user's codes were made last, as text for a form; empty if they never were."""
    newest = ctx.session.scalar(select(func.max(RecoveryCode.created_at)).where(RecoveryCode.user_id == user_id))
    return newest.isoformat() if newest else ""


def make_once(ctx: Context, settings: Settings, made: str) -> list[str]:
    """Return new codes as `make` does, unless some were made since the form was shown, of which `made` is what `made_at` gave.

    A page with codes that is loaded again sends its form again. That must neither show codes twice nor end those just written down. Raise
    Conflict (`made-already`).
    """
    assert ctx.actor.user_id is not None  # noqa: S101  # the gate admits only people
    # Of two forms sent at once the second waits here, and then sees the codes of the first: else both sets would stand.
    ctx.session.execute(select(User.id).where(User.id == ctx.actor.user_id).with_for_update(key_share=True))
    if made_at(ctx, ctx.actor.user_id) != made:
        raise Conflict(
            "Recovery codes were made since this form was shown: they are not shown again. Open it anew to make others.",
            type="made-already",
        )
    return make(ctx, settings)


def make(ctx: Context, settings: Settings) -> list[str]:
    """Return ten new codes for the actor, to be shown once. All former codes end."""
    user_id = ctx.actor.user_id
    assert user_id is not None  # noqa: S101  # the gate admits only people
    ctx.session.execute(
        update(RecoveryCode).where(RecoveryCode.user_id == user_id, RecoveryCode.ended_at.is_(None)).values(ended_at=ctx.now, seal=None)
    )
    codes = ["".join(secrets.choice(LETTERS) for _ in range(LENGTH)) for _ in range(COUNT)]
    ctx.session.add_all(RecoveryCode(id=uuid7(), user_id=user_id, mac=_macs(settings, user_id, c)[0], created_at=ctx.now) for c in codes)
    record(ctx, Action.USER_RECOVERY_CODES, "user", user_id, count=COUNT)
    return [f"{code[:4]}-{code[4:8]}-{code[8:]}" for code in codes]


def left(ctx: Context, user_id: UUID) -> int:
    """Return how many of a user's codes have not been used."""
    unused = select(*columns(RecoveryCode)).where(RecoveryCode.user_id == user_id, RecoveryCode.ended_at.is_(None))
    return sum(is_authentic(ctx, RecoveryCode, row) for row in ctx.session.execute(unused))


def accept(ctx: Context, settings: Settings, user_id: UUID, code: str) -> bool:
    """Return whether this is one of the account's codes. It is used up by one conditional UPDATE."""
    plain = re.sub(r"[\s-]", "", code).lower()
    if len(plain) != LENGTH:
        return False
    unused = (RecoveryCode.user_id == user_id, RecoveryCode.ended_at.is_(None))
    row = stored(ctx.session, RecoveryCode, RecoveryCode.mac.in_(_macs(settings, user_id, plain)), *unused)
    if row is None or not is_authentic(ctx, RecoveryCode, row):
        return False
    used = ctx.session.execute(
        update(RecoveryCode)
        .where(RecoveryCode.id == row.id, *unused)
        .values(ended_at=ctx.now, seal=None)
        .execution_options(synchronize_session=False)
    )
    return changed(used) == 1


def _macs(settings: Settings, user_id: UUID, code: str) -> list[bytes]:
    """Return what is stored of a code: under the current key, and under the previous one."""
    return [hmac.digest(key, f"{user_id}:{code}".encode(), "sha256") for key in sealing.keys(settings, "recovery codes")]
