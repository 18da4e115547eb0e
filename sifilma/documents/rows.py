"""Tables whose rows have one schema: their columns, the faults of rows, and the registration of valid rows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from sifilma.documents import sheets
from sifilma.documents.sheets import RowError, Sheet
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid
from sifilma.kernel.text import Wrong, say

Model = TypeVar("Model", bound=BaseModel)


def parsed(sheet: Sheet, schema: type[Model], *, passed_over: str = "") -> tuple[dict[int, Model], list[RowError]]:
    """Return the rows that the schema accepts, by row number, and the errors of the others.

    Empty cells, and those of the column `passed_over`, count as not given.
    """
    rows: dict[int, Model] = {}
    errors: list[RowError] = []
    for row in sheet.rows:
        try:
            rows[row.number] = schema.model_validate({name: text for name, text in row.cells.items() if text and name != passed_over})
        except ValidationError as refused:
            found = refused.errors(include_url=False)
            errors += [RowError(row.number, str((*error["loc"], "")[0]), Wrong(error)) for error in found]
    return rows, errors


def refuse(errors: Sequence[RowError]) -> None:
    """Raise Invalid if any row has an error, with all errors in the order of the file. No row is then registered."""
    if errors:
        found = sorted(errors, key=lambda error: (error.row, error.column))
        first = found[0]
        words = say("Row %(row)s, %(column)s: %(message)s", row=first.row, column=first.column, message=first.message)
        raise Invalid(words, errors=[error.as_dict() for error in found])


@dataclass(frozen=True)
class Table(Generic[Model]):
    """The rules of one kind of table.

    `key` identifies a row, `known` returns the keys that are registered already, `name` is the column to which errors of the key belong.
    `faults` returns the errors that keep rows from being registered.
    """

    schema: type[Model]
    required: tuple[str, ...]
    optional: tuple[str, ...]
    name: str
    key: Callable[[Model], Hashable]
    known: Callable[[Context], set[Any]]
    faults: Callable[[Context, Mapping[int, Model]], Iterable[RowError]]
    register: Callable[[Context, Sequence[Model]], None]

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that the first row of a file may name."""
        return (*self.required, *self.optional)

    def read(self, ctx: Context, data: bytes, max_rows: int, field: str = "file") -> tuple[list[Model], int]:
        """Read a CSV or XLSX file. Return its new rows and the number of known ones. Raise Invalid with every error of every row."""
        sheet = sheets.read(data, required=self.required, optional=self.optional, max_rows=max_rows, field=field)
        rows, errors = parsed(sheet, self.schema)
        new = self.checked(ctx, rows, errors)
        return new, len(sheet.rows) - len(new)

    def checked(self, ctx: Context, rows: Mapping[int, Model], errors: Sequence[RowError] = ()) -> list[Model]:
        """Return the rows that are not known yet. Raise Invalid with all errors of all rows."""
        known = self.known(ctx)
        new = {number: row for number, row in rows.items() if self.key(row) not in known}
        refuse([*errors, *self._twice(new), *self.faults(ctx, new)])
        return list(new.values())

    def _twice(self, rows: Mapping[int, Model]) -> Iterable[RowError]:
        seen: set[Hashable] = set()
        for number, row in rows.items():
            if self.key(row) in seen:
                yield RowError(number, self.name, "This is given twice.")
            seen.add(self.key(row))
