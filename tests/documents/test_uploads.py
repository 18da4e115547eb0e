"""The checks of uploads: which PDFs and photos are accepted, and which are refused."""

from __future__ import annotations

import hashlib
import struct
import time
import zlib
from pathlib import Path

import pytest

from sifilma.documents.uploads import MAX_INFLATED, MAX_PDF, clean_name, inspect_image, inspect_pdf
from sifilma.kernel.errors import Invalid
from tests.documents.files import letter, object_stream, pdf, picture, stream

CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"
PAGES = b"<< /Type /Pages /Kids [] /Count 0 >>"
SCRIPT = b"<< /S /JavaScript /JS (app.alert\\(1\\)) >>"


def test_an_ordinary_letter_is_accepted_with_its_digest() -> None:
    data = letter()
    facts = inspect_pdf(data)
    assert (facts.sha256, facts.size, facts.media_type) == (hashlib.sha256(data).hexdigest(), len(data), "application/pdf")


def test_an_object_stream_without_actions_is_accepted() -> None:
    assert inspect_pdf(pdf(CATALOG, PAGES, object_stream(b"4 0 << /Type /Font /BaseFont /AAAAAA+Times >>")))


def test_an_open_action_that_only_shows_a_page_is_accepted() -> None:
    assert inspect_pdf(pdf(b"<< /Type /Catalog /Pages 2 0 R /OpenAction [3 0 R /XYZ null null 0] >>", PAGES))


def test_letters_in_compressed_bytes_are_not_taken_for_an_action() -> None:
    assert inspect_pdf(pdf(CATALOG, PAGES, stream(b"/Filter /DCTDecode", b"\xff\xd8\x00/JS \x01/AA<\x02")))


ACTIVE = {
    "script": SCRIPT,
    "script with escaped letters": b"<< /S /J#61vaScript /#4a#53 (x) >>",
    "script with upper-case escapes": b"<< /S /#4AavaScript >>",
    "open action by reference": b"<< /Type /Catalog /OpenAction 9 0 R >>",
    "open action behind a comment": b"<< /OpenAction %\n<< /S /URI /URI (http://example.org) >> >>",
    "open action with escapes": b"<< /Open#41ction << /S /GoTo >> >>",
    "program": b"<< /S /Launch /F (cmd.exe) >>",
    "attachment": b"<< /EF << /F 7 0 R >> /Type /EmbeddedFile >>",
    "attachments by name": b"<< /Names << /EmbeddedFiles 4 0 R >> >>",
    "form script": b"<< /XFA 4 0 R >>",
    "additional actions": b"<< /AA << /O 5 0 R >> >>",
    "media": b"<< /Subtype /RichMedia >>",
    "form that is sent": b"<< /S /SubmitForm /F (http://example.org) >>",
}


@pytest.mark.parametrize("value", ACTIVE.values(), ids=ACTIVE.keys())
def test_active_content_is_refused(value: bytes) -> None:
    with pytest.raises(Invalid, match="active content"):
        inspect_pdf(pdf(CATALOG, PAGES, value))


@pytest.mark.parametrize("value", ACTIVE.values(), ids=ACTIVE.keys())
def test_active_content_is_refused_inside_an_object_stream(value: bytes) -> None:
    with pytest.raises(Invalid, match="active content"):
        inspect_pdf(pdf(CATALOG, PAGES, object_stream(b"4 0 " + value)))


def predicted(content: bytes) -> bytes:
    """Encode with PNG prediction "none" in rows of four bytes: each row begins with an extra byte, which splits every name."""
    return b"".join(b"\0" + content[start : start + 4] for start in range(0, len(content), 4))


HIDDEN = {
    "line ends with CR": pdf(CATALOG, PAGES, object_stream(SCRIPT, eol=b"\r")),
    "escaped type": pdf(CATALOG, PAGES, object_stream(SCRIPT).replace(b"/ObjStm", b"/Obj#53tm")),
    "far from its keyword": pdf(CATALOG, PAGES, object_stream(SCRIPT, b" " * 9000)),
    "behind the word obj in a comment": pdf(CATALOG, PAGES, object_stream(SCRIPT, b"%obj\n")),
    "in the body of another stream": pdf(CATALOG, PAGES, b"<< >>\nstream\n" + SCRIPT + b"\nendstream"),
    "object stream in the body of another stream": pdf(CATALOG, b"<< >>\nstream\n" + object_stream(SCRIPT)),
    "comment between dictionary and keyword": pdf(CATALOG, PAGES, object_stream(SCRIPT).replace(b">>\nstream", b">>%\nstream")),
    "no line end after the keyword": pdf(CATALOG, PAGES, object_stream(SCRIPT, eol=b"")),
    "hex around the deflate": pdf(
        CATALOG, stream(b"/Type /ObjStm /Filter [/ASCIIHexDecode /FlateDecode]", zlib.compress(SCRIPT).hex().encode())
    ),
    "predictor": pdf(CATALOG, PAGES, object_stream(predicted(SCRIPT), b"/DecodeParms << /Predictor 12 /Columns 4 >>")),
}


@pytest.mark.parametrize("data", HIDDEN.values(), ids=HIDDEN.keys())
def test_hidden_active_content_is_found(data: bytes) -> None:
    with pytest.raises(Invalid, match=r"active content|cannot be read"):
        inspect_pdf(data)


def test_an_encrypted_pdf_is_refused_with_advice() -> None:
    with pytest.raises(Invalid, match="without a password"):
        inspect_pdf(pdf(CATALOG, PAGES).replace(b"trailer <<", b"trailer << /Encrypt 5 0 R"))


@pytest.mark.parametrize("size", [MAX_INFLATED + 1, 400 * 1024 * 1024])
def test_a_deflate_bomb_is_refused_quickly(size: int) -> None:
    packer, packed = zlib.compressobj(9), b""
    for _ in range(size // 1_048_576 + 1):
        packed += packer.compress(b"/A " * 349_526)
    bomb = stream(b"/Type /ObjStm /Filter /FlateDecode", packed + packer.flush())
    before = time.process_time()
    with pytest.raises(Invalid, match="unreasonable size"):
        inspect_pdf(pdf(CATALOG, PAGES, bomb))
    assert time.process_time() - before < 2


def test_many_small_deflate_bombs_share_one_limit() -> None:
    part = object_stream(b"/A " * (MAX_INFLATED // 9))
    with pytest.raises(Invalid, match="unreasonable size"):
        inspect_pdf(pdf(CATALOG, PAGES, part, part, part, part))


@pytest.mark.parametrize("filler", [b"/", b"#4a", b">>\nstream\nendstream\n", b">> ", b"stream\n", b"/OpenAction ["])
def test_ten_megabytes_of_one_token_take_seconds_at_most(filler: bytes) -> None:
    data = b"%PDF-1.7\n" + filler * ((MAX_PDF - 100) // len(filler)) + b"\n%%EOF"
    before = time.process_time()
    inspect_pdf(data)
    assert time.process_time() - before < 5


NOT_PDF = {
    "empty": b"",
    "program": b"MZ\x90\x00" + b"\0" * 100,
    "header further down": b"<html>" + b" " * 900 + letter(),
    "cut": letter()[:-200],
    "photo": b"\xff\xd8\xff\xe0" + b"\0" * 100,
    "page called pdf": b"<script>alert(1)</script>",
}


@pytest.mark.parametrize("data", NOT_PDF.values(), ids=NOT_PDF.keys())
def test_an_incomplete_pdf_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        inspect_pdf(data, "purchase_order")
    assert refused.value.errors[0]["field"] == "purchase_order"


def test_a_stream_without_an_end_is_refused() -> None:
    with pytest.raises(Invalid, match="cut short"):
        inspect_pdf(pdf(CATALOG, b"<< /Length 5 >>\nstream\nabc"))


def test_a_file_above_the_limit_is_refused() -> None:
    with pytest.raises(Invalid, match="larger than 10 MB"):
        inspect_pdf(letter() + b"\0" * MAX_PDF)


@pytest.mark.parametrize(("kind", "media_type"), [("jpeg", "image/jpeg"), ("png", "image/png")])
def test_photos_are_accepted(kind: str, media_type: str, tmp_path: Path) -> None:
    assert inspect_image(picture(tmp_path, kind)).media_type == media_type


def test_a_jpeg_with_fill_bytes_between_its_segments_is_accepted(tmp_path: Path) -> None:
    data = picture(tmp_path, "jpeg")
    assert inspect_image(data[:2] + b"\xff\xff" + data[2:]).media_type == "image/jpeg"


def test_a_picture_with_too_many_pixels_is_refused_by_its_header(tmp_path: Path) -> None:
    data = picture(tmp_path, "png")
    with pytest.raises(Invalid, match="25 megapixels"):
        inspect_image(data[:16] + struct.pack(">II", 60_000, 60_000) + data[24:])


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"\xff\xd8\xff", b"\xff\xd8\xff" + b"\0" * 50, b"\x89PNG\r\n\x1a\n", b"<svg/>", b"\xff\xd8\xff\xff" * 9]
)
def test_a_file_that_is_not_a_photo_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        inspect_image(data)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("surat.pdf", "surat.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\a\\surat.pdf", "surat.pdf"),
        ("a\x00b\r\nc.pdf", "abc.pdf"),
        ("faktur\u202efdp.exe", "fakturfdp.exe"),
        ('a"b<c>.pdf', "a_b_c_.pdf"),
        ("..", "berkas"),
        ("", "berkas"),
        ("n" * 300 + ".pdf", "n" * 116 + ".pdf"),
    ],
)
def test_file_names_are_cleaned_for_display(given: str, kept: str) -> None:
    assert clean_name(given) == kept
