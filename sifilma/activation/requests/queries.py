"""The list of activation requests, and which of them wait for the actor."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import ColumnElement, Select, String, and_, bindparam, false, or_

from sifilma.activation.models import ActivationRequest, RequestState
from sifilma.activation.queries import requests_query
from sifilma.activation.requests.service import REQUESTS
from sifilma.approvals.four_eyes import EDITABLE
from sifilma.approvals.queries import Wanted, decisions, finder_of, late, narrowed_query
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.context import Context
from sifilma.kernel.paging import Listing
from sifilma.kernel.timekeeping.targets import ACTIVATION_APPROVAL

A = ActivationRequest
FINDER = finder_of(A, A.organisation_id)


def list_requests(ctx: Context, wanted: Wanted) -> Listing[ActivationRequest]:
    """Return the requests the actor may see that match the filter."""
    query = narrowed_query(ctx, requests_query(ctx), A, wanted, FINDER)
    if wanted.late:
        query = query.where(A.state == RequestState.SUBMITTED, late(ctx, wanted.late, ACTIVATION_APPROVAL, A.submitted_at))
    return (query.where(or_(false(), *_tasks(ctx))) if wanted.waiting else query), A.id


def lettered_query(ctx: Context) -> Select[ActivationRequest]:
    """Return a query of the requests whose letter number is `letter_key`, of those that the actor may see."""
    return requests_query(ctx).where(A.letter_key == bindparam("letter_key", type_=String))


def _tasks(ctx: Context) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions of requests that the actor can approve, verify or submit now."""
    yield from decisions(ctx, REQUESTS)
    if grants(ctx.actor, Operation.ACTIVATION_SUBMIT):
        yield and_(A.state.in_(EDITABLE), A.organisation_id == ctx.actor.organisation_id)
