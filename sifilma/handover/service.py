"""Handovers: issue a numbered BAST, receive, refuse, cancel. A card passes from its holder to the next in the chain only, or back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, String, bindparam, func, select, union
from sqlalchemy.orm import lazyload, with_expression

from config.settings import Settings
from sifilma.approvals.four_eyes import content_digest
from sifilma.approvals.service import require_note
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.identifiers import pcid_seal
from sifilma.cards.models import CARD, Card, CardState
from sifilma.cards.service import by_uids
from sifilma.documents import issued_papers
from sifilma.documents.letterhead import seat
from sifilma.documents.numbering import next_number
from sifilma.handover import bast, returns
from sifilma.handover.models import HANDOVER, Handover, HandoverCard, HandoverKind, HandoverSignatory, HandoverState, Side
from sifilma.handover.queries import Stated, cards_of, letters_of, units_of
from sifilma.handover.schemas import HandoverIn
from sifilma.identity.fields import SignatoryIn
from sifilma.identity.models import IdKind, Organisation, Person, User, role_ends
from sifilma.identity.permissions import Operation, Scope, reach_of
from sifilma.identity.scope import offices_below, scoped
from sifilma.kernel import deadline
from sifilma.kernel.actor import OrganisationKind, Role
from sifilma.kernel.context import Act, Context
from sifilma.kernel.errors import Conflict, Faults, Forbidden, Invalid, NotFound
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.ids import uuid7
from sifilma.kernel.paging import MOST_COUNTED, Listing
from sifilma.kernel.statements.built_once import one_of_given
from sifilma.kernel.statements.finders import Arm, Finder, ilike, pattern
from sifilma.kernel.statements.prepared import Prepared
from sifilma.kernel.text import say
from sifilma.personalisation.models import PersonalisationRequest

SERIES = "BAST-SAM"
POSITIONS = {
    Role.HEAD: "Kepala", Role.APPROVER: "Pemberi Persetujuan SI-FILMA", Role.OPERATOR: "Operator SI-FILMA", Role.STAFF: "Petugas",
}  # fmt: skip
"""What a role is called where a person signs, if no other position is typed."""
ACTING = "Plt."
"""What stands before it where somebody is head until a day: *pelaksana tugas*."""
FINDER = Finder(Arm(Handover.id, ilike(Handover.number), pattern))
"""What finds a part of the number."""
_OWNERS = (Handover.issuer_id, Handover.receiver_id)


def handovers_query(ctx: Context, operation: Operation = Operation.HANDOVER_VIEW) -> Select[Handover]:
    """Return a query of the handovers the actor may see: those its organisation issued or receives."""
    return scoped(select(Handover), ctx.actor, operation, _OWNERS)


def _counted() -> tuple[Any, Any]:
    """Return what a query of handovers does in place of reading the rows of their cards: it counts them."""
    cards = select(func.count()).where(HandoverCard.handover_id == Handover.id).correlate(Handover).scalar_subquery()
    return lazyload(Handover.cards), with_expression(Handover.counted, cards)


def list_handovers(ctx: Context, state: str | None, number: str | None = None) -> Listing[Handover]:
    """Return the handovers the actor may see, with the number of their cards; by state and by a part of the number if they are given."""
    query = handovers_query(ctx).options(*_counted())
    if number:
        query = FINDER.restricted_query(ctx.session, query, number)
    return (query.where(Handover.state == state) if state else query), Handover.id


def _number_query() -> Select[Any]:
    """Return the query of how many handovers some organisations have issued or receive, up to MOST_COUNTED + 1."""
    each = (select(Handover.id).where(one_of_given(owner, "owners")).limit(MOST_COUNTED + 1).subquery() for owner in _OWNERS)
    seen = union(*(select(one.c.id) for one in each)).subquery()
    return select(func.least(func.count(), MOST_COUNTED + 1)).select_from(seen)


_NUMBER = Prepared(_number_query(), own_plan=True)


def number_seen(ctx: Context) -> int | None:
    """Return how many handovers a province sees, up to MOST_COUNTED + 1; None of any other actor, for whom the list is counted.

    Not knowing the offices PostgreSQL expects that they have every second handover, and reads all.
    """
    reach = reach_of(ctx.actor, Operation.HANDOVER_VIEW)
    if reach != {Scope.JURISDICTION} or ctx.actor.outlets is not None or ctx.session.get_bind().dialect.name == "sqlite":
        return None
    owners = [ctx.actor.organisation_id, *offices_below(ctx.session, ctx.actor)]
    return int(_NUMBER.first(ctx.session, {"owners": owners})[0])


def numbered_query(ctx: Context) -> Select[Handover]:
    """Return a query of the handover whose number is `paper`, if the actor may see it."""
    return handovers_query(ctx).where(Handover.number == bindparam("paper", type_=String))


def get_handover(ctx: Context, handover_id: UUID, *, whole: bool = True) -> Handover:
    """Return one handover, `whole` with the rows of its cards, else with their number.

    Raise NotFound if there is none in the actor's scope.
    """
    query = handovers_query(ctx) if whole else handovers_query(ctx).options(*_counted())
    found = ctx.session.scalars(query.where(Handover.id == handover_id)).first()
    if found is None:
        raise NotFound()
    return found


def chosen_handovers(ctx: Context, ids: Sequence[UUID]) -> list[Handover]:
    """Return these handovers in this order, each once. Raise NotFound if one of them is not in the actor's scope."""
    found = {one.id: one for one in ctx.session.scalars(handovers_query(ctx).where(Handover.id.in_(ids)))}
    if not set(ids) <= set(found):
        raise NotFound()
    return [found[one] for one in dict.fromkeys(ids)]


def issue(ctx: Context, settings: Settings, store: FileStore, data: HandoverIn) -> Handover:
    """Issue a BAST for cards that the actor's organisation holds, store its paper, and move the cards to `handed_over`.

    A broken card that goes back keeps its state. Raise Invalid if the receiver is unknown or the issuer itself, if a card is not held or
    not ready, if another organisation is next, or if no font has a sign that was typed; Forbidden for a delivery by a holder who only uses
    cards, and for a return by the directorate.
    """
    returns.require_may(ctx, data.kind)
    deadline.allow_for(len(data.cards))
    if data.kind is HandoverKind.RETURN:
        returns.hold_cards(ctx, data.cards)
    faults, issuer, receiver, cards = _check(ctx, dict(data))
    faults.refuse()
    assert issuer is not None and receiver is not None  # noqa: S101, PT018  # else `_check` found a fault
    stated = _make(ctx, issuer, receiver, cards, data)
    handover = stated.handover
    paper = _write_paper(ctx, settings, store, stated)
    facts: dict[str, Any] = {
        "number": handover.number,
        "receiver": str(receiver.id),
        "cards": data.cards,
        **({"kind": handover.kind, "reason": handover.reason} if handover.reason else {}),
        **({"paper": paper} if paper else {}),
    }
    act = record(ctx, Action.HANDOVER_ISSUE, "handover", handover.id, **facts)
    HANDOVER.born(handover, HandoverState.ISSUED, act)
    ctx.session.add(handover)
    ctx.session.flush()
    ctx.session.add_all((*stated.rows, *stated.signatories.values()))  # before the cards' step: rows have the present state
    ctx.session.flush()
    _move_cards(ctx, [card for card in cards if card.state not in returns.BROKEN], CardState.HANDED_OVER, act, handover.number)
    ctx.session.refresh(handover)
    return handover


def faults(ctx: Context, given: Mapping[str, Any]) -> Faults:
    """Return what is wrong with a BAST of which not all fields could be read: with those that could."""
    return _check(ctx, given)[0]


def _check(ctx: Context, given: Mapping[str, Any]) -> tuple[Faults, Organisation | None, Organisation | None, list[Card]]:
    """Check the values that are given. Return what is wrong, the issuer, the receiver and the cards. Nothing changes."""
    found = Faults()
    issuer = ctx.session.get(Organisation, ctx.actor.organisation_id)
    receiver = ctx.session.get(Organisation, given["to"]) if given.get("to") else None
    if "to" in given and (issuer is None or receiver is None or receiver.id == issuer.id):
        found.add("to", say("Choose the organisation that receives the cards."))
    returned = given.get("kind") == HandoverKind.RETURN
    if "reason" in given and returned != (given["reason"] is not None):
        found.add("reason", say("Say why the cards go back.") if returned else say("Only a return has a reason."))
    cards: list[Card] = []
    with found.taking():
        if issuer is not None and given.get("cards"):
            ready = returns.returnable() if returned else (Card.state == ready_state(ctx),)
            cards = list(by_uids(ctx, list(given["cards"]), Card.holder_id == issuer.id, *ready).values())
    with found.taking():
        if receiver is not None and returned:
            returns.require_way_back(ctx, receiver, cards)
        elif receiver is not None:
            _require_chain(ctx, receiver, cards, ctx.actor.is_central)
    return found, issuer, receiver, cards


def _write_paper(ctx: Context, settings: Settings, store: FileStore, stated: Stated) -> str:
    """Store the paper and return its SHA-256 (hex). One of many cards is only checked: the worker makes it."""
    typed = {"place": stated.handover.place or "", "notes": stated.handover.notes}
    for side, person in stated.signatories.items():
        typed |= {f"{side}_signatory.name": person.name, f"{side}_signatory.position": person.position}
    with issued_papers.printable(typed):
        if len(stated.cards) > bast.MOST_AT_ONCE:
            bast.check(ctx, settings, stated)
            return ""
        made = bast.make(ctx, settings, stated)
    return issued_papers.keep(ctx, store, HANDOVER.kind, stated.handover.id, made, stated.issuer.id)


def ready_state(ctx: Context) -> CardState:
    """Return the state in which a holder can hand a card over: `personalised` at the directorate, `received` at a manufacturer."""
    return CardState.PERSONALISED if ctx.actor.organisation_kind is OrganisationKind.DIRECTORATE else CardState.RECEIVED


def _require_chain(ctx: Context, receiver: Organisation, cards: list[Card], central: bool) -> None:
    """Raise Invalid unless the directorate gives to the requester (manufacturer or office), or a manufacturer to the buyer."""
    ids = {card.personalisation_request_id for card in cards}
    requests = {r.id: r for r in ctx.session.scalars(select(PersonalisationRequest).where(PersonalisationRequest.id.in_(ids)))}
    for card in cards:
        request = requests[card.personalisation_request_id]
        expected = request.requester_id if central else request.buyer_id
        if receiver.id != expected:
            raise Invalid.field("to", say("%(uid)s was asked for by another organisation.", uid=card.uid), type="wrong-receiver")


def _make(ctx: Context, issuer: Organisation, receiver: Organisation, cards: list[Card], data: HandoverIn) -> Stated:
    ctx.require_trusted_clock()
    now = ctx.trusted_now
    made = Handover(
        id=uuid7(),
        number=next_number(ctx.session, now, SERIES, issuer),
        kind=str(data.kind),
        reason=str(data.reason) if data.reason else None,
        issuer_id=issuer.id,
        receiver_id=receiver.id,
        issued_at=now,
        issued_by=ctx.actor.user_id,
        notes=data.notes,
        place=data.place or seat(ctx.session, issuer),
    )
    stated = Stated(made, issuer, receiver, cards, _rows(ctx, made, cards), letters_of(ctx, cards), _signatories(ctx, made, data))
    made.digest = content_digest(content(stated))
    return stated


def _rows(ctx: Context, handover: Handover, cards: list[Card]) -> list[HandoverCard]:
    units = units_of(ctx, cards)
    rows = []
    for position, card in enumerate(cards, start=1):
        unit = units.get(card.unit_id) if card.unit_id else None
        row = HandoverCard(handover_id=handover.id, card_id=card.id, position=position, former_state=card.state)
        if unit is not None:
            row.machine, row.pcid_seal = unit.hardware_number, pcid_seal(unit.pcid) if unit.pcid else None
        rows.append(row)
    return rows


def _signatories(ctx: Context, handover: Handover, data: HandoverIn) -> dict[Side, HandoverSignatory]:
    named = {Side.ISSUER: data.issuer_signatory or acting_signatory(ctx), Side.RECEIVER: data.receiver_signatory}
    return {
        side: HandoverSignatory(
            handover_id=handover.id,
            side=str(side),
            name=person.name,
            id_kind=str(person.id_kind),
            id_number=person.id_number,
            position=person.position,
        )
        for side, person in named.items()
        if person is not None
    }


def acting_signatory(ctx: Context) -> SignatoryIn | None:
    """Return the person who acts, as whoever signs for their organisation, or None for an API key. The position is that of the role."""
    person = ctx.session.get(Person, ctx.actor.person_id) if ctx.actor.person_id else None
    if person is None:
        return None
    position = next((words for role, words in POSITIONS.items() if role in ctx.actor.roles), POSITIONS[Role.STAFF])
    account = ctx.session.get(User, ctx.actor.user_id) if position == POSITIONS[Role.HEAD] else None
    if account is not None and Role.HEAD in role_ends(account.roles, ctx.now):
        position = f"{ACTING} {position}"
    # Not validated: what was entered before a rule was made still is how this person is known.
    return SignatoryIn.model_construct(id_kind=IdKind(person.id_kind), id_number=person.id_number, name=person.name, position=position)


def content(stated: Stated) -> dict[str, Any]:
    """Return the content of a BAST, of which its digest is made. `issued_at` is in seconds since 1970 (UTC); the cards keep their order.

    A BAST from before places were named states neither place nor letters, signatories and machines. Only a return states its reason.
    """
    handover = stated.handover
    old = {
        "number": handover.number,
        "issuer": str(handover.issuer_id),
        "receiver": str(handover.receiver_id),
        "issued_at": int(handover.issued_at.timestamp()),
        "cards": [[card.uid, card.function, card.kcv] for card in stated.cards],
        "notes": handover.notes,
    }
    if handover.place is None:
        return old
    people = sorted(stated.signatories.items())
    back = {"kind": handover.kind, "reason": handover.reason} if handover.kind == HandoverKind.RETURN else {}
    return (
        old
        | back
        | {
            "place": handover.place,
            "letters": [[letter.number, letter.day.isoformat(), letter.sender] for letter in stated.letters],
            "signatories": [[str(side), one.name, one.id_kind, one.id_number, one.position] for side, one in people],
            "machines": [[row.machine, row.pcid_seal] for row in stated.rows],
        }
    )


def receive(ctx: Context, handover_id: UUID, note: str = "") -> Handover:
    """Receive the cards of a handover: the receiver becomes their holder.

    Raise NotFound outside the actor's scope, Forbidden if its organisation is not the receiver, and Conflict if it is answered already.
    """
    handover = as_receiver(ctx, handover_id)
    take(ctx, handover, note)
    return handover


def take(
    ctx: Context, handover: Handover, note: str, *, missing: Collection[UUID] = frozenset(), broken: Collection[UUID] = frozenset()
) -> None:
    """Receive a handover without the cards (by id) that are missing. Of those that came `broken` only the holder changes here."""
    state = HandoverState.PARTLY_RECEIVED if missing else HandoverState.RECEIVED
    act = _decide(ctx, handover, state, Action.HANDOVER_RECEIVE, note)
    came = [card for card in cards_of(ctx, handover) if card.id not in missing]
    bring_in(ctx, handover, came, act, handover.number, broken)


def bring_in(ctx: Context, handover: Handover, cards: list[Card], act: Act, note: str, broken: Collection[UUID] = frozenset()) -> None:
    """Make the receiver the holder of cards of a handover. Those that are neither `broken` nor reported come to a new state."""
    for card in cards:
        card.holder_id = handover.receiver_id
    # A card that was reported as damaged or locked on its way keeps that state; only its holder changes.
    intact = [card for card in cards if card.state == CardState.HANDED_OVER and card.id not in broken]
    _move_cards(ctx, intact, returns.arrival_state(handover), act, note)


def refuse(ctx: Context, handover_id: UUID, note: str) -> Handover:
    """Refuse the cards of a handover; they return to their former state. Needs a note. Raise as `receive` does."""
    handover = as_receiver(ctx, handover_id)
    return _undo(ctx, handover, HandoverState.REFUSED, Action.HANDOVER_REFUSE, require_note(note))


def cancel(ctx: Context, handover_id: UUID, note: str = "") -> Handover:
    """Cancel a handover that is not received yet; the cards return to their former state.

    Raise NotFound outside the actor's scope, Forbidden if its organisation is not the issuer, and Conflict if it is answered already.
    """
    handover = as_issuer(ctx, handover_id)
    return _undo(ctx, handover, HandoverState.CANCELLED, Action.HANDOVER_CANCEL, note)


def _take_time(ctx: Context, handover_id: UUID) -> None:
    """Let an act about many cards take its time, before the cards are read."""
    deadline.allow_for(ctx.session.scalar(select(func.count()).where(HandoverCard.handover_id == handover_id)) or 0)


def as_issuer(ctx: Context, handover_id: UUID) -> Handover:
    """Return a handover of the actor's organisation as issuer. Raise NotFound outside the scope, Forbidden for another organisation."""
    _take_time(ctx, handover_id)
    handover = get_handover(ctx, handover_id)
    if handover.issuer_id != ctx.actor.organisation_id:
        raise Forbidden("Only the issuer cancels a handover.", type="not-issuer")
    return handover


def as_receiver(ctx: Context, handover_id: UUID) -> Handover:
    """Return a handover to the actor's organisation. Raise NotFound outside the scope, Forbidden for another organisation."""
    _take_time(ctx, handover_id)
    handover = get_handover(ctx, handover_id)
    if handover.receiver_id != ctx.actor.organisation_id:
        raise Forbidden("Only the named receiver answers a handover.", type="not-receiver")
    return handover


def _undo(ctx: Context, handover: Handover, state: HandoverState, action: Action, note: str) -> Handover:
    act = _decide(ctx, handover, state, action, note)
    former = {row.card_id: row.former_state for row in handover.cards}
    cards = [card for card in cards_of(ctx, handover) if card.state == CardState.HANDED_OVER]
    for target in sorted({former[card.id] for card in cards}):
        _move_cards(ctx, [card for card in cards if former[card.id] == target], CardState(target), act, f"{handover.number}: {note}")
    return handover


def require_open(handover: Handover) -> None:
    """Raise Conflict unless a handover still waits for its receiver."""
    if handover.state != HandoverState.ISSUED:
        raise Conflict(say("This handover is %(state)s already.", state=handover.state), state=handover.state)


def _decide(ctx: Context, handover: Handover, state: HandoverState, action: Action, note: str) -> Act:
    require_open(handover)
    act = record(ctx, action, "handover", handover.id, organisation_id=handover.receiver_id, number=handover.number, note=note)
    HANDOVER.move(ctx.session, handover, state, act, note)
    ctx.session.flush()
    return act


def _move_cards(ctx: Context, cards: list[Card], target: CardState, act: Act, note: str) -> None:
    CARD.move_all(ctx.session, cards, target, act, note)
    ctx.session.flush()
