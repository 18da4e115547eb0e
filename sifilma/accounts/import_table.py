"""Import organisations from a table: its columns, the faults of its rows, and the registration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import select

from sifilma.accounts.schemas import OrganisationIn
from sifilma.accounts.service import register_organisation
from sifilma.documents.tables.columns import Column, Format, Kind
from sifilma.documents.tables.lookups import office_regions
from sifilma.documents.tables.rows import Table
from sifilma.documents.tables.sheets import RowError
from sifilma.identity.models import Organisation
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.text import say
from sifilma.regions.codes import level
from sifilma.regions.service import is_loaded, names_of

LEVELS = {OrganisationKind.PROVINCE_OFFICE: 1, OrganisationKind.REGENCY_OFFICE: 2}


def _known(ctx: Context) -> set[tuple[str, str]]:
    return {(kind, name) for kind, name in ctx.session.execute(select(Organisation.kind, Organisation.name))}


def _faults(ctx: Context, rows: Mapping[int, OrganisationIn]) -> Iterable[RowError]:
    """Yield a fault for an unknown region code, for an office without a code of its level, and for a second office of a region."""
    offices = select(Organisation.kind, Organisation.region_code).where(Organisation.kind.in_(LEVELS))
    taken = {(kind, code) for kind, code in ctx.session.execute(offices)}
    codes = {row.region_code for row in rows.values() if row.region_code}
    # As long as no region codes are imported, every code is accepted.
    regions = names_of(ctx.session, codes) if is_loaded(ctx.session) else dict.fromkeys(codes, "")
    for number, row in rows.items():
        if row.region_code and row.region_code not in regions:
            yield RowError(number, "region_code", "There is no such region code.")
        elif row.kind in LEVELS and (not row.region_code or level(row.region_code) != LEVELS[row.kind]):
            yield RowError(number, "region_code", "An office needs the code of its province (35) or of its regency or city (35.20).")
        elif row.kind in LEVELS and (row.kind, row.region_code) in taken:
            yield RowError(number, "region_code", "This region has its office already.")
        taken.add((row.kind, row.region_code))  # a later row of the same file must not name the region again


def _register(ctx: Context, rows: Sequence[OrganisationIn]) -> None:
    for row in rows:
        register_organisation(ctx, row.kind, row.name, row.region_code, row.address)


FORM = Format(
    say("Organisations"),
    (
        Column(
            "kind",
            say("Kind of organisation"),
            ("Jenis organisasi", "Jenis", "Kind"),
            Kind.CHOICE,
            required=True,
            expected=say("Choose one of the list."),
            example="institution",
            choices={
                OrganisationKind.INSTITUTION: (say("Institution"), "Lembaga"),
                OrganisationKind.REGENCY_OFFICE: (say("Regency office"), "Dinas kabupaten/kota"),
                OrganisationKind.PROVINCE_OFFICE: (say("Province office"), "Dinas provinsi"),
                OrganisationKind.MANUFACTURER: (say("Manufacturer"), "Produsen"),
            },
        ),
        Column(
            "name",
            say("Name of the organisation"),
            ("Nama organisasi", "Nama", "Name"),
            required=True,
            expected=say("In full, as in its official letters."),
            example="BANK CONTOH",
        ),
        Column(
            "region_code",
            say("Region code"),
            ("Kode wilayah", "Wilayah", "Region"),
            Kind.CODE,
            expected=say("Offices only: the code of the province (35), or of the regency or city (35.20)."),
            example="35.20",
        ),
        Column("address", say("Address"), ("Alamat",), expected=say("It may stay empty."), example="Jl. Merdeka 1"),
    ),
)
ORGANISATIONS = Table(
    OrganisationIn,
    form=FORM,
    name="name",
    key=lambda row: (row.kind, row.name),
    known=_known,
    faults=_faults,
    register=_register,
    lookups=lambda ctx: [office_regions(ctx, "region_code")],
)
