"""The routes of cards: state, steps, and reports about their condition."""

from __future__ import annotations

from typing import Annotated

from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field

from sifilma.api.common import (
    File,
    IdPath,
    JsonPart,
    LabelsQuery,
    Page,
    StateQuery,
    UidPath,
    answer,
    blueprint,
    file_of,
    page_of,
    takes,
    upload,
)
from sifilma.cards import condition_reports, program_reports, queries
from sifilma.cards.identifiers import Uid
from sifilma.cards.label_serializers import card_labels
from sifilma.cards.queries import CardFilter
from sifilma.cards.schemas import CardOut, CardReportOut, ReportIn, StepOut
from sifilma.cards.serializers import cards_out, history_out, reports_out
from sifilma.documents.label_sheets import MOST
from sifilma.documents.service import Upload
from sifilma.kernel import paging
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
    select, key = queries.list_cards(ctx, CardFilter(query.state or "", query.function or ""))
    return page_of(select, key, query, lambda cards: cards_out(ctx, cards))


class CardLabelsQuery(LabelsQuery):
    """Which cards get a label: those with these UIDs, else all of a state or function."""

    uid: list[Uid] = Field(default=[], max_length=MOST)
    state: str | None = Field(None, max_length=20)
    function: str | None = Field(None, pattern="^(R|RW)$")


@api.get("/card-labels", responses={200: file_of("application/pdf")}, summary="Labels of cards as a PDF")
@operation("card.view")
def labels(query: CardLabelsQuery) -> Response:
    """With the number as text and a QR code that leads to the card's page; at most 500, newest first."""
    ctx, settings = context(), resources().settings
    wanted = CardFilter(query.state or "", query.function or "")
    listing = queries.list_chosen_cards(ctx, query.uid) if query.uid else queries.list_cards(ctx, wanted)
    return query.sheet(settings, card_labels(ctx, settings, paging.first(ctx.session, listing, paging.NEWEST_FIRST, MOST + 1)))


@api.get("/cards/<string:uid>", responses={200: CardOut}, summary="A card")
@operation("card.view")
def show(path: UidPath) -> Response:
    """By its UID."""
    ctx = context()
    return answer(cards_out(ctx, [queries.get_card(ctx, path.uid)])[0])


@api.get("/cards/<string:uid>/history", responses={200: Page[StepOut]}, summary="A card's whole life so far")
@operation("card.view")
def history(path: UidPath) -> Response:
    """One row a step, oldest first."""
    ctx = context()
    return answer(Page[StepOut](items=history_out(ctx, "card", queries.get_card(ctx, path.uid).id), next=None))


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
