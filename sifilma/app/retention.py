"""What is deleted after a time: one list. What is not named here stays (docs/operations.md, What is kept and for how long)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from config.settings import Settings
from sifilma.identity.models import LoginSession, Throttle
from sifilma.kept_forms.models import KEEP as KEEP_FORMS
from sifilma.kept_forms.models import KeptFile, KeptForm, SentForm
from sifilma.kept_forms.service import forget_files
from sifilma.kernel.context import Context
from sifilma.kernel.db import changed
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.idempotency import KEEP, IdempotencyKey
from sifilma.lost_access.models import KEEP as KEEP_ASKED
from sifilma.lost_access.models import LostAccess
from sifilma.notifications.models import Delivery, Notice, OutboxMessage, Reminder
from sifilma.sign_in.models import FailedRequest, PasskeyChallenge, SentCode

# At most so many rows of a kind in one round: each is a transaction of its own.
AT_ONCE = 500


@dataclass(frozen=True)
class Rule:
    """One kind of rows: its key, after how many days it goes (0: never), and which rows older than a moment go."""

    what: str
    key: InstrumentedAttribute[Any]
    days: Callable[[Settings], int]
    old: Callable[[datetime], ColumnElement[bool]]


_other = aliased(LoginSession)


def _old_session(edge: datetime) -> ColumnElement[bool]:
    """Return the condition of sessions that are over, other than the newest complete one of each account: it says when it was last used."""
    newest = select(func.max(_other.last_seen_at)).where(_other.user_id == LoginSession.user_id, _other.otp_at.is_not(None))
    return and_(
        or_(LoginSession.ended_at < edge, LoginSession.last_seen_at < edge),
        or_(LoginSession.otp_at.is_(None), LoginSession.last_seen_at < newest.correlate(LoginSession).scalar_subquery()),
        ~exists().where(SentCode.session_id == LoginSession.id),
        ~exists().where(PasskeyChallenge.session_id == LoginSession.id),
    )


def _old_message(edge: datetime) -> ColumnElement[bool]:
    is_done = OutboxMessage.state.in_((Delivery.SENT, Delivery.FAILED, Delivery.LAPSED))
    return and_(is_done, OutboxMessage.created_at < edge, ~exists().where(SentCode.message_id == OutboxMessage.id))


RULES = (
    Rule("challenges of passkeys", PasskeyChallenge.session_id, lambda _: 1, lambda edge: PasskeyChallenge.expires_at < edge),
    Rule("counted failures of signing in", Throttle.subject, lambda _: 1, lambda edge: Throttle.first_at < edge),
    Rule("idempotency keys with their answers", IdempotencyKey.id, lambda _: KEEP.days, lambda edge: IdempotencyKey.claimed_at < edge),
    Rule("forms that were not finished", KeptForm.id, lambda _: KEEP_FORMS.days, lambda edge: KeptForm.saved_at < edge),
    Rule("files of such forms", KeptFile.id, lambda _: KEEP_FORMS.days, lambda edge: KeptFile.kept_at < edge),
    Rule("notes that a form was sent", SentForm.id, lambda _: KEEP_FORMS.days, lambda edge: SentForm.sent_at < edge),
    Rule("requests for help to sign in", LostAccess.id, lambda _: KEEP_ASKED.days, lambda edge: LostAccess.asked_at < edge),
    Rule("sent codes", SentCode.id, lambda settings: settings.keep_codes_days, lambda edge: SentCode.expires_at < edge),
    Rule("sessions", LoginSession.id, lambda settings: settings.keep_sessions_days, _old_session),
    Rule("messages", OutboxMessage.id, lambda settings: settings.keep_messages_days, _old_message),
    Rule("failed requests", FailedRequest.id, lambda settings: settings.keep_failed_requests_days, lambda edge: FailedRequest.at < edge),
    Rule("reminders", Reminder.id, lambda settings: settings.keep_messages_days, lambda edge: Reminder.at < edge),
    Rule("notices", Notice.id, lambda settings: settings.keep_messages_days, lambda edge: Notice.at < edge),
)
"""In this order: codes go before the sessions and messages that they belong to."""


def forget_old(ctx: Context, settings: Settings, store: FileStore) -> int:
    """Delete what has been kept long enough. Return the number of rows. Raise ClockNotTrusted: what is deleted is gone."""
    now = ctx.due_until()
    return sum(_forget(ctx, store, rule, now - timedelta(days=days)) for rule in RULES if (days := rule.days(settings)))


def _forget(ctx: Context, store: FileStore, rule: Rule, edge: datetime) -> int:
    if rule.key.class_ is KeptFile:
        return forget_files(ctx, store, rule.old(edge), AT_ONCE)
    some = select(rule.key).where(rule.old(edge)).limit(AT_ONCE).scalar_subquery()
    gone = delete(rule.key.class_).where(rule.key.in_(some)).execution_options(synchronize_session=False)
    return changed(ctx.session.execute(gone))
