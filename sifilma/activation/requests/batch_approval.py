"""Several activation requests approved together by one approver."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from flask import url_for
from flask_babel import lazy_gettext as _

from sifilma.activation.models import ActivationRequest as R
from sifilma.activation.queries import requests_query
from sifilma.activation.requests.service import WAY, approve, cards_changed
from sifilma.approvals.batch_views import Candidate, Together, candidate
from sifilma.kernel.context import Context
from sifilma.oversight.service import NO_AGREEMENT, lacking_right
from sifilma.resources import Resources


def candidates(ctx: Context, chosen: Sequence[UUID]) -> list[Candidate]:
    """Return the chosen requests that the actor may see, each with what keeps it from being approved, in a fixed number of queries."""
    found = list(ctx.session.scalars(requests_query(ctx).where(R.id.in_(chosen))))
    changed = cards_changed(ctx, [one for one in found if WAY.missing(one) <= 1])
    lacking = lacking_right(ctx, [one.organisation for one in found])
    objections = changed | {one.id: NO_AGREEMENT for one in found if one.organisation_id in lacking}
    return [candidate(ctx, WAY, one, one.organisation.name, one.machines, objections.get(one.id, "")) for one in found]


def _approve(ctx: Context, held: Resources, request_id: UUID, digest: str, note: str) -> int:
    ctx.uow.begin_read()  # `approve` reads, makes the tokens in the HSM with no transaction open, and begins to write only then
    return WAY.missing(approve(ctx, held.settings, held.hsm, request_id, digest, note))


TOGETHER = Together(
    "activation_request",
    candidates,
    _approve,
    counted=_("Machines"),
    show="activation_pages.show",
    letter=lambda request_id: url_for("activation_pages.letter", request_id=request_id),
)
