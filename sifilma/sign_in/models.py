"""Second factors besides the authenticator app: sent codes, recovery codes, passkeys; and the requests that were refused."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Integer, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.kernel import seals, triggers
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7
from sifilma.kernel.seals import Sealed


class SentCode(Base):
    """A 6-digit code sent for one sign-in or step-up of one session. Only its HMAC is stored, which covers session and end as well."""

    __tablename__ = "sent_code"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("login_session.id"), index=True)
    channel: Mapped[str] = mapped_column(String(10))
    mac: Mapped[bytes] = mapped_column(LargeBinary)
    message_id: Mapped[UUID] = mapped_column(ForeignKey("outbox_message.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    tries: Mapped[int] = mapped_column(Integer, default=0)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class RecoveryCode(Sealed, Base):
    """One recovery code, for when the authenticator is lost. It is accepted once. Only its HMAC is stored."""

    __tablename__ = "recovery_code"
    __sealed__ = ("id", "user_id", "mac", "created_at")
    __ends__ = "ended_at"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), index=True)
    mac: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Passkey(Sealed, Base):
    """A WebAuthn credential. `sign_count` is 0 on devices that do not count; on others it only grows."""

    __tablename__ = "passkey"
    __sealed__ = ("id", "user_id", "credential_id", "public_key", "sign_count", "created_at")
    __ends__ = "ended_at"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), index=True)
    name: Mapped[str] = mapped_column(String(60))
    credential_id: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class PasskeyChallenge(Sealed, Base):
    """The challenge that a session's browser must sign next. It is used once: `_take_challenge` deletes it."""

    __tablename__ = "passkey_challenge"
    __sealed__ = ("session_id", "challenge", "expires_at")

    session_id: Mapped[UUID] = mapped_column(ForeignKey("login_session.id"), primary_key=True)
    challenge: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class FailedRequest(Base):
    """A request that was answered by an error: when, whose, which page, which error, under the number that its page showed.

    Nothing that was sent is here: no body, no query, no address, no ids of objects. It is no record of an act, and is deleted after
    SIFILMA_KEEP_FAILED_REQUESTS_DAYS.
    """

    __tablename__ = "failed_request"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    request_id: Mapped[str] = mapped_column(String(64), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    status: Mapped[int] = mapped_column(Integer)
    type: Mapped[str] = mapped_column(String(60))
    error: Mapped[str] = mapped_column(String(60))
    """The class of the exception behind it, empty where the service refused by a rule of its own."""
    method: Mapped[str] = mapped_column(String(10))
    route: Mapped[str] = mapped_column(String(200))
    """The pattern of the address, such as `/kartu/<uid>`."""
    user_id: Mapped[UUID | None]
    api_key_id: Mapped[UUID | None]


triggers.guard("sent_code_once", "sent_code", "UPDATE", "OLD.used_at IS NOT NULL", "sent_code: a code counts once")
triggers.guard("recovery_code_once", "recovery_code", "UPDATE", "OLD.ended_at IS NOT NULL", "recovery_code: a code counts once")
triggers.guard("passkey_ended", "passkey", "UPDATE", "OLD.ended_at IS NOT NULL", "passkey: what was removed stays removed")
for _model in (RecoveryCode, Passkey, PasskeyChallenge):
    seals.protect(_model)
