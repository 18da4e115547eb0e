"""Manifests that orders issue anew, for pages: which took the place of which, in which machine, and what was passed over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from flask_babel import lazy_gettext as _
from sqlalchemy import select
from sqlalchemy.orm import aliased

from sifilma.activation.carrying.models import Outcome, Reissue, ReissueCard
from sifilma.activation.models import Activation, Manifest
from sifilma.cards.models import Card, Unit
from sifilma.identity.models import Organisation
from sifilma.kernel.context import Context
from sifilma.kernel.db import among

OUTCOMES: dict[str, Any] = {
    Outcome.WAITING.value: _("Is being issued"),
    Outcome.CARRIED.value: _("Issued anew"),
    Outcome.PASSED_OVER.value: _("Not issued anew"),
}
CAUSES: dict[str, Any] = {
    "compromised": _("The key that signed the former one was withdrawn."),
    "replaced": _("The key that signed the former one is replaced."),
}
_former, _new = aliased(Manifest), aliased(Manifest)


@dataclass(frozen=True)
class Shown:
    """A card of an order. `new_id`, `new_seq` and `new_state` are of the manifest that took the place of the one with `seq`."""

    uid: str
    hardware_number: str
    organisation: str
    manifest_id: UUID
    seq: int
    new_id: UUID | None
    new_seq: int | None
    new_state: str | None
    outcome: str
    reason: str
    cause: str
    ordered_at: datetime


def shown(ctx: Context, rows: Sequence[ReissueCard]) -> list[Shown]:
    """Return cards of orders for a page, in one query."""
    of = ReissueCard
    query = (
        select(of.reissue_id, of.manifest_id, Card.uid, Unit.hardware_number, Organisation.name.label("organisation"), _former.seq,
               _new.seq.label("new_seq"), _new.state.label("new_state"), Reissue.cause, Reissue.began_at)
        .join(Card, Card.id == of.card_id).join(Organisation, Organisation.id == of.organisation_id)
        .join(Reissue, Reissue.id == of.reissue_id).join(_former, _former.id == of.manifest_id)
        .join(Activation, Activation.id == _former.activation_id).join(Unit, Unit.id == Activation.unit_id)
        .outerjoin(_new, _new.id == of.new_manifest_id)
        .where(among(ctx.session, of.manifest_id, [row.manifest_id for row in rows]))
    )  # fmt: skip
    found = {(one.reissue_id, one.manifest_id): one for one in ctx.session.execute(query)}
    return [_shown(row, found[row.reissue_id, row.manifest_id]) for row in rows]


def _shown(row: ReissueCard, of: Any) -> Shown:
    return Shown(
        uid=of.uid,
        hardware_number=of.hardware_number,
        organisation=of.organisation,
        manifest_id=row.manifest_id,
        seq=of.seq,
        new_id=row.new_manifest_id,
        new_seq=of.new_seq,
        new_state=of.new_state,
        outcome=row.outcome,
        reason=row.reason,
        cause=of.cause,
        ordered_at=of.began_at,
    )
