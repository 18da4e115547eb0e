"""Convert cards, units and models to the schemas of the API and of the pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, or_, select

from sifilma.audit.models import AuditEntry
from sifilma.cards.identifiers import perso_warning
from sifilma.cards.models import CARD, UNIT, Card, CardReport, CardState, DeviceModel, ReportState, Unit, UnitKey, UnitKeyChange
from sifilma.cards.outlets.models import Outlet
from sifilma.cards.outlets.queries import outlets_of
from sifilma.cards.proposals import open_changes
from sifilma.cards.public_keys import thumbprint
from sifilma.cards.queries import steps
from sifilma.cards.schemas import (
    CardOut,
    CardReportOut,
    CorrectionOut,
    ModelOut,
    OutletBrief,
    StepOut,
    UnitKeyChangeBrief,
    UnitKeyChangeOut,
    UnitKeyOut,
    UnitOut,
)
from sifilma.cards.service import cards_in, living_by_unit
from sifilma.cards.unit_place import Standing, find_standing
from sifilma.cards.upkeep.models import UnitCorrection
from sifilma.cards.upkeep.proposals import open_corrections
from sifilma.identity.models import Organisation, Person, User
from sifilma.kernel.context import Context
from sifilma.kernel.field_notes import RETURNED, notes_of
from sifilma.kernel.lifecycle import History, Stateful
from sifilma.kernel.statements.built_once import one_of_given
from sifilma.kernel.statements.prepared import Prepared
from sifilma.web.links import links

WAITING = frozenset({"submitted", "proposed", "tested"})
"""States in which an object waits for decisions, of which not each one moves it."""


@dataclass(frozen=True)
class TimelineStep:
    """One step of an object's life. `who` is empty if the system took it; `fields` holds its notes on single fields."""

    at: datetime
    from_state: str
    to_state: str
    note: str
    who: str
    act: UUID
    fields: Mapping[str, str]


@dataclass(frozen=True)
class UnitPage:
    """A unit as its page shows it. `steps` are those of its living card, `conditions` its own; `former` are the cards it had before."""

    unit: UnitOut
    owner: str
    registered_at: datetime
    standing: Standing | None
    steps: list[TimelineStep]
    former: list[Card]
    conditions: list[TimelineStep]


def unit_page(ctx: Context, unit: Unit) -> UnitPage:
    """Return a unit with its card, its place and its card's steps."""
    cards = list(ctx.session.scalars(select(Card).where(Card.unit_id == unit.id).order_by(Card.id)))
    living = living_by_unit(cards).get(unit.id)
    return UnitPage(
        unit=_units_out(ctx, [unit], {unit.id: living} if living else {})[0],
        owner=ctx.session.get_one(Organisation, unit.organisation_id).name,
        registered_at=unit.created_at,
        standing=find_standing(ctx, unit.id),
        steps=timeline(ctx, CARD.kind, living.id) if living else [],
        former=[card for card in cards if card is not living],
        conditions=timeline(ctx, UNIT.kind, unit.id),
    )


def units_out(ctx: Context, units: list[Unit]) -> list[UnitOut]:
    """Return units with their living cards, in one query each for all cards, proposals of keys, corrections and outlets."""
    return _units_out(ctx, units, cards_in(ctx, units))


def _units_out(ctx: Context, units: list[Unit], cards: Mapping[UUID, Card]) -> list[UnitOut]:
    changes, corrections, outlets = open_changes(ctx, units), open_corrections(ctx, units), outlets_of(ctx, units)
    return [
        _unit_out(unit, cards.get(unit.id), changes.get(unit.id), corrections.get(unit.id), outlets.get(unit.outlet_id or unit.id))
        for unit in units
    ]


def _unit_out(unit: Unit, card: Card | None, change: UUID | None, correction: UnitCorrection | None, outlet: Outlet | None) -> UnitOut:
    warning = perso_warning(unit.sam_perso)
    return UnitOut(
        id=unit.id,
        state=card.state if card else "free",
        hardware_number=unit.hardware_number,
        model=unit.model.name,
        function=unit.function,
        pcid=unit.pcid,
        sam_perso=unit.sam_perso,
        organisation_id=unit.organisation_id,
        card=card.uid if card else None,
        has_public_key=unit.public_jwk is not None,
        public_key_change=change,
        condition=unit.condition,
        condition_reason=unit.change_note,
        correction=_correction_out(correction) if correction else None,
        outlet=OutletBrief(id=outlet.id, name=outlet.name, branch_code=outlet.branch_code) if outlet else None,
        warnings=[warning] if warning else [],
        links=links("units", unit.id),
    )


def _correction_out(found: UnitCorrection) -> CorrectionOut:
    return CorrectionOut(
        id=found.id, hardware_number=found.hardware_number, pcid=found.pcid, reason=found.reason, proposed_at=found.proposed_at
    )


_NUMBERS = Prepared(select(Unit.id, Unit.hardware_number).where(one_of_given(Unit.id, "units")))


def cards_out(ctx: Context, cards: list[Card]) -> list[CardOut]:
    """Return cards with the hardware numbers of their units, in one query for all units."""
    rows = _NUMBERS.read(ctx.session, {"units": [card.unit_id for card in cards if card.unit_id]})
    numbers: dict[UUID, str] = {row.id: row.hardware_number for row in rows}
    pending = _pending_reports(ctx, cards)
    return [_card_out(card, numbers, pending.get(card.id)) for card in cards]


def _pending_reports(ctx: Context, cards: list[Card]) -> dict[UUID, UUID]:
    """Return the ids of the programs' reports that wait, by card. Only suspended cards have one, so mostly nothing is asked."""
    suspended = [card.id for card in cards if card.state == CardState.SUSPENDED]
    if not suspended:
        return {}
    query = select(CardReport.card_id, CardReport.id).where(CardReport.card_id.in_(suspended), CardReport.state == ReportState.PENDING)
    return dict(ctx.session.execute(query).all())


def _card_out(card: Card, numbers: dict[UUID, str], report: UUID | None) -> CardOut:
    return CardOut(
        id=card.id,
        uid=card.uid,
        state=card.state,
        function=card.function,
        holder_id=card.holder_id,
        buyer_id=card.buyer_id,
        unit=numbers.get(card.unit_id) if card.unit_id else None,
        unit_id=card.unit_id,
        key_version=card.key_version,
        kcv=card.kcv,
        seq=card.seq,
        changed_at=card.changed_at,
        pending_report=report,
        links=links("cards", card.uid, history="history", reports="reports"),
    )


_NAMES = Prepared(select(Organisation.id, Organisation.name).where(one_of_given(Organisation.id, "organisations")))


def organisation_names(ctx: Context, ids: set[UUID]) -> dict[UUID, str]:
    """Return the names of organisations by id, in one query."""
    return {row.id: row.name for row in _NAMES.read(ctx.session, {"organisations": ids})}


def change_brief(change: UnitKeyChange) -> UnitKeyChangeBrief:
    """Return a proposal of public keys without its keys."""
    return UnitKeyChangeBrief(
        id=change.id,
        state=change.state,
        organisation_id=change.organisation_id,
        by=change.by_organisation_id,
        count=change.count,
        digest=change.digest,
        made_at=change.made_at,
        links=links("unit-key-changes", change.id, take_up="take-up", approve="approve", reject="reject", withdraw="withdraw"),
    )


def change_out(change: UnitKeyChange) -> UnitKeyChangeOut:
    """Return a proposal of public keys with its keys."""
    return UnitKeyChangeOut(**dict(change_brief(change)), keys=[_key_out(key) for key in change.keys])


def _key_out(key: UnitKey) -> UnitKeyOut:
    unit = key.unit
    former = thumbprint(unit.public_jwk) if unit.public_jwk and unit.key_change_id != key.change_id else None
    return UnitKeyOut(
        unit=unit.id,
        hardware_number=unit.hardware_number,
        model=unit.model.name,
        public_jwk=key.jwk,
        thumbprint=thumbprint(key.jwk),
        former=former,
    )


def reports_out(ctx: Context, reports: list[CardReport]) -> list[CardReportOut]:
    """Return reports of programs with the UIDs of their cards, in one query for all cards."""
    query = select(Card.id, Card.uid).where(Card.id.in_([report.card_id for report in reports]))
    uids: dict[UUID, str] = dict(ctx.session.execute(query).all())
    return [
        CardReportOut(
            id=report.id,
            state=report.state,
            card=uids[report.card_id],
            condition=report.condition,
            note=report.note,
            organisation_id=report.organisation_id,
            reported_at=report.reported_at,
            links=links("card-reports", report.id, confirm="confirm", withdraw="withdraw"),
        )
        for report in reports
    ]


def history_out(ctx: Context, kind: str, object_id: UUID) -> list[StepOut]:
    """Return the steps of an object, oldest first, for the API. The caller has checked that the actor may see it."""
    taken = steps(ctx, kind, object_id)
    fields = notes_of(ctx.session, [step.act_id for step in taken if step.to_state == RETURNED])
    return [
        StepOut(
            at=step.at,
            from_state=step.from_state,
            to_state=step.to_state,
            note=step.note,
            fields=fields.get(step.act_id, {}),
            act=step.act_id,
            user_id=step.user_id,
        )
        for step in taken
    ]


def _named(query: Any, user_id: Any) -> Any:
    """Join whoever has the account `user_id`, and their organisation."""
    query = query.outerjoin(User, User.id == user_id).outerjoin(Person, Person.id == User.person_id)
    return query.outerjoin(Organisation, Organisation.id == User.organisation_id)


_STEPS = Prepared(
    _named(select(History.at, History.from_state, History.to_state, History.note, History.act_id), History.user_id)
    .add_columns(Person.name.label("person"), Organisation.name.label("organisation"))
    .where(History.object_kind == bindparam("kind"), History.object_id == bindparam("object_id"))
    .order_by(History.id)
)


def timeline(ctx: Context, kind: str, object_id: UUID) -> list[TimelineStep]:
    """Return the steps of an object, oldest first, with the names of those who took them, in at most three statements.

    Decisions that moved nothing stand among them: the first of two approvals, and an operator's look.
    """
    rows = _STEPS.read(ctx.session, {"kind": kind, "object_id": object_id})
    fields = notes_of(ctx.session, [step.act_id for step in rows if step.to_state == RETURNED])
    found = [
        TimelineStep(
            at=step.at,
            from_state=step.from_state,
            to_state=step.to_state,
            note=step.note,
            who=_who(step.person, step.organisation),
            act=step.act_id,
            fields=fields.get(step.act_id, {}),
        )
        for step in rows
    ]
    if not WAITING & {step.to_state for step in found}:
        return found
    return sorted([*found, *_decisions(ctx, kind, object_id, {step.act for step in found})], key=lambda step: step.at)


def _decisions(ctx: Context, kind: str, object_id: UUID, known: set[UUID]) -> list[TimelineStep]:
    """Return the approvals and looks at an object whose acts are not `known` as steps, as steps of their own."""
    query = _named(select(AuditEntry, Person.name, Organisation.name), AuditEntry.user_id)
    query = query.where(AuditEntry.object_kind == kind, AuditEntry.object_id == str(object_id))
    query = query.where(or_(AuditEntry.action.endswith(".approve"), AuditEntry.action.endswith(".verify"))).order_by(AuditEntry.id)
    return [
        TimelineStep(
            at=entry.at,
            from_state="",
            to_state="approval_given" if entry.action.endswith(".approve") else "verified",
            note=entry.data.get("note", ""),
            who=_who(name, of),
            act=entry.id,
            fields={},
        )
        for entry, name, of in ctx.session.execute(query)
        if entry.id not in known
    ]


def _who(name: str | None, organisation: str | None) -> str:
    return f"{name} · {organisation}" if name else ""


def returned(ctx: Context, kind: str, obj: Stateful, object_id: UUID) -> TimelineStep | None:
    """Return the step that returned an object for correction, if it is still in that state, else None."""
    return timeline(ctx, kind, object_id)[-1] if obj.state == RETURNED else None


def models_out(models: Iterable[DeviceModel]) -> list[ModelOut]:
    """Return models for the API."""
    return [
        ModelOut(
            id=model.id,
            name=model.name,
            function=model.functions[0],
            functions=list(model.functions),
            manufacturer_id=model.manufacturer_id,
        )
        for model in models
    ]
