"""Give an unsafe call that is sent twice one effect and one answer (docs/api.md, Idempotency-Key)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Integer, LargeBinary, String, UniqueConstraint, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from sifilma.kernel.context import Context
from sifilma.kernel.db import Base, UtcDateTime, changed
from sifilma.kernel.errors import Conflict, Invalid

LEASE = timedelta(seconds=60)  # longer than any request lives: its deadline is 10 s by default
KEEP = timedelta(days=7)


class IdempotencyKey(Base):
    """One key of one actor. `status` 0 means that the first request with this key has been in flight since `claimed_at`."""

    __tablename__ = "idempotency_key"
    __table_args__ = (UniqueConstraint("actor", "key"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    actor: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(String(200))
    fingerprint: Mapped[str] = mapped_column(String(64))
    claimed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    status: Mapped[int] = mapped_column(Integer, default=0)
    media_type: Mapped[str] = mapped_column(String(100), default="")
    body: Mapped[bytes] = mapped_column(LargeBinary, default=b"")


@dataclass(frozen=True)
class StoredAnswer:
    """The answer that the first request got."""

    status: int
    media_type: str
    body: bytes


def fingerprint(method: str, path: str, body: bytes) -> str:
    """Return the SHA-256 (hex) of method, path and body. It shows whether a key is used again for another request."""
    return hashlib.sha256(b"\n".join((method.encode(), path.encode(), body))).hexdigest()


def claim(ctx: Context, actor: str, key: str, print_: str) -> StoredAnswer | None:
    """Claim the key for this request in a transaction of its own. Return the stored answer if there is one.

    Raise Invalid if the key was used for another request, and Conflict if the first request is still in flight. A claim older than LEASE
    is taken over. Its act was never committed, because the answer is stored in the transaction of the act.
    """
    if not 1 <= len(key) <= 200 or not key.isprintable():
        raise Invalid.field("Idempotency-Key", "A key has 1 to 200 printable characters.")
    # Not in the act's transaction: a second request with this key must see the claim while the first is still in flight.
    return ctx.uow.separately(lambda session: _claim(session, ctx.now, actor, key, print_))


def _claim(session: Session, now: datetime, actor: str, key: str, print_: str) -> StoredAnswer | None:
    try:
        # A savepoint: on PostgreSQL the failed INSERT would otherwise end the whole transaction.
        with session.begin_nested():
            session.add(IdempotencyKey(actor=actor, key=key, fingerprint=print_, claimed_at=now))
        return None
    except IntegrityError:
        pass  # another request has the key: the next lines find out which
    row = session.scalars(select(IdempotencyKey).where(IdempotencyKey.actor == actor, IdempotencyKey.key == key)).one()
    if row.fingerprint != print_:
        raise Invalid("This Idempotency-Key was used for a different request.", type="idempotency-key-reused")
    if row.status:
        return StoredAnswer(row.status, row.media_type, row.body)
    # The condition is repeated in the UPDATE, so that of two requests that take over an old claim only one succeeds.
    taken = session.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.id == row.id, IdempotencyKey.status == 0, IdempotencyKey.claimed_at < now - LEASE)
        .values(claimed_at=now)
        .execution_options(synchronize_session=False)
    )
    if changed(taken) == 0:
        raise Conflict("A request with this Idempotency-Key is being answered.", type="idempotency-in-flight")
    return None


def complete(session: Session, actor: str, key: str, answer: StoredAnswer) -> None:
    """Store the answer in the transaction of the act."""
    session.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.actor == actor, IdempotencyKey.key == key)
        .values(status=answer.status, media_type=answer.media_type, body=answer.body)
    )


def release(ctx: Context, actor: str, key: str) -> None:
    """Give the key back after an act that did not happen, so that the client may try again."""
    where = (IdempotencyKey.actor == actor, IdempotencyKey.key == key, IdempotencyKey.status == 0)
    ctx.uow.separately(lambda session: session.execute(delete(IdempotencyKey).where(*where)))


def forget_old(session: Session, now: datetime) -> int:
    """Delete keys older than KEEP and return their number."""
    return changed(session.execute(delete(IdempotencyKey).where(IdempotencyKey.claimed_at < now - KEEP)))
