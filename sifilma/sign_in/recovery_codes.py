"""Recovery codes: ten, made at once, each good once, for the day the phone is gone."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from uuid import UUID

from sqlalchemy import func, select, update

from config.settings import Settings
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.kernel import sealing
from sifilma.kernel.context import Context
from sifilma.kernel.db import changed
from sifilma.kernel.ids import uuid7
from sifilma.sign_in.models import RecoveryCode

COUNT = 10
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is taken for another
LENGTH = 12


def make(ctx: Context, settings: Settings) -> list[str]:
    """Ten new codes of the actor's, shown once; the former ones are worth nothing from here on."""
    user_id = ctx.actor.user_id
    assert user_id is not None  # noqa: S101  # the hook lets only people in
    ctx.session.execute(
        update(RecoveryCode).where(RecoveryCode.user_id == user_id, RecoveryCode.ended_at.is_(None)).values(ended_at=ctx.now)
    )
    codes = ["".join(secrets.choice(LETTERS) for _ in range(LENGTH)) for _ in range(COUNT)]
    ctx.session.add_all(RecoveryCode(id=uuid7(), user_id=user_id, mac=_mac(settings, user_id, c), created_at=ctx.now) for c in codes)
    record(ctx, Action.USER_RECOVERY_CODES, "user", user_id, count=COUNT)
    return [f"{code[:4]}-{code[4:8]}-{code[8:]}" for code in codes]


def left(ctx: Context, user_id: UUID) -> int:
    """How many are still good."""
    query = select(func.count()).select_from(RecoveryCode).where(RecoveryCode.user_id == user_id, RecoveryCode.ended_at.is_(None))
    return ctx.session.scalar(query) or 0


def accept(ctx: Context, settings: Settings, user_id: UUID, code: str) -> bool:
    """Whether this is one of the account's codes; it is used up by one conditional UPDATE."""
    plain = re.sub(r"[\s-]", "", code).lower()
    if len(plain) != LENGTH:
        return False
    used = ctx.session.execute(
        update(RecoveryCode)
        .where(RecoveryCode.mac == _mac(settings, user_id, plain), RecoveryCode.user_id == user_id, RecoveryCode.ended_at.is_(None))
        .values(ended_at=ctx.now)
        .execution_options(synchronize_session=False)
    )
    return changed(used) == 1


def _mac(settings: Settings, user_id: UUID, code: str) -> bytes:
    key = sealing.key(settings.secret("secret_key"), "recovery codes")
    return hmac.new(key, f"{user_id}:{code}".encode(), hashlib.sha256).digest()
