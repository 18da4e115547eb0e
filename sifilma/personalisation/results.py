"""What the personalisation machines report: in parts, checked row by row, key check values compared with the HSM's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from config.settings import Settings
from hsm import HSM
from hsm.derivation import kcv as key_check_value
from sifilma.accounts.permissions import Operation
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.models import CARD, Card, CardState, Unit
from sifilma.cards.service import register_cards
from sifilma.documents import sheets
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, Invalid
from sifilma.kernel.ids import uuid7
from sifilma.kernel.text import say
from sifilma.personalisation.batch import ENDED
from sifilma.personalisation.models import PERSONALISATION, BatchRow, PersonalisationRequest, PersonalisationResult
from sifilma.personalisation.models import PersonalisationState as State
from sifilma.personalisation.schemas import ResultIn
from sifilma.personalisation.service import KIND, get, new_card

OPEN = (State.APPROVED, State.PERSONALISING)
COLUMNS = (("sam_uid", "outcome"), ("hardware_number", "kcv"))


def read_results(data: bytes, max_rows: int) -> list[ResultIn]:
    """Results from a CSV or XLSX file; Invalid lists the errors by row."""
    from pydantic import ValidationError  # noqa: PLC0415

    sheet = sheets.read(data, required=COLUMNS[0], optional=COLUMNS[1], max_rows=max_rows, field="results")
    results, errors = [], []
    for row in sheet.rows:
        try:
            results.append(ResultIn.model_validate({name: text for name, text in row.cells.items() if text and name}))
        except ValidationError as wrong:
            errors += [{"row": row.number, "field": str(e["loc"][0]), "message": e["msg"]} for e in wrong.errors(include_input=False)]
    if errors:
        raise Invalid("Some rows cannot be accepted; nothing was saved.", errors=errors)
    return results


def add_results(ctx: Context, settings: Settings, hsm: HSM, request_id: UUID, results: list[ResultIn]) -> PersonalisationRequest:
    """Record results. The first makes the request `personalising`, the one that completes the quantity `completed`.

    A failed card is `damaged` at once; a replacement takes its place in the quantity. All rows or none.
    """
    request = get(ctx, request_id, Operation.PERSONALISE)
    _require_open(request)
    key_version = settings.master_version
    versions = dict(ctx.session.execute(select(Card.uid, Card.key_version).where(Card.uid.in_([r.sam_uid for r in results]))).all())
    ctx.uow.end_read()
    kcvs = _check_values(hsm, results, versions, key_version)
    ctx.uow.begin_write()
    request = get(ctx, request_id, Operation.PERSONALISE)
    _require_open(request)
    cards = {card.uid: card for card in ctx.session.scalars(select(Card).where(Card.personalisation_request_id == request.id))}
    units = _units_by_number(ctx, request)
    errors = list(_errors(ctx, request, results, cards, units, kcvs))
    if errors:
        raise Invalid("Some results cannot be accepted; nothing was saved.", errors=errors)
    return _save(ctx, settings, request, results, cards, units, kcvs)


def _require_open(request: PersonalisationRequest) -> None:
    if request.state not in OPEN:
        raise Conflict(f"A request that is {request.state} takes no results.", state=request.state)


def _check_values(hsm: HSM, results: list[ResultIn], versions: dict[str, int], current: int) -> dict[str, str]:
    """The key check value of every card, from the HSM, outside any transaction."""
    uids = [result.sam_uid for result in results if result.outcome == "personalised"]
    keys = hsm.run(lambda do: [do.derive_open_key(versions.get(uid, current), bytes.fromhex(uid)) for uid in uids])
    return {uid: key_check_value(key) for uid, key in zip(uids, keys, strict=True)}


def _units_by_number(ctx: Context, request: PersonalisationRequest) -> dict[str, Unit]:
    rows = ctx.session.scalars(select(Unit).where(Unit.organisation_id == request.buyer_id, Unit.function == request.function))
    return {unit.hardware_number: unit for unit in rows}


def _errors(
    ctx: Context,
    request: PersonalisationRequest,
    results: list[ResultIn],
    cards: dict[str, Card],
    units: dict[str, Unit],
    kcvs: dict[str, str],
) -> Iterator[dict[str, Any]]:
    in_batch = set(ctx.session.scalars(select(BatchRow.unit_id).where(BatchRow.personalisation_request_id == request.id)))
    tied = _tied(ctx, request)
    elsewhere = set(ctx.session.scalars(select(Card.uid).where(Card.uid.in_([r.sam_uid for r in results])))) - set(cards)
    seen: set[str] = set()
    for row, result in enumerate(results, start=1):
        for field, message in _row_errors(result, cards, units, kcvs, in_batch, tied, elsewhere, seen):
            yield {"row": row, "field": field, "message": message}
        seen.add(result.sam_uid)
    done = _count(ctx, request) + sum(1 for result in results if result.outcome == "personalised")
    if done > request.quantity:
        yield {"field": "results", "message": f"That would make {done} cards; {request.quantity} were approved."}


def _tied(ctx: Context, request: PersonalisationRequest) -> dict[UUID, str]:
    rows = ctx.session.execute(
        select(Card.unit_id, Card.uid)
        .join(Unit, Unit.id == Card.unit_id)
        .where(Unit.organisation_id == request.buyer_id, Card.state.not_in(ENDED))
    )
    return {unit_id: uid for unit_id, uid in rows if unit_id is not None}


def _row_errors(
    result: ResultIn,
    cards: dict[str, Card],
    units: dict[str, Unit],
    kcvs: dict[str, str],
    in_batch: set[UUID],
    tied: dict[UUID, str],
    elsewhere: set[str],
    seen: set[str],
) -> Iterator[tuple[str, str]]:
    card = cards.get(result.sam_uid)
    if result.sam_uid in seen or result.sam_uid in elsewhere or (card is not None and card.state != CardState.REGISTERED):
        yield "sam_uid", f"{result.sam_uid} has a result, or belongs to another request."
    if result.kcv and result.outcome == "personalised" and result.kcv != kcvs[result.sam_uid]:
        yield "kcv", f"The key check value is not the HSM's: {result.sam_uid} was personalised with another key."
    if result.hardware_number is None:
        if in_batch and card is None:
            yield "hardware_number", "A card the batch does not name needs the unit it is for."
        return
    unit = units.get(result.hardware_number)
    if unit is None or (in_batch and unit.id not in in_batch):
        yield "hardware_number", f"{result.hardware_number} is no unit of this request."
    elif tied.get(unit.id, result.sam_uid) != result.sam_uid:
        yield "hardware_number", f"{result.hardware_number} has another card already."
    elif card is not None and card.unit_id not in (None, unit.id):
        yield "hardware_number", f"{result.sam_uid} is tied to another unit."


def _count(ctx: Context, request: PersonalisationRequest) -> int:
    query = select(func.count()).where(
        PersonalisationResult.personalisation_request_id == request.id, PersonalisationResult.outcome == "personalised"
    )
    return ctx.session.scalar(query) or 0


def _save(
    ctx: Context,
    settings: Settings,
    request: PersonalisationRequest,
    results: list[ResultIn],
    cards: dict[str, Card],
    units: dict[str, Unit],
    kcvs: dict[str, str],
) -> PersonalisationRequest:
    new = [new_card(ctx, settings, request, result.sam_uid, None) for result in results if result.sam_uid not in cards]
    if new:
        register_cards(ctx, new)
    cards |= {card.uid: card for card in new}
    act = record(ctx, Action.PERSONALISATION_RESULTS, KIND, request.id, organisation_id=request.requester_id, count=len(results))
    for result in results:
        card = cards[result.sam_uid]
        if result.hardware_number:
            card.unit_id = units[result.hardware_number].id
        ctx.session.add(
            PersonalisationResult(
                id=uuid7(), personalisation_request_id=request.id, card_id=card.id, outcome=result.outcome,
                hardware_number=result.hardware_number or "", kcv=kcvs.get(result.sam_uid, ""), act_id=act.id,
            )
        )  # fmt: skip
    ctx.session.flush()
    for result in results:
        card = cards[result.sam_uid]
        card.kcv = kcvs.get(result.sam_uid, "")
        failed = result.outcome == "failed"
        target = CardState.DAMAGED if failed else CardState.PERSONALISED
        CARD.move(ctx.session, card, target, act, say("Personalisation failed.") if failed else "")
    _advance(ctx, request, act)
    ctx.session.flush()
    return request


def _advance(ctx: Context, request: PersonalisationRequest, act: Any) -> None:
    if _count(ctx, request) >= request.quantity:
        PERSONALISATION.move(ctx.session, request, State.COMPLETED, act)
    elif request.state == State.APPROVED:
        PERSONALISATION.move(ctx.session, request, State.PERSONALISING, act)
