"""What the tests of files as people send them share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from sifilma.documents import uploads
from sifilma.documents.pdf_child import read_pdf
from sifilma.documents.tables import sheets
from sifilma.documents.tables.csv_child import read_csv
from sifilma.documents.tables.xlsx_child import read_xlsx

READERS: dict[str, Callable[..., bytes]] = {"csv": read_csv, "pdf": read_pdf, "xlsx": read_xlsx}


@pytest.fixture(scope="module")
def near() -> Iterator[None]:
    """Read in this process what a child reads otherwise (test_sheets.py, test_reading.py, test_uploads.py): its start takes longest."""

    def read(kind: str, data: bytes, *arguments: object, most: int) -> bytes:
        answer = READERS[kind](data, *map(str, arguments))
        assert len(answer) <= most
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sheets, "read_in_child", read)
        patch.setattr(uploads, "read_in_child", read)
        yield
