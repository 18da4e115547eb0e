"""Reminders: once a day each person gets one message per channel about what is due, and is told once of each occasion."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import takewhile
from uuid import UUID

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from config.settings import Settings
from sifilma.identity.models import AccountState, User, outlet_set
from sifilma.kernel.actor import Actor, OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.db import changed, upsert
from sifilma.kernel.ids import uuid7
from sifilma.kernel.timekeeping.moments import has_come
from sifilma.notifications import bell, outbox
from sifilma.notifications.bell import Ring
from sifilma.notifications.contract import Channel
from sifilma.notifications.models import Digest, Reminder
from sifilma.notifications.outbox import Recipient
from sifilma.notifications.senders import senders
from sifilma.reports import message_texts
from sifilma.reports.reminders_due import Due, dues
from sifilma.resources import Site
from sifilma.sign_in import contacts
from sifilma.sign_in.authority import is_authentic

# People handled in one run, so that a run ends soon.
AT_ONCE = 50
ROUND_SECONDS = 10.0
LONGEST = timedelta(hours=25)
"""No reminder is due later than the next morning; one that is was put off by a wrong clock."""
PURPOSE = "reminder"
Open = Callable[[], AbstractContextManager[Context]]
log = structlog.get_logger()


def remind(open_context: Open, settings: Settings, site: Site) -> int:
    """Remind everybody whose time has come, each in a transaction of their own. Return how many got a message.

    A slow database ends the round after ROUND_SECONDS, since the worker has other work to do.
    """
    until = time.monotonic() + ROUND_SECONDS
    with open_context() as ctx:
        _begin(ctx, settings)
        come = select(Digest.user_id).join(User, User.id == Digest.user_id).where(has_come(Digest.due_at, ctx.now, LONGEST))
        people = list(ctx.session.scalars(come.where(User.state == AccountState.ACTIVE).order_by(Digest.due_at).limit(AT_ONCE)))
    in_time = takewhile(lambda _: time.monotonic() < until, people)
    return sum(_remind(open_context, settings, site, user_id) for user_id in in_time)


def _begin(ctx: Context, settings: Settings) -> None:
    """Give new accounts their first reminder time, the next morning."""
    new = select(User).outerjoin(Digest, Digest.user_id == User.id).where(User.state == AccountState.ACTIVE, Digest.user_id.is_(None))
    rows = [{"user_id": user.id, "due_at": _morning(ctx.now, user, settings)} for user in ctx.session.scalars(new.limit(AT_ONCE))]
    if rows:
        ctx.session.execute(upsert(ctx.session, Digest).values(rows).on_conflict_do_nothing())


def _remind(open_context: Open, settings: Settings, site: Site, user_id: UUID) -> bool:
    """Remind one person. A database error is logged and does not stop the others; a later run tries again."""
    try:
        with open_context() as ctx:
            user = ctx.session.get_one(User, user_id)
            # Verified once a day for everybody: a planted account or a changed address is noticed though nobody presents it.
            return _claim(ctx, settings, user) and is_authentic(ctx, User, user) and _tell(ctx, settings, site, user)
    except SQLAlchemyError as fault:
        log.error("not reminded", user=str(user_id), fault=type(fault).__name__)
        return False


def _claim(ctx: Context, settings: Settings, user: User) -> bool:
    """Return whether this worker reminds this person now: one conditional UPDATE sets their next time, and only one worker can win it."""
    taken = ctx.session.execute(
        update(Digest)
        .where(Digest.user_id == user.id, has_come(Digest.due_at, ctx.now, LONGEST))
        .values(due_at=_morning(ctx.now, user, settings))
        .execution_options(synchronize_session=False)
    )
    return changed(taken) == 1


def _tell(ctx: Context, settings: Settings, site: Site, user: User) -> bool:
    """Ring the bell for what is new, and enqueue one message about it per channel. Return whether there is a message."""
    ways = ways_to(settings, user)
    news = _new(ctx, user, list(dues(replace(ctx, actor=actor_of(user, ctx.now)), settings)))
    bell.ring(ctx.session, ctx.now, [Ring(user.id, due.task, due.key, message_texts.shown_title(due.task, due.title)) for due in news])
    if news:
        for channel, address in ways.items():
            subject, text = message_texts.digest(site, message_texts.reader(user), channel, news)
            outbox.enqueue(ctx, settings, Recipient(channel, address, user.id), PURPOSE, subject, text)
    return bool(news and ways)


def ways_to(settings: Settings, user: User) -> dict[Channel, str]:
    """Return the channels that the user wants, that are switched on and for which there is an address."""
    addresses = contacts.addresses(user)
    wanted = user.notices.split()
    return {channel: addresses[channel] for channel in senders(settings) if channel in wanted and addresses[channel]}


def _new(ctx: Context, user: User, found: list[Due]) -> list[Due]:
    """Return those the user has not been told of yet, and record them.

    The unique key of `Reminder` decides, so that no second worker and no second run tells anything twice.
    """
    if not found:
        return []
    rows = [
        {"id": uuid7(), "user_id": user.id, "task": due.task, "object_id": due.key, "occasion": due.occasion, "at": ctx.now}
        for due in found
    ]
    insert = upsert(ctx.session, Reminder).values(rows).on_conflict_do_nothing()
    told = {tuple(row) for row in ctx.session.execute(insert.returning(Reminder.task, Reminder.object_id, Reminder.occasion))}
    return [due for due in found if (due.task, due.key, due.occasion) in told]


def actor_of(user: User, now: datetime) -> Actor:
    """Return the user as an actor, so that queries find what they would see after signing in."""
    home, roles = user.organisation, user.roles_at(now)
    return Actor(
        organisation_id=home.id,
        organisation_kind=OrganisationKind(home.kind),
        region_code=home.region_code,
        user_id=user.id,
        person_id=user.person_id,
        username=user.username,
        roles=roles,
        outlets=outlet_set(user.outlets, roles),
    )


def _morning(now: datetime, user: User, settings: Settings) -> datetime:
    """Return the next moment of the reminder hour in the user's time zone."""
    here = now.astimezone(message_texts.reader(user).zone)
    hour = here.replace(hour=settings.remind_hour, minute=0, second=0, microsecond=0)
    return hour if hour > here else hour + timedelta(days=1)
