"""The routes of activation requests and their tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from flask import Response, request
from pydantic import BaseModel, ConfigDict

from sifilma.activation.queries import get_request
from sifilma.activation.requests import queries, service
from sifilma.activation.requests.service import REQUESTS
from sifilma.activation.schemas import (
    ActivationRequestBrief,
    ActivationRequestIn,
    ActivationRequestOut,
    ActivationReturnIn,
    TokenOut,
    TokensOut,
)
from sifilma.activation.serializers import brief, full
from sifilma.activation.tokens import service as tokens
from sifilma.api.common import File, IdPath, JsonPart, Page, RequestsQuery, UidPath, answer, blueprint, page_of, tells_all, upload
from sifilma.api.decisions import add_decisions
from sifilma.approvals.queries import Wanted
from sifilma.documents.service import Upload
from sifilma.kernel.errors import Faults
from sifilma.kernel.schemas import ApproveIn
from sifilma.resources import resources
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("activation-requests")
PATH = "/activation-requests"


class ActivationRequestForm(BaseModel):
    """The parts of a request: JSON and the letter."""

    model_config = ConfigDict(extra="forbid")

    request: Annotated[ActivationRequestIn, JsonPart]
    letter: File | None = None


def _faults(known: dict[str, Any], files: Callable[[str], list[Upload]]) -> Faults:
    """Return what is wrong with a request of which not all could be read."""
    ctx, request_id = context(), (request.view_args or {}).get("id")
    return service.faults(ctx, known, next(iter(files("letter")), None), REQUESTS.get_own(ctx, request_id) if request_id else None)


class TokenPath(IdPath, UidPath):
    """The id of a request, and the UID of one of its cards."""


@api.post(PATH, responses={201: ActivationRequestOut}, summary="Draft a request")
@operation("activation_request.draft")
@tells_all(ActivationRequestIn, _faults, "request")
def draft(form: ActivationRequestForm) -> Response:
    """For cards the organisation holds: received ones (new), or active ones (relocation, renewal)."""
    ctx = context()
    return answer(full(ctx, service.draft(ctx, resources().files, form.request, upload(form.letter))), 201)


@api.get(PATH, responses={200: Page[ActivationRequestBrief]}, summary="Requests")
@operation("activation_request.view")
def list_requests(query: RequestsQuery) -> Response:
    """Newest first."""
    select, key = queries.list_requests(context(), Wanted(query.state or "", late=resources().targets if query.late else None))
    return page_of(select, key, query, lambda rows: map(brief, rows))


@api.get(f"{PATH}/<uuid:id>", responses={200: ActivationRequestOut}, summary="A request")
@operation("activation_request.view")
def show(path: IdPath) -> Response:
    """With its digest, and its tokens' states."""
    ctx = context()
    return answer(full(ctx, get_request(ctx, path.id)))


@api.put(f"{PATH}/<uuid:id>", responses={200: ActivationRequestOut}, summary="Edit a draft or a returned request")
@operation("activation_request.draft")
@tells_all(ActivationRequestIn, _faults, "request")
def edit(path: IdPath, form: ActivationRequestForm) -> Response:
    """A letter that does not come again stays."""
    ctx = context()
    return answer(full(ctx, service.edit(ctx, resources().files, path.id, form.request, upload(form.letter))))


add_decisions(api, PATH, "activation_request", REQUESTS, full, ActivationRequestOut)


@api.post(f"{PATH}/<uuid:id>/return", responses={200: ActivationRequestOut}, summary="Return for repair, with notes", endpoint="return")
@operation("activation_request.return")
def send_back(path: IdPath, body: ActivationReturnIn) -> Response:
    """A note on the whole, notes on single fields (`fields`: name and note), or both. The step in `history` has them."""
    ctx = context()
    return answer(full(ctx, REQUESTS.send_back(ctx, path.id, body.note, body.fields.given())))


@api.post(f"{PATH}/<uuid:id>/approve", responses={200: ActivationRequestOut}, summary="Approve exactly what was seen")
@operation("activation_request.approve", reads_first=True)
def approve(path: IdPath, body: ApproveIn) -> Response:
    """With the last approval needed each card gets its token."""
    ctx = context()
    return answer(full(ctx, service.approve(ctx, resources().settings, resources().hsm, path.id, body.digest, body.note)))


@api.post(f"{PATH}/<uuid:id>/tokens", responses={200: TokensOut}, summary="Show the open tokens in clear")
@operation("token.reveal", reads_first=True, idempotent=False)
def reveal(path: IdPath) -> Response:
    """To the organisation that asked, and to nobody else; recorded."""
    shown = tokens.reveal(context(), resources().hsm, path.id)
    return answer(TokensOut(tokens=[TokenOut(sam_uid=t.sam_uid, token=t.token, expires_at=t.expires_at) for t in shown]))


@api.post(f"{PATH}/<uuid:id>/tokens/<string:uid>/reissue", responses={200: TokensOut}, summary="Issue one card's token anew")
@operation("token.reveal", reads_first=True, idempotent=False)
def reissue(path: TokenPath) -> Response:
    """The old one is cancelled."""
    made = tokens.reissue(context(), resources().settings, resources().hsm, path.id, path.uid)
    return answer(TokensOut(tokens=[TokenOut(sam_uid=made.sam_uid, token=made.token, expires_at=made.expires_at)]))
