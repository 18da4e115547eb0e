"""The statements of an activation, built at import and compiled once per database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from operator import itemgetter
from typing import Any
from uuid import UUID

from sqlalchemy import Date, String, bindparam, case, cast, exists, insert, literal, or_, select, text, update
from sqlalchemy.orm import Session, aliased

from sifilma.activation.models import (
    Activation,
    ActivationRequest,
    ActivationRequestCard,
    DataKey,
    Manifest,
    ManifestState,
    RequestState,
    StatusList,
    Token,
    TokenState,
)
from sifilma.activation.suspensions.models import OPEN, PlaceSuspension, SuspensionState
from sifilma.activation.trust.status_list import INDEXES
from sifilma.audit.models import AuditEntry
from sifilma.cards.models import Card, CardSuspension, DeviceModel, Unit, UnitCondition
from sifilma.cards.queries import ENDED
from sifilma.identity.models import Organisation
from sifilma.kernel.db import among
from sifilma.kernel.many.copying import insert_all, table_of
from sifilma.kernel.many.sets import ReadSet, WriteSet
from sifilma.kernel.statements.prepared import Prepared, Step, run_all
from sifilma.oversight.service import agreement_end_query
from sifilma.regions.models import Region
from sifilma.witness.models import ReservedNumber

_other = aliased(Card)
_regency = aliased(Region)
_earlier = aliased(Manifest)
PREVIOUS_HASH = (
    select(_earlier.payload_hash)
    .where(_earlier.card_id == Card.id)
    .order_by(_earlier.epoch.desc(), _earlier.seq.desc())
    .limit(1)
    .scalar_subquery()
)
_former = aliased(Unit)
_is_taken = (
    exists().where(_other.unit_id == Unit.id, _other.id != Card.id, *(_other.state != state.value for state in ENDED)).correlate(Unit, Card)
)
_standing = (ManifestState.ACTIVE.value, ManifestState.SUSPENDED.value)

_index_is_told = (
    exists()
    .where(ReservedNumber.name == literal(INDEXES) + cast(Token.status_list, String), ReservedNumber.told > Token.status_index)
    .correlate(Token)
)

READ = Prepared(
    select(
        Card.id.label("card_id"), Card.uid, Card.state, Card.function, Card.holder_id, Card.revision, Card.seq, Card.key_version, Card.kcv,
        Card.unit_id.label("tied_unit_id"), Card.personalisation_request_id,
        Token.id.label("token_id"), Token.mac, Token.expires_at.label("token_expires_at"), Token.status_list, Token.status_index,
        _index_is_told.label("index_is_told"),
        ActivationRequest.id.label("request_id"), ActivationRequest.state.label("request_state"),
        ActivationRequest.kind.label("request_kind"),
        Unit.id.label("unit_id"), Unit.hardware_number, Unit.function.label("unit_function"), Unit.pcid,
        Unit.outlet_id.label("unit_outlet_id"), _former.outlet_id.label("former_outlet_id"),
        Unit.condition.label("unit_condition"), Unit.revision.label("unit_revision"),
        ActivationRequestCard.unit_id.label("replacement_unit_id"), ActivationRequestCard.reason.label("replacement_reason"),
        _former.condition.label("former_condition"), _former.revision.label("former_revision"),
        DeviceModel.name.label("model_name"),
        _is_taken.label("unit_is_taken"),
        Organisation.name.label("organisation_name"), Organisation.kind.label("organisation_kind"),
        agreement_end_query(Organisation.id, bindparam("today", type_=Date())).scalar_subquery().label("agreement_end"),
        Manifest.id.label("standing_manifest_id"), PREVIOUS_HASH.label("previous_hash"),
        Region.code.label("region_code"), Region.version.label("region_version"), _regency.name.label("regency_name"),
        PlaceSuspension.id.label("place_id"), PlaceSuspension.state.label("place_state"),
        PlaceSuspension.suspension_id.label("place_suspension_id"),
        DataKey.id.label("data_key_id"), DataKey.month.label("data_key_month"), DataKey.sealed.label("data_key_sealed"),
    )
    .select_from(Card)
    .join(Organisation, Organisation.id == Card.holder_id)
    .outerjoin(Token, (Token.card_id == Card.id) & (Token.state == TokenState.ISSUED.value) & (Token.organisation_id == Card.holder_id))
    .outerjoin(ActivationRequest, ActivationRequest.id == Token.activation_request_id)
    .outerjoin(
        ActivationRequestCard,
        (ActivationRequestCard.activation_request_id == ActivationRequest.id) & (ActivationRequestCard.card_id == Card.id),
    )
    .outerjoin(_former, _former.id == Card.unit_id)
    .outerjoin(
        Unit, (Unit.organisation_id == Card.holder_id) & (Unit.hardware_number == bindparam("hardware", type_=Unit.hardware_number.type))
    )
    .outerjoin(DeviceModel, DeviceModel.id == Unit.model_id)
    .outerjoin(Manifest, (Manifest.card_id == Card.id) & or_(*(Manifest.state == state for state in _standing)))
    .outerjoin(Region, (Region.code == bindparam("code")) & Region.valid_to.is_(None))
    .outerjoin(_regency, _regency.code == bindparam("regency"))
    .outerjoin(PlaceSuspension, (PlaceSuspension.card_id == Card.id) & or_(*(PlaceSuspension.state == state.value for state in OPEN)))
    .outerjoin(DataKey, (DataKey.organisation_id == Card.holder_id) & (DataKey.month == bindparam("month")))
    .where(Card.uid == bindparam("uid"), Card.holder_id == bindparam("organisation"))
    .order_by(Token.id.desc())
    .limit(1)
)  # fmt: skip
"""Everything an activation reads. Parameters: uid, organisation, hardware, month (`YYYY-MM`), today (date), code (a village), regency."""


def _binds(model: Any, *besides: str) -> dict[str, Any]:
    """Return a bound parameter for every column, with the column's name."""
    return {column.name: bindparam(column.name, type_=column.type) for column in model.__table__.columns if column.name not in besides}


INSERT_AUDIT = Prepared(insert(AuditEntry.__table__).values(_binds(AuditEntry)))  # type: ignore[arg-type]  # a declarative class's table is a Table
INSERT_ACTIVATION = Prepared(insert(Activation.__table__).values(_binds(Activation, "reviewed_by", "reviewed_at", "stated_by")))  # type: ignore[arg-type]  # as above
INSERT_CARRIED = Prepared(insert(Activation.__table__).values(_binds(Activation, "reviewed_by", "reviewed_at")))  # type: ignore[arg-type]  # as above
INSERT_MANIFEST = Prepared(insert(Manifest.__table__).values(_binds(Manifest)))  # type: ignore[arg-type]  # as above


def _stamp(model: Any) -> dict[str, Any]:
    """Return the values that every step of a life cycle sets: a new revision, its act, time and user."""
    return {
        "revision": model.revision + 1,
        **{name: bindparam(f"b_{name}", type_=getattr(model, name).type) for name in ("act_id", "changed_at", "changed_by")},
        "change_note": "",
    }


_r = ActivationRequest
_redeemed = _r.redeemed + bindparam("b_count", type_=_r.redeemed.type)
_is_last = _redeemed >= _r.machines
COMPLETE = Prepared(
    update(_r)
    .where(_r.id == bindparam("b_request"), _r.state == RequestState.APPROVED.value)
    .values(
        redeemed=_redeemed,
        state=case((_is_last, RequestState.COMPLETED.value), else_=_r.state),
        **{name: case((_is_last, value), else_=getattr(_r, name)) for name, value in _stamp(_r).items()},
    )
    .returning(_r.id)
)
"""Count redeemed tokens of one request (one, or those of a set), and complete the request with the last.

The counter is in the row, so that of two concurrent activations exactly one is the last.
"""

REDEEM = Prepared(
    update(Token)
    .where(Token.id == bindparam("b_token"), Token.state == TokenState.ISSUED.value, Token.expires_at > bindparam("b_now"))
    .values(state=TokenState.REDEEMED.value, **_stamp(Token))
    .returning(Token.id)
)
ANSWER = Prepared(
    update(PlaceSuspension)
    .where(PlaceSuspension.id == bindparam("b_place"), PlaceSuspension.state == bindparam("b_place_state"))
    .values(state=SuspensionState.ANSWERED.value, **_stamp(PlaceSuspension))
    .returning(PlaceSuspension.id)
)
"""The new place is accepted: it answers the proposal to suspend the card for the former one."""

END_SUSPENSION = Prepared(
    update(CardSuspension)
    .where(CardSuspension.id == bindparam("b_suspension"), CardSuspension.closed_act.is_(None))
    .values(closed_act=bindparam("b_act_id", type_=CardSuspension.closed_act.type))
    .returning(CardSuspension.id)
)
SUPERSEDE = Prepared(
    update(Manifest)
    .where(Manifest.id == bindparam("b_manifest"), or_(*(Manifest.state == state for state in _standing)))
    .values(state=ManifestState.SUPERSEDED.value, **_stamp(Manifest))
    .returning(Manifest.id)
)
# The activation, inserted before, has locked the unit against changes of its numbers; who changed it earlier is seen here.
_unit_is_as_read = exists().where(Unit.id == bindparam("b_unit", type_=Unit.id.type), Unit.revision == bindparam("b_unit_revision"))
_GIVEN = {"state": "state", "seq": "seq", "unit_id": "unit"}
UPDATE_CARD = Prepared(
    update(Card)
    .where(Card.id == bindparam("b_card"), Card.revision == bindparam("b_revision"), _unit_is_as_read)
    .values(**{name: bindparam(f"b_{given}", type_=getattr(Card, name).type) for name, given in _GIVEN.items()}, **_stamp(Card))
    .returning(Card.id)
)
BREAK_UNIT = Prepared(
    update(Unit)
    .where(Unit.id == bindparam("b_former"), Unit.revision == bindparam("b_former_revision"))
    .values(state=UnitCondition.BROKEN.value, **_stamp(Unit) | {"change_note": bindparam("b_reason", type_=Unit.change_note.type)})
    .returning(Unit.id)
)
"""Mark the unit that a replaced card leaves as broken, if it is not yet."""

# --- set by set: one statement for each table on PostgreSQL, made from those for one card ---------------------------------------

READ_SET = ReadSet(READ, "uid", "hardware", "code", "regency")
IN_SETS_FROM = 5
"""Activations from which a set costs less than as many alone, sent together."""
BY_INDEX = text("SET LOCAL enable_seqscan = off")
"""Triggers plan once and keep their plans. One that was made while a table was small reads all of it at every row, until it is analysed."""
_TABLES: dict[Prepared, Any] = {INSERT_AUDIT: AuditEntry, INSERT_ACTIVATION: Activation, INSERT_MANIFEST: Manifest}
_UPDATES = {step: WriteSet(step) for step in (REDEEM, ANSWER, END_SUSPENSION, SUPERSEDE, BREAK_UNIT, UPDATE_CARD)}
# The order of the locks, and of what triggers require to be there before.
_ORDER = (
    INSERT_AUDIT, COMPLETE, REDEEM, ANSWER, END_SUSPENSION, SUPERSEDE, BREAK_UNIT,
    INSERT_ACTIVATION, INSERT_MANIFEST, UPDATE_CARD,
)  # fmt: skip


def goes_by_sets(session: Session) -> bool:
    """Return whether the database takes a set of rows in one statement. SQLite does not."""
    return session.get_bind().dialect.name == "postgresql"


def write(session: Session, steps: Sequence[Step], activations: int) -> Prepared | None:
    """Write the steps of so many activations of different cards. Return the first whose condition does not hold any more, or None."""
    if activations < IN_SETS_FROM or not goes_by_sets(session):
        missing = run_all(session, steps)
        return None if missing is None else steps[missing][0]
    session.execute(BY_INDEX)
    values: dict[Prepared, list[dict[str, Any]]] = {}
    for step, given in steps:
        values.setdefault(step, []).append(given)
    # Sets of different requests meet here: each ties its cards to machines in one order, whatever the order of the files.
    values[UPDATE_CARD].sort(key=itemgetter("b_unit"))
    return next((step for step in _ORDER if step in values and not _write(session, step, values)), None)


def _write(session: Session, step: Prepared, steps: dict[Prepared, list[dict[str, Any]]]) -> bool:
    values = steps[step]
    if step in _TABLES:
        insert_all(session, table_of(_TABLES[step]), values)
        return True
    if step is COMPLETE:
        return run_all(session, [(step, counted) for counted in _by_request(values)]) is None
    if step is SUPERSEDE:
        born = {given["status_list"] for given in steps[INSERT_MANIFEST] if given["state"] == ManifestState.SUSPENDED.value}
        _lock_lists(session, [given["b_manifest"] for given in values], born)
    return _UPDATES[step].write(session, values)


def _by_request(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one count for each request, in the order in which all lock them. The last activation of a set may complete it."""
    counts: dict[Any, dict[str, Any]] = {}
    for given in values:
        before = counts.get(given["b_request"])
        counts[given["b_request"]] = given | {"b_count": given["b_count"] + (before["b_count"] if before else 0)}
    return [counts[request] for request in sorted(counts)]


def lock_requests(session: Session, requests: Collection[UUID]) -> None:
    """Lock requests in the order in which all lock them, before a transaction that also changes tokens which it does not redeem."""
    those = among(session, _r.id, sorted(requests))
    session.execute(select(_r.id).where(those).order_by(_r.id).with_for_update(key_share=True))


def _lock_lists(session: Session, ended: Collection[UUID], born: Collection[int]) -> None:
    """Lock the status lists whose changes triggers will count, in the order of their numbers: those of manifests that end, and others."""
    numbers = select(Manifest.status_list).where(among(session, Manifest.id, ended))
    theirs = or_(StatusList.number.in_(numbers), among(session, StatusList.number, born))
    session.execute(select(StatusList.number).where(theirs).order_by(StatusList.number).with_for_update(key_share=True))
