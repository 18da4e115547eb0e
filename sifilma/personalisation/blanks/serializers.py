"""Convert the ledger of blank SAMs to the schemas of the API and of the pages."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from sifilma.cards.serializers import history_out
from sifilma.kernel.context import Context
from sifilma.personalisation.blanks.models import BLANK_DELIVERY, BlankCard, BlankDelivery, DeliveryState
from sifilma.personalisation.blanks.queries import counts_of
from sifilma.personalisation.blanks.schemas import BlankCardOut, BlankDeliveryBrief, BlankDeliveryOut
from sifilma.personalisation.models import PersonalisationRequest
from sifilma.web.links import steps


def deliveries_out(ctx: Context, found: list[BlankDelivery]) -> list[BlankDeliveryBrief]:
    """Return deliveries with their counts, in one query for all."""
    counts = counts_of(ctx, [one.id for one in found])
    return [BlankDeliveryBrief(**_common(one, counts[one.id])) for one in found]


def full(ctx: Context, one: BlankDelivery) -> BlankDeliveryOut:
    """Return one delivery with its blanks and its steps."""
    query = (
        select(BlankCard.uid, BlankCard.state, PersonalisationRequest.letter_number)
        .outerjoin(PersonalisationRequest, PersonalisationRequest.id == BlankCard.personalisation_request_id)
        .where(BlankCard.delivery_id == one.id)
        .order_by(BlankCard.position)
    )
    cards: list[dict[str, str | None]] = [
        {"sam_uid": uid, "state": state, "request": number} for uid, state, number in ctx.session.execute(query)
    ]
    return BlankDeliveryOut(
        **_common(one, counts_of(ctx, [one.id])[one.id]),
        notes=one.notes,
        digest=one.cards_sha256,
        cards=cards,
        history=history_out(ctx, BLANK_DELIVERY.kind, one.id),
        warnings=list(ctx.warnings),
    )


def blanks_out(found: list[BlankCard]) -> list[BlankCardOut]:
    """Return blanks with what they were issued for."""
    return [
        BlankCardOut(sam_uid=one.uid, state=one.state, delivery=one.delivery_id, personalisation_request=one.personalisation_request_id)
        for one in found
    ]


def _common(one: BlankDelivery, counts: dict[str, int]) -> dict[str, Any]:
    return {
        "id": one.id,
        "state": one.state,
        "number": one.number,
        "supplier": one.supplier,
        "delivered_on": one.delivered_on,
        "count": one.count,
        "counts": counts,
        "recorded_at": one.recorded_at,
        "links": steps("blank-deliveries", one.id, BLANK_DELIVERY, one.state, {"cancel": DeliveryState.CANCELLED}),
    }
