"""The routes of cards: state, steps, and reports about their condition."""

from __future__ import annotations

from typing import Annotated

from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field

from sifilma.api.common import File, IdPath, JsonPart, Page, StateQuery, UidPath, answer, blueprint, page_of, takes, upload
from sifilma.cards import condition_reports, program_reports, service
from sifilma.cards.schemas import CardOut, CardReportOut, ReportIn, StepOut
from sifilma.cards.serializers import cards_out, history_out, reports_out
from sifilma.cards.service import CardFilter
from sifilma.documents.service import Upload
from sifilma.kernel.schemas import NoteIn
from sifilma.resources import resources
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("cards")


class CardsQuery(StateQuery):
    """A page of cards, by state or function."""

    function: str | None = Field(None, pattern="^(R|RW)$")


@api.get("/cards", responses={200: Page[CardOut]}, summary="Cards")
@operation("card.view")
def list_cards(query: CardsQuery) -> Response:
    """Newest first."""
    ctx = context()
    select, key = service.list_cards(ctx, CardFilter(query.state or "", query.function or ""))
    return page_of(select, key, query, lambda cards: cards_out(ctx, cards))


@api.get("/cards/<string:uid>", responses={200: CardOut}, summary="A card")
@operation("card.view")
def show(path: UidPath) -> Response:
    """By its UID."""
    ctx = context()
    return answer(cards_out(ctx, [service.get_card(ctx, path.uid)])[0])


@api.get("/cards/<string:uid>/history", responses={200: Page[StepOut]}, summary="A card's whole life so far")
@operation("card.view")
def history(path: UidPath) -> Response:
    """One row a step, oldest first."""
    ctx = context()
    return answer(Page[StepOut](items=history_out(ctx, "card", service.get_card(ctx, path.uid).id), next=None))


class ReportForm(BaseModel):
    """A report with photos: the JSON as one part, and the photos."""

    model_config = ConfigDict(extra="forbid")

    report: Annotated[ReportIn, JsonPart]
    photos: list[File] = Field(default=[], max_length=condition_reports.MAX_PHOTOS)


@api.post("/cards/<string:uid>/reports", responses={200: CardOut}, summary="Report a card damaged, locked, lost or found")
@operation("card.report")
def report(path: UidPath) -> Response:
    """Its manifest is revoked and its tokens are cancelled with it. JSON, or multipart with photos.

    A program's report (damaged, locked, lost) suspends the card, and waits for a person: `pending_report` is its id.
    """
    ctx, (told, photos) = context(), _told()
    return answer(cards_out(ctx, [condition_reports.report(ctx, resources().files, path.uid, told, photos)])[0])


@api.get("/card-reports", responses={200: Page[CardReportOut]}, summary="Reports of programs on cards")
@operation("card.view")
def list_reports(query: StateQuery) -> Response:
    """Newest first; `state` is `pending`, `confirmed` or `withdrawn`."""
    ctx = context()
    select, key = program_reports.list_reports(ctx, query.state)
    return page_of(select, key, query, lambda reports: reports_out(ctx, reports))


@api.get("/card-reports/<uuid:id>", responses={200: CardReportOut}, summary="A report of a program on a card")
@operation("card.view")
def show_report(path: IdPath) -> Response:
    """With its state."""
    ctx = context()
    return answer(reports_out(ctx, [program_reports.get_report(ctx, path.id)])[0])


@api.post("/card-reports/<uuid:id>/confirm", responses={200: CardReportOut}, summary="Confirm what a program reported")
@operation("card.report.decide")
def confirm_report(path: IdPath, body: NoteIn) -> Response:
    """The card is damaged, locked or lost from now on; its manifest is revoked and its tokens are cancelled."""
    ctx = context()
    return answer(reports_out(ctx, [program_reports.confirm(ctx, path.id, body.note)])[0])


@api.post("/card-reports/<uuid:id>/withdraw", responses={200: CardReportOut}, summary="Withdraw what a program reported, with a note")
@operation("card.report.decide")
def withdraw_report(path: IdPath, body: NoteIn) -> Response:
    """Card, manifest and tokens are as they were; what ended by itself meanwhile stays ended."""
    ctx = context()
    return answer(reports_out(ctx, [program_reports.withdraw(ctx, path.id, body.note)])[0])


def _told() -> tuple[ReportIn, list[Upload]]:
    if request.mimetype != "multipart/form-data":
        return ReportIn.model_validate(request.get_json(silent=True)), []
    parts = (
        request.form.to_dict() | request.files.to_dict() | {"photos": [*request.files.getlist("photos"), *request.form.getlist("photos")]}
    )
    form = ReportForm.model_validate(parts)
    return form.report, [photo for file in form.photos if (photo := upload(file)) is not None]


takes(api, "/cards/{uid}/reports", ReportIn, ReportForm)
