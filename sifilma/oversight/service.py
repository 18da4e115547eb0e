"""Agreements (PKS), and whether an organisation has the right to approvals and activations today (docs/domain.md, rule 8)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select

from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.documents.indonesian import WIB
from sifilma.identity.models import Organisation
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, Invalid
from sifilma.kernel.ids import uuid7
from sifilma.kernel.text import say
from sifilma.oversight.models import Agreement

NO_AGREEMENT = say("The institution has no agreement (PKS) that is valid today.")


def register_agreement(
    ctx: Context, organisation: Organisation, number: str, valid_from: date, valid_until: date, document_id: UUID | None = None
) -> Agreement:
    """Register an agreement. Raise Invalid unless the organisation is an institution and the period does not end before it begins."""
    if organisation.kind != OrganisationKind.INSTITUTION:
        raise Invalid.field("organisation", "Only institutions have agreements.")
    if valid_until < valid_from:
        raise Invalid.field("valid_until", "The agreement ends before it begins.")
    agreement = Agreement(
        id=uuid7(),
        organisation_id=organisation.id,
        number=number,
        valid_from=valid_from,
        valid_until=valid_until,
        document_id=document_id,
        created_at=ctx.now,
    )
    ctx.session.add(agreement)
    record(ctx, Action.AGREEMENT_REGISTER, "agreement", agreement.id, organisation_id=organisation.id, rows=[agreement], number=number)
    return agreement


def agreement_end_query(organisation_id: Any, today: Any) -> Select[date]:
    """Return a query of the last day of the agreement in force today; of several, the one that lasts longest.

    Both arguments may be values, columns or bind parameters.
    """
    return (
        select(Agreement.valid_until)
        .where(Agreement.organisation_id == organisation_id, Agreement.valid_from <= today, Agreement.valid_until >= today)
        .order_by(Agreement.valid_until.desc())
        .limit(1)
    )


def require_right(ctx: Context, organisation_id: UUID, kind: str) -> date | None:
    """Return the last day of the PKS of an institution, and None for other organisations, which need none (docs/domain.md, rule 8).

    Raise Conflict (`no-agreement`) if an institution has no PKS that is valid today in Jakarta (WIB).
    """
    if kind != OrganisationKind.INSTITUTION:
        return None
    end = ctx.session.scalar(agreement_end_query(organisation_id, ctx.now.astimezone(WIB).date()))
    if end is None:
        raise Conflict(NO_AGREEMENT, type="no-agreement")
    return end


def lacking_right(ctx: Context, organisations: Iterable[Organisation]) -> set[UUID]:
    """Return the ids of the institutions for which `require_right` would raise, in one query for all."""
    institutions = {one.id for one in organisations if one.kind == OrganisationKind.INSTITUTION}
    today = ctx.now.astimezone(WIB).date()
    query = select(Agreement.organisation_id).where(Agreement.organisation_id.in_(institutions))
    query = query.where(Agreement.valid_from <= today, Agreement.valid_until >= today)
    return institutions - set(ctx.session.scalars(query)) if institutions else set()
