"""The columns that name cards and machines in files; machines, and public keys for them, from a file, with its errors by row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import select

from sifilma.cards import proposals
from sifilma.cards.identifiers import perso_warning
from sifilma.cards.models import DeviceModel, Unit, UnitKeyChange
from sifilma.cards.outlets.models import Outlet
from sifilma.cards.outlets.queries import own_outlets
from sifilma.cards.proposals import NewKey
from sifilma.cards.queries import units_query
from sifilma.cards.schemas import CardRowIn, UnitIn, UnitKeyRowIn
from sifilma.cards.service import all_models, require_units, unit_errors
from sifilma.documents.service import Upload
from sifilma.documents.tables import sheets
from sifilma.documents.tables.columns import Column, Format, Kind
from sifilma.documents.tables.rows import parsed
from sifilma.documents.tables.sheets import RowError
from sifilma.documents.tables.templates import Filled, Lookup
from sifilma.identity.models import Organisation
from sifilma.identity.permissions import Operation
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.db import one_of
from sifilma.kernel.errors import Invalid
from sifilma.kernel.text import say

HARDWARE_NUMBER = Column(
    "hardware_number",
    say("Hardware number"),
    (
        "Nomor mesin",
        "No. mesin",
        "Nomor perangkat",
        "No. perangkat",
        "Nomor perangkat keras",
        "Nomor seri",
        "No. seri",
        "Serial number",
        "Hardware no.",
    ),
    Kind.IDENTIFIER,
    required=True,
    expected=say("As on the label of the machine."),
    example="CRD12140003",
)
MODEL = Column(
    "model",
    say("Model"),
    ("Nama model", "Model mesin", "Model perangkat", "Tipe", "Model name"),
    Kind.IDENTIFIER,
    required=True,
    expected=say("The name of a registered model: choose one of the list."),
    example="LEN-CRD-1",
)
FUNCTION = Column(
    "function",
    say("Function"),
    ("Fungsi", "Fungsi kartu"),
    Kind.CHOICE,
    expected=say("R or RW, as the model is made for. It may stay empty."),
    example="R",
    choices={"R": (say("R (read)"), "Baca", "Read"), "RW": (say("RW (read and write)"), "Baca Tulis", "Read and write")},
)
PCID = Column(
    "pcid",
    say("PCID"),
    ("PC ID", "Nomor PCID"),
    Kind.IDENTIFIER,
    expected=say("32 hexadecimal characters (0–9, A–F), from the manufacturer."),
    example="00112233445566778899AABBCCDDEEFF",
)
SAM_PERSO = Column(
    "sam_perso",
    say("SAM Perso"),
    ("Nomor SAM Perso", "Perso"),
    Kind.IDENTIFIER,
    expected=say("The 16 characters printed on the card. It may stay empty."),
    example="3015450100001234",
)
SAM_UID = Column(
    "sam_uid",
    say("UID of the SAM card"),
    ("UID kartu SAM", "UID kartu", "UID SAM", "UID"),
    Kind.IDENTIFIER,
    expected=say("16 hexadecimal characters (0–9, A–F), as printed on the card."),
    example="30154B01DEADBEEF",
)
PUBLIC_JWK = Column(
    "public_jwk",
    say("Public key (JWK)"),
    ("Kunci publik (JWK)", "Kunci publik", "Public key", "JWK"),
    expected=say("The public part of the unit's EC key (P-256) as a JWK: kty, crv, x and y. It may stay empty."),
)
OUTLET = Column(
    "outlet",
    say("Outlet"),
    ("Gerai", "Nama outlet", "Nama gerai", "Kode cabang", "Kode outlet", "Branch code"),
    Kind.IDENTIFIER,
    expected=say("The branch code or the name of an outlet that is registered. It may stay empty."),
    example="KC-001",
)
UNITS = Format(say("Units"), (HARDWARE_NUMBER, MODEL, FUNCTION, PCID, SAM_PERSO, OUTLET, PUBLIC_JWK))
KEYS = Format(
    say("Public keys"),
    (
        HARDWARE_NUMBER,
        replace(
            PUBLIC_JWK,
            required=True,
            expected=say("The public part of the unit's EC key (P-256) as a JWK: kty, crv, x and y."),
            example='{"kty":"EC","crv":"P-256","x":"…","y":"…"}',
        ),
        replace(PCID, expected=say("Only needed where units of several organisations have the same number.")),
    ),
)


def read_units(ctx: Context, file: Upload | None, max_rows: int) -> dict[int, UnitIn]:
    """Return the machines of a CSV or XLSX file by row number.

    Raise Invalid with every error of every row, numbered as in the file, or if the file is missing, no table, or longer than `max_rows`.
    """
    if file is None:
        raise Invalid.field("units", "Choose a file.")
    sheet = sheets.read(file.data, UNITS, max_rows=max_rows, field="units")
    ctx.warn(sheet.warnings)
    units, errors = parsed(sheet, UnitIn)
    ctx.warn(sheet.warning(row, SAM_PERSO.name, told) for row, unit in units.items() if (told := perso_warning(unit.sam_perso)))
    errors += [RowError(error["row"], error["field"], error["message"]) for error in unit_errors(ctx, units)]
    require_units(sheet.located(errors))
    return units


def propose_file(ctx: Context, file: Upload | None, max_rows: int) -> UnitKeyChange:
    """Propose the public keys of a file for units that are registered, as one change. Raise Invalid with every error of every row."""
    if file is None:
        raise Invalid.field("keys", "Choose a file.")
    sheet = sheets.read(file.data, KEYS, max_rows=max_rows, field="keys")
    ctx.warn(sheet.warnings)
    rows, errors = parsed(sheet, UnitKeyRowIn)
    units = _units(ctx, rows)
    keys: dict[int, NewKey] = {}
    for number, row in rows.items():
        fitting = [unit for unit in units.get(row.hardware_number, []) if row.pcid in (None, unit.pcid)]
        if len(fitting) == 1:
            keys[number] = NewKey(fitting[0], row.public_jwk)
        else:
            several, none = say("Several units have this number: give the PCID as well."), say("There is no such unit.")
            errors.append(RowError(number, "hardware_number", several if fitting else none))
    if errors:
        raise Invalid("Some keys cannot be proposed.", errors=sheet.located(errors))
    return proposals.propose(ctx, keys)


def _units(ctx: Context, rows: dict[int, Any]) -> dict[str, list[Unit]]:
    """Return the units for which the actor may propose keys, by hardware number. Units of several organisations may have the same."""
    named = one_of(ctx.session, Unit.hardware_number, [row.hardware_number for row in rows.values()])
    query = units_query(ctx, Operation.UNIT_KEY_PROPOSE).where(named)
    found: dict[str, list[Unit]] = {}
    for unit in ctx.session.scalars(query):
        found.setdefault(unit.hardware_number, []).append(unit)
    return found


def template(ctx: Context) -> Filled:
    """Return an empty table of machines, with the models and the outlets to choose from."""
    return Filled(UNITS, (), guided=True, lookups=[list_of_models(ctx, all_models(ctx)), *list_of_outlets(own_outlets(ctx))])


def list_of_outlets(outlets: Iterable[Outlet]) -> list[Lookup]:
    """Return a look-up sheet of outlets, if there are any: by branch code, or by name where they have none."""
    rows = [(one.called, one.name, one.address) for one in outlets]
    return [Lookup(say("List of outlets"), (OUTLET.heading, say("Name"), say("Address")), rows, OUTLET.name)] if rows else []


def list_of_models(ctx: Context, models: Iterable[DeviceModel]) -> Lookup:
    """Return a look-up sheet of models with their functions and makers."""
    makers = dict(
        ctx.session.execute(select(Organisation.id, Organisation.name).where(Organisation.kind == OrganisationKind.MANUFACTURER)).all()
    )
    rows = [(model.name, ", ".join(model.functions), makers.get(model.manufacturer_id, "")) for model in models]
    return Lookup(say("List of models"), (MODEL.heading, FUNCTION.heading, say("Manufacturer")), rows, MODEL.name)


def list_of_units(units: Iterable[Unit]) -> Lookup:
    """Return a look-up sheet of machines with their models."""
    rows = [(unit.hardware_number, unit.model.name, unit.function) for unit in units]
    return Lookup(say("List of units"), (HARDWARE_NUMBER.heading, MODEL.heading, FUNCTION.heading), rows, HARDWARE_NUMBER.name)


def needed(column: Column) -> Column:
    """Return a column that must be there in this kind of table."""
    return replace(column, required=True)


CARDS = Format(say("Cards"), (needed(SAM_UID),))


def read_cards(ctx: Context, file: Upload, max_rows: int) -> dict[int, str]:
    """Read the UIDs of a CSV or XLSX file that names cards, by row. Raise Invalid with every error of every row."""
    sheet = sheets.read(file.data, CARDS, max_rows=max_rows, field="card_list")
    ctx.warn(sheet.warnings)
    rows, errors = parsed(sheet, CardRowIn)
    if errors:
        raise Invalid("Some rows cannot be read.", errors=sheet.located(errors))
    return {number: row.sam_uid for number, row in rows.items()}
