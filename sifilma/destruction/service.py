"""Destruction: proposed, approved by a second person, recorded with witnesses and photos, verified by a third (docs/domain.md, rule 9)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, String, bindparam, or_, select

from config.settings import Settings
from sifilma.approvals.four_eyes import content_digest
from sifilma.approvals.service import Submissions, require_note, seal
from sifilma.assignment import queries as assignment
from sifilma.cards.models import CARD, Card, CardState
from sifilma.cards.part_queries import CARDS, has_uid
from sifilma.cards.service import by_uids
from sifilma.destruction import berita_acara
from sifilma.destruction.models import (
    DESTRUCTION,
    Destruction,
    DestructionApproval,
    DestructionCard,
    DestructionPhoto,
    DestructionState,
    Witness,
)
from sifilma.destruction.queries import cards_of
from sifilma.destruction.schemas import DestructionIn, RecordIn
from sifilma.documents import issued_papers
from sifilma.documents.models import Document
from sifilma.documents.numbering import next_number
from sifilma.documents.service import Upload, keep_photo
from sifilma.documents.uploads import clean_name, clean_photo
from sifilma.handover.queries import cards_on_their_way_query
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import scoped
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Act, Context
from sifilma.kernel.errors import Faults, Forbidden, Invalid, NotFound
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.ids import uuid7
from sifilma.kernel.paging import Listing
from sifilma.kernel.repeats import repeats
from sifilma.kernel.statements.built_once import one_of_given
from sifilma.kernel.statements.finders import Arm, Finder, Sought, among_few, find, ilike, pattern
from sifilma.kernel.statements.prepared import Prepared
from sifilma.kernel.text import Text, say
from sifilma.kernel.ways import looked_through

WAY = Submissions(
    DESTRUCTION, Destruction, DestructionApproval, "destruction", "organisation_id", DestructionState.PROPOSED, DestructionState.APPROVED
)
SERIES = "BA-PEMUSNAHAN"
OPEN = (DestructionState.PROPOSED, DestructionState.APPROVED)
MAX_PHOTOS = 20


def destructions_query(ctx: Context, operation: Operation = Operation.DESTRUCTION_VIEW) -> Select[Destruction]:
    """Return a query of the destructions the actor may see."""
    return scoped(select(Destruction), ctx.actor, operation, Destruction.organisation_id)


FINDER = Finder(Arm(Destruction.id, ilike(Destruction.number), lambda text: pattern(text.strip())))
"""What finds a part of the Berita Acara's number."""
_OF_CARDS = Prepared(select(DestructionCard.destruction_id).where(one_of_given(DestructionCard.card_id, "cards")).distinct(), one_plan=True)


def with_cards(ctx: Context, cards: Sequence[UUID]) -> list[UUID]:
    """Return the ids of destructions of any of the cards, whoever may see them."""
    return [row.destruction_id for row in _OF_CARDS.read(ctx.session, {"cards": cards})] if cards else []


def list_destructions(
    ctx: Context, state: str | None, cause: str | None = None, text: str | None = None, holder: str = ""
) -> Listing[Destruction]:
    """Return the destructions the actor may see; by state, by cause, by `text` and by who has them if they are given.

    `text` is a part of the Berita Acara's number or of a card's UID; `holder` is a filter of `assignment.queries`.
    """
    query = destructions_query(ctx)
    if state:
        query = query.where(Destruction.state == state)
    if cause:
        query = query.where(Destruction.cause == cause)
    if holder:
        query = query.where(assignment.narrowed(ctx, Destruction.id, holder))
    return (_with_text_query(ctx, query, text) if text else query), Destruction.id


def with_text(text: Sought) -> ColumnElement[bool]:
    """Return the condition of destructions with a part in their number or in the UID of a card."""
    named = select(DestructionCard.destruction_id).join(Card, Card.id == DestructionCard.card_id).where(has_uid(text))
    return or_(FINDER.fitting(text), Destruction.id.in_(named))


def _with_text_query(ctx: Context, query: Select[Destruction], text: str) -> Select[Destruction]:
    numbered, cards = find(ctx.session, text, FINDER, CARDS)
    if numbered is None or cards is None:
        return looked_through(query, with_text(text))
    return among_few(ctx.session, query, Destruction.id, [*numbered, *with_cards(ctx, cards)])


def numbered_query(ctx: Context) -> Select[Destruction]:
    """Return a query of the destruction whose Berita Acara has the number `paper`, if the actor may see it."""
    return destructions_query(ctx).where(Destruction.number == bindparam("paper", type_=String))


def get_destruction(ctx: Context, destruction_id: UUID, operation: Operation = Operation.DESTRUCTION_VIEW) -> Destruction:
    """Return one destruction. Raise NotFound if there is none in the actor's scope."""
    found = ctx.session.scalars(destructions_query(ctx, operation).where(Destruction.id == destruction_id)).first()
    if found is None:
        raise NotFound()
    return found


def propose(ctx: Context, data: DestructionIn) -> Destruction:
    """Propose to destroy cards of one holder that are damaged, locked or withdrawn.

    Raise Invalid if a card is unknown, not in the state named as cause, of another holder, in an open destruction, or in a handover that
    nobody has answered.
    """
    central = ctx.actor.organisation_kind is OrganisationKind.DIRECTORATE
    mine = () if central else (Card.holder_id == ctx.actor.organisation_id,)
    cards = list(by_uids(ctx, list(data.cards), Card.state == data.cause, *mine).values())
    # Rows are locked in the order of their ids, so that two proposals cannot deadlock.
    named = select(Card.id).where(Card.id.in_([card.id for card in cards])).order_by(Card.id)
    ctx.session.execute(named.with_for_update(key_share=True))  # otherwise two concurrent proposals would not see each other
    for card in cards:
        ctx.session.expire(card)
    # Read again under the lock: a receipt that was committed meanwhile has changed the holder.
    cards = list(by_uids(ctx, list(data.cards), Card.state == data.cause, *mine).values())
    holders = {card.holder_id for card in cards}
    if len(holders) > 1:
        raise Invalid.field("cards", "One destruction is for the cards of one holder.")
    _require_free(ctx, cards)
    made = Destruction(
        id=uuid7(), organisation_id=holders.pop(), cause=data.cause, notes=data.note, required_approvals=1, created_at=ctx.now
    )
    seal(ctx, made, content(made, [card.uid for card in cards]))
    act = WAY.act(ctx, made, "propose", data.note, digest=made.digest, cards=[card.uid for card in cards])
    DESTRUCTION.born(made, DestructionState.PROPOSED, act, data.note)
    ctx.session.add(made)
    ctx.session.flush()
    ctx.session.add_all(DestructionCard(destruction_id=made.id, card_id=card.id, position=n) for n, card in enumerate(cards, start=1))
    ctx.session.flush()
    DESTRUCTION.announce(ctx.session, made, act)
    ctx.session.refresh(made)
    return made


def proposed_cards_query() -> Select[UUID]:
    """Return a query of the ids of cards that an open destruction names (proposed or approved)."""
    query = select(DestructionCard.card_id).join(Destruction, Destruction.id == DestructionCard.destruction_id)
    return query.where(Destruction.state.in_(OPEN))


def _require_free(ctx: Context, cards: Sequence[Card]) -> None:
    """Raise Invalid that names the cards that an open destruction has, and those on their way.

    Receipt changes the holder of a card that broke on its way, so who destroys it is known only when the BAST is answered.
    """
    named = Card.id.in_([card.id for card in cards])
    busy = set(ctx.session.scalars(select(Card.uid).where(named, Card.id.in_(proposed_cards_query()))))
    sent = set(ctx.session.scalars(select(Card.uid).where(named, Card.id.in_(cards_on_their_way_query()))))
    faults = Faults()
    for number, card in enumerate(cards, start=1):
        if card.uid in busy:
            faults.add("cards", say("%(uid)s is proposed for destruction already.", uid=card.uid), item=number)
        elif card.uid in sent:
            faults.add("cards", say("%(uid)s is on its way: its BAST must be answered first.", uid=card.uid), item=number)
    faults.refuse("Some cards are on their way." if not busy else "Some cards are proposed already." if not sent else "")


def content(destruction: Destruction, uids: list[str]) -> dict[str, Any]:
    """Return the content of a proposal, of which its digest is made."""
    return {
        "id": str(destruction.id),
        "organisation": str(destruction.organisation_id),
        "cause": destruction.cause,
        "cards": uids,
        "notes": destruction.notes,
    }


def approve(ctx: Context, destruction_id: UUID, digest: str, note: str = "") -> Destruction:
    """Approve a proposal with exactly this digest.

    Raise ClockNotTrusted, NotFound outside the scope, else what `Submissions.approve` raises.
    """
    ctx.require_trusted_clock()
    found = get_destruction(ctx, destruction_id, Operation.DESTRUCTION_APPROVE)
    WAY.approve(ctx, found, digest, note)
    return found


def reject(ctx: Context, destruction_id: UUID, note: str) -> Destruction:
    """Reject a proposal. Needs a note."""
    found = get_destruction(ctx, destruction_id, Operation.DESTRUCTION_APPROVE)
    WAY.move(ctx, found, DestructionState.REJECTED, "reject", require_note(note))
    return found


def cancel(ctx: Context, destruction_id: UUID, note: str = "") -> Destruction:
    """Cancel a destruction before it is executed. The holder's organisation or an operator may."""
    found = get_destruction(ctx, destruction_id, Operation.DESTRUCTION_PROPOSE)
    WAY.move(ctx, found, DestructionState.CANCELLED, "cancel", note)
    return found


def get_recordable(ctx: Context, destruction_id: UUID) -> Destruction:
    """Return a destruction whose Berita Acara the actor may record now.

    Raise NotFound outside the scope, Forbidden if the actor's organisation is not the holder, and Conflict unless it is approved.
    """
    found = get_destruction(ctx, destruction_id, Operation.DESTRUCTION_RECORD)
    if found.organisation_id != ctx.actor.organisation_id:
        raise Forbidden("The holder of the cards records their destruction.", type="not-holder")
    DESTRUCTION.require(found, DestructionState.EXECUTED)
    return found


def record_execution(
    ctx: Context, settings: Settings, store: FileStore, destruction_id: UUID, data: RecordIn, photos: list[Upload]
) -> Destruction:
    """Record the Berita Acara, store its paper, and destroy the cards, in one transaction.

    Raise ClockNotTrusted, Invalid if something is missing or does not fit, and what `get_recordable` raises. No card changes then.
    """
    ctx.require_trusted_clock()
    found = get_recordable(ctx, destruction_id)
    faults, kept = _completeness(ctx, settings, found, dict(data), photos), []
    for photo in photos[:MAX_PHOTOS]:
        with faults.taking():
            kept.append(keep_photo(ctx, store, photo))
    faults.refuse("The Berita Acara is not complete; no card was destroyed.")
    _write_record(ctx, settings, found, data, kept)
    with issued_papers.printable(_typed(data)):
        made = berita_acara.make(ctx, store, settings, found)
    paper = issued_papers.keep(ctx, store, DESTRUCTION.kind, found.id, made, found.organisation_id)
    act = WAY.move(ctx, found, DestructionState.EXECUTED, "record", number=found.number, digest=found.record_digest, paper=paper)
    _destroy(ctx, found, act)
    return found


def _typed(data: RecordIn) -> dict[str, str]:
    """Return the typed texts by the names of their fields."""
    typed = {"place": data.place, "method": data.method, "official.name": data.official.name, "official.position": data.official.position}
    for number, seen in enumerate(data.witnesses):
        typed |= {f"witnesses.{number}.{name}": getattr(seen, name) for name in ("name", "position", "office")}
    return typed


def record_faults(ctx: Context, settings: Settings, found: Destruction, given: Mapping[str, Any], photos: Sequence[Upload]) -> Faults:
    """Return what is wrong with a Berita Acara of which not all fields could be read: with those that could, and with its photos."""
    faults = _completeness(ctx, settings, found, given, photos)
    for photo in photos[:MAX_PHOTOS]:
        with faults.taking():
            clean_photo(photo.data, name=clean_name(photo.filename))
    return faults


def _completeness(ctx: Context, settings: Settings, found: Destruction, given: Mapping[str, Any], photos: Sequence[Upload]) -> Faults:
    faults = Faults()
    witnesses, moment = given.get("witnesses"), given.get("executed_at")
    if witnesses is not None and len(witnesses) < settings.witnesses_min:
        faults.add("witnesses", say("At least %(least)s witnesses are needed.", least=settings.witnesses_min))
    for field, message in _same_people(given.get("official"), witnesses or []):
        faults.add(field, message)
    if not 1 <= len(photos) <= MAX_PHOTOS:
        faults.add("photos", say("1 to %(most)s photos are needed.", most=MAX_PHOTOS))
    if moment is not None and moment > ctx.now:
        faults.add("executed_at", say("This moment lies in the future."))
    if moment is not None and found.approvals and moment < found.approvals[-1].at.replace(microsecond=0):  # the form sends whole seconds
        faults.add("executed_at", say("This is before the destruction was approved."))
    return faults


def _same_people(official: Any, witnesses: Sequence[Any]) -> Iterator[tuple[str, Text]]:
    """Yield a fault for each witness who is the official, or an earlier witness. 0 is the official's number."""
    people = {0: official, **dict(enumerate(witnesses, start=1))}
    keys = {number: (one.id_kind, one.id_number) for number, one in people.items() if one is not None}
    for number, first in repeats(keys).items():
        told = say("The same person as witness %(row)s.", row=first) if first else say("The same person as the official.")
        yield f"witnesses.{number - 1}.id_number", told


def _write_record(ctx: Context, settings: Settings, found: Destruction, data: RecordIn, photos: list[Document]) -> None:
    found.number = next_number(ctx.session, ctx.trusted_now, SERIES)
    approved_at = max((approval.at for approval in found.approvals), default=data.executed_at)
    found.executed_at = max(data.executed_at, approved_at)  # if typed in the second of the approval: `executed_at` must not precede it
    found.place, found.method = data.place, data.method
    found.official_name, found.official_position = data.official.name, data.official.position
    found.official_id_kind, found.official_id_number = str(data.official.id_kind), data.official.id_number
    found.legal_basis = settings.legal_basis_destruction
    found.recorded_by_person = ctx.actor.person_id
    for position, photo in enumerate(photos, start=1):
        ctx.session.add(DestructionPhoto(destruction_id=found.id, document_id=photo.id, position=position))
    for position, seen in enumerate(data.witnesses, start=1):
        ctx.session.add(
            Witness(
                destruction_id=found.id,
                position=position,
                name=seen.name,
                id_kind=str(seen.id_kind),
                id_number=seen.id_number,
                office=seen.office,
                job=seen.position,
            )
        )
    ctx.session.flush()
    found.record_digest = content_digest(_record_content(ctx, found, data, photos))
    ctx.session.flush()
    ctx.session.refresh(found, ["witnesses", "photos"])  # they were added by their foreign keys, not to these lists


def _record_content(ctx: Context, found: Destruction, data: RecordIn, photos: list[Document]) -> dict[str, Any]:
    cards = cards_of(ctx, found)
    return {
        "proposal": found.digest,
        "number": found.number,
        "cards": [card.uid for card in cards],
        "record": data.model_dump(mode="json"),
        "photos": [photo.sha256 for photo in photos],
        "legal_basis": found.legal_basis,
    }


def _destroy(ctx: Context, found: Destruction, act: Act) -> None:
    for card in cards_of(ctx, found):
        CARD.move(ctx.session, card, CardState.DESTROYED, act, found.number or "")
    ctx.session.flush()


def verify(ctx: Context, destruction_id: UUID, note: str = "") -> Destruction:
    """Confirm that the Berita Acara was compared with the cards.

    Raise NotFound outside the scope, Conflict unless it is executed, and Forbidden if the actor proposed or recorded it.
    """
    found = get_destruction(ctx, destruction_id, Operation.DESTRUCTION_VERIFY)
    DESTRUCTION.require(found, DestructionState.VERIFIED)
    if ctx.actor.person_id in (found.submitted_by_person, found.recorded_by_person):
        raise Forbidden("Another person verifies a destruction.", type="four-eyes")
    found.verified_by_person = ctx.actor.person_id
    WAY.move(ctx, found, DestructionState.VERIFIED, "verify", note)
    return found
