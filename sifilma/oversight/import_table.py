"""Import agreements (PKS) and models from tables: their columns, the faults of their rows, and the registration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import select

from sifilma.cards.import_table import FUNCTION, MODEL
from sifilma.cards.models import DeviceModel
from sifilma.cards.service import register_model, widen_model
from sifilma.documents.tables.columns import Column, Format, Kind
from sifilma.documents.tables.rows import Table
from sifilma.documents.tables.sheets import RowError
from sifilma.documents.tables.templates import Lookup
from sifilma.identity.models import Organisation
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.days import BEFORE_PAPERS, FIRST_PAPER
from sifilma.kernel.text import Text, comparison_key, say
from sifilma.oversight.models import Agreement
from sifilma.oversight.schemas import AgreementIn, ModelIn
from sifilma.oversight.service import register_agreement


def _named(ctx: Context, kind: OrganisationKind, names: Iterable[str]) -> dict[str, UUID]:
    query = select(Organisation.name, Organisation.id).where(Organisation.kind == kind, Organisation.name.in_(set(names)))
    return dict(ctx.session.execute(query).all())


def _known_agreements(ctx: Context) -> set[tuple[str, str]]:
    query = select(Organisation.name, Agreement.number).join(Agreement, Agreement.organisation_id == Organisation.id)
    return {_agreement_key(name, number) for name, number in ctx.session.execute(query)}


def _agreement_key(institution: str, number: str) -> tuple[str, str]:
    return comparison_key(institution), comparison_key(number)


def _agreement_faults(ctx: Context, rows: Mapping[int, AgreementIn]) -> Iterable[RowError]:
    institutions = _named(ctx, OrganisationKind.INSTITUTION, [row.institution for row in rows.values()])
    for number, row in rows.items():
        if row.institution not in institutions:
            yield RowError(number, "institution", "There is no institution of this name.")
        if row.valid_from < FIRST_PAPER:
            yield RowError(number, "valid_from", BEFORE_PAPERS)
        if row.valid_until < row.valid_from:
            yield RowError(number, "valid_until", "The agreement ends before it begins.")


def register_agreements(ctx: Context, rows: Sequence[AgreementIn], document_id: UUID | None = None) -> None:
    """Register checked rows. `document_id` is the PDF of a single one."""
    institutions = _named(ctx, OrganisationKind.INSTITUTION, [row.institution for row in rows])
    for row in rows:
        institution = ctx.session.get_one(Organisation, institutions[row.institution])
        register_agreement(ctx, institution, row.number, row.valid_from, row.valid_until, document_id)


def _known_models(ctx: Context) -> set[tuple[str, str]]:
    """Return what is registered as rows say it: a model for two functions is two rows."""
    models = ctx.session.scalars(select(DeviceModel))
    return {(comparison_key(model.name), function) for model in models for function in model.functions}


def _models_by_key(ctx: Context) -> dict[str, DeviceModel]:
    return {comparison_key(model.name): model for model in ctx.session.scalars(select(DeviceModel))}


def _model_faults(ctx: Context, rows: Mapping[int, ModelIn]) -> Iterable[RowError]:
    makers = _named(ctx, OrganisationKind.MANUFACTURER, [row.manufacturer for row in rows.values()])
    makers_of = {key: model.manufacturer_id for key, model in _models_by_key(ctx).items()}
    for number, row in rows.items():
        maker = makers.get(row.manufacturer)
        if maker is None:
            yield RowError(number, "manufacturer", "There is no manufacturer of this name.")
        elif makers_of.setdefault(comparison_key(row.name), maker) != maker:
            yield RowError(number, "manufacturer", "A model of this name is another manufacturer's.")


def _register_models(ctx: Context, rows: Sequence[ModelIn]) -> None:
    """Register checked rows: new models, and further functions of models there are."""
    makers, known = _named(ctx, OrganisationKind.MANUFACTURER, [row.manufacturer for row in rows]), _models_by_key(ctx)
    functions: dict[str, list[ModelIn]] = {}
    for row in rows:
        functions.setdefault(comparison_key(row.name), []).append(row)
    for key, same in functions.items():
        wanted = [row.function for row in same]
        if key in known:
            widen_model(ctx, known[key], *wanted)
        else:
            register_model(ctx, same[0].name, makers[same[0].manufacturer], *wanted)


def _list_of(ctx: Context, kind: OrganisationKind, column: str, title: Text) -> Lookup:
    names = ctx.session.scalars(select(Organisation.name).where(Organisation.kind == kind).order_by(Organisation.name))
    return Lookup(title, (say("Name"),), [(name,) for name in names], column)


NAMED = ("Nama model", "Nama", "Model", "Name")
DAY = say("A date: 31-12-2026.")
AGREEMENTS = Table(
    AgreementIn,
    form=Format(
        say("Agreements"),
        (
            Column(
                "institution",
                say("Institution"),
                ("Lembaga", "Nama lembaga"),
                required=True,
                expected=say("The name of a registered institution: choose one of the list."),
                example="BANK CONTOH",
            ),
            Column(
                "number",
                say("Agreement number (PKS)"),
                ("Nomor perjanjian", "Nomor perjanjian (PKS)", "Nomor PKS", "No. PKS", "Nomor", "Number", "Agreement number"),
                Kind.IDENTIFIER,
                required=True,
                expected=say("As written on the agreement."),
                example="119/1/PKS/2026",
            ),
            Column(
                "valid_from",
                say("Valid from"),
                ("Berlaku sejak", "Berlaku dari", "Mulai berlaku", "Tanggal mulai"),
                Kind.DAY,
                required=True,
                expected=DAY,
                example="01-01-2026",
            ),
            Column(
                "valid_until",
                say("Valid until"),
                ("Berlaku sampai", "Berlaku hingga", "Tanggal berakhir"),
                Kind.DAY,
                required=True,
                expected=DAY,
                example="31-12-2026",
            ),
        ),
    ),
    name="number",
    key=lambda row: _agreement_key(row.institution, row.number),
    known=_known_agreements,
    faults=_agreement_faults,
    register=register_agreements,
    lookups=lambda ctx: [_list_of(ctx, OrganisationKind.INSTITUTION, "institution", say("Institutions"))],
)
MODELS = Table(
    ModelIn,
    form=Format(
        say("Models"),
        (
            replace(
                MODEL,
                name="name",
                heading=say("Model name"),
                other=("Nama model", "Nama", "Model", "Name"),
                expected=say("As on the machine."),
            ),
            Column(
                "manufacturer",
                say("Manufacturer"),
                ("Produsen", "Nama produsen", "Pabrikan"),
                required=True,
                expected=say("The name of a registered manufacturer: choose one of the list."),
                example="PT CONTOH",
            ),
            FUNCTION,
        ),
    ),
    name="name",
    key=lambda row: (comparison_key(row.name), str(row.function)),
    known=_known_models,
    faults=_model_faults,
    register=_register_models,
    lookups=lambda ctx: [_list_of(ctx, OrganisationKind.MANUFACTURER, "manufacturer", say("Manufacturers"))],
)
