"""What a witness has stated of the log's checkpoints, and how signing and witnessing stand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from sifilma.audit.cosignature import Cosignature
from sifilma.audit.models import LogCheckpoint, LogCosignature, LogFault, LogStanding, Standing
from sifilma.audit.note import Checkpoint
from sifilma.kernel.context import Context
from sifilma.kernel.db import upsert

FRESH = timedelta(minutes=1)
"""A success is written down again only when the last one is this old: the chore runs every ten seconds."""


@dataclass(frozen=True)
class Stand:
    """How a part stands: when it last did its work, what has been wrong since when, and in which words."""

    at: datetime | None = None
    fault: LogFault = LogFault.NONE
    told: str = ""
    since: datetime | None = None


def newest_cosigned(session: Session, witness: str, origin: str) -> Checkpoint | None:
    """Return the newest checkpoint of this log that this witness has cosigned, as it is stored, or None."""
    query = (
        select(LogCheckpoint)
        .join(LogCosignature, LogCosignature.size == LogCheckpoint.size)
        .where(LogCosignature.witness == witness, LogCheckpoint.origin == origin)
        .order_by(LogCheckpoint.size.desc())
        .limit(1)
    )
    row = session.scalars(query).first()
    return None if row is None else Checkpoint(row.origin, row.size, bytes(row.root))


def newest_cosigned_note(session: Session) -> str | None:
    """Return the newest note that any witness has cosigned, with all its cosignatures, or None."""
    # By time: the log of a restored database may be shorter than the one of before, under another name.
    size = session.scalars(select(LogCosignature.size).order_by(LogCosignature.at.desc(), LogCosignature.size.desc()).limit(1)).first()
    found = None if size is None else session.get(LogCheckpoint, size)
    return None if found is None else found.note + "".join(lines_under(session, found.size))


def lines_under(session: Session, size: int) -> list[str]:
    """Return the lines of all witnesses under the checkpoint of this size, each with its newline."""
    query = select(LogCosignature.line).where(LogCosignature.size == size).order_by(LogCosignature.witness)
    return list(session.scalars(query))


def keep_cosignature(ctx: Context, size: int, witness: str, found: Cosignature) -> int:
    """Store a cosignature beside its checkpoint. Return how many were stored: of two workers one is first."""
    values = {"size": size, "witness": witness, "line": found.line, "at": datetime.fromtimestamp(found.at, UTC)}
    made = upsert(ctx.session, LogCosignature).values(values).on_conflict_do_nothing(index_elements=["size", "witness"])
    return int(ctx.session.execute(made.returning(LogCosignature.size)).first() is not None)


def stand(session: Session, part: Standing) -> Stand:
    """Return how a part stands. A part that never did anything stands well."""
    row = session.get(LogStanding, part)
    return Stand() if row is None else Stand(row.at, LogFault(row.fault), row.told, row.since)


def note_success(ctx: Context, part: Standing) -> None:
    """Write down that a part did its work, unless that was said less than FRESH ago."""
    now = stand(ctx.session, part)
    if now.fault or now.at is None or not timedelta() <= ctx.now - now.at < FRESH:
        _store(ctx, part, {"at": ctx.now, "fault": LogFault.NONE, "told": "", "since": None})


def note_fault(ctx: Context, part: Standing, fault: LogFault, told: str) -> None:
    """Write down what is wrong with a part. The moment since when stays while the fault is the same."""
    now = stand(ctx.session, part)
    if (now.fault, now.told) != (fault, told[:300]):
        since = now.since if now.fault == fault else ctx.now
        _store(ctx, part, {"fault": fault, "told": told[:300], "since": since})


def _store(ctx: Context, part: Standing, values: dict[str, object]) -> None:
    ctx.uow.begin_write()
    new = {"at": None, "fault": "", "told": "", "since": None} | values
    made = upsert(ctx.session, LogStanding).values(part=part, **new)
    ctx.session.execute(made.on_conflict_do_update(index_elements=["part"], set_=values))
