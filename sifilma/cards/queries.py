"""What is read of units and cards: queries of what an actor may see, the lists and their filters, one unit or card."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Exists, Select, String, bindparam, exists, or_, select

from sifilma.cards.derived.models import FreeUnit
from sifilma.cards.derived.queries import seen_free_query
from sifilma.cards.identifiers import normalise_pcid, normalise_uid
from sifilma.cards.models import Card, CardState, DeviceModel, Function, Unit, UnitCondition
from sifilma.cards.outlets.queries import outlet_ids_query
from sifilma.cards.part_queries import Naming, cards_with_query, units_with_query
from sifilma.identity.models import Organisation
from sifilma.identity.permissions import Operation, Scope, reach_of
from sifilma.identity.scope import scoped
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid, NotFound
from sifilma.kernel.lifecycle import History
from sifilma.kernel.paging import Listing
from sifilma.kernel.statements.finders import EachFew, among_few, together
from sifilma.kernel.ways import Way, reached

ENDED = (CardState.DESTROYED, CardState.DAMAGED, CardState.LOCKED, CardState.REVOKED)


@dataclass(frozen=True)
class UnitFilter:
    """A filter of units. `state` is the state of the living card, or `free` for none; `condition` that of the unit itself.

    `text` is a part of the hardware number, of the PCID or of the UID of a card tied to the unit.
    `pcid` is `missing` for units without one; `outlet` is an outlet's id, branch code or a part of its name.
    """

    hardware_number: str = ""
    state: str = ""
    model: str = ""
    text: str = ""
    condition: str = ""
    pcid: str = ""
    outlet: str = ""


@dataclass(frozen=True)
class CardFilter:
    """A filter of cards. `text` is a part of the UID, hardware number or PCID; `holder` is a part of the holder's name."""

    state: str = ""
    function: str = ""
    text: str = ""
    holder: str = ""


def units_query(ctx: Context, operation: Operation = Operation.UNIT_READ) -> Select[Unit]:
    """Return a query of the units the actor may see: those of its organisation and, for a manufacturer, those of its models."""
    mine = Unit.model_id.in_(select(DeviceModel.id).where(DeviceModel.manufacturer_id == ctx.actor.organisation_id))
    return scoped(select(Unit), ctx.actor, operation, Unit.organisation_id, linked=(mine,), unit=Unit.id)


def cards_query(ctx: Context, operation: Operation = Operation.CARD_VIEW) -> Select[Card]:
    """Return a query of the cards the actor may see: its organisation holds or buys them or, for a manufacturer, made the unit's model."""
    # A column, not EXISTS: PostgreSQL would gather all machines of a maker before it looks at the first card.
    model = select(Unit.model_id).where(Unit.id == Card.unit_id).correlate(Card).scalar_subquery()
    mine = model.in_(select(DeviceModel.id).where(DeviceModel.manufacturer_id == ctx.actor.organisation_id))
    return scoped(select(Card), ctx.actor, operation, (Card.holder_id, Card.buyer_id), linked=(mine,), unit=Card.unit_id)


def named_cards_query(ctx: Context) -> Select[Card]:
    """Return a query of the card whose UID is `uid`, if the actor may see it."""
    return cards_query(ctx).where(Card.uid == bindparam("uid", type_=String))


def named_units_query(ctx: Context) -> Select[Unit]:
    """Return a query of the units with the PCID `pcid` or the hardware number `number`, of those that the actor may see."""
    same = or_(Unit.pcid == bindparam("pcid", type_=String), Unit.hardware_number == bindparam("number", type_=String))
    return units_query(ctx).where(same)


def numbers_of(text: str) -> dict[str, str | None]:
    """Return what a text names as `uid`, `pcid` and hardware `number`, as they are kept. What is not of such a form is None."""
    found: dict[str, str | None] = {"number": re.sub(r"\s", "", text).upper(), "uid": None, "pcid": None}
    for name, normalise in (("uid", normalise_uid), ("pcid", normalise_pcid)):
        with suppress(ValueError):
            found[name] = normalise(text)
    return found


def list_units(ctx: Context, wanted: UnitFilter) -> Listing[Unit]:
    """Return the units the actor may see that match the filter."""
    query = _free_units_query(ctx) if wanted.state == "free" else units_query(ctx)
    if wanted.hardware_number:
        query = query.where(Unit.hardware_number == wanted.hardware_number.upper())
    if wanted.state and wanted.state != "free":
        query = query.where(_living_card().where(Card.state == wanted.state))
    if wanted.pcid == "missing":
        query = query.where(Unit.pcid.is_(None), Unit.condition != UnitCondition.RETIRED)
    if wanted.outlet:
        query = query.where(Unit.outlet_id.in_(outlet_ids_query(ctx, wanted.outlet)))
    if wanted.condition:
        query = query.where(Unit.condition == wanted.condition)
    if wanted.model:
        query = query.where(Unit.model_id.in_(select(DeviceModel.id).where(DeviceModel.name == wanted.model)))
    return (units_with_query(ctx, query, wanted.text) if wanted.text else query), Unit.id


def _free_units_query(ctx: Context) -> Select[Unit]:
    """Return a query of the units without a living card that the actor may see. What is free is little, and is begun with."""
    return seen_free_query(select(Unit).join(FreeUnit, FreeUnit.unit_id == Unit.id), ctx)


def _living_card() -> Exists:
    return exists().where(Card.unit_id == Unit.id, Card.state.not_in(ENDED))


def list_cards(ctx: Context, wanted: CardFilter, *naming: Naming) -> Listing[Card]:
    """Return the cards the actor may see that match the filter.

    A card that anything of `naming` names matches the text as well.
    """
    query = _of_function_query(ctx, wanted.function) if wanted.function else cards_query(ctx)
    if wanted.state:
        query = _in_state_query(ctx, query, wanted.state)
    if wanted.holder:
        named = select(Organisation.id).where(Organisation.name.icontains(wanted.holder, autoescape=True))
        query = query.where(Card.holder_id.in_(named))
    return (cards_with_query(ctx, query, wanted.text, *naming) if wanted.text else query), Card.id


_IN_STATE = EachFew(
    select(Card.id).where(Card.holder_id == bindparam("own"), Card.state == bindparam("state")),
    select(Card.id).where(Card.buyer_id == bindparam("own"), Card.holder_id != Card.buyer_id, Card.state == bindparam("state")),
)
"""Cards in a state: those that an organisation holds, and those that it has bought and others hold."""


def _in_state_query(ctx: Context, query: Select[Card], state: str) -> Select[Card]:
    """Restrict a query of cards to a state.

    What an organisation holds or has bought is found first, by an index each: for the condition with OR the database may walk all cards in
    the state, which others have. Where it holds many and has bought no others, they are read in the order of its index.
    """
    query = query.where(Card.state == state)
    reach = reach_of(ctx.actor, Operation.CARD_VIEW)
    if reach != {Scope.OWN}:
        return query
    held, bought = _IN_STATE.find(ctx.session, {"own": ctx.actor.organisation_id, "state": state})
    if (few := together(held, bought)) is not None:
        return among_few(ctx.session, query, Card.id, few)
    if bought != []:
        return query
    own = ctx.actor.organisation_id
    return query if own is None else reached(query, Card.holder_id == own, [Way(Card.holder_id, own)])


_ENCODERS = EachFew(
    *(select(Card.id).where(owner == bindparam("own"), Card.function == Function.RW.value) for owner in (Card.holder_id, Card.buyer_id))
)
"""Cards for encoders that an organisation holds, and that it has bought."""


def _of_function_query(ctx: Context, function: str) -> Select[Card]:
    """Return the query of the cards that the actor may see, of this function.

    A maker without models of the function would look through all for nothing. So would an organisation that has few encoders: the database
    takes it that each has its share of them. They are found first.
    """
    own = ctx.actor.organisation_id
    reach = reach_of(ctx.actor, Operation.CARD_VIEW)
    serves = select(DeviceModel.id).where(DeviceModel.manufacturer_id == own, DeviceModel.function.in_((function, "R RW")))
    if Scope.LINKED in reach and ctx.session.scalar(serves.limit(1)) is None:
        reach -= {Scope.LINKED}
        query = scoped(select(Card), ctx.actor, Operation.CARD_VIEW, (Card.holder_id, Card.buyer_id), unit=Card.unit_id)
    else:
        query = cards_query(ctx)
    if function == Function.RW and reach <= {Scope.OWN}:
        few = together(*_ENCODERS.find(ctx.session, {"own": own}))
        query = query if few is None else among_few(ctx.session, query, Card.id, few)
    return query.where(Card.function == function)


def list_chosen_cards(ctx: Context, uids: Sequence[str]) -> Listing[Card]:
    """Return those of the cards with these UIDs that the actor may see."""
    return cards_query(ctx).where(Card.uid.in_(uids)), Card.id


def list_chosen_units(ctx: Context, ids: Sequence[str]) -> Listing[Unit]:
    """Return those of the units with these ids that the actor may see. Raise Invalid for a text that is no id."""
    try:
        return units_query(ctx).where(Unit.id.in_(list(map(UUID, ids)))), Unit.id
    except ValueError as unreadable:
        raise Invalid("This names no unit.") from unreadable


def get_unit(ctx: Context, unit_id: UUID, operation: Operation = Operation.UNIT_READ) -> Unit:
    """Return one unit. Raise NotFound if there is none in the actor's scope."""
    found = ctx.session.scalars(units_query(ctx, operation).where(Unit.id == unit_id)).first()
    if found is None:
        raise NotFound()
    return found


def get_card(ctx: Context, uid: str, operation: Operation = Operation.CARD_VIEW) -> Card:
    """Return one card by its normalised UID. Raise NotFound if there is none in the actor's scope."""
    found = ctx.session.scalars(cards_query(ctx, operation).where(Card.uid == uid)).first()
    if found is None:
        raise NotFound()
    return found


def steps(ctx: Context, kind: str, object_id: UUID) -> list[History]:
    """Return the steps of an object, oldest first. The caller has checked that the actor may see the object."""
    return list(
        ctx.session.scalars(select(History).where(History.object_kind == kind, History.object_id == object_id).order_by(History.id))
    )
