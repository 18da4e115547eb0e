"""Import agreements (PKS) and models from tables: their columns, the faults of their rows, and the registration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import select

from sifilma.cards.models import DeviceModel
from sifilma.cards.service import register_model
from sifilma.documents.rows import Table
from sifilma.documents.sheets import RowError
from sifilma.identity.models import Organisation
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.oversight.models import Agreement
from sifilma.oversight.schemas import AgreementIn, ModelIn
from sifilma.oversight.service import register_agreement


def _named(ctx: Context, kind: OrganisationKind, names: Iterable[str]) -> dict[str, UUID]:
    query = select(Organisation.name, Organisation.id).where(Organisation.kind == kind, Organisation.name.in_(set(names)))
    return dict(ctx.session.execute(query).all())


def _known_agreements(ctx: Context) -> set[tuple[str, str]]:
    query = select(Organisation.name, Agreement.number).join(Agreement, Agreement.organisation_id == Organisation.id)
    return {(name, number) for name, number in ctx.session.execute(query)}


def _agreement_faults(ctx: Context, rows: Mapping[int, AgreementIn]) -> Iterable[RowError]:
    institutions = _named(ctx, OrganisationKind.INSTITUTION, [row.institution for row in rows.values()])
    for number, row in rows.items():
        if row.institution not in institutions:
            yield RowError(number, "institution", "There is no institution of this name.")
        if row.valid_until < row.valid_from:
            yield RowError(number, "valid_until", "The agreement ends before it begins.")


def register_agreements(ctx: Context, rows: Sequence[AgreementIn], document_id: UUID | None = None) -> None:
    """Register checked rows. `document_id` is the PDF of a single one."""
    institutions = _named(ctx, OrganisationKind.INSTITUTION, [row.institution for row in rows])
    for row in rows:
        institution = ctx.session.get_one(Organisation, institutions[row.institution])
        register_agreement(ctx, institution, row.number, row.valid_from, row.valid_until, document_id)


def _known_models(ctx: Context) -> set[str]:
    return set(ctx.session.scalars(select(DeviceModel.name)))


def _model_faults(ctx: Context, rows: Mapping[int, ModelIn]) -> Iterable[RowError]:
    makers = _named(ctx, OrganisationKind.MANUFACTURER, [row.manufacturer for row in rows.values()])
    for number, row in rows.items():
        if row.manufacturer not in makers:
            yield RowError(number, "manufacturer", "There is no manufacturer of this name.")


def _register_models(ctx: Context, rows: Sequence[ModelIn]) -> None:
    makers = _named(ctx, OrganisationKind.MANUFACTURER, [row.manufacturer for row in rows])
    for row in rows:
        register_model(ctx, row.name, makers[row.manufacturer], row.function)


AGREEMENTS = Table(
    AgreementIn,
    required=("institution", "number", "valid_from", "valid_until"),
    optional=(),
    name="number",
    key=lambda row: (row.institution, row.number),
    known=_known_agreements,
    faults=_agreement_faults,
    register=register_agreements,
)
MODELS = Table(
    ModelIn,
    required=("name", "manufacturer", "function"),
    optional=(),
    name="name",
    key=lambda row: row.name,
    known=_known_models,
    faults=_model_faults,
    register=_register_models,
)
