"""The UIDs of blank SAMs from a file."""

from __future__ import annotations

from dataclasses import dataclass, field

from sifilma.cards.import_table import SAM_UID, needed
from sifilma.documents.service import Upload
from sifilma.documents.tables import sheets
from sifilma.documents.tables.columns import Format
from sifilma.documents.tables.rows import NO_SHEET, parsed
from sifilma.documents.tables.sheets import RowError, Sheet
from sifilma.documents.tables.templates import Filled
from sifilma.kernel.context import Context
from sifilma.kernel.text import say
from sifilma.personalisation.blanks.schemas import MOST, BlankRowIn

BLANKS = Format(say("Blank SAMs"), (needed(SAM_UID),))


@dataclass(frozen=True)
class Given:
    """UIDs by their rows (or their numbers in a list), the errors of the others, and the sheet they came in."""

    rows: dict[int, str]
    errors: list[RowError] = field(default_factory=list)
    sheet: Sheet = NO_SHEET


def read_blanks(ctx: Context, file: Upload) -> Given:
    """Read the UIDs of a CSV or XLSX file. Raise Invalid if it is no such table or longer than MOST rows."""
    sheet = sheets.read(file.data, BLANKS, max_rows=MOST, field="file")
    ctx.warn(sheet.warnings)
    rows, errors = parsed(sheet, BlankRowIn)
    return Given({number: row.sam_uid for number, row in rows.items()}, errors, sheet)


def template() -> Filled:
    """Return an empty table of blanks."""
    return Filled(BLANKS, (), guided=True)
