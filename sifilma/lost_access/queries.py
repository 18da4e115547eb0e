"""Who can help: those who may report the account's second factor as lost (`sifilma/accounts/lost_factors.py`)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, exists, select

from sifilma.accounts.models import FACTOR, UserChange
from sifilma.identity.models import AccountState, LoginSession, Organisation, Person, User, holds
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import scoped
from sifilma.kernel.actor import OrganisationKind, Role
from sifilma.kernel.context import Context
from sifilma.lost_access.models import KEEP, LostAccess


def waiting_query(ctx: Context) -> Select[Any]:
    """Return a select of what the actor can help with, over LostAccess, User, Person and Organisation (which the caller joins).

    It has come to an end once somebody has signed in to the account with both factors, or has reported the loss.
    """
    of_administrators = (Organisation.kind == OrganisationKind.DIRECTORATE) | holds(User, Role.HEAD, ctx.now)
    signed_in = exists().where(LoginSession.user_id == User.id, LoginSession.otp_at > LostAccess.asked_at)
    reported = exists().where(UserChange.user_id == User.id, UserChange.change == FACTOR, UserChange.proposed_at >= LostAccess.asked_at)
    return scoped(select(LostAccess), ctx.actor, Operation.USERS_FACTOR, User.organisation_id).where(
        User.id == LostAccess.user_id,
        User.state == AccountState.ACTIVE,
        User.person_id != ctx.actor.person_id,
        Person.id == User.person_id,
        of_administrators if ctx.actor.is_central else ~of_administrators,
        LostAccess.asked_at > ctx.now - KEEP,
        ~signed_in,
        ~reported,
    )
