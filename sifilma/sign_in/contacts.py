"""The e-mail address and phone number of an account. The person themselves may change them."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from flask_babel import force_locale, gettext
from sqlalchemy import select

from config.settings import Settings
from sifilma.audit.models import Action
from sifilma.identity.models import AccountState, User
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict
from sifilma.notifications import outbox
from sifilma.notifications.contract import Channel
from sifilma.notifications.outbox import Recipient
from sifilma.notifications.senders import senders
from sifilma.sign_in.authority import carry_sessions, is_authentic, record_change

PURPOSE = "security"


def addresses(user: User) -> dict[Channel, str]:
    """Return the addresses of an account by channel; empty where there is none."""
    return {Channel.EMAIL: user.email, Channel.SMS: user.phone}


def keep_contact(ctx: Context, settings: Settings, email: str, phone: str) -> None:
    """Store the actor's new addresses, and warn the former ones in case somebody else made the change. Raise Conflict if none changes.

    `email` and `phone` are as the types of `sifilma/identity/fields.py` give them.
    """
    user = ctx.session.get_one(User, ctx.actor.user_id)
    former, version = addresses(user), user.authority_version
    user.email, user.phone = email, phone
    parts = [channel.value for channel, address in addresses(user).items() if address != former[channel]]
    if not parts:
        raise Conflict("Nothing is changed: these are your present addresses.", type="unchanged")
    _warn(ctx, settings, user, former)
    record_change(ctx, Action.USER_CONTACT, user, change=" ".join(parts))
    carry_sessions(ctx, user, version)


def tell_everywhere(ctx: Context, settings: Settings, person_id: UUID, write: Callable[[], tuple[str, str, str]]) -> None:
    """Write to every address of every account of a person that is not disabled, whatever channels they chose for reminders.

    `write` returns subject, text and the path of the page where the person acts, in the language of the locale. An SMS has no more than the
    subject and the page's address.
    """
    accounts = ctx.session.scalars(select(User).where(User.person_id == person_id, User.state != AccountState.DISABLED).order_by(User.id))
    told: set[tuple[Channel, str]] = set()
    for user in [one for one in accounts if is_authentic(ctx, User, one)]:
        with force_locale(user.language):
            subject, text, path = write()
        page = f"{settings.public_url}{path}"
        for channel, address in addresses(user).items():
            if address and channel in senders(settings) and (channel, address) not in told:
                told.add((channel, address))
                body = f"{subject}. {page}" if channel is Channel.SMS else f"{text}\n\n{page}"
                outbox.enqueue(ctx, settings, Recipient(channel, address, user.id), PURPOSE, subject, body)


def _warn(ctx: Context, settings: Settings, user: User, former: dict[Channel, str]) -> None:
    with force_locale(user.language):
        subject = gettext("SI-FILMA: your addresses were changed")
        text = gettext(
            "The e-mail address or phone number of your account was changed, with a fresh one-time code."
            " If that was not you, tell the head of your organisation or the user administrators at once."
        )
    for channel, address in former.items():
        if address and channel in senders(settings):
            outbox.enqueue(ctx, settings, Recipient(channel, address, user.id), PURPOSE, subject, text)
