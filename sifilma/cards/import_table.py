"""Register machines, and propose their public keys, from a file. The whole file is read, and errors are reported by row."""

from __future__ import annotations

from typing import Any

from sifilma.cards import key_changes
from sifilma.cards.key_changes import NewKey
from sifilma.cards.models import Unit, UnitKeyChange
from sifilma.cards.schemas import UnitIn, UnitKeyRowIn
from sifilma.cards.service import require_units, unit_errors, units_query
from sifilma.documents import sheets
from sifilma.documents.rows import parsed
from sifilma.documents.service import Upload
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid
from sifilma.kernel.text import say

REQUIRED = ("hardware_number", "model", "function")
OPTIONAL = ("pcid", "sam_perso", "public_jwk")
COLUMNS = (*REQUIRED, *OPTIONAL)
KEY_REQUIRED = ("hardware_number", "public_jwk")
KEY_OPTIONAL = ("pcid",)
KEY_COLUMNS = (*KEY_REQUIRED, *KEY_OPTIONAL)


def read_units(ctx: Context, file: Upload | None, max_rows: int) -> dict[int, UnitIn]:
    """Return the machines of a CSV or XLSX file by row number.

    Raise Invalid with every error of every row, numbered as in the file, or if the file is missing, no table, or longer than `max_rows`.
    """
    if file is None:
        raise Invalid.field("units", "Choose a file.")
    sheet = sheets.read(file.data, required=REQUIRED, optional=OPTIONAL, max_rows=max_rows, field="units")
    units, errors = parsed(sheet, UnitIn)
    found = [*(error.as_dict() for error in errors), *unit_errors(ctx, units)]
    require_units(sorted(found, key=lambda error: (error["row"], error["field"])))
    return units


def propose_file(ctx: Context, file: Upload | None, max_rows: int) -> UnitKeyChange:
    """Propose the public keys of a file for units that are registered, as one change. Raise Invalid with every error of every row."""
    if file is None:
        raise Invalid.field("keys", "Choose a file.")
    sheet = sheets.read(file.data, required=KEY_REQUIRED, optional=KEY_OPTIONAL, max_rows=max_rows, field="keys")
    rows, errors = parsed(sheet, UnitKeyRowIn)
    found = [error.as_dict() for error in errors]
    units = _units(ctx, rows)
    keys: dict[int, NewKey] = {}
    for number, row in rows.items():
        fitting = [unit for unit in units.get(row.hardware_number, []) if row.pcid in (None, unit.pcid)]
        if len(fitting) == 1:
            keys[number] = NewKey(fitting[0], row.public_jwk)
        else:
            several, none = say("Several units have this number: give the PCID as well."), say("There is no such unit.")
            found.append({"row": number, "field": "hardware_number", "message": several if fitting else none})
    if found:
        raise Invalid("Some keys cannot be proposed.", errors=sorted(found, key=lambda error: (error["row"], error["field"])))
    return key_changes.propose(ctx, keys)


def _units(ctx: Context, rows: dict[int, Any]) -> dict[str, list[Unit]]:
    """Return the units for which the actor may propose keys, by hardware number. Units of several organisations may have the same."""
    query = units_query(ctx, Operation.UNIT_KEY_PROPOSE).where(Unit.hardware_number.in_([row.hardware_number for row in rows.values()]))
    found: dict[str, list[Unit]] = {}
    for unit in ctx.session.scalars(query):
        found.setdefault(unit.hardware_number, []).append(unit)
    return found
