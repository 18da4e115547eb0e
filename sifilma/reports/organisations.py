"""One organisation with what it holds, within the actor's scope."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from sqlalchemy import func, select

from sifilma.approvals.file_access import HandedOut, hand_out
from sifilma.cards.models import Card, CardState, Unit
from sifilma.cards.queries import cards_query, units_query
from sifilma.documents.lists import Export
from sifilma.identity.models import Organisation
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.kernel.file_store import FileStore
from sifilma.oversight.models import Agreement
from sifilma.regions.service import region_name
from sifilma.web.states import kind

EXPORT = Export(
    "organisasi",
    {
        _("Name"): lambda organisation: organisation.name,
        _("Kind"): lambda organisation: kind(organisation.kind),
        _("Region code"): lambda organisation: organisation.region_code or "",
    },
    orders={"nama": (_("Name"), Organisation.name)},
    counted=lambda number, words: ngettext("%(count)s organisation", "%(count)s organisations", number, count=words),
    filters={"nama": "", "jenis": ""},
)


@dataclass(frozen=True)
class Facts:
    """What the page shows. `units`, `cards` (counts by state) and `agreements` are None if the actor may not see them."""

    organisation: Organisation
    region: str
    units: int | None
    cards: list[tuple[str, int]] | None
    agreements: list[Agreement] | None


def get_facts(ctx: Context, organisation_id: UUID) -> Facts:
    """Return an organisation with its facts. Raise NotFound if there is none."""
    found = ctx.session.get(Organisation, organisation_id)
    if found is None:
        raise NotFound()
    units, cards = _units(ctx, found), _cards(ctx, found)
    linked = bool(units or cards)
    return Facts(found, region_name(ctx.session, found.region_code), units, cards, _agreements(ctx, found, linked=linked))


def agreement_document(ctx: Context, store: FileStore, organisation_id: UUID, agreement_id: UUID) -> HandedOut:
    """Return the PDF of an agreement, and record the download. Raise NotFound if the actor may not see it or there is none."""
    shown = get_facts(ctx, organisation_id).agreements or []
    agreement = next((one for one in shown if one.id == agreement_id), None)
    if agreement is None:
        raise NotFound()
    return hand_out(ctx, store, agreement.document_id, "agreement", agreement.id, organisation_id)


def _sees(ctx: Context, found: Organisation, operation: Operation) -> bool:
    """Return whether counts may be shown at all. Outside the directorate, those of the directorate are not.

    The counts themselves are within the actor's scope: all, the own, or linked rows.
    """
    return bool(grants(ctx.actor, operation)) and (ctx.actor.is_central or found.kind != OrganisationKind.DIRECTORATE)


def _units(ctx: Context, found: Organisation) -> int | None:
    if not _sees(ctx, found, Operation.UNIT_READ):
        return None
    query = units_query(ctx).with_only_columns(func.count(Unit.id)).where(Unit.organisation_id == found.id)
    count = ctx.session.scalar(query) or 0
    return count if count or _reaches(ctx, found) else None


def _cards(ctx: Context, found: Organisation) -> list[tuple[str, int]] | None:
    if not _sees(ctx, found, Operation.CARD_VIEW):
        return None
    query = cards_query(ctx).with_only_columns(Card.state, func.count()).where(Card.holder_id == found.id).group_by(Card.state)
    counts: dict[str, int] = dict(ctx.session.execute(query).all())
    return [(state.value, counts[state.value]) for state in CardState if state.value in counts] if counts or _reaches(ctx, found) else None


def _reaches(ctx: Context, found: Organisation) -> bool:
    """Return whether the actor's scope covers all rows of the organisation, so that a count of zero means there are none.

    True for central people, the own organisation, and the regencies of a province office.
    """
    own_regency = ctx.actor.organisation_kind is OrganisationKind.PROVINCE_OFFICE and found.kind == OrganisationKind.REGENCY_OFFICE
    in_province = own_regency and (found.region_code or "").startswith(f"{ctx.actor.region_code}.")
    return ctx.actor.is_central or found.id == ctx.actor.organisation_id or in_province


def _agreements(ctx: Context, found: Organisation, *, linked: bool) -> list[Agreement] | None:
    """Return the agreements (PKS), latest first, or None if the actor may not see them.

    Central people and offices read all, an institution its own, a manufacturer those of its buyers.
    """
    reads_all = ctx.actor.is_central or (ctx.actor.organisation_kind is not None and ctx.actor.organisation_kind.is_office)
    if found.kind != OrganisationKind.INSTITUTION or not (reads_all or linked or found.id == ctx.actor.organisation_id):
        return None
    query = select(Agreement).where(Agreement.organisation_id == found.id).order_by(Agreement.valid_until.desc())
    return list(ctx.session.scalars(query))
