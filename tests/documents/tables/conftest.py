"""What the tests of tables share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sifilma.documents.tables import sheets
from sifilma.documents.tables.csv_child import read_csv
from sifilma.documents.tables.xlsx_child import read_xlsx


@pytest.fixture(scope="module")
def near() -> Iterator[None]:
    """Read in this process what a child reads otherwise (test_sheets.py, test_reading.py): its start would take most of the time."""

    def read(kind: str, data: bytes, *arguments: object, most: int) -> bytes:
        answer = {"csv": read_csv, "xlsx": read_xlsx}[kind](data, *map(str, arguments))
        assert len(answer) <= most
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sheets, "read_in_child", read)
        yield
