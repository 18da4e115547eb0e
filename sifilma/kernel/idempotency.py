"""Give an unsafe call that is sent twice one effect and one answer (docs/api.md, Idempotency-Key)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Integer, LargeBinary, String, UniqueConstraint, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from sifilma.kernel.context import Context
from sifilma.kernel.db import Base, UtcDateTime, changed
from sifilma.kernel.errors import Conflict, Invalid
from sifilma.kernel.timekeeping.moments import has_come

MARGIN = 2.0
"""Seconds beyond a request's deadline for which its claim bars others, if it ended without releasing it."""
KEEP = timedelta(days=7)
"""How long a key and its answer are kept (`sifilma/app/retention.py`)."""


class IdempotencyKey(Base):
    """One key of one actor. `status` 0 means that the request with this `claim` has been in flight since `claimed_at`."""

    __tablename__ = "idempotency_key"
    __table_args__ = (UniqueConstraint("actor", "key"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    actor: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(String(200))
    fingerprint: Mapped[str] = mapped_column(String(64))
    claimed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    claim: Mapped[UUID | None]  # None: made before there were claims
    status: Mapped[int] = mapped_column(Integer, default=0)
    media_type: Mapped[str] = mapped_column(String(100), default="")
    body: Mapped[bytes] = mapped_column(LargeBinary, default=b"")


@dataclass(frozen=True)
class StoredAnswer:
    """The answer that the first request got."""

    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True)
class Claim:
    """The claim of one request on a key of an actor. `id` distinguishes it from earlier and later claims on the same key."""

    actor: str
    key: str
    fingerprint: str
    id: UUID = field(default_factory=uuid4)

    @property
    def open(self) -> tuple[ColumnElement[bool], ...]:
        """Return the conditions that the row of this claim meets as long as it is in flight and no other request took it over."""
        return (
            IdempotencyKey.actor == self.actor,
            IdempotencyKey.key == self.key,
            IdempotencyKey.claim == self.id,
            IdempotencyKey.status == 0,
        )


def fingerprint(method: str, path: str, body: bytes) -> str:
    """Return the SHA-256 (hex) of method, path and body. It shows whether a key is used again for another request."""
    return hashlib.sha256(b"\n".join((method.encode(), path.encode(), body))).hexdigest()


def claim(ctx: Context, mine: Claim, seconds: float) -> StoredAnswer | None:
    """Claim the key for this request in a transaction of its own. Return the stored answer if there is one.

    `seconds`: how long a request lives (its deadline). A claim older than that and MARGIN, or dated later than now, is taken over: its
    process was killed, could not release it, or had a wrong clock. If that request is alive after all, it cannot complete its claim any
    more, and its act is rolled back.
    Raise Invalid if the key was used for another request, and Conflict if the first request is still in flight.
    """
    if not 1 <= len(mine.key) <= 200 or not mine.key.isprintable():
        raise Invalid.field("Idempotency-Key", "A key has 1 to 200 printable characters.")
    # Not in the act's transaction: a second request with this key must see the claim while the first is still in flight.
    lease = timedelta(seconds=seconds + MARGIN)
    return ctx.uow.separately(lambda session: _claim(session, ctx.now, mine, lease))


def _claim(session: Session, now: datetime, mine: Claim, lease: timedelta) -> StoredAnswer | None:
    try:
        # A savepoint: on PostgreSQL the failed INSERT would otherwise end the whole transaction.
        with session.begin_nested():
            session.add(IdempotencyKey(actor=mine.actor, key=mine.key, fingerprint=mine.fingerprint, claimed_at=now, claim=mine.id))
        return None
    except IntegrityError:
        pass  # another request has the key: the next lines find out which
    row = session.scalars(select(IdempotencyKey).where(IdempotencyKey.actor == mine.actor, IdempotencyKey.key == mine.key)).first()
    if row is None:  # given back a moment ago
        raise _in_flight()
    if row.status == 0 and _taken_over(session, row.id, now, mine, lease):
        return None
    if row.fingerprint != mine.fingerprint:
        raise Invalid("This Idempotency-Key was used for a different request.", type="idempotency-key-reused")
    if row.status == 0:
        raise _in_flight()
    return StoredAnswer(row.status, row.media_type, row.body)


def _taken_over(session: Session, row_id: int, now: datetime, mine: Claim, lease: timedelta) -> bool:
    """Take over a claim whose time is over, whatever it was for: nothing was done with it. Return False if its time is not over."""
    # The condition is repeated in the UPDATE, so that of two requests that take over an old claim only one succeeds.
    taken = session.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.id == row_id, IdempotencyKey.status == 0, has_come(IdempotencyKey.claimed_at, now - lease, 2 * lease))
        .values(claimed_at=now, claim=mine.id, fingerprint=mine.fingerprint)
        .execution_options(synchronize_session=False)
    )
    return changed(taken) == 1


def _in_flight() -> Conflict:
    return Conflict("A request with this Idempotency-Key is being answered.", type="idempotency-in-flight")


def complete(session: Session, mine: Claim, answer: StoredAnswer) -> None:
    """Store the answer in the transaction of the act. Raise Conflict if another request took the claim over: the act must not be saved."""
    stored = session.execute(
        update(IdempotencyKey)
        .where(*mine.open)
        .values(status=answer.status, media_type=answer.media_type, body=answer.body)
        .execution_options(synchronize_session=False)
    )
    if changed(stored) == 0:
        raise _in_flight()


def release(ctx: Context, mine: Claim) -> None:
    """Give the key back after an act that did not happen, so that the client may try again. An answer that was stored stays."""
    ctx.uow.separately(lambda session: session.execute(delete(IdempotencyKey).where(*mine.open)))
