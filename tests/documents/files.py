"""Real files, good and bad, made on the spot."""

from __future__ import annotations

import io
import subprocess
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import typst
import xlsxwriter

DIGEST = "0123456789abcdef" * 4


def letter(text: str = "Permohonan personalisasi kartu SAM") -> bytes:
    """A letter as an office would print it."""
    pdf: bytes = typst.compile(f'#set page(paper: "a5")\n{text}'.encode())
    return pdf


def pdf(*objects: bytes) -> bytes:
    """A PDF by hand: a header, the objects, a trailer. No cross-reference table: viewers rebuild it."""
    body = b"\n".join(b"%d 0 obj\n%s\nendobj" % (number, value) for number, value in enumerate(objects, start=1))
    return b"%PDF-1.7\n" + body + b"\ntrailer << /Root 1 0 R >>\nstartxref\n0\n%%EOF\n"


def stream(dictionary: bytes, body: bytes, eol: bytes = b"\n") -> bytes:
    """A stream object's value."""
    return b"<< /Length %d %s >>\nstream%s%s\nendstream" % (len(body), dictionary, eol, body)


def object_stream(content: bytes, extra: bytes = b"", eol: bytes = b"\n") -> bytes:
    """A compressed object stream with this content."""
    return stream(b"/Type /ObjStm /N 1 /First 4 /Filter /FlateDecode " + extra, zlib.compress(content), eol)


def picture(folder: Path, kind: str, dpi: int = 40) -> bytes:
    """A JPEG (`jpeg`) or PNG (`png`) of a page, made by poppler."""
    (folder / "page.pdf").write_bytes(letter())
    subprocess.run(["pdftoppm", f"-{kind}", "-r", str(dpi), "-singlefile", folder / "page.pdf", folder / "page"], check=True)
    return next(folder.glob("page.[jp][pn]g")).read_bytes()


def xlsx(*lines: Sequence[object], far: tuple[int, int] | None = None) -> bytes:
    """A workbook with these rows, typed as a person would have typed them; `far` adds one more cell at (row, column) from 0."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        for row, line in enumerate(lines):
            sheet.write_row(row, 0, line)
        if far:
            sheet.write_string(*far, "x")
    return out.getvalue()


def rezipped(source: bytes, replace: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """The same archive with some entries replaced or added."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(source)) as old, zipfile.ZipFile(out, "w", method) as new:
        for name in [*old.namelist(), *(set(replace) - set(old.namelist()))]:
            new.writestr(name, replace[name] if name in replace else old.read(name))
    return out.getvalue()


def text_of(document: bytes, folder: Path) -> str:
    """What poppler reads in a PDF, white space evened out."""
    path = folder / "document.pdf"
    path.write_bytes(document)
    done = subprocess.run(["pdftotext", "-layout", path, "-"], check=True, capture_output=True, text=True)
    return " ".join(done.stdout.split())
