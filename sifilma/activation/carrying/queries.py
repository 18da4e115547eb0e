"""What is read of orders to issue manifests anew, and of the cards they name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from sifilma.activation.carrying.models import Outcome, Reissue, ReissueCard
from sifilma.activation.issuing.statements import PREVIOUS_HASH
from sifilma.activation.models import REPEATED, Activation, DataKey, Manifest
from sifilma.activation.tokens import sealing
from sifilma.cards.models import Card, DeviceModel, Unit
from sifilma.cards.outlets.queries import card_at_outlets
from sifilma.documents.indonesian import WIB
from sifilma.identity.models import Organisation
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import scoped
from sifilma.kernel.context import Context
from sifilma.kernel.db import among
from sifilma.kernel.paging import Listing
from sifilma.kernel.statements.built_once import one_of_given
from sifilma.kernel.statements.prepared import Prepared
from sifilma.oversight.service import agreement_end_query

_stated = aliased(Activation)
_OWN = ("card_id", "unit_id", "organisation_id", "activation_request_id")  # labelled by what they are in the rows of an activation


@dataclass(frozen=True)
class Order:
    """An order that has not ended: its id, the key whose manifests it replaces, and its act."""

    id: UUID
    label: str
    kid: str
    act_id: UUID


def next_order(session: Session, after: UUID | None) -> Order | None:
    """Return the first order after `after` that has not ended, or None."""
    going = select(Reissue.id, Reissue.label, Reissue.kid, Reissue.act_id).where(Reissue.ended_at.is_(None)).order_by(Reissue.id).limit(1)
    found = session.execute(going.where(Reissue.id > after) if after else going).first()
    return Order(*found) if found else None


def waiting_manifests(session: Session, reissue_id: UUID, after: UUID | None, most: int) -> list[UUID]:
    """Return the manifests of an order that wait to be replaced, the oldest first, those after `after`."""
    of_it = select(ReissueCard.manifest_id).where(ReissueCard.reissue_id == reissue_id, ReissueCard.outcome == Outcome.WAITING)
    later = of_it.where(ReissueCard.manifest_id > after) if after else of_it
    return list(session.scalars(later.order_by(ReissueCard.manifest_id).limit(most)))


def bindings(session: Session, reissue_id: UUID, manifests: Collection[UUID], now: datetime) -> list[Any]:
    """Return all that is needed to issue these manifests of an order anew, named as in the row of an activation (`statements.READ`)."""
    columns = [getattr(_stated, name).label(name) for name in REPEATED if name not in _OWN]
    query = (
        select(
            Card.id.label("card_id"), Card.uid, Card.state, Card.function, Card.holder_id, Card.revision, Card.seq, Card.key_version,
            Card.kcv, Card.personalisation_request_id, Manifest.id.label("standing_manifest_id"), Manifest.state.label("manifest_state"),
            Manifest.expires_at, PREVIOUS_HASH.label("previous_hash"), _stated.id.label("stated_by"), _stated.at.label("stated_at"),
            _stated.source, _stated.activation_request_id.label("request_id"), *columns, Unit.id.label("unit_id"), Unit.hardware_number,
            Unit.pcid, Unit.condition.label("unit_condition"), Unit.revision.label("unit_revision"), DeviceModel.name.label("model_name"),
            Organisation.name.label("organisation_name"), Organisation.kind.label("organisation_kind"),
            agreement_end_query(Organisation.id, now.astimezone(WIB).date()).scalar_subquery().label("agreement_end"),
            DataKey.id.label("data_key_id"), DataKey.month.label("data_key_month"), DataKey.sealed.label("data_key_sealed"),
        )
        .select_from(ReissueCard)
        .join(Card, Card.id == ReissueCard.card_id)
        .join(Manifest, Manifest.id == ReissueCard.manifest_id)
        .join(Activation, Activation.id == Manifest.activation_id)
        .join(_stated, _stated.id == func.coalesce(Activation.stated_by, Activation.id))
        .join(Unit, Unit.id == _stated.unit_id)
        .join(DeviceModel, DeviceModel.id == Unit.model_id)
        .join(Organisation, Organisation.id == Card.holder_id)
        .outerjoin(DataKey, (DataKey.organisation_id == Card.holder_id) & (DataKey.month == sealing.month_of(now)))
        .where(ReissueCard.reissue_id == reissue_id, ReissueCard.outcome == Outcome.WAITING)
        .where(among(session, ReissueCard.manifest_id, manifests))
        .order_by(ReissueCard.manifest_id)
    )  # fmt: skip
    return list(session.execute(query))


def counts(session: Session, reissue_id: UUID) -> dict[str, int]:
    """Return how many cards of an order have each outcome."""
    of_it = select(ReissueCard.outcome, func.count()).where(ReissueCard.reissue_id == reissue_id).group_by(ReissueCard.outcome)
    return dict(session.execute(of_it).all())


def organisations(session: Session, reissue_id: UUID) -> list[tuple[UUID, int]]:
    """Return the holders of an order's cards, with the number of manifests that took the place of others."""
    carried = func.count(ReissueCard.new_manifest_id)
    of_it = select(ReissueCard.organisation_id, carried).where(ReissueCard.reissue_id == reissue_id)
    rows = session.execute(of_it.group_by(ReissueCard.organisation_id).order_by(ReissueCard.organisation_id))
    return [(organisation_id, int(count)) for organisation_id, count in rows]


def list_cards(ctx: Context, outcome: str = "", reissue: UUID | None = None) -> Listing[ReissueCard]:
    """Return the cards that orders name, of those whose manifests the actor may see, by outcome and by order."""
    query = scoped(
        select(ReissueCard), ctx.actor, Operation.MANIFEST_VIEW, ReissueCard.organisation_id, unit=card_at_outlets(ReissueCard.card_id)
    )
    query = query.where(ReissueCard.outcome == outcome) if outcome else query
    return (query.where(ReissueCard.reissue_id == reissue) if reissue else query), ReissueCard.manifest_id


def of_manifest(ctx: Context, manifest_id: UUID) -> tuple[ReissueCard, Reissue] | None:
    """Return the newest order that names a manifest, or made it: whichever it is, its row of the order, and the order. None without one."""
    named = (ReissueCard.manifest_id == manifest_id) | (ReissueCard.new_manifest_id == manifest_id)
    query = select(ReissueCard, Reissue).join(Reissue, Reissue.id == ReissueCard.reissue_id).where(named)
    found = ctx.session.execute(query.order_by(Reissue.id.desc()).limit(1)).first()
    return (found[0], found[1]) if found else None


_MADE = Prepared(
    select(ReissueCard.new_manifest_id, ReissueCard.manifest_id, Reissue.cause)
    .join(Reissue, Reissue.id == ReissueCard.reissue_id)
    .where(ReissueCard.new_manifest_id.is_not(None), one_of_given(ReissueCard.new_manifest_id, "manifests"))
)


def made_for(session: Session, manifests: Collection[UUID]) -> dict[UUID, tuple[UUID, str]]:
    """Return for those of these manifests that an order made: the manifest that it replaces, and the order's cause."""
    return {row.new_manifest_id: (row.manifest_id, row.cause) for row in _MADE.read(session, {"manifests": manifests})}
