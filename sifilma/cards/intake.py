"""Machines registered by a file: read whole, refused row by row."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from sifilma.cards.models import Unit
from sifilma.cards.schemas import UnitIn
from sifilma.cards.service import require_units, save_units, unit_errors
from sifilma.documents import sheets
from sifilma.documents.service import Upload
from sifilma.documents.sheets import Row
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid
from sifilma.kernel.text import Wrong

REQUIRED = ("hardware_number", "model", "function")
OPTIONAL = ("pcid", "sam_perso")
COLUMNS = (*REQUIRED, *OPTIONAL)


def register_file(ctx: Context, file: Upload | None, max_rows: int) -> list[Unit]:
    """Register the machines of a CSV or XLSX file, all or none. Invalid lists every error of every row, by the file's own numbers."""
    if file is None:
        raise Invalid.field("units", "Choose a file.")
    sheet = sheets.read(file.data, required=REQUIRED, optional=OPTIONAL, max_rows=max_rows, field="units")
    errors: list[dict[str, Any]] = []
    units = {row.number: unit for row in sheet.rows if (unit := _parse(row, errors)) is not None}
    require_units(sorted(errors + unit_errors(ctx, units), key=lambda error: (error["row"], error["field"])))
    return save_units(ctx, list(units.values()))


def _parse(row: Row, errors: list[dict[str, Any]]) -> UnitIn | None:
    """The row as the schema takes it; what is wrong with it goes to `errors`. Empty cells count as not given."""
    try:
        return UnitIn.model_validate({name: text for name, text in row.cells.items() if text})
    except ValidationError as wrong:
        found = wrong.errors(include_url=False)
        errors += [{"row": row.number, "field": str(error["loc"][0]), "message": Wrong(error)} for error in found]
        return None
