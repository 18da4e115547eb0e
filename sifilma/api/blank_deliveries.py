"""The routes of the ledger of blank SAMs."""

from __future__ import annotations

from typing import Annotated

from flask import Response, request
from pydantic import BaseModel, ConfigDict

from sifilma.api.common import File, IdPath, JsonPart, Page, StateQuery, answer, blueprint, page_of, takes, upload
from sifilma.documents.service import Upload
from sifilma.kernel.schemas import NoteIn
from sifilma.personalisation.blanks import import_table, queries, service
from sifilma.personalisation.blanks.import_table import Given
from sifilma.personalisation.blanks.schemas import (
    BlankCardOut,
    BlankDeliveryBrief,
    BlankDeliveryIn,
    BlankDeliveryOut,
    BlankIssueIn,
    BlankReturnIn,
    BlankStockOut,
)
from sifilma.personalisation.blanks.serializers import blanks_out, deliveries_out, full
from sifilma.resources import resources
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("blank-deliveries")
PATH = "/blank-deliveries"


class DeliveryForm(BaseModel):
    """The parts of a delivery whose UIDs come as a file: JSON, and a CSV or XLSX table."""

    model_config = ConfigDict(extra="forbid")

    delivery: Annotated[BlankDeliveryIn, JsonPart]
    file: File | None = None


class BlankCards(BaseModel):
    """Blanks that were moved together."""

    items: list[BlankCardOut]


@api.get(PATH, responses={200: Page[BlankDeliveryBrief]}, summary="Deliveries of blank SAMs")
@operation("blank.see")
def list_all(query: StateQuery) -> Response:
    """Newest first; `state` is `recorded` or `cancelled`."""
    ctx = context()
    select, key = queries.list_deliveries(query.state)
    return page_of(select, key, query, lambda rows: deliveries_out(ctx, rows))


@api.post(PATH, responses={201: BlankDeliveryOut}, summary="Record a delivery of blank SAMs")
@operation("blank.record", lists=True)
def record() -> Response:
    """JSON with the UIDs (`cards`), or multipart with a CSV or XLSX table of them."""
    ctx, (data, file) = context(), _told()
    given = import_table.read_blanks(ctx, file) if file else Given(dict(enumerate(data.cards, start=1)))
    return answer(full(ctx, service.deliver(ctx, data, given)), 201)


def _told() -> tuple[BlankDeliveryIn, Upload | None]:
    if request.mimetype != "multipart/form-data":
        return BlankDeliveryIn.model_validate(request.get_json(silent=True)), None
    form = DeliveryForm.model_validate(request.form.to_dict() | request.files.to_dict())
    return form.delivery, upload(form.file)


takes(api, PATH, BlankDeliveryIn, DeliveryForm)


@api.get(f"{PATH}/<uuid:id>", responses={200: BlankDeliveryOut}, summary="A delivery of blank SAMs")
@operation("blank.see")
def show(path: IdPath) -> Response:
    """With its blanks and their states."""
    ctx = context()
    return answer(full(ctx, queries.get_delivery(ctx, path.id)))


@api.post(f"{PATH}/<uuid:id>/cancel", responses={200: BlankDeliveryOut}, summary="Cancel a delivery, with a note")
@operation("blank.record")
def cancel(path: IdPath, body: NoteIn) -> Response:
    """As long as all its blanks are in the store."""
    ctx = context()
    return answer(full(ctx, service.cancel(ctx, path.id, body.note)))


@api.get("/blank-stock", responses={200: BlankStockOut}, summary="The balance of blank SAMs")
@operation("blank.see")
def balance() -> Response:
    """`delivered` is the sum of the other counts."""
    return answer(queries.stock(context(), resources().settings.blank_low_stock))


@api.get("/blank-cards", responses={200: Page[BlankCardOut]}, summary="Blank SAMs")
@operation("blank.see")
def list_cards(query: StateQuery) -> Response:
    """Newest first; `state` is `stocked`, `issued`, `personalised`, `failed` or `withdrawn`."""
    select, key = queries.list_blanks(query.state)
    return page_of(select, key, query, blanks_out)


@api.post("/blank-cards/issue", responses={200: BlankCards}, summary="Issue blank SAMs for a request")
@operation("blank.record", lists=True)
def issue(body: BlankIssueIn) -> Response:
    """Those named, or `count` of the oldest."""
    found = service.issue(context(), resources().settings.blank_low_stock, body)
    return answer(BlankCards(items=blanks_out(found)))


@api.post("/blank-cards/return", responses={200: BlankCards}, summary="Return issued blank SAMs to the store, with a note")
@operation("blank.record", lists=True)
def take_back(body: BlankReturnIn) -> Response:
    """They were not used."""
    return answer(BlankCards(items=blanks_out(service.take_back(context(), body))))
