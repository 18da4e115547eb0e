"""Tables whose rows have one schema: their columns, the faults of rows, and the registration of valid rows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from sifilma.documents.tables import sheets
from sifilma.documents.tables.columns import Format
from sifilma.documents.tables.sheets import RowError, Sheet
from sifilma.documents.tables.templates import Filled, Lookup
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid
from sifilma.kernel.repeats import repeats, same_as
from sifilma.kernel.text import Wrong, say

Model = TypeVar("Model", bound=BaseModel)
NO_SHEET = Sheet("", [])
"""For rows that came in no file."""


def parsed(sheet: Sheet, schema: type[Model]) -> tuple[dict[int, Model], list[RowError]]:
    """Return the rows that the schema accepts, by row number, and the errors of the others, those of single cells among them.

    Empty cells count as not given. What a schema says of a cell that could not be read is left out.
    """
    rows: dict[int, Model] = {}
    errors = list(sheet.faults)
    unread = {(fault.row, fault.column) for fault in sheet.faults}
    for row in sheet.rows:
        given = {name: text for name, text in row.cells.items() if text and (row.number, name) not in unread}
        try:
            rows[row.number] = schema.model_validate(given)
        except ValidationError as refused:
            found = [RowError(row.number, str((*error["loc"], "")[0]), Wrong(error)) for error in refused.errors(include_url=False)]
            errors += [error for error in found if (error.row, error.column) not in unread]
    for number, _ in unread:  # a row that the schema accepts without the cell
        rows.pop(number, None)
    return rows, errors


def refuse(errors: Sequence[RowError], sheet: Sheet | None = None) -> None:
    """Raise Invalid if any row has an error, with all errors in the order of the file. No row is then registered."""
    if errors:
        found = (sheet or NO_SHEET).located(errors)
        words = say("Row %(row)s, %(column)s: %(message)s", row=found[0]["row"], column=found[0]["field"], message=found[0]["message"])
        raise Invalid(words, errors=found)


@dataclass(frozen=True)
class Table(Generic[Model]):
    """The rules of one kind of table. `form` says how it is written in a file.

    `key` identifies a row, `known` returns the keys that are registered already, `name` is the column to which errors of the key belong.
    `faults` returns the errors that keep rows from being registered, `lookups` the sheets that help to fill a template in.
    """

    schema: type[Model]
    form: Format
    name: str
    key: Callable[[Model], Hashable]
    known: Callable[[Context], set[Any]]
    faults: Callable[[Context, Mapping[int, Model]], Iterable[RowError]]
    register: Callable[[Context, Sequence[Model]], None]
    lookups: Callable[[Context], Sequence[Lookup]] = lambda _: ()

    def template(self, ctx: Context) -> Filled:
        """Return an empty table with what it may be filled in with."""
        return Filled(self.form, (), guided=True, lookups=self.lookups(ctx))

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return self.form.names

    def read(self, ctx: Context, data: bytes, max_rows: int, field: str = "file") -> tuple[list[Model], int]:
        """Read a CSV or XLSX file. Return its new rows and the number of known ones. Raise Invalid with every error of every row."""
        sheet = sheets.read(data, self.form, max_rows=max_rows, field=field)
        ctx.warn(sheet.warnings)
        rows, errors = parsed(sheet, self.schema)
        new = self.checked(ctx, rows, errors, sheet)
        return new, len(sheet.rows) - len(new)

    def checked(self, ctx: Context, rows: Mapping[int, Model], errors: Sequence[RowError] = (), sheet: Sheet | None = None) -> list[Model]:
        """Return the rows that are not known yet. Raise Invalid with all errors of all rows."""
        known = self.known(ctx)
        new = {number: row for number, row in rows.items() if self.key(row) not in known}
        refuse([*errors, *self._twice(new), *self.faults(ctx, new)], sheet)
        return list(new.values())

    def _twice(self, rows: Mapping[int, Model]) -> Iterable[RowError]:
        for number, first in repeats({number: self.key(row) for number, row in rows.items()}).items():
            yield RowError(number, self.name, same_as(first))
