"""The row of statements on this side: written with what they tell, then given to the witness in their order.

A statement stands in the database before the witness gets it. So a witness that knows more than the database has seen another database.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from time import monotonic
from typing import Any

import structlog
from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from sifilma.kernel.context import Context
from sifilma.kernel.db import upsert
from sifilma.witness import statements
from sifilma.witness.contract import Witness, WitnessAway, WitnessDiffers
from sifilma.witness.models import ReservedNumber, WitnessStatement
from sifilma.witness.statements import Kind, Statement

AT_ONCE = 50
"""Statements that are told before it is noted that they were."""
Sign = Callable[[Sequence[Statement]], list[bytes]]
"""Signs statements, whose `previous` it fills in: the first has one, each of the others follows the one before."""
log = structlog.get_logger()


class _Overtaken(Exception):
    """Another process wrote first: the transaction is rolled back."""


@dataclass(frozen=True)
class Said:
    """Something to be told. `subject` and `value` are what its kind counts by."""

    kind: Kind
    told: dict[str, Any] = field(repr=False)
    subject: str = ""
    value: int = 0


def newest(session: Session) -> tuple[int, str]:
    """Return number and SHA-256 of the newest statement, or 0 and an empty text."""
    query = select(WitnessStatement.number, WitnessStatement.sha256).order_by(WitnessStatement.number.desc()).limit(1)
    found = session.execute(query).first()
    return (found.number, found.sha256) if found is not None else (0, "")


def newest_told(session: Session) -> int:
    """Return the number of the newest statement that the witness has."""
    query = select(WitnessStatement.number).where(WitnessStatement.told_at.is_not(None)).order_by(WitnessStatement.number.desc()).limit(1)
    return session.scalar(query) or 0


def untold_since(session: Session) -> datetime | None:
    """Return when the oldest statement was written that the witness does not have, or None if it has all."""
    return session.scalar(select(WitnessStatement.at).where(_untold()).order_by(WitnessStatement.number).limit(1))


def _untold() -> ColumnElement[bool]:
    return WitnessStatement.told_at.is_(None)


def write(ctx: Context, issuer: str, sign: Sign, said: Sequence[Said], also: Callable[[Session], bool] = lambda _session: True) -> bool:
    """Write statements, and `also` what they tell, in one transaction of its own. Return False, and write nothing, if that cannot be.

    That is so if another process wrote a statement meanwhile, or `also` returns False. The unit's own transaction is rolled back.
    """
    number, previous = ctx.uow.separately(newest)
    at = ctx.now
    made = [
        Statement(number + place, int(at.timestamp()), issuer, one.kind, previous if place == 1 else "", one.told)
        for place, one in enumerate(said, start=1)
    ]
    contents = sign(made)

    def keep(session: Session) -> None:
        for statement, one, content in zip(made, said, contents, strict=True):
            values = {
                "number": statement.seq, "kind": one.kind.value, "subject": one.subject, "value": one.value,
                "sha256": statements.digest(content), "content": content, "at": at, "told_at": None,
            }  # fmt: skip
            new = upsert(session, WitnessStatement).values(values).on_conflict_do_nothing(index_elements=["number"])
            if session.execute(new.returning(WitnessStatement.number)).first() is None:
                raise _Overtaken
        if not also(session):
            raise _Overtaken

    try:
        ctx.uow.separately(keep)
    except _Overtaken:
        return False
    return True


def send(ctx: Context, witness: Witness, seconds: float = inf) -> int:
    """Tell the witness what it does not have, in order, and note that it has it. Return how many statements that were.

    Raise WitnessAway, also when more is left after so many seconds, and WitnessDiffers; what was told until then is noted.
    """
    total, until = 0, monotonic() + seconds
    while part := ctx.uow.separately(_next):
        done = 0
        try:
            for number, content in part:
                if monotonic() > until:
                    raise WitnessAway("The witness lacks more than can be told at once: the worker goes on.")
                witness.append(number, content)
                done = number
        except (WitnessAway, WitnessDiffers) as fault:
            log.error("witness_not_told", number=done + 1 if done else part[0][0], reason=str(fault))
            raise
        finally:
            if done:
                ctx.uow.separately(lambda session, upto=done: _note(session, upto, ctx.now))  # type: ignore[misc]  # its type is inferred too late
        total += len(part)
    return total


def _next(session: Session) -> list[tuple[int, bytes]]:
    query = select(WitnessStatement.number, WitnessStatement.content).where(_untold()).order_by(WitnessStatement.number).limit(AT_ONCE)
    return [(number, bytes(content or b"")) for number, content in session.execute(query)]


def _note(session: Session, upto: int, now: datetime) -> None:
    """Note that the witness has everything up to a number: ends of counters count from now on."""
    those = (WitnessStatement.number <= upto, _untold())
    query = select(WitnessStatement.subject, func.max(WitnessStatement.value)).where(*those, WitnessStatement.kind == Kind.RESERVED)
    ends = session.execute(query.group_by(WitnessStatement.subject).order_by(WitnessStatement.subject)).all()
    session.execute(update(WitnessStatement).where(*those).values(told_at=now, content=None).execution_options(synchronize_session=False))
    for name, end in ends:
        known = update(ReservedNumber).where(ReservedNumber.name == name, ReservedNumber.told < end)
        session.execute(known.values(told=end).execution_options(synchronize_session=False))
