"""Ask for help to sign in. Whether there is such an account is not looked up here: the answer and its time are the same for every name."""

from __future__ import annotations

from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.identity.fields import user_name_plain
from sifilma.kernel.addresses import network
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid
from sifilma.lost_access.models import LostAccess
from sifilma.sign_in import throttle

NAME = throttle.Limit(3)  # per name and network
ADDRESS = throttle.Limit(20)


def ask(ctx: Context, username: str) -> None:
    """Store that somebody says they cannot sign in by this name. Raise Invalid without a name, and TooMany when throttled."""
    name = user_name_plain(username)[:60]
    if not name:
        raise Invalid.field("username", "This is needed.")
    place = network(ctx.actor.ip)
    throttle.admit(ctx, {f"lost:{name}:{place}": NAME, f"lost:{place}": ADDRESS})
    ctx.uow.begin_write()
    ctx.session.add(LostAccess(username=name, asked_at=ctx.now))
    record(ctx, Action.USER_HELP_ASK, "user", "-")
