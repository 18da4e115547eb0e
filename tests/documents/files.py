"""Makes real files, valid and invalid."""

from __future__ import annotations

import csv
import io
import subprocess
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pikepdf
import typst
import xlsxwriter
from python_calamine import CalamineWorkbook

from sifilma.documents.tables.columns import MARKS, Column, Format
from sifilma.documents.tables.headings import key
from sifilma.kernel.text import say

DIGEST = "0123456789abcdef" * 4


@cache
def letter(text: str = "Permohonan personalisasi kartu SAM") -> bytes:
    """Make a PDF of a letter as an office prints it, the same for the same text."""
    pdf: bytes = typst.compile(f'#set page(paper: "a5")\n{text}'.encode(), timestamp=0)
    return pdf


def pdf(*objects: bytes) -> bytes:
    """Write a PDF by hand: header, objects, trailer. It has no cross-reference table, which viewers rebuild."""
    body = b"\n".join(b"%d 0 obj\n%s\nendobj" % (number, value) for number, value in enumerate(objects, start=1))
    return b"%PDF-1.7\n" + body + b"\ntrailer << /Root 1 0 R >>\nstartxref\n0\n%%EOF\n"


def paged(*objects: bytes, catalog: bytes = b"") -> bytes:
    """Write a PDF of one empty page by hand, with more objects from number 4 on; `catalog` are more entries of its catalogue."""
    pages = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>"
    return pdf(b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalog, pages, page, *objects)


def revised(data: bytes, *objects: bytes, trailer: bytes = b"") -> bytes:
    """Append objects with their numbers, a table of cross-references and a trailer, as a program does that keeps the older bytes."""
    start = int(data.rpartition(b"startxref")[2].split()[0])
    out, entries = bytearray(data + b"\n"), b""
    for value in objects:
        entries += b"%d 1\n%010d %05d n \n" % (int(value.split()[0]), len(out), 0)
        out += value + b"\n"
    size = max(50, *(int(value.split()[0]) + 1 for value in objects))
    out += b"xref\n%strailer << /Size %d /Root 1 0 R /Prev %d %s >>\nstartxref\n%d\n%%%%EOF\n" % (entries, size, start, trailer, len(out))
    return bytes(out)


def saved(**options: Any) -> Callable[[Callable[[pikepdf.Pdf], object]], bytes]:
    """Make a PDF of one page with pikepdf, changed by the decorated function, and saved with these options."""

    def make(change: Callable[[pikepdf.Pdf], object]) -> bytes:
        with pikepdf.new() as made:
            made.add_blank_page(page_size=(200, 200))
            change(made)
            out = io.BytesIO()
            made.save(out, **options)
        return out.getvalue()

    return make


def stream(dictionary: bytes, body: bytes, eol: bytes = b"\n") -> bytes:
    """Return the value of a stream object."""
    return b"<< /Length %d %s >>\nstream%s%s\nendstream" % (len(body), dictionary, eol, body)


def object_stream(content: bytes, extra: bytes = b"", eol: bytes = b"\n") -> bytes:
    """Return a compressed object stream with this content."""
    return stream(b"/Type /ObjStm /N 1 /First 4 /Filter /FlateDecode " + extra, zlib.compress(content), eol)


def picture(folder: Path, kind: str, dpi: int = 40) -> bytes:
    """Make a JPEG (`jpeg`) or PNG (`png`) of a page with poppler."""
    (folder / "page.pdf").write_bytes(letter())
    subprocess.run(["pdftoppm", f"-{kind}", "-r", str(dpi), "-singlefile", folder / "page.pdf", folder / "page"], check=True)
    return next(folder.glob("page.[jp][pn]g")).read_bytes()


def xlsx(*lines: Sequence[object], far: tuple[int, int] | None = None) -> bytes:
    """Make a workbook with these rows, with types as a person's input has them; `far` adds a cell at (row, column), counted from 0."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        for row, line in enumerate(lines):
            sheet.write_row(row, 0, line)
        if far:
            sheet.write_string(*far, "x")
    return out.getvalue()


def table_lines(table: bytes, form: Format | None = None) -> list[dict[str, str]]:
    """Return the rows of a CSV or XLSX file below its heading, by column, as another reader than ours sees them.

    Of a table that is made for people (`form`) the columns are named as in the API, and the rows that explain it are left out.
    """
    if table.startswith(b"PK"):
        read = CalamineWorkbook.from_filelike(io.BytesIO(table)).get_sheet_by_index(0).to_python(skip_empty_area=False)
        heading, *rows = [[str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell) for cell in row] for row in read]
    else:
        heading, *rows = csv.reader(io.StringIO(table.decode("utf-8-sig"), newline=""))
    if form is not None:
        heading = [form.keys[key(text)] for text in heading]
        rows = [row for row in rows if not row[0].casefold().startswith(MARKS)]
    return [dict(zip(heading, row, strict=True)) for row in rows]


def plain_form(required: Sequence[str], optional: Sequence[str] = ()) -> Format:
    """Return the format of a table with these columns of text."""
    columns = [Column(name, say(name), required=name in required) for name in (*required, *optional)]
    return Format(say("Table"), tuple(columns))


def rezipped(source: bytes, replace: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Copy a zip archive with some entries replaced or added."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(source)) as old, zipfile.ZipFile(out, "w", method) as new:
        for name in [*old.namelist(), *(set(replace) - set(old.namelist()))]:
            new.writestr(name, replace[name] if name in replace else old.read(name))
    return out.getvalue()


def text_of(document: bytes, folder: Path) -> str:
    """Return the text that poppler reads in a PDF, with single spaces."""
    path = folder / "document.pdf"
    path.write_bytes(document)
    done = subprocess.run(["pdftotext", "-layout", path, "-"], check=True, capture_output=True, text=True)
    return " ".join(done.stdout.split())


@contextmanager
def frugal(megabytes: int, seconds: float) -> Iterator[None]:
    """Assert that the block allocates at most `megabytes` and lasts at most `seconds`."""
    before = time.monotonic()
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < megabytes * 1024 * 1024
    assert time.monotonic() - before < seconds
