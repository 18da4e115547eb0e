"""Manifests for pages, with machine, place and proposals. The body is never shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from sifilma.activation.manifests.revocation import PROPOSALS
from sifilma.activation.models import Activation, Manifest, ManifestState, Revocation
from sifilma.activation.schemas import ManifestOut
from sifilma.activation.serializers import manifests_out
from sifilma.cards.models import DeviceModel, Unit
from sifilma.identity.models import Organisation, Person
from sifilma.kernel.context import Context
from sifilma.kernel.statements.built_once import one_of_given
from sifilma.kernel.statements.prepared import Prepared
from sifilma.regions.codes import WIDTHS
from sifilma.regions.service import names_of


@dataclass(frozen=True)
class Shown:
    """A manifest with the machine and the place it is for. `region` names village, district, regency and province."""

    of: ManifestOut
    organisation_id: UUID
    organisation: str
    unit_id: UUID
    hardware_number: str
    model: str
    has_key: bool
    address: str
    region: str
    region_code: str
    regency: str
    payload_hash: str
    previous_hash: str | None
    ended_at: datetime | None


@dataclass(frozen=True)
class Proposal:
    """A proposal to revoke a manifest. `is_own` is True if the actor proposed it, so that somebody else must decide."""

    id: UUID
    manifest: Shown
    reason: str
    proposed_at: datetime
    proposed_by: str
    is_own: bool


_PLACES = Prepared(
    select(Activation.manifest_id, Activation.address, Activation.region_code, Unit.id, Unit.hardware_number, Unit.public_jwk)
    .add_columns(DeviceModel.name.label("model"), Organisation.name.label("organisation"))
    .join(Unit, Unit.id == Activation.unit_id)
    .join(DeviceModel, DeviceModel.id == Unit.model_id)
    .join(Organisation, Organisation.id == Activation.organisation_id)
    .where(one_of_given(Activation.manifest_id, "manifests"))
)


def shown(ctx: Context, manifests: list[Manifest], public_url: str) -> list[Shown]:
    """Return manifests for a page, in a fixed number of queries."""
    rows = {row.manifest_id: row for row in _PLACES.read(ctx.session, {"manifests": [manifest.id for manifest in manifests]})}
    names = names_of(ctx.session, [row.region_code for row in rows.values()])
    outs = manifests_out(ctx, manifests, public_url)
    return [_shown(manifest, out, rows[manifest.id], names) for manifest, out in zip(manifests, outs, strict=True)]


def _shown(manifest: Manifest, out: ManifestOut, row: Any, names: dict[str, str]) -> Shown:
    code = row.region_code
    standing = manifest.state in (ManifestState.ACTIVE, ManifestState.SUSPENDED)
    return Shown(
        of=out,
        organisation_id=manifest.organisation_id,
        organisation=row.organisation,
        unit_id=row.id,
        hardware_number=row.hardware_number,
        model=row.model,
        has_key=row.public_jwk is not None,
        address=row.address,
        region=place_name(names, code),
        region_code=code,
        regency=names.get(code[:5], code),
        payload_hash=manifest.payload_hash,
        previous_hash=manifest.previous_hash,
        ended_at=None if standing else manifest.changed_at,
    )


def place_name(names: dict[str, str], code: str) -> str:
    """Return the names of a code from the village up to the province. Unknown parts are left out."""
    parts = [code[:end] for end in reversed(WIDTHS) if end <= len(code)]
    return ", ".join(names[part] for part in parts if part in names)


def proposals_shown(ctx: Context, proposals: list[Revocation], public_url: str) -> list[Proposal]:
    """Return proposals with their manifests and the names of their proposers."""
    query = select(Manifest).where(Manifest.id.in_([proposal.manifest_id for proposal in proposals]))
    manifests = {one.of.id: one for one in shown(ctx, list(ctx.session.scalars(query)), public_url)}
    persons = select(Person.id, Person.name).where(Person.id.in_({proposal.proposed_by_person for proposal in proposals}))
    people: dict[UUID, str] = dict(ctx.session.execute(persons).all())
    return [
        Proposal(
            proposal.id,
            manifests[proposal.manifest_id],
            proposal.reason,
            proposal.proposed_at,
            people[proposal.proposed_by_person],
            PROPOSALS.is_own(ctx, proposal),
        )
        for proposal in proposals
    ]
