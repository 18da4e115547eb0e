"""The ledger of blank SAMs: record and cancel deliveries, issue blanks to personalisation, and settle them with the results.

Blanks are locked in the order of their ids. Personalisation locks the request before them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from sifilma.approvals.four_eyes import content_digest
from sifilma.approvals.letters import letter_key
from sifilma.approvals.service import require_note
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.models import Card, CardState
from sifilma.documents.tables.sheets import RowError
from sifilma.kernel.context import Act, Context
from sifilma.kernel.days import wrong_paper_day
from sifilma.kernel.db import among, hold
from sifilma.kernel.errors import Conflict, Faults, Invalid
from sifilma.kernel.ids import uuid7
from sifilma.kernel.repeats import repeats, same_as
from sifilma.kernel.text import Text, say
from sifilma.personalisation.blanks.import_table import Given
from sifilma.personalisation.blanks.models import BLANK_CARD, BLANK_DELIVERY, BlankCard, BlankDelivery, BlankState, DeliveryState
from sifilma.personalisation.blanks.queries import get_delivery, is_kept
from sifilma.personalisation.blanks.schemas import BlankDeliveryIn, BlankIssueIn, BlankReturnIn
from sifilma.personalisation.models import PersonalisationRequest
from sifilma.personalisation.models import PersonalisationState as State

KIND = BLANK_DELIVERY.kind
MAKING = (State.APPROVED, State.PERSONALISING)
Low = Callable[[Session, int, datetime], None]
_hooks: list[Low] = []


def on_low(hook: Low) -> None:
    """Have `hook` called with the number left and the moment when an act leaves fewer than the setting wants."""
    if hook not in _hooks:
        _hooks.append(hook)


# --- deliveries --------------------------------------------------------------------------------------------------------


def deliver(ctx: Context, data: BlankDeliveryIn, given: Given) -> BlankDelivery:
    """Record a delivery and its blanks. Return it.

    Raise Invalid with every error of every row: a UID that is named twice, is in the ledger, or belongs to a card that is made; a count
    that is not that of the UIDs; a day in the future. Raise Conflict (`delivery-known`) if the supplier's note is recorded already.
    """
    _require_sound(ctx, data, given)
    uids = list(given.rows.values())
    key = letter_key(data.number)
    same = select(BlankDelivery.id).where(
        BlankDelivery.number_key == key, BlankDelivery.supplier == data.supplier, BlankDelivery.state == DeliveryState.RECORDED
    )
    if ctx.session.scalar(same) is not None:
        known = say("This note of the supplier is recorded already.")
        raise Conflict(known, type="delivery-known", errors=[{"field": "number", "message": known}])
    assert ctx.actor.person_id is not None  # noqa: S101  # the request gate lets only people in
    made = BlankDelivery(
        id=uuid7(),
        number=data.number,
        number_key=key,
        supplier=data.supplier,
        delivered_on=data.delivered_on,
        count=len(uids),
        cards_sha256=digest_of(uids),
        notes=data.notes,
        recorded_at=ctx.now,
        recorded_by_person=ctx.actor.person_id,
    )
    act = record(ctx, Action.BLANK_DELIVER, KIND, made.id, rows=[made], number=data.number, count=len(uids), digest=made.cards_sha256)
    BLANK_DELIVERY.born(made, DeliveryState.RECORDED, act)
    ctx.session.add(made)
    ctx.session.flush()
    blanks = [BlankCard(id=uuid7(), uid=uid, delivery_id=made.id, position=place) for place, uid in enumerate(uids, start=1)]
    for blank in blanks:
        BLANK_CARD.born(blank, BlankState.STOCKED, act)
    ctx.session.add_all(blanks)
    ctx.session.flush()
    return made


def digest_of(uids: Sequence[str]) -> str:
    """Return the SHA-256 (hex) of the UIDs of a delivery, in their order."""
    return content_digest({"cards": list(uids)})


def _require_sound(ctx: Context, data: BlankDeliveryIn, given: Given) -> None:
    found = Faults()
    if (wrong := wrong_paper_day(ctx.now, data.delivered_on)) is not None:
        found.add("delivered_on", wrong)
    if not any(map(str.isalnum, data.number)):
        found.add("number", say("A number has letters or digits."))
    if not given.rows and not given.errors:
        found.add("cards", say("Give the UIDs of the blanks, as a list or as a file."))
    elif data.count is not None and data.count != len(given.rows) + len({error.row for error in given.errors}):
        told = say("The note counts %(count)s blanks, %(uids)s UIDs are given.", count=data.count, uids=len(given.rows))
        found.add("count", told)
    errors = [*given.errors, *_row_errors(ctx, given.rows)]
    if errors:
        found.extend(given.sheet.located(errors))
    found.refuse()


def _row_errors(ctx: Context, rows: Mapping[int, str]) -> list[RowError]:
    uids, again = list(rows.values()), repeats(rows)
    listed = set(ctx.session.scalars(select(BlankCard.uid).where(BlankCard.uid.in_(uids), BlankCard.state != BlankState.WITHDRAWN)))
    cards = set(ctx.session.scalars(select(Card.uid).where(Card.uid.in_(uids), Card.state != CardState.REGISTERED)))
    errors = []
    for row, uid in rows.items():
        if row in again:
            errors.append(RowError(row, "sam_uid", same_as(again[row])))
        elif uid in listed:
            errors.append(RowError(row, "sam_uid", say("%(uid)s was delivered before.", uid=uid)))
        elif uid in cards:
            errors.append(RowError(row, "sam_uid", say("%(uid)s is no blank any more: it belongs to a card.", uid=uid)))
    return errors


def cancel(ctx: Context, delivery_id: UUID, note: str) -> BlankDelivery:
    """Cancel a delivery that was recorded wrongly, with a note: its blanks leave the ledger. Return it.

    Raise NotFound, and Conflict if it was cancelled already or one of its blanks has left the store.
    """
    require_note(note)
    found = get_delivery(ctx, delivery_id)
    hold(ctx.session, found)
    BLANK_DELIVERY.require(found, DeliveryState.CANCELLED)
    blanks = _locked(ctx, BlankCard.delivery_id == found.id)
    if any(blank.state != BlankState.STOCKED for blank in blanks):
        raise Conflict("Blanks of this delivery have left the store already: it cannot be cancelled.", type="blanks-used")
    act = record(ctx, Action.BLANK_CANCEL, KIND, found.id, number=found.number, count=found.count, note=note)
    _move(ctx, blanks, BlankState.WITHDRAWN, act, note)
    BLANK_DELIVERY.move(ctx.session, found, DeliveryState.CANCELLED, act, note)
    ctx.session.flush()
    return found


# --- to personalisation and back ---------------------------------------------------------------------------------------


def issue(ctx: Context, low: int, data: BlankIssueIn) -> list[BlankCard]:
    """Issue blanks for a request that is being made: those named, or so many of the oldest. Return them.

    Raise Invalid for an unknown request, for UIDs that are not in the store, and if fewer are left than wanted; Conflict if the request is
    not being made.
    """
    request = ctx.session.get(PersonalisationRequest, data.personalisation_request)
    if request is None:
        raise Invalid.field("personalisation_request", "There is no such request.")
    hold(ctx.session, request)
    if request.state not in MAKING:
        raise Conflict(say("A request that is %(state)s gets no blanks.", state=request.state), state=request.state)
    if bool(data.cards) == (data.count is not None):
        raise Invalid.field("cards", "Name the blanks, or say how many.")
    blanks = _named(ctx, data.cards, BlankState.STOCKED) if data.cards else _oldest(ctx, data.count or 0)
    act = record(
        ctx, Action.BLANK_ISSUE, "personalisation_request", request.id, organisation_id=request.requester_id, count=len(blanks),
        cards=[blank.uid for blank in blanks],
    )  # fmt: skip
    for blank in blanks:
        blank.personalisation_request_id = request.id
    _move(ctx, blanks, BlankState.ISSUED, act)
    _tell_low(ctx, low, len(blanks))
    return blanks


def take_back(ctx: Context, data: BlankReturnIn) -> list[BlankCard]:
    """Return issued blanks to the store unused, with a note. Raise Invalid for UIDs that are not issued."""
    blanks = _named(ctx, data.cards, BlankState.ISSUED)
    act = record(
        ctx, Action.BLANK_RETURN, KIND, blanks[0].delivery_id, count=len(blanks), cards=[blank.uid for blank in blanks], note=data.note
    )
    for blank in blanks:
        blank.personalisation_request_id = None
    _move(ctx, blanks, BlankState.STOCKED, act, data.note)
    return blanks


def _named(ctx: Context, uids: Sequence[str], state: BlankState) -> list[BlankCard]:
    """Return these blanks, locked. Raise Invalid that names each one (`item`, from 1) that is named twice or not in this state."""
    found = {blank.uid: blank for blank in _locked(ctx, BlankCard.uid.in_(uids), BlankCard.state == state)}
    again, faults = repeats(dict(enumerate(uids, start=1))), Faults()
    for number, uid in enumerate(uids, start=1):
        if number in again:
            faults.add("cards", same_as(again[number]), item=number)
        elif uid not in found:
            told = say("%(uid)s is not in the store.", uid=uid) if state == BlankState.STOCKED else say("%(uid)s is not issued.", uid=uid)
            faults.add("cards", told, item=number)
    faults.refuse("Some blanks cannot be chosen.")
    return [found[uid] for uid in uids]


def _oldest(ctx: Context, count: int) -> list[BlankCard]:
    query = select(BlankCard).where(BlankCard.state == BlankState.STOCKED).order_by(BlankCard.id).limit(count)
    # One that another operator issues at the same time is passed over.
    found = list(ctx.session.scalars(query.with_for_update(skip_locked=True)))
    if len(found) < count:
        raise Invalid.field("count", say("Only %(left)s blanks are left.", left=len(found)))
    return found


# --- with the results --------------------------------------------------------------------------------------------------


def result_faults(ctx: Context, request_id: UUID, rows: Mapping[int, str]) -> dict[int, Text]:
    """Return, by row, what is wrong by the ledger with the UIDs of results. Nothing is if no ledger is kept.

    A UID was never delivered, or was issued for another request.
    """
    if not rows or not is_kept(ctx):
        return {}
    query = select(BlankCard.uid, BlankCard.personalisation_request_id).where(
        among(ctx.session, BlankCard.uid, rows.values()), BlankCard.state != BlankState.WITHDRAWN
    )
    found: dict[str, UUID | None] = dict(ctx.session.execute(query).all())
    wrong: dict[int, Text] = {}
    for row, uid in rows.items():
        if uid not in found:
            wrong[row] = say("%(uid)s was never delivered as a blank.", uid=uid)
        elif found[uid] not in (None, request_id):
            wrong[row] = say("%(uid)s was issued for another request.", uid=uid)
    return wrong


def settle_results(ctx: Context, low: int, request_id: UUID, outcomes: Mapping[str, str], act: Act) -> None:
    """Move the blanks of these cards (outcome by UID) to what their results say. UIDs that the ledger does not know are passed over."""
    blanks = _locked(ctx, among(ctx.session, BlankCard.uid, outcomes), BlankCard.state.in_((BlankState.STOCKED, BlankState.ISSUED)))
    from_store = sum(1 for blank in blanks if blank.state == BlankState.STOCKED)
    for blank in blanks:
        blank.personalisation_request_id = request_id
        BLANK_CARD.move(ctx.session, blank, BlankState(outcomes[blank.uid]), act)
    ctx.session.flush()
    _tell_low(ctx, low, from_store)


def settle_closed(ctx: Context, request_id: UUID, revoked: Collection[str], act: Act) -> None:
    """Settle the blanks of a closed request: those of revoked cards leave the ledger, others that were issued return to the store."""
    stored = BlankCard.state.in_((BlankState.STOCKED, BlankState.ISSUED))
    gone = _locked(ctx, BlankCard.uid.in_(revoked), stored)
    _move(ctx, gone, BlankState.WITHDRAWN, act)
    back = _locked(ctx, BlankCard.personalisation_request_id == request_id, BlankCard.state == BlankState.ISSUED)
    for blank in back:
        blank.personalisation_request_id = None
    _move(ctx, back, BlankState.STOCKED, act)


def _locked(ctx: Context, *where: Any) -> list[BlankCard]:
    return list(ctx.session.scalars(select(BlankCard).where(*where).order_by(BlankCard.id).with_for_update()))


def _move(ctx: Context, blanks: Sequence[BlankCard], state: BlankState, act: Act, note: str = "") -> None:
    for blank in blanks:
        BLANK_CARD.move(ctx.session, blank, state, act, note)
    ctx.session.flush()


def _tell_low(ctx: Context, low: int, taken: int) -> None:
    """Call the hooks if `taken` blanks just brought the stock below `low`: once, not with each that follows."""
    if not low or not taken:
        return
    left = ctx.session.scalar(select(func.count()).where(BlankCard.state == BlankState.STOCKED)) or 0
    if left < low <= left + taken:
        for hook in _hooks:
            hook(ctx.session, left, ctx.now)
