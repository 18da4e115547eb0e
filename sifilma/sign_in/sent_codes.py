"""6-digit codes by SMS or e-mail. A code belongs to one session, is valid for five minutes and five tries, and is accepted once."""

from __future__ import annotations

import hmac
import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from config.settings import Settings
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.identity.models import User
from sifilma.kernel import sealing
from sifilma.kernel.context import Context
from sifilma.kernel.db import changed
from sifilma.kernel.errors import Conflict
from sifilma.kernel.ids import uuid7
from sifilma.kernel.timekeeping.moments import lies_ahead
from sifilma.notifications import outbox
from sifilma.notifications.contract import Channel
from sifilma.notifications.models import CODE
from sifilma.notifications.outbox import Recipient
from sifilma.sign_in import contacts, throttle
from sifilma.sign_in.models import SentCode

LIFE = timedelta(minutes=5)
TRIES = 5
EVERY = throttle.Limit(4)  # requests for a code by one account: the fifth within 15 minutes has to wait
SUBJECT = "Kode SI-FILMA"


def ways(settings: Settings, user: User) -> dict[Channel, str]:
    """Return the channels that are switched on and for which the account has an address, with the masked address."""
    found = contacts.addresses(user).items()
    return {channel: outbox.masked(address) for channel, address in found if address and channel.value in settings.code_channels}


def send(ctx: Context, settings: Settings, user: User, session_id: UUID, channel: str) -> None:
    """Send a new code for this session; its former codes end.

    Raise Conflict if the channel is not among `ways`, and TooMany if too many codes were requested.
    """
    if channel not in {way.value for way in ways(settings, user)}:
        raise Conflict("Codes are not sent to you this way.", type="no-such-way")
    slot = throttle.take(ctx.session, ctx.now, {f"code:{user.id}": EVERY})  # in this transaction: no code is sent without it
    throttle.note_block(ctx.session, ctx, slot, user.id)
    code, code_id, until = f"{secrets.randbelow(1_000_000):06d}", uuid7(), ctx.now + LIFE
    address = contacts.addresses(user)[Channel(channel)]
    text = f"Kode SI-FILMA Anda: {code}. Berlaku 5 menit, sekali pakai. Jangan berikan kepada siapa pun."
    message = outbox.enqueue(ctx, settings, Recipient(Channel(channel), address, user.id), CODE, SUBJECT, text, lapse=LIFE)
    _end_former(ctx.session, session_id, ctx)
    ctx.session.add(
        SentCode(
            id=code_id,
            session_id=session_id,
            channel=channel,
            mac=_macs(settings, code_id, session_id, until, code)[0],
            message_id=message.id,
            created_at=ctx.now,
            expires_at=until,
            tries=0,
        )
    )
    record(ctx, Action.SESSION_CODE_SENT, "user", user.id, organisation_id=user.organisation_id, channel=channel)


def accept(ctx: Context, settings: Settings, session_id: UUID, code: str) -> bool:
    """Return whether this is the code sent for this session. It is used up by one conditional UPDATE."""
    row = ctx.session.scalars(_open(ctx, session_id)).first()
    if row is None or bytes(row.mac) not in _macs(settings, row.id, session_id, row.expires_at, code):
        return False
    used = ctx.session.execute(
        update(SentCode)
        .where(SentCode.id == row.id, SentCode.used_at.is_(None), SentCode.tries < TRIES, lies_ahead(SentCode.expires_at, ctx.now, LIFE))
        .values(used_at=ctx.now)
        .execution_options(synchronize_session=False)
    )
    return changed(used) == 1


def count_wrong(session: Session, session_id: UUID) -> None:
    """Count one wrong try for every open code of the session."""
    still_open = (SentCode.session_id == session_id, SentCode.used_at.is_(None))
    session.execute(update(SentCode).where(*still_open).values(tries=SentCode.tries + 1))


def _open(ctx: Context, session_id: UUID) -> Select[SentCode]:
    now = ctx.now
    return (
        select(SentCode)
        .where(
            SentCode.session_id == session_id,
            SentCode.used_at.is_(None),
            SentCode.tries < TRIES,
            lies_ahead(SentCode.expires_at, now, LIFE),
        )
        .order_by(SentCode.id.desc())
    )


def _end_former(session: Session, session_id: UUID, ctx: Context) -> None:
    session.execute(update(SentCode).where(SentCode.session_id == session_id, SentCode.used_at.is_(None)).values(used_at=ctx.now))


def _macs(settings: Settings, code_id: UUID, session_id: UUID, until: datetime, code: str) -> list[bytes]:
    """Return what is stored of a code: under the current key, and under the previous one.

    It covers session and end: a row that SQL gives to another session, or makes live longer, opens nothing.
    """
    said = f"{code_id}:{session_id}:{until.astimezone(UTC).isoformat()}:{code}".encode()
    return [hmac.digest(key, said, "sha256") for key in sealing.keys(settings, "sent codes")]
