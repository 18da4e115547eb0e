"""Register units, models and cards, and find them within the actor's scope."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Exists, Select, String, bindparam, exists, or_, select

from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards import proposals
from sifilma.cards.derived.models import FreeUnit
from sifilma.cards.derived.queries import seen_free_query
from sifilma.cards.identifiers import normalise_pcid, normalise_uid
from sifilma.cards.models import CARD, UNIT, Card, CardState, DeviceModel, Function, Unit, UnitCondition, UnitKeyChange, function_set
from sifilma.cards.outlets.models import Outlet, OutletState
from sifilma.cards.outlets.queries import CLOSED, hold_open, outlet_ids_query, own_by_text
from sifilma.cards.part_queries import Naming, cards_with_query, units_with_query
from sifilma.cards.proposals import NewKey
from sifilma.cards.schemas import UnitIn, UnitKeyIn
from sifilma.identity.models import Organisation
from sifilma.identity.permissions import Operation, Scope, grants
from sifilma.identity.scope import scoped
from sifilma.kernel.context import Act, Context
from sifilma.kernel.db import among, hold, one_of
from sifilma.kernel.errors import Conflict, Faults, Invalid, NotFound
from sifilma.kernel.ids import uuid7
from sifilma.kernel.lifecycle import History
from sifilma.kernel.paging import Listing, found_by
from sifilma.kernel.repeats import numbered, repeats, same_as
from sifilma.kernel.statements.finders import EachFew, among_few, together
from sifilma.kernel.statements.prepared import Prepared
from sifilma.kernel.text import say

PCID_TAKEN = say("This PCID belongs to another unit.")
NO_PCID = say("A PCID of zeros is no PCID: ask the manufacturer.")
NO_OUTLET = say("Your organisation has no such outlet.")
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
    reach = {grant.scope for grant in grants(ctx.actor, Operation.CARD_VIEW)}
    if reach != {Scope.OWN}:
        return query
    held, bought = _IN_STATE.find(ctx.session, {"own": ctx.actor.organisation_id, "state": state})
    if (few := together(held, bought)) is not None:
        return among_few(ctx.session, query, Card.id, few)
    if bought != []:
        return query
    own = Card.holder_id == ctx.actor.organisation_id
    return found_by(query.where(own), select(Card.id).where(own, Card.state == state))


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
    reach = {grant.scope for grant in grants(ctx.actor, Operation.CARD_VIEW)}
    serves = select(DeviceModel.id).where(DeviceModel.manufacturer_id == own, DeviceModel.function.in_((function, "R RW")))
    if Scope.LINKED in reach and ctx.session.scalar(serves.limit(1)) is None:
        reach.remove(Scope.LINKED)
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


def register_units(ctx: Context, new: list[UnitIn]) -> list[Unit]:
    """Register machines for the actor's organisation, all or none. Raise Invalid that names each row with an error."""
    rows = dict(enumerate(new, start=1))
    require_units(unit_errors(ctx, rows))
    return save_units(ctx, rows)


def register_unit(ctx: Context, new: UnitIn) -> Unit:
    """Register one machine for the actor's organisation. Raise Invalid that names the fields with errors."""
    faults = unit_faults(ctx, dict(new))
    faults.refuse("Some units cannot be registered.")
    return save_units(ctx, {1: new})[0]


def require_units(errors: list[dict[str, Any]]) -> None:
    """Raise Invalid if there are errors."""
    if errors:
        raise Invalid("Some units cannot be registered.", errors=errors)


def save_units(ctx: Context, new: Mapping[int, UnitIn]) -> list[Unit]:
    """Register machines that `unit_errors` found no error in, by row number; `new` is not empty. Their public keys are one proposal.

    Raise Invalid for keys that cannot be proposed. The caller has asked a person who gives keys for a fresh code.
    """
    models = models_by_name(ctx)
    outlets = own_by_text(ctx, [unit.outlet for unit in new.values()])
    hold_open(ctx, outlets.values())
    made = {row: _make_unit(ctx, unit, models[unit.model], outlets.get(unit.outlet)) for row, unit in new.items()}
    units = list(made.values())
    act = record(ctx, Action.UNIT_REGISTER, UNIT.kind, units[0].id, rows=units, count=len(units))
    for unit in units:
        UNIT.born(unit, UnitCondition.WORKING, act)
    ctx.session.add_all(units)
    ctx.session.flush()
    keys = {row: NewKey(made[row], unit.public_jwk) for row, unit in new.items() if unit.public_jwk}
    if keys:
        proposals.propose(ctx, keys)
    return units


def may_propose_key(ctx: Context, unit: Unit) -> bool:
    """Return whether the actor may propose a public key for a unit: its holder, and the maker of its model."""
    return ctx.session.scalar(units_query(ctx, Operation.UNIT_KEY_PROPOSE).where(Unit.id == unit.id)) is not None


def propose_keys(ctx: Context, wanted: Sequence[UnitKeyIn]) -> UnitKeyChange:
    """Propose public keys for units that are registered. Raise Invalid with every error by the key's number, from 1."""
    query = units_query(ctx, Operation.UNIT_KEY_PROPOSE).where(Unit.id.in_([key.unit for key in wanted]))
    units = {unit.id: unit for unit in ctx.session.scalars(query)}
    missing = [row for row, key in enumerate(wanted, start=1) if key.unit not in units]
    if missing:
        told = say("There is no such unit.")
        raise Invalid("Some keys cannot be proposed.", errors=[{"row": row, "field": "unit", "message": told} for row in missing])
    return proposals.propose(ctx, {row: NewKey(units[key.unit], key.public_jwk) for row, key in enumerate(wanted, start=1)})


def unit_errors(ctx: Context, new: Mapping[int, UnitIn]) -> list[dict[str, Any]]:
    """Return the errors that keep machines (keyed by row number) from being registered: `[{row, field, message}]`."""
    return [{"row": row, **error} for row, found in _faults(ctx, {row: dict(unit) for row, unit in new.items()}).items() for error in found]


def unit_faults(ctx: Context, given: Mapping[str, Any]) -> Faults:
    """Return what is wrong with a machine of which not all fields could be read: with those that could."""
    return _faults(ctx, {1: given})[1]


def _faults(ctx: Context, new: Mapping[int, Mapping[str, Any]]) -> dict[int, Faults]:
    """Return what is wrong with machines, by row number. A field that is not there could not be read: it is passed over."""
    models = models_by_name(ctx)
    numbers = {row: unit.get("hardware_number") for row, unit in new.items()}
    pcids = {row: unit.get("pcid") for row, unit in new.items()}
    registered = select(Unit.hardware_number).where(
        Unit.organisation_id == ctx.actor.organisation_id, one_of(ctx.session, Unit.hardware_number, _some(numbers))
    )
    taken: dict[str, set[str | None]] = {
        "hardware_number": set(ctx.session.scalars(registered)),
        "pcid": set(ctx.session.scalars(select(Unit.pcid).where(one_of(ctx.session, Unit.pcid, _some(pcids))))),
    }
    again = {"hardware_number": repeats(numbers), "pcid": repeats(pcids)}
    outlets = own_by_text(ctx, [unit.get("outlet", "") for unit in new.values()])
    found = {}
    for row, unit in new.items():
        faults = found[row] = model_faults(ctx, unit, models)
        known_already = say("%(number)s is registered already.", number=unit.get("hardware_number"))
        for field, told in (("hardware_number", known_already), ("pcid", PCID_TAKEN)):
            if row in again[field]:
                faults.add(field, same_as(again[field][row]))
            elif unit.get(field) in taken[field]:
                faults.add(field, told)
        if unit.get("pcid") == "0" * 32:
            faults.add("pcid", NO_PCID)
        if unit.get("outlet") and unit["outlet"] not in outlets:
            faults.add("outlet", NO_OUTLET)
        elif unit.get("outlet") and outlets[unit["outlet"]].state == OutletState.CLOSED:
            faults.add("outlet", CLOSED)
    return found


def _some(values: Mapping[int, str | None]) -> list[str]:
    return [value for value in values.values() if value]


def models_by_name(ctx: Context) -> dict[str, DeviceModel]:
    """Return every model by its name."""
    return {model.name: model for model in ctx.session.scalars(select(DeviceModel))}


def model_faults(ctx: Context, unit: Mapping[str, Any], models: Mapping[str, DeviceModel]) -> Faults:
    """Check the model, and the function, which is the model's where it is not given and the model has one only."""
    faults = Faults()
    model = models.get(unit.get("model", ""))
    if model is None and "model" in unit:
        faults.add("model", say("There is no model %(model)r: choose one of GET /models.", model=unit["model"]))
    function = unit.get("function") or (model.functions[0] if model and len(model.functions) == 1 else None)
    if model is not None and function is None:
        faults.add("function", say("%(model)s is made for R and for RW: say which one this unit serves.", model=model.name))
    elif model is not None and function not in model.functions:
        faults.add("function", say("%(model)s is a model for %(function)s.", model=model.name, function=model.function))
    if function == Function.RW and not (ctx.actor.organisation_kind and ctx.actor.organisation_kind.is_office):
        faults.add("function" if unit.get("function") else "model", say("Only district and province offices may have RW."))
    return faults


def _make_unit(ctx: Context, new: UnitIn, model: DeviceModel, outlet: Outlet | None) -> Unit:
    return Unit(
        id=uuid7(),
        organisation_id=ctx.actor.organisation_id,
        model_id=model.id,
        model=model,
        hardware_number=new.hardware_number,
        function=new.function or model.functions[0],
        pcid=new.pcid,
        sam_perso=new.sam_perso,
        outlet_id=outlet.id if outlet else None,
        created_at=ctx.now,
    )


def cards_in(ctx: Context, units: list[Unit]) -> dict[UUID, Card]:
    """Return the living card tied to each unit, by the unit's id. An active card takes precedence."""
    rows = ctx.session.scalars(select(Card).where(Card.unit_id.in_([unit.id for unit in units]), Card.state.not_in(ENDED)))
    return living_by_unit(rows)


def living_by_unit(cards: Iterable[Card]) -> dict[UUID, Card]:
    """Return the living one of some cards for each unit, by the unit's id. An active card takes precedence."""
    living = [card for card in cards if card.state not in ENDED]
    return {card.unit_id: card for card in sorted(living, key=lambda card: card.state == CardState.ACTIVE) if card.unit_id}


def register_cards(ctx: Context, cards: list[Card]) -> Act:
    """Register new cards in one act and return the act. Raise Conflict (`uid-known`) if a UID is registered already."""
    uids = [card.uid for card in cards]
    known = ctx.session.scalars(select(Card.uid).where(among(ctx.session, Card.uid, uids))).all()
    if known:
        raise Conflict(say("These UIDs are registered already: %(uids)s.", uids=", ".join(sorted(known)[:5])), type="uid-known")
    act = record(ctx, Action.CARD_REGISTER, "personalisation_request", cards[0].personalisation_request_id, rows=cards, count=len(cards))
    for card in cards:
        CARD.born(card, CardState.REGISTERED, act)
    ctx.session.add_all(cards)
    ctx.session.flush()
    return act


def list_models() -> Listing[DeviceModel]:
    """Return every model, as a query to be paged."""
    return select(DeviceModel), DeviceModel.id


def all_models(ctx: Context) -> list[DeviceModel]:
    """Return every model, by name."""
    return list(ctx.session.scalars(select(DeviceModel).order_by(DeviceModel.name)))


_MODEL_NAMES = Prepared(select(DeviceModel.name).order_by(DeviceModel.name))


def model_names(ctx: Context) -> list[str]:
    """Return the names of all models, in their order."""
    return [row.name for row in _MODEL_NAMES.read(ctx.session, {})]


def register_model(ctx: Context, name: str, manufacturer_id: UUID, *functions: Function) -> DeviceModel:
    """Register a new model of a manufacturer, for one function or several."""
    model = DeviceModel(id=uuid7(), name=name, manufacturer_id=manufacturer_id, function=function_set(functions), created_at=ctx.now)
    ctx.session.add(model)
    record(ctx, Action.MODEL_REGISTER, "device_model", model.id, organisation_id=manufacturer_id, rows=[model], name=name)
    ctx.session.flush()
    return model


def widen_model(ctx: Context, model: DeviceModel, *functions: Function) -> None:
    """Add functions to those that units of a model can serve."""
    hold(ctx.session, model)
    model.function = function_set({*model.functions, *functions})
    added = ", ".join(functions)
    record(ctx, Action.MODEL_WIDEN, "device_model", model.id, organisation_id=model.manufacturer_id, rows=[model], function=added)
    ctx.session.flush()


def by_uids(ctx: Context, uids: list[str], *conditions: Any) -> dict[str, Card]:
    """Return cards by UID, in the order of `uids`.

    Raise Invalid that names each one (`item`, from 1) that is named twice, is unknown or does not meet the conditions.
    """
    found = {card.uid: card for card in ctx.session.scalars(select(Card).where(among(ctx.session, Card.uid, uids), *conditions))}
    again = repeats(numbered(uids))
    faults = Faults()
    for number, uid in enumerate(uids, start=1):
        if number in again:
            faults.add("cards", same_as(again[number]), item=number)
        elif uid not in found:
            faults.add("cards", say("%(uid)s cannot be chosen here.", uid=uid), item=number)
    faults.refuse("Some cards cannot be chosen.")
    return {uid: found[uid] for uid in uids}
