"""Approve several personalisation requests on one page (`approvals.batch_views`)."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from flask import url_for
from flask_babel import lazy_gettext as _

from sifilma.approvals.batch_views import Candidate, Together, candidate
from sifilma.kernel.context import Context
from sifilma.oversight.service import NO_AGREEMENT, lacking_right
from sifilma.personalisation.models import PersonalisationRequest as R
from sifilma.personalisation.service import WAY, approve, requests_query
from sifilma.resources import Resources


def candidates(ctx: Context, chosen: Sequence[UUID]) -> list[Candidate]:
    """Return the chosen requests that the actor may see. The number of queries does not depend on how many were chosen."""
    found = list(ctx.session.scalars(requests_query(ctx).where(R.id.in_(chosen))))
    lacking = lacking_right(ctx, [one.buyer for one in found])
    return [candidate(ctx, WAY, one, one.requester.name, one.quantity, NO_AGREEMENT if one.buyer_id in lacking else "") for one in found]


def _approve(ctx: Context, held: Resources, request_id: UUID, digest: str, note: str) -> int:
    return WAY.missing(approve(ctx, held.settings, request_id, digest, note))


TOGETHER = Together(
    "personalisation",
    candidates,
    _approve,
    counted=_("Cards"),
    show="personalisation_pages.show",
    letter=lambda request_id: url_for("personalisation_pages.file", request_id=request_id, name="surat"),
)
