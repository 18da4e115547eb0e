"""Letters as real people's programs write them: a table of files, each with what every door says of it."""

from __future__ import annotations

import io

import pytest

from sifilma.documents.uploads import inspect_pdf
from sifilma.kernel.errors import Invalid
from tests.support.visitor import Visitor
from tests.support.world import World, done

TAKEN = ""
EMPTY = "The file is empty."
NO_PDF = "This is not a complete PDF file. Print it to PDF and upload that."
ACTIVE = "The PDF holds active content (%s). Print it to PDF and upload that."


def bare(
    *, before: bytes = b"", catalog: bytes = b"", page: bytes = b"", more: bytes = b"", header: bytes = b"1.4", behind: bytes = b"\n"
) -> bytes:
    """Return a PDF of one page without a cross-reference table, as it is written by hand and by some scanners."""
    return (
        before
        + b"%%PDF-%s\n1 0 obj<</Type/Catalog/Pages 2 0 R%s>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n" % (header, catalog)
        + b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]%s>>endobj\n%s" % (page, more)
        + b"trailer<</Size 4/Root 1 0 R>>\nstartxref\n0\n%%EOF"
        + behind
    )


SCRIPT = b"<</S/JavaScript/JS(app.alert\\(1\\))>>"
FILES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", EMPTY),
    "byte order mark before": (bare(before=b"\xef\xbb\xbf"), TAKEN),
    "line ends before": (bare(before=b"\r\n\r\n"), TAKEN),
    "printer commands before": (bare(before=b"\x1b%-12345X@PJL\r\n"), TAKEN),
    "no line end behind": (bare(behind=b""), TAKEN),
    "2000 zeros behind": (bare(behind=b"\n" + bytes(2000)), TAKEN),
    "a font called AA": (bare(page=b"/Resources<</Font<</AA 5 0 R>>>>"), TAKEN),
    "no scripts in the tree of names": (bare(catalog=b"/Names<</JavaScript null>>"), TAKEN),
    "opens at a place": (bare(catalog=b"/OpenAction[3 0 R/XYZ null null 0]"), TAKEN),
    "opens by an action at a place": (bare(catalog=b"/OpenAction<</S/GoTo/D[3 0 R/Fit]>>"), TAKEN),
    "opens by a reference to nothing": (bare(catalog=b"/OpenAction 4 0 R"), TAKEN),
    "turned": (bare(page=b"/Rotate 90"), TAKEN),
    "signed": (bare(catalog=b"/AcroForm<</SigFlags 3/Fields[5 0 R]>>"), TAKEN),
    "PDF 2.0": (bare(header=b"2.0"), TAKEN),
    "a page that calls itself PDF": (b"<html>%PDF-1.4 %%EOF", NO_PDF),
    "a text": (b"Dengan hormat,", NO_PDF),
    "cut off": (bare()[:-20], NO_PDF),
    "runs a script": (bare(catalog=b"/OpenAction" + SCRIPT), ACTIVE % "OpenAction"),
    "runs a script by reference": (bare(catalog=b"/OpenAction 9 0 R", more=b"9 0 obj" + SCRIPT + b"endobj\n"), ACTIVE % "OpenAction"),
    "runs a script with the page": (bare(page=b"/AA<</O" + SCRIPT + b">>"), ACTIVE % "AA"),
    "starts a program": (bare(catalog=b"/OpenAction<</S/Launch/F(x.exe)>>"), ACTIVE % "OpenAction"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "said"), FILES.values(), ids=FILES.keys())
def test_a_letter_is_taken_or_refused_with_what_to_do(data: bytes, said: str) -> None:
    if said == TAKEN:
        assert inspect_pdf(data).size == len(data)
        return
    with pytest.raises(Invalid) as refused:
        inspect_pdf(data)
    assert [(error["field"], error["message"]) for error in refused.value.errors] == [("letter", said)]


def test_the_pages_and_the_api_say_the_same_of_a_letter(sqlite_world: World) -> None:
    """One file of each answer at each door; the doors share the check above."""
    stated = {"function": "RW", "quantity": 1}
    for name in ("line ends before", "a page that calls itself PDF", "runs a script"):
        data, said = FILES[name]
        answer = sqlite_world.client("magetan.kepala").send("/personalisation-requests", sqlite_world.letter() | stated, letter=data)
        if said == TAKEN:
            done(answer, 201)
            continue
        assert (answer.status_code, answer.json["errors"][0]["message"]) == (422, said)
        page = Visitor(sqlite_world, "magetan.kepala")
        typed = {**sqlite_world.letter(), "function": "RW", "quantity": "1"}
        page.send("/personalisasi/baru", **typed, letter=(io.BytesIO(data), "surat.pdf"))
        assert "Cetak ke PDF" in page.seen
