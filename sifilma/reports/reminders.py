"""Reminders: what is due for somebody, told once per occasion, all of it in one message a day to each of their channels."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from config.settings import Settings
from sifilma.identity.models import AccountState, User
from sifilma.kernel.actor import Actor, OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.db import changed, upsert
from sifilma.kernel.ids import uuid7
from sifilma.notifications import outbox
from sifilma.notifications.contract import Channel
from sifilma.notifications.models import Digest, Reminder
from sifilma.notifications.outbox import Recipient
from sifilma.notifications.senders import senders
from sifilma.reports import letters
from sifilma.reports.reminders_due import Due, dues
from sifilma.sign_in import contacts

AT_ONCE = 50
PURPOSE = "reminder"
Open = Callable[[], AbstractContextManager[Context]]
log = structlog.get_logger()


def remind(open_context: Open, settings: Settings) -> int:
    """Tell everybody whose hour has come, each in a transaction of their own; how many were told something."""
    with open_context() as ctx:
        _begin(ctx, settings)
        come = select(Digest.user_id).join(User, User.id == Digest.user_id).where(Digest.due_at <= ctx.now)
        people = list(ctx.session.scalars(come.where(User.state == AccountState.ACTIVE).order_by(Digest.due_at).limit(AT_ONCE)))
    return sum(_remind(open_context, settings, user_id) for user_id in people)


def _begin(ctx: Context, settings: Settings) -> None:
    """Whoever is new is told from their next morning on."""
    new = select(User).outerjoin(Digest, Digest.user_id == User.id).where(User.state == AccountState.ACTIVE, Digest.user_id.is_(None))
    rows = [{"user_id": user.id, "due_at": _morning(ctx.now, user, settings)} for user in ctx.session.scalars(new.limit(AT_ONCE))]
    if rows:
        ctx.session.execute(upsert(ctx.session, Digest).values(rows).on_conflict_do_nothing())


def _remind(open_context: Open, settings: Settings, user_id: UUID) -> bool:
    """Tell one person what is due. A fault with one is logged and holds up nobody else; it is tried again."""
    try:
        with open_context() as ctx:
            user = ctx.session.get_one(User, user_id)
            return _claim(ctx, settings, user) and _tell(ctx, settings, user)
    except SQLAlchemyError as fault:
        log.error("not reminded", user=str(user_id), fault=type(fault).__name__)
        return False


def _claim(ctx: Context, settings: Settings, user: User) -> bool:
    """Whether this worker tells this person today: one conditional UPDATE moves them on to their next morning."""
    taken = ctx.session.execute(
        update(Digest)
        .where(Digest.user_id == user.id, Digest.due_at <= ctx.now)
        .values(due_at=_morning(ctx.now, user, settings))
        .execution_options(synchronize_session=False)
    )
    return changed(taken) == 1


def _tell(ctx: Context, settings: Settings, user: User) -> bool:
    """One message a channel, if there is anything new and any way to this person."""
    ways = ways_to(settings, user)
    news = _new(ctx, user, list(dues(replace(ctx, actor=actor_of(user)), settings))) if ways else []
    if news:
        for channel, address in ways.items():
            subject, text = letters.digest(settings.public_url, letters.reader(user), channel, news)
            outbox.enqueue(ctx, settings, Recipient(channel, address, user.id), PURPOSE, subject, text)
    return bool(news)


def ways_to(settings: Settings, user: User) -> dict[Channel, str]:
    """The channels somebody wants to be reminded by that are switched on and lead to them, with the address."""
    addresses = contacts.addresses(user)
    wanted = user.notices.split()
    return {channel: addresses[channel] for channel in senders(settings) if channel in wanted and addresses[channel]}


def _new(ctx: Context, user: User, found: list[Due]) -> list[Due]:
    """Those nobody has told them of yet. The unique key decides: a second worker, or a second start, finds none."""
    if not found:
        return []
    rows = [
        {"id": uuid7(), "user_id": user.id, "task": due.task, "object_id": due.key, "occasion": due.occasion, "at": ctx.now}
        for due in found
    ]
    insert = upsert(ctx.session, Reminder).values(rows).on_conflict_do_nothing()
    told = {tuple(row) for row in ctx.session.execute(insert.returning(Reminder.task, Reminder.object_id, Reminder.occasion))}
    return [due for due in found if (due.task, due.key, due.occasion) in told]


def actor_of(user: User) -> Actor:
    """Somebody as who acts: what waits for them is what they would see."""
    home = user.organisation
    return Actor(
        organisation_id=home.id,
        organisation_kind=OrganisationKind(home.kind),
        region_code=home.region_code,
        user_id=user.id,
        person_id=user.person_id,
        username=user.username,
        roles=user.role_set,
    )


def _morning(now: datetime, user: User, settings: Settings) -> datetime:
    """The next time it is the hour of reminding where somebody lives."""
    here = now.astimezone(letters.reader(user).zone)
    hour = here.replace(hour=settings.remind_hour, minute=0, second=0, microsecond=0)
    return hour if hour > here else hour + timedelta(days=1)
