"""Register machines from a file. The whole file is read, and errors are reported by row."""

from __future__ import annotations

from sifilma.cards.models import Unit
from sifilma.cards.schemas import UnitIn
from sifilma.cards.service import require_units, save_units, unit_errors
from sifilma.documents import sheets
from sifilma.documents.rows import parsed
from sifilma.documents.service import Upload
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid

REQUIRED = ("hardware_number", "model", "function")
OPTIONAL = ("pcid", "sam_perso")
COLUMNS = (*REQUIRED, *OPTIONAL)


def register_file(ctx: Context, file: Upload | None, max_rows: int) -> list[Unit]:
    """Register the machines of a CSV or XLSX file, all or none.

    Raise Invalid with every error of every row, numbered as in the file, or if the file is missing, no table, or longer than `max_rows`.
    """
    if file is None:
        raise Invalid.field("units", "Choose a file.")
    sheet = sheets.read(file.data, required=REQUIRED, optional=OPTIONAL, max_rows=max_rows, field="units")
    units, errors = parsed(sheet, UnitIn)
    found = [*(error.as_dict() for error in errors), *unit_errors(ctx, units)]
    require_units(sorted(found, key=lambda error: (error["row"], error["field"])))
    return save_units(ctx, list(units.values()))
