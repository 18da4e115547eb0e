"""Register units, models and cards, and find the models and the cards at units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards import proposals
from sifilma.cards.models import CARD, UNIT, Card, CardState, DeviceModel, Function, Unit, UnitCondition, UnitKeyChange, function_set
from sifilma.cards.outlets.models import Outlet, OutletState
from sifilma.cards.outlets.queries import CLOSED, hold_open, own_by_text
from sifilma.cards.proposals import NewKey
from sifilma.cards.queries import ENDED, units_query
from sifilma.cards.schemas import UnitIn, UnitKeyIn
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Act, Context
from sifilma.kernel.db import among, hold, one_of
from sifilma.kernel.errors import Conflict, Faults, Invalid
from sifilma.kernel.ids import uuid7
from sifilma.kernel.paging import Listing
from sifilma.kernel.repeats import numbered, repeats, same_as
from sifilma.kernel.statements.prepared import Prepared
from sifilma.kernel.text import say

PCID_TAKEN = say("This PCID belongs to another unit.")
NO_PCID = say("A PCID of zeros is no PCID: ask the manufacturer.")
NO_OUTLET = say("Your organisation has no such outlet.")


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
