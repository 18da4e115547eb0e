"""Receive a BAST of which cards are missing or damaged, and say what became of the missing ones: found, sent again, arrived, or lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from config.settings import Settings
from sifilma.approvals.four_eyes import content_digest
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.models import CARD, Card, CardState
from sifilma.documents import issued_papers
from sifilma.documents.letterhead import seat
from sifilma.documents.numbering import next_number
from sifilma.handover import service as handovers
from sifilma.handover.discrepancies import berita_acara
from sifilma.handover.discrepancies.models import DIFFERENCE, DifferenceState, Discrepancy, DiscrepancyCard, DiscrepancySignatory
from sifilma.handover.discrepancies.queries import Differing, find_discrepancy
from sifilma.handover.discrepancies.schemas import DifferenceIn, LostIn, MissingIn, ReceiptIn
from sifilma.handover.models import Handover, HandoverKind, ReturnReason, Side
from sifilma.handover.queries import cards_of
from sifilma.handover.schemas import HandoverIn
from sifilma.identity.fields import SignatoryIn
from sifilma.identity.models import IdKind
from sifilma.kernel.context import Act, Context
from sifilma.kernel.errors import Conflict, Faults
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.ids import uuid7
from sifilma.kernel.repeats import numbered, repeats, same_as
from sifilma.kernel.text import say

KIND = "discrepancy"
SERIES = "BA-SELISIH-SAM"
SENT_AGAIN = "Dikirim ulang; semula tercantum dalam BAST {}."
"""The note on a BAST that sends missing cards again, in the words of the paper, which is Indonesian."""
Told = Callable[[Context, Handover, str], None]
_hooks: list[Told] = []


def on_told(hook: Told) -> None:
    """Have `hook` called with the BAST and what was said (`recorded`, or a DifferenceState) in its transaction. Twice has no effect."""
    if hook not in _hooks:
        _hooks.append(hook)


# --- received with a difference ----------------------------------------------------------------------------------------


def receive(ctx: Context, settings: Settings, store: FileStore, handover_id: UUID, told: ReceiptIn) -> Handover:
    """Receive what came of a BAST. Missing cards stay `handed_over` with the issuer, damaged ones are the receiver's and `damaged`.

    Raise what `handovers.receive` raises, and Invalid unless each card of the BAST is named exactly once, or not at all if it came.
    """
    handover = handovers.as_receiver(ctx, handover_id)
    handovers.require_open(handover)
    cards = cards_of(ctx, handover)
    _faults(told, [card.uid for card in cards]).refuse("Some cards are not named as they stand on the BAST.")
    if not told.missing and not told.damaged:
        return handovers.receive(ctx, handover_id, told.note)
    stated = _make(ctx, handover, cards, told)
    paper = _write_paper(ctx, settings, store, stated)
    missing = {row.card_id for row in stated.rows if row.id in stated.missing}
    damaged = {row.card_id for row in stated.rows} - missing
    handovers.take(ctx, handover, told.note, missing=missing, broken=damaged)
    named = {card.id: card.uid for card in cards}
    facts: dict[str, Any] = {
        "number": stated.discrepancy.number,
        "handover": handover.number,
        "digest": stated.discrepancy.digest,
        "missing": sorted(named[key] for key in missing),
        "damaged": sorted(named[key] for key in damaged),
        **({"paper": paper} if paper else {}),
    }
    act = record(ctx, Action.DISCREPANCY_RECORD, KIND, stated.handover.id, organisation_id=handover.issuer_id, **facts)
    _store(ctx, stated, act, missing)
    for hook in _hooks:
        hook(ctx, handover, "recorded")
    return handover


def _store(ctx: Context, stated: Differing, act: Act, missing: set[UUID]) -> None:
    ctx.session.add(stated.discrepancy)
    ctx.session.flush()
    for row in stated.rows:
        DIFFERENCE.born(row, DifferenceState.MISSING if row.card_id in missing else DifferenceState.DAMAGED, act, row.note)
    ctx.session.add_all((*stated.rows, *stated.signatories.values()))
    ctx.session.flush()
    notes = {row.card_id: row.note for row in stated.rows}
    for card in stated.cards:
        if card.id not in missing and card.state == CardState.HANDED_OVER:
            CARD.move(ctx.session, card, CardState.DAMAGED, act, notes[card.id])
    ctx.session.flush()


def _faults(told: ReceiptIn, uids: Sequence[str]) -> Faults:
    """Return what is wrong with the lists: a card that the BAST does not name, one named twice, one that is in no list."""
    found = Faults()
    lists = {
        "received": told.received or [],
        "missing": [one.sam_uid for one in told.missing],
        "damaged": [one.sam_uid for one in told.damaged],
    }
    seen: set[str] = set()
    for field, given in lists.items():
        again = repeats(numbered(given))
        for number, uid in enumerate(given, start=1):
            if number in again:
                found.add(field, same_as(again[number]), item=number)
            elif uid in seen:
                found.add(field, say("%(uid)s is in another list as well.", uid=uid), item=number)
            elif uid not in uids:
                found.add(field, say("%(uid)s is not on this BAST.", uid=uid), item=number)
        seen |= set(given)
    if told.received is not None:
        for uid in [uid for uid in uids if uid not in seen]:
            found.add("received", say("%(uid)s is in no list: did it come?", uid=uid))
    return found


def _make(ctx: Context, handover: Handover, cards: Sequence[Card], told: ReceiptIn) -> Differing:
    ctx.require_trusted_clock()
    now, named = ctx.trusted_now, {card.uid: card for card in cards}
    made = Discrepancy(
        handover_id=handover.id,
        number=next_number(ctx.session, now, SERIES, handover.receiver),
        recorded_at=now,
        recorded_by=ctx.actor.user_id,
        place=told.place or seat(ctx.session, handover.receiver),
        notes=told.note,
    )
    rows, missing = [], set()
    for position, (one, is_missing) in enumerate(_in_order(told), start=1):
        card = named[one.sam_uid]
        row = DiscrepancyCard(id=uuid7(), handover_id=handover.id, card_id=card.id, position=position, note=one.note, police_report="")
        rows.append(row)
        if is_missing:
            missing.add(row.id)
    ordered = [named[one.sam_uid] for one, _ in _in_order(told)]
    stated = Differing(made, handover, rows, ordered, _signatories(ctx, handover, told), frozenset(missing))
    made.digest = content_digest(content(stated))
    return stated


def _in_order(told: ReceiptIn) -> list[tuple[DifferenceIn, bool]]:
    return [(one, True) for one in told.missing] + [(one, False) for one in told.damaged]


def _signatories(ctx: Context, handover: Handover, told: ReceiptIn) -> dict[Side, DiscrepancySignatory]:
    """Return who signs: as named, else the person who receives, and whoever signed the BAST for the issuer."""
    before = {Side(one.side): one for one in handover.signatories}
    named: dict[Side, Any] = {
        Side.ISSUER: told.issuer_signatory or before.get(Side.ISSUER),
        Side.RECEIVER: told.receiver_signatory or handovers.acting_signatory(ctx),
    }
    return {
        side: DiscrepancySignatory(
            handover_id=handover.id,
            side=str(side),
            name=one.name,
            id_kind=str(one.id_kind),
            id_number=one.id_number,
            position=one.position,
        )
        for side, one in named.items()
        if one is not None
    }


def content(stated: Differing) -> dict[str, Any]:
    """Return the content of a discrepancy, of which its digest is made: what was stated at the receipt, not what became of it since."""
    made = stated.discrepancy
    people = sorted(stated.signatories.items())
    return {
        "number": made.number,
        "handover": [stated.handover.number, stated.handover.digest],
        "recorded_at": int(made.recorded_at.timestamp()),
        "place": made.place,
        "notes": made.notes,
        "missing": [[card.uid, row.note] for card, row in zip(stated.cards, stated.rows, strict=True) if row.id in stated.missing],
        "damaged": [[card.uid, row.note] for card, row in zip(stated.cards, stated.rows, strict=True) if row.id not in stated.missing],
        "signatories": [[str(side), one.name, one.id_kind, one.id_number, one.position] for side, one in people],
    }


def _write_paper(ctx: Context, settings: Settings, store: FileStore, stated: Differing) -> str:
    """Store the paper and return its SHA-256 (hex). One about many cards is only checked: the worker makes it."""
    typed = {"place": stated.discrepancy.place, "note": stated.discrepancy.notes}
    for side, person in stated.signatories.items():
        typed |= {f"{side}_signatory.name": person.name, f"{side}_signatory.position": person.position}
    for row in stated.rows:
        typed.setdefault("missing" if row.id in stated.missing else "damaged", row.note)
    with issued_papers.printable(typed):
        if len(stated.rows) > berita_acara.MOST_ROWS:
            berita_acara.check(ctx, settings, stated)
            return ""
        made = berita_acara.make(ctx, settings, stated)
    return issued_papers.keep(ctx, store, KIND, stated.handover.id, made, stated.handover.receiver_id)


# --- what became of missing cards ----------------------------------------------------------------------------------------


def found(ctx: Context, handover_id: UUID, data: MissingIn) -> Handover:
    """Say that missing cards were found at the issuer: they are back in their former state. Raise as `_settled` does."""
    handover = handovers.as_issuer(ctx, handover_id)
    _back(ctx, handover, data, DifferenceState.FOUND, Action.DISCREPANCY_FOUND)
    return handover


def send_again(ctx: Context, settings: Settings, store: FileStore, handover_id: UUID, data: MissingIn) -> Handover:
    """Hand missing cards over again by a new BAST to the same receiver, and return it. Raise as `_settled` and `issue` do."""
    handover = handovers.as_issuer(ctx, handover_id)
    cards = _back(ctx, handover, data, DifferenceState.SENT_AGAIN, Action.DISCREPANCY_SEND_AGAIN)
    taking = next((one for one in handover.signatories if one.side == Side.RECEIVER), None)
    again = HandoverIn(
        kind=HandoverKind(handover.kind),
        reason=ReturnReason(handover.reason) if handover.reason else None,
        to=handover.receiver_id,
        place="",
        cards=[card.uid for card in cards],
        notes=" ".join(filter(None, (SENT_AGAIN.format(handover.number), data.note)))[:2000],
    )
    if taking is not None:  # not validated: it is printed as it was printed before
        again.receiver_signatory = SignatoryIn.model_construct(
            id_kind=IdKind(taking.id_kind), id_number=taking.id_number, name=taking.name, position=taking.position
        )
    return handovers.issue(ctx, settings, store, again)


def arrived(ctx: Context, handover_id: UUID, data: MissingIn) -> Handover:
    """Say that missing cards came to the receiver after all: it becomes their holder. Raise as `_settled` does."""
    handover = handovers.as_receiver(ctx, handover_id)
    act, cards = _settled(ctx, handover, data, DifferenceState.ARRIVED, Action.DISCREPANCY_ARRIVED)
    handovers.bring_in(ctx, handover, cards, act, data.note or handover.number)
    _tell(ctx, handover, DifferenceState.ARRIVED)
    return handover


def declare_lost(ctx: Context, handover_id: UUID, data: LostIn) -> Handover:
    """Declare missing cards lost, with the number of the report to the police. A broken card keeps its state. Raise as `_settled` does."""
    handover = handovers.as_issuer(ctx, handover_id)
    act, cards = _settled(ctx, handover, data, DifferenceState.LOST, Action.DISCREPANCY_LOST, data.police_report)
    for card in cards:
        if card.state == CardState.HANDED_OVER:
            CARD.move(ctx.session, card, CardState.LOST, act, f"{handover.number}: {data.police_report}")
    ctx.session.flush()
    _tell(ctx, handover, DifferenceState.LOST)
    return handover


def _back(ctx: Context, handover: Handover, data: MissingIn, state: DifferenceState, action: Action) -> list[Card]:
    act, cards = _settled(ctx, handover, data, state, action)
    former = {row.card_id: row.former_state for row in handover.cards}
    for card in cards:
        if card.state == CardState.HANDED_OVER:
            CARD.move(ctx.session, card, former[card.id], act, f"{handover.number}: {data.note}".rstrip(": "))
    ctx.session.flush()
    _tell(ctx, handover, state)
    return cards


def _settled(
    ctx: Context, handover: Handover, data: MissingIn, state: DifferenceState, action: Action, police_report: str = ""
) -> tuple[Act, list[Card]]:
    """Take the step of missing cards and return its act and the cards, in the order in which they are named.

    Raise NotFound outside the actor's scope, Forbidden for the other side, Conflict if no card of the BAST is missing (any more), and
    Invalid that names each card that is not.
    """
    discrepancy = find_discrepancy(ctx, handover)
    rows = [row for row in discrepancy.cards if row.state == DifferenceState.MISSING] if discrepancy is not None else []
    if discrepancy is None or not rows:
        raise Conflict("No card of this BAST is missing.", type="nothing-missing")
    cards = {card.uid: card for card in ctx.session.scalars(select(Card).where(Card.id.in_([row.card_id for row in rows])))}
    faults, again = Faults(), repeats(numbered(data.cards))
    for number, uid in enumerate(data.cards, start=1):
        if number in again:
            faults.add("cards", same_as(again[number]), item=number)
        elif uid not in cards:
            faults.add("cards", say("%(uid)s is not missing from this BAST.", uid=uid), item=number)
    faults.refuse("Some cards cannot be chosen.")
    facts: dict[str, Any] = {"handover": handover.number, "cards": data.cards, "note": data.note}
    if police_report:
        facts["police_report"] = police_report
    act = record(ctx, action, KIND, handover.id, organisation_id=handover.issuer_id, **facts)
    chosen = {cards[uid].id for uid in data.cards}
    for row in rows:
        if row.card_id in chosen:
            row.police_report = police_report
            DIFFERENCE.move(ctx.session, row, state, act, data.note or police_report)
    ctx.session.flush()
    return act, [cards[uid] for uid in data.cards]


def _tell(ctx: Context, handover: Handover, said: str) -> None:
    for hook in _hooks:
        hook(ctx, handover, str(said))


def when_card_breaks(session: Any, card: Card, act: Act) -> None:
    """Count a missing card as found that is about to be damaged, locked or revoked: whoever reports that has it (a hook)."""
    with session.no_autoflush:
        of = select(DiscrepancyCard).where(DiscrepancyCard.card_id == card.id, DiscrepancyCard.state == DifferenceState.MISSING)
        row = session.scalars(of).first()
        if row is not None:
            DIFFERENCE.move(session, row, DifferenceState.FOUND, act)
            session.flush()


def register_hooks() -> None:
    """Attach the hooks to the card's life cycle (docs/domain.md, rule 13)."""
    for state in (CardState.DAMAGED, CardState.LOCKED, CardState.REVOKED):
        CARD.on(state, when_card_breaks)
