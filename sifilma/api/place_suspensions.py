"""The routes of suspensions for a rejected place."""

from __future__ import annotations

from flask import Response

from sifilma.activation.suspensions import service
from sifilma.activation.suspensions.queries import get_suspension, list_suspensions
from sifilma.activation.suspensions.schemas import LiftIn, PlaceSuspensionBrief, PlaceSuspensionOut, SuspensionDecisionIn
from sifilma.activation.suspensions.serializers import full, suspensions_out
from sifilma.api.common import IdPath, Page, StateQuery, answer, blueprint, page_of
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("place-suspensions")
PATH = "/place-suspensions"


@api.get(PATH, responses={200: Page[PlaceSuspensionBrief]}, summary="Suspensions for a rejected place")
@operation("place.suspension.see")
def list_all(query: StateQuery) -> Response:
    """Newest first; `state` is `proposed`, `suspended`, `dropped`, `answered`, `lifted` or `closed`."""
    ctx = context()
    select, key = list_suspensions(ctx, query.state)
    return page_of(select, key, query, lambda rows: suspensions_out(ctx, rows))


@api.get(f"{PATH}/<uuid:id>", responses={200: PlaceSuspensionOut}, summary="A suspension for a rejected place")
@operation("place.suspension.see")
def show(path: IdPath) -> Response:
    """With its steps. An accepted relocation of the card answers it."""
    ctx = context()
    return answer(full(ctx, get_suspension(ctx, path.id)))


@api.post(f"{PATH}/<uuid:id>/decision", responses={200: PlaceSuspensionOut}, summary="Suspend the card now, or drop the proposal")
@operation("place.suspension.decide")
def decide(path: IdPath, body: SuspensionDecisionIn) -> Response:
    """By another person than the one who rejected the place. Without a decision the card is suspended at `due_at`."""
    ctx = context()
    return answer(full(ctx, service.decide(ctx, path.id, suspend_now=body.decision == "suspend", note=body.note)))


@api.post(f"{PATH}/<uuid:id>/lift", responses={200: PlaceSuspensionOut}, summary="Lift the suspension")
@operation("place.suspension.decide")
def lift(path: IdPath, body: LiftIn) -> Response:
    """Card and manifest are as they were before."""
    ctx = context()
    return answer(full(ctx, service.lift(ctx, path.id, body.note)))
