"""The statements of an activation, built at import and compiled once per database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Date, bindparam, case, exists, insert, or_, select, update
from sqlalchemy.orm import aliased

from sifilma.activation.models import (
    Activation,
    ActivationRequest,
    ActivationRequestCard,
    DataKey,
    Manifest,
    ManifestState,
    RequestState,
    Token,
    TokenState,
)
from sifilma.activation.suspensions.models import OPEN, PlaceSuspension, SuspensionState
from sifilma.audit.models import AuditEntry
from sifilma.cards.models import Card, CardSuspension, DeviceModel, Unit, UnitCondition
from sifilma.cards.service import ENDED
from sifilma.identity.models import Organisation
from sifilma.kernel.prepared import Prepared
from sifilma.oversight.service import agreement_end_query
from sifilma.regions.models import Region

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

READ = Prepared(
    select(
        Card.id.label("card_id"), Card.uid, Card.state, Card.function, Card.holder_id, Card.revision, Card.seq, Card.key_version, Card.kcv,
        Card.unit_id.label("tied_unit_id"), Card.personalisation_request_id,
        Token.id.label("token_id"), Token.mac, Token.expires_at.label("token_expires_at"), Token.status_list, Token.status_index,
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
_is_last = _r.redeemed + 1 >= _r.machines
COMPLETE = Prepared(
    update(_r)
    .where(_r.id == bindparam("b_request"), _r.state == RequestState.APPROVED.value)
    .values(
        redeemed=_r.redeemed + 1,
        state=case((_is_last, RequestState.COMPLETED.value), else_=_r.state),
        **{name: case((_is_last, value), else_=getattr(_r, name)) for name, value in _stamp(_r).items()},
    )
    .returning(_r.id)
)
"""Count one more redeemed token, and complete the request with the last.

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
UPDATE_CARD = Prepared(
    update(Card)
    .where(Card.id == bindparam("b_card"), Card.revision == bindparam("b_revision"), _unit_is_as_read)
    .values(state=bindparam("b_state"), seq=bindparam("b_seq"), unit_id=bindparam("b_unit"), **_stamp(Card))
    .returning(Card.id)
)
BREAK_UNIT = Prepared(
    update(Unit)
    .where(Unit.id == bindparam("b_former"), Unit.revision == bindparam("b_former_revision"))
    .values(state=UnitCondition.BROKEN.value, **_stamp(Unit) | {"change_note": bindparam("b_reason")})
    .returning(Unit.id)
)
"""Mark the unit that a replaced card leaves as broken, if it is not yet."""
