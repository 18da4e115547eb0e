"""The bell: what a person is told on the web, whatever else they are told by. Written with the act, as messages are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ScalarSelect, Select, func, select, update
from sqlalchemy.orm import Session

from sifilma.kernel.context import Context
from sifilma.kernel.db import changed, upsert
from sifilma.kernel.ids import uuid7
from sifilma.notifications.models import Notice

MOST_COUNTED = 100
"""The number in the head of a page goes up to this: it then says that there are more."""
LONGEST_TITLE = 200


@dataclass(frozen=True)
class Ring:
    """One thing to tell a person: the name of the task, the id of the object, and its title as its line has it."""

    user_id: UUID
    task: str
    object_id: UUID
    title: str = ""


def ring(session: Session, at: datetime, rings: Iterable[Ring]) -> None:
    """Tell people, in one statement. Nobody gets a second notice of the same task of the same object while they have not seen the first."""
    rows = [
        {
            "id": uuid7(),
            "user_id": one.user_id,
            "task": one.task,
            "object_id": one.object_id,
            "title": one.title[:LONGEST_TITLE],
            "at": at,
        }
        for one in rings
    ]
    if rows:
        with session.no_autoflush:
            session.execute(upsert(session, Notice).values(rows).on_conflict_do_nothing())


def unseen_count(user_id: Any) -> ScalarSelect[Any]:
    """Return how many notices a person has not seen, up to MOST_COUNTED, as a column of the statement that reads their name."""
    # Columns of the index of what is unseen only, so that it alone is read.
    some = select(Notice.user_id).where(Notice.user_id == user_id, Notice.seen_at.is_(None)).limit(MOST_COUNTED).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def notices_query(ctx: Context) -> Select[Notice]:
    """Return the actor's own notices. Nobody sees those of another."""
    return select(Notice).where(Notice.user_id == ctx.actor.user_id)


def mark_seen(ctx: Context, *which: Any) -> int:
    """Store that the actor has seen those of their notices that meet all conditions. Return how many they had not seen before."""
    unseen = update(Notice).where(Notice.user_id == ctx.actor.user_id, Notice.seen_at.is_(None), *which)
    return changed(ctx.session.execute(unseen.values(seen_at=ctx.now).execution_options(synchronize_session=False)))
