"""Cards: where each is in its life, and what is reported about it."""

from __future__ import annotations

from flask import Response
from pydantic import Field

from sifilma.api.common import Page, StateQuery, UidPath, answer, blueprint, page_of
from sifilma.cards import service
from sifilma.cards.present import cards_out, history_out
from sifilma.cards.schemas import CardOut, ReportIn, StepOut
from sifilma.cards.service import CardFilter
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("cards")


class CardsQuery(StateQuery):
    """Which cards."""

    function: str | None = Field(None, pattern="^(R|RW)$")


@api.get("/cards", responses={200: Page[CardOut]}, summary="Cards")
@operation("card.view")
def list_cards(query: CardsQuery) -> Response:
    """Newest first."""
    ctx = context()
    select, key = service.cards_page(ctx, CardFilter(query.state or "", query.function or ""))
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


@api.post("/cards/<string:uid>/reports", responses={200: CardOut}, summary="Report a card damaged, locked, lost or found")
@operation("card.report")
def report(path: UidPath, body: ReportIn) -> Response:
    """Its manifest is revoked and its tokens are cancelled with it."""
    ctx = context()
    return answer(cards_out(ctx, [service.report(ctx, path.uid, body.condition, body.note)])[0])
