"""What the worker makes of what visitors asked: it finds the account, tells its person, and forgets what names none."""

from __future__ import annotations

from datetime import timedelta

from flask_babel import gettext
from sqlalchemy import select

from config.settings import Settings
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.identity.models import AccountState, User
from sifilma.kernel.context import Context
from sifilma.lost_access.models import LostAccess
from sifilma.sign_in import contacts
from sifilma.sign_in.authority import is_authentic

AT_ONCE = 200
AGAIN = timedelta(days=1)
"""For so long further requests about one account are passed over."""


def tell_people(ctx: Context, settings: Settings) -> int:
    """Give new requests the account that they name, and tell its person by every channel. Return the number of accounts."""
    new = select(LostAccess).where(LostAccess.user_id.is_(None)).order_by(LostAccess.id).limit(AT_ONCE).with_for_update(skip_locked=True)
    rows = list(ctx.session.scalars(new))
    asked = {row.username: row for row in rows}
    if not asked:
        return 0
    named = select(User).where(User.username.in_(asked), User.state == AccountState.ACTIVE).order_by(User.id)
    found = [user for user in ctx.session.scalars(named) if is_authentic(ctx, User, user)]
    count = sum(_told(ctx, settings, user, asked[user.username]) for user in found)
    for row in rows:
        if row.user_id is None:
            ctx.session.delete(row)
    return count


def _told(ctx: Context, settings: Settings, user: User, asked: LostAccess) -> bool:
    """Tie a request to its account, in place of an earlier one. Return False if one of today stands already."""
    before = ctx.session.scalars(select(LostAccess).where(LostAccess.user_id == user.id)).first()
    if before is not None:
        if before.asked_at > asked.asked_at - AGAIN:
            return False
        ctx.session.delete(before)
        ctx.session.flush()
    asked.user_id = user.id
    record(ctx, Action.USER_HELP_TELL, "user", user.id, organisation_id=user.organisation_id)
    contacts.tell_everywhere(ctx, settings, user.person_id, _words)
    return True


def _words() -> tuple[str, str, str]:
    """Return what the person is told. It holds no link that signs in."""
    return (
        gettext("SI-FILMA: somebody asks for help to sign in as you"),
        gettext(
            "A visitor said on the sign-in page that they cannot sign in with your account. Nothing is changed. Whoever can help is asked"
            " to call you. If you have lost nothing, sign in as usual: that ends the matter."
        ),
        "/masuk",
    )
