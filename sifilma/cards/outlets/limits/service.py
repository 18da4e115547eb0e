"""Limit an account to outlets of its organisation: it sees, and acts on, the units and cards there, and nothing else."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from sifilma.accounts.service import get_own_user
from sifilma.audit.models import Action
from sifilma.cards.outlets.models import Outlet
from sifilma.cards.service import NO_OUTLET
from sifilma.identity.models import LoginSession, User, outlet_set
from sifilma.kernel.actor import Role
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, Forbidden, Invalid
from sifilma.sign_in.authority import record_change
from sifilma.sign_in.service import end_sessions


def limit(ctx: Context, user_id: UUID, outlets: list[UUID]) -> User:
    """Limit an account of the actor's organisation to these outlets; with none it is limited no longer. Its sessions end. Return it.

    Raise NotFound for an account of another organisation, Forbidden for the actor's own, Conflict for a head's, and Invalid for an outlet
    of another organisation.
    """
    user = get_own_user(ctx, user_id)
    if user.id == ctx.actor.user_id:
        raise Forbidden("Nobody limits their own account.")
    if Role.HEAD in user.roles_at(ctx.now):
        raise Conflict("A head is not limited to outlets.", type="head")
    query = select(Outlet).where(Outlet.organisation_id == user.organisation_id, Outlet.id.in_(outlets)).order_by(Outlet.name)
    found = list(ctx.session.scalars(query))
    if len(found) != len(set(outlets)):
        raise Invalid.field("outlets", NO_OUTLET)
    wanted = " ".join(sorted(str(one.id) for one in found)) or None
    if wanted == user.outlets:
        return user
    user.outlets = wanted
    end_sessions(ctx, "limited to outlets", LoginSession.user_id == user.id)
    record_change(ctx, Action.USER_OUTLETS, user, outlets=", ".join(one.name for one in found))
    return user


def outlets_of_user(ctx: Context, user: User) -> list[Outlet]:
    """Return the outlets to which an account is limited, by name; none if it is not."""
    ids = outlet_set(user.outlets, frozenset()) or frozenset()
    return list(ctx.session.scalars(select(Outlet).where(Outlet.id.in_(ids)).order_by(Outlet.name))) if ids else []
