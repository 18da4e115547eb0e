"""Import organisations from a table: its columns, the faults of its rows, and the registration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import select

from sifilma.accounts.schemas import OrganisationIn
from sifilma.accounts.service import register_organisation
from sifilma.documents.rows import Table
from sifilma.documents.sheets import RowError
from sifilma.identity.models import Organisation
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
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


ORGANISATIONS = Table(
    OrganisationIn,
    required=("kind", "name"),
    optional=("region_code", "address"),
    name="name",
    key=lambda row: (row.kind, row.name),
    known=_known,
    faults=_faults,
    register=_register,
)
