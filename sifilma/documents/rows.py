"""Tables of one kind of row: what their columns are, what is wrong with a row, and how good rows are registered."""

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


def parsed(sheet: Sheet, schema: type[Model]) -> tuple[dict[int, Model], list[RowError]]:
    """The rows as the schema takes them, by their numbers, and what is wrong with the others. Empty cells count as not given."""
    rows: dict[int, Model] = {}
    errors: list[RowError] = []
    for row in sheet.rows:
        try:
            rows[row.number] = schema.model_validate({name: text for name, text in row.cells.items() if text})
        except ValidationError as refused:
            found = refused.errors(include_url=False)
            errors += [RowError(row.number, str((*error["loc"], "")[0]), Wrong(error)) for error in found]
    return rows, errors


def refuse(errors: Sequence[RowError]) -> None:
    """Refuse all rows, where anything is wrong with any: Invalid, in the order of the file."""
    if errors:
        found = sorted(errors, key=lambda error: (error.row, error.column))
        first = found[0]
        words = say("Row %(row)s, %(column)s: %(message)s", row=first.row, column=first.column, message=first.message)
        raise Invalid(words, errors=[error.as_dict() for error in found])


@dataclass(frozen=True)
class Table(Generic[Model]):
    """`key` tells rows apart, `known` are the keys there are already, `name` the column a key is said to be in; `faults` are what
    keeps rows from being registered.
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
        """What the first row names."""
        return (*self.required, *self.optional)

    def read(self, ctx: Context, data: bytes, max_rows: int, field: str = "file") -> tuple[list[Model], int]:
        """The new rows of a CSV or XLSX file, and how many are known already. Invalid lists every error of every row."""
        sheet = sheets.read(data, required=self.required, optional=self.optional, max_rows=max_rows, field=field)
        rows, errors = parsed(sheet, self.schema)
        new = self.checked(ctx, rows, errors)
        return new, len(sheet.rows) - len(new)

    def checked(self, ctx: Context, rows: Mapping[int, Model], errors: Sequence[RowError] = ()) -> list[Model]:
        """The rows that are not known yet. Invalid names what is wrong with any of them."""
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
