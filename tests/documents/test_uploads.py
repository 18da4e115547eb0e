"""The checks of uploads: which PDFs and photos are accepted, and which are refused."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, ObjectStreamMode
from PIL import Image, PngImagePlugin

from sifilma.documents.pdf_child import read_pdf
from sifilma.documents.photo_child import read_photo
from sifilma.documents.reader_refusals import ACTIVE, BROKEN, ENCRYPTED, NO_PAGES, NOT_A_PDF, NotAccepted
from sifilma.documents.uploads import MAX_IMAGE, MAX_PDF, MAX_PIXELS, clean_name, clean_photo, inspect_pdf
from sifilma.kernel.errors import Invalid
from tests.documents.files import letter, object_stream, paged, pdf, picture, revised, saved, stream

SCRIPT = b"<< /S /JavaScript /JS (app.alert\\(1\\)) >>"


def refusal(data: bytes) -> str:
    """Return why the child refuses a PDF, without the cost of a process. Most rules are tried in this way."""
    with pytest.raises(NotAccepted) as refused:
        read_pdf(data)
    return refused.value.reason


def test_an_ordinary_letter_is_accepted_with_its_digest() -> None:
    data = letter()
    facts = inspect_pdf(data)
    assert (facts.sha256, facts.size, facts.media_type) == (hashlib.sha256(data).hexdigest(), len(data), "application/pdf")


AROUND = {
    "line ends before": b"\r\n\r\n" + letter(),
    "byte order mark before": b"\xef\xbb\xbf" + letter(),
    "printer commands before": b"\x1b%-12345X@PJL\r\n@PJL ENTER LANGUAGE=PDF\r\n" + letter(),
    "zeros behind": letter() + bytes(2000),
    "no line end": letter().rstrip(),
    "printer commands behind": letter() + b"\x1b%-12345X",
}


@pytest.mark.parametrize("data", AROUND.values(), ids=AROUND.keys())
def test_bytes_around_a_readable_pdf_are_no_reason_and_stay(data: bytes) -> None:
    facts = inspect_pdf(data)
    assert (facts.sha256, facts.size) == (hashlib.sha256(data).hexdigest(), len(data))


def link(pdf: pikepdf.Pdf) -> None:
    action = Dictionary(S=Name.URI, URI="https://example.go.id/surat")
    pdf.pages[0].Annots = Array([Dictionary(Type=Name.Annot, Subtype=Name.Link, Rect=[0, 0, 9, 9], A=action)])


def signed(pdf: pikepdf.Pdf) -> None:
    field = Dictionary(FT=Name.Sig, T="Tanda tangan", V=Dictionary(Type=Name.Sig, Filter=Name("/Adobe.PPKLite"), Contents=b"\0" * 9))
    pdf.Root.AcroForm = Dictionary(SigFlags=3, Fields=[pdf.make_indirect(field)])


def resources_with_short_names(pdf: pikepdf.Pdf) -> None:
    mask = Dictionary(Type=Name.Mask, S=Name.Luminosity)
    pdf.pages[0].Resources = Dictionary(
        Font={"/AA": Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)},
        XObject={"/JS": pdf.make_stream(b"\xff\xd8", Type=Name.XObject, Subtype=Name.Image)},
        ExtGState={"/AA": Dictionary(Type=Name.ExtGState, SMask=mask, D=[1, 0])},
    )


def empty_trees(pdf: pikepdf.Pdf) -> None:
    pdf.Root.Names = Dictionary(JavaScript={"/Names": Array()}, EmbeddedFiles=pdf.make_indirect(Dictionary(Names=[])))


HARMLESS = {
    "an object stream": paged(object_stream(b"4 0 << /Type /Font /BaseFont /AAAAAA+Times >>")),
    "an open action that is a place": paged(catalog=b"/OpenAction [3 0 R /XYZ null null 0]"),
    "an open action that shows a page": paged(catalog=b"/OpenAction << /S /GoTo /D [3 0 R /Fit] >>"),
    "an open action that is not there": paged(catalog=b"/OpenAction 9 0 R"),
    "an open action that turns a page": paged(catalog=b"/OpenAction << /S /Named /N /LastPage >>"),
    "no scripts": paged(catalog=b"/Names << /JavaScript null >> /AcroForm << /XFA [] >>"),
    "letters in compressed bytes": paged(stream(b"/Filter /DCTDecode", b"\xff\xd8\x00/JS \x01/AA<\x02")),
    "a link to the web": saved()(link),
    "a signature": saved()(signed),
    "a missing signature": paged(catalog=b"/AcroForm << /SigFlags 3 /Fields [5 0 R] >>"),
    "resources with short names": saved()(resources_with_short_names),
    "empty name trees": saved(object_stream_mode=ObjectStreamMode.generate)(empty_trees),
    "for the web": saved(linearize=True)(link),
    "an older version of a page": revised(saved()(link), b"3 0 obj << /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >> endobj"),
    "several signed versions": revised(revised(saved()(signed), b"40 0 obj << /A 1 >> endobj"), b"41 0 obj << /B 2 >> endobj"),
    "a stream that tells a wrong length": paged(b"<< /Length 9 >>\nstream\nabc\nendstream"),
    "version 2.0": paged().replace(b"%PDF-1.7", b"%PDF-2.0"),
}


@pytest.mark.parametrize("data", HARMLESS.values(), ids=HARMLESS.keys())
def test_what_a_letter_may_hold_is_not_called_active(data: bytes) -> None:
    assert read_pdf(data) == b""


ACTIONS = {
    "script": SCRIPT,
    "script with escaped letters": b"<< /S /J#61vaScript /#4a#53 (x) >>",
    "script with upper-case escapes": b"<< /S /#4AavaScript >>",
    "open action behind a comment": b"<< /OpenAction %\n<< /S /URI /URI (http://example.org) >> >>",
    "open action that prints": b"<< /OpenAction << /S /GoTo /Next << /S /Named /N /Print >> >> >>",
    "open action that follows another": b"<< /Open#41ction << /S /GoTo /Next [<< /S /GoTo >> << /S /URI /URI (http://a.id) >>] >> >>",
    "program": b"<< /S /Launch /F (cmd.exe) >>",
    "attachment": b"<< /EF << /F 7 0 R >> /Type /EmbeddedFile >>",
    "attachments by name": b"<< /Names << /EmbeddedFiles 40 0 R >> >>",
    "form script": b"<< /XFA 40 0 R >>",
    "additional actions": b"<< /AA << /O 50 0 R >> >>",
    "media": b"<< /Subtype /RichMedia >>",
    "form that is sent": b"<< /S /SubmitForm /F (http://example.org) >>",
    "form that is filled in": b"<< /S /ImportData /F (\\\\\\\\host\\\\share) >>",
    "another file": b"<< /S /GoToR /F (\\\\\\\\host\\\\share) >>",
    "a file in a file": b"<< /S /GoToE >>",
    "sound": b"<< /S /Rendition >>",
    "script behind a link": b"<< /A << /S /URI /URI ( java\\nscript:alert\\(1\\)) >> >>",
    "content that lies elsewhere": b"<< /F << /FS /URL /F (http://example.org) >> >>",
}


@pytest.mark.parametrize("value", ACTIONS.values(), ids=ACTIONS.keys())
def test_active_content_is_refused(value: bytes) -> None:
    assert refusal(paged(value)) == ACTIVE


@pytest.mark.parametrize("value", ACTIONS.values(), ids=ACTIONS.keys())
def test_active_content_is_refused_inside_an_object_stream(value: bytes) -> None:
    assert refusal(paged(object_stream(b"4 0 " + value))) == ACTIVE


def scripts_by_name(pdf: pikepdf.Pdf) -> None:
    pdf.Root.Names = Dictionary(JavaScript=Dictionary(Names=["a", pdf.make_indirect(Dictionary(S=Name.JavaScript, JS="app.alert(1)"))]))


def attached(pdf: pikepdf.Pdf) -> None:
    pdf.attachments["a.exe"] = b"MZ"


def when_a_page_opens(pdf: pikepdf.Pdf) -> None:
    pdf.pages[0].AA = Dictionary(O=pdf.make_indirect(Dictionary(S=Name.URI, URI="https://example.org")))


def form_in_xml(pdf: pikepdf.Pdf) -> None:
    pdf.Root.AcroForm = Dictionary(XFA=pdf.make_stream(b"<xdp/>"), Fields=[])


def video(pdf: pikepdf.Pdf) -> None:
    pdf.pages[0].Annots = Array([Dictionary(Type=Name.Annot, Subtype=Name.Screen, Rect=[0, 0, 9, 9])])


def kind_in_an_object_of_its_own(pdf: pikepdf.Pdf) -> None:
    pdf.Root.OpenAction = Dictionary(S=pdf.make_indirect(Name.JavaScript), JS=pdf.make_stream(b"app.alert(1)"))


WRITERS: dict[str, Callable[[pikepdf.Pdf], None]] = {
    made.__name__: made for made in (scripts_by_name, attached, when_a_page_opens, form_in_xml, video, kind_in_an_object_of_its_own)
}


@pytest.mark.parametrize("mode", [ObjectStreamMode.disable, ObjectStreamMode.generate], ids=["plain", "object streams"])
@pytest.mark.parametrize("change", WRITERS.values(), ids=WRITERS.keys())
def test_active_content_is_found_in_the_files_of_a_common_writer(change: Callable[[pikepdf.Pdf], None], mode: ObjectStreamMode) -> None:
    assert refusal(saved(object_stream_mode=mode)(change)) == ACTIVE


def predicted(content: bytes) -> bytes:
    """Encode with PNG prediction "none" in rows of four bytes: each row begins with an extra byte, which splits every name."""
    return b"".join(b"\0" + content[start : start + 4] for start in range(0, len(content), 4))


def untyped(data: bytes) -> bytes:
    """Return a file with object streams of which none says that it is one."""
    assert b"/Type /ObjStm" in data
    return data.replace(b"/Type /ObjStm", b"/Tipe /ObjXXX")


PACKED = b"4 0 " + SCRIPT
INSTEAD = b"3 0 obj << /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >> endobj"
HIDDEN = {
    "line ends with CR": paged(object_stream(PACKED, eol=b"\r")),
    "escaped type": paged(object_stream(PACKED).replace(b"/ObjStm", b"/Obj#53tm")),
    "far from its keyword": paged(object_stream(PACKED, b" " * 9000)),
    "behind the word obj in a comment": paged(object_stream(PACKED, b"%obj\n")),
    "in the body of another stream": paged(b"<< >>\nstream\n" + SCRIPT + b"\nendstream"),
    "object stream in the body of another stream": paged(b"<< >>\nstream\n" + object_stream(PACKED)),
    "comment between dictionary and keyword": paged(object_stream(PACKED).replace(b">>\nstream", b">>%\nstream")),
    "no line end after the keyword": paged(object_stream(PACKED, eol=b"")),
    "hex around the deflate": paged(
        stream(b"/Type /ObjStm /N 1 /First 4 /Filter [/ASCIIHexDecode /FlateDecode]", zlib.compress(PACKED).hex().encode())
    ),
    "predictor": paged(object_stream(predicted(PACKED), b"/DecodeParms << /Predictor 12 /Columns 4 >>")),
    "no header in the object stream": paged(object_stream(SCRIPT)),
    "no type of the object stream": paged(object_stream(PACKED).replace(b"/Type /ObjStm", b"")),
    "no type of an object stream in the table": untyped(saved(object_stream_mode=ObjectStreamMode.generate)(scripts_by_name)),
    "an object that the table does not name": saved()(link).replace(b"\nxref", b"\n40 0 obj " + SCRIPT + b" endobj\nxref"),
    "an older version": revised(revised(saved()(link), b"3 0 obj << /A %s >> endobj" % SCRIPT), INSTEAD),
    "an older version in an object stream": revised(
        saved(object_stream_mode=ObjectStreamMode.generate)(scripts_by_name), *(b"%d 0 obj null endobj" % number for number in range(1, 9))
    ),
    "an older trailer": revised(
        revised(saved()(link), b"40 0 obj null endobj", trailer=b"/Info << /A %s >>" % SCRIPT), b"41 0 obj null endobj"
    ),
    "an object on the line of another": paged(b"<< >> endobj 50 0 obj << /XFA 51 0 R >> endobj 51 0 obj <<>> stream\n<xdp/>\nendstream"),
    "an open action on the line of another object": paged(
        b"<< >> endobj 50 0 obj << /S /Named /N /Print >> endobj", catalog=b"/OpenAction 50 0 R"
    ),
    "an object that cannot be read": paged(b"<< /A [ /B > >>"),
    "a header over several lines": paged(b"null endobj 50 %\r 0\0obj" + SCRIPT),
    "the first of two entries of one name": paged(catalog=b"/OpenAction << /S /URI /URI (http://a.id) >> /OpenAction [3 0 R /Fit]"),
    "a dictionary without an end": paged(b"<< /S /JavaScript /JS (x)"),
    "a text without an end": paged(b"<< /A (", SCRIPT),
}


@pytest.mark.parametrize("data", HIDDEN.values(), ids=HIDDEN.keys())
def test_hidden_active_content_is_found(data: bytes) -> None:
    assert refusal(data) in (ACTIVE, BROKEN)


def test_an_encrypted_pdf_is_refused_with_advice() -> None:
    locked = saved(encryption=pikepdf.Encryption(owner="a", user="b"))(link)
    readable = saved(encryption=pikepdf.Encryption(owner="a", user=""))(link)
    for data in (readable, paged().replace(b"trailer <<", b"trailer << /Encrypt 5 0 R")):
        assert refusal(data) == ENCRYPTED
    with pytest.raises(Invalid, match="without a password"):
        inspect_pdf(locked)


def test_the_refusal_names_what_was_found_and_says_what_to_do() -> None:
    for data, words in {
        paged(ACTIONS["program"]): "The PDF holds active content (Launch). Print it to PDF and upload that.",
        paged(b"<< /Type /ObjStm >>"): "The PDF has a part that cannot be read. Print it to PDF and upload that.",
        b"%PDF-1.4": "This is not a complete PDF file. Print it to PDF and upload that.",
    }.items():
        with pytest.raises(Invalid) as refused:
            inspect_pdf(data, "purchase_order")
        assert refused.value.errors == [{"field": "purchase_order", "message": words}]


def without_pages(pdf: pikepdf.Pdf) -> None:
    del pdf.pages[0]


NOT_PDF = {
    "empty": b"",
    "program": b"MZ\x90\x00" + b"\0" * 100 + letter(),
    "archive": b"PK\x03\x04" + letter(),
    "a page before it": b"<html>" + b" " * 900 + letter(),
    "header too far down": b" " * 1100 + letter(),
    "cut": letter()[:-200],
    "photo": b"\xff\xd8\xff\xe0" + b"\0" * 100,
    "page called pdf": b"<script>alert(1)</script>",
    "page with the words of a pdf": b"<html>%PDF-1.4 %%EOF",
    "words of a pdf": b"%PDF-1.4 %%EOF",
    "no pages": pdf(b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [] /Count 0 >>"),
    "no pages any more": saved()(without_pages),
    "a page that is not there": pdf(b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [9 0 R] /Count 1 >>"),
    "a stream without an end": paged(b"<< /Length 5 >>\nstream\nabc"),
    "random bytes": b"%PDF-1.7\n" + bytes(range(256)) * 40 + b"%%EOF",
}


@pytest.mark.parametrize("data", NOT_PDF.values(), ids=NOT_PDF.keys())
def test_an_incomplete_pdf_is_refused(data: bytes) -> None:
    assert refusal(data) in (NOT_A_PDF, NO_PAGES, BROKEN)


@pytest.mark.parametrize("name", ["no pages", "no pages any more", "a page that is not there"])
def test_a_pdf_without_pages_is_refused_as_such(name: str) -> None:
    assert refusal(NOT_PDF[name]) == NO_PAGES


def test_a_file_above_the_limit_is_refused() -> None:
    with pytest.raises(Invalid, match="larger than 10 MB"):
        inspect_pdf(letter() + b"\0" * MAX_PDF)


# --- photos ----------------------------------------------------------------------------------------------------------


def photo(kind: str = "JPEG", size: tuple[int, int] = (40, 20), **options: Any) -> bytes:
    """Make a photo whose upper left quarter is red, the rest white."""
    image = Image.new("RGB", size, "white")
    image.paste("red", (0, 0, size[0] // 2, size[1] // 2))
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def clean(data: bytes) -> Image.Image:
    """Return what is kept of a photo."""
    return Image.open(io.BytesIO(read_photo(data, str(MAX_PIXELS), str(MAX_IMAGE))))


def located(orientation: int = 1) -> Image.Exif:
    """Return EXIF as a phone writes it: make, orientation and position."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Telepon Contoh", orientation
    exif.get_ifd(0x8825).update({1: "S", 2: (7.0, 39.0, 15.0), 3: "E", 4: (111.0, 19.0, 40.0)})
    return exif


@pytest.mark.parametrize(("kind", "media_type"), [("jpeg", "image/jpeg"), ("png", "image/png")])
def test_photos_are_accepted(kind: str, media_type: str, tmp_path: Path) -> None:
    data, facts = clean_photo(picture(tmp_path, kind))
    assert (facts.media_type, facts.size, facts.sha256) == (media_type, len(data), hashlib.sha256(data).hexdigest())
    assert clean_photo(data)[1].media_type == media_type


def words_of(kind: str) -> dict[str, Any]:
    if kind == "JPEG":
        return {"comment": "Rahasia", "icc_profile": b"Rahasia" * 20}
    told = PngImagePlugin.PngInfo()
    told.add_text("Author", "Rahasia")
    told.add_itxt("XML:com.adobe.xmp", "<x>Rahasia</x>")
    return {"pnginfo": told, "icc_profile": b"Rahasia" * 20}


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_photo_does_not_tell_where_it_was_taken(kind: str) -> None:
    sent = photo(kind, exif=located(), dpi=(72, 72), **words_of(kind)) + b"Rahasia behind the end"
    assert b"Telepon Contoh" in sent
    data, _ = clean_photo(sent)
    kept = Image.open(io.BytesIO(data))
    assert not kept.getexif()
    assert not kept.info.keys() & {"exif", "comment", "icc_profile", "Author", "XML:com.adobe.xmp"}
    assert b"Telepon" not in data
    assert b"Rahasia" not in data


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(("orientation", "red"), [(1, (0, 0)), (3, (1, 1)), (6, (1, 0)), (8, (0, 1)), (2, (1, 0))])
def test_a_photo_stands_as_it_was_taken(kind: str, orientation: int, red: tuple[int, int]) -> None:
    kept = clean(photo(kind, exif=located(orientation))).convert("RGB")
    assert kept.size == ((20, 40) if orientation in (6, 8) else (40, 20))
    place = tuple(side // 4 + half * side // 2 for side, half in zip(kept.size, red, strict=True))
    found = kept.getpixel((place[0], place[1]))
    assert isinstance(found, tuple)
    assert found[0] > 200
    assert found[1] < 60


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_png_of_every_kind_stays_a_png(mode: str) -> None:
    out = io.BytesIO()
    Image.new(mode, (9, 9)).save(out, "PNG")
    assert clean(out.getvalue()).format == "PNG"


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_jpeg_of_every_kind_becomes_one_that_papers_show(mode: str) -> None:
    out = io.BytesIO()
    Image.new(mode, (9, 9)).save(out, "JPEG", progressive=True)
    assert clean(out.getvalue()).mode in ("L", "RGB")


def test_a_jpeg_with_fill_bytes_between_its_segments_is_accepted(tmp_path: Path) -> None:
    data = picture(tmp_path, "jpeg")
    assert clean(data[:2] + b"\xff\xff" + data[2:]).format == "JPEG"


def test_a_picture_with_too_many_pixels_is_refused_by_its_header(tmp_path: Path) -> None:
    data = picture(tmp_path, "png")
    header = data[12:16] + struct.pack(">II", 60_000, 60_000) + data[24:29]
    with pytest.raises(Invalid, match="25 megapixels"):
        clean_photo(data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:])


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"\xff\xd8\xff", b"\xff\xd8\xff" + b"\0" * 50, b"\x89PNG\r\n\x1a\n", b"<svg/>", b"\xff\xd8\xff\xff" * 9]
)
def test_a_file_that_is_not_a_photo_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        clean_photo(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_photo_that_ends_too_early_is_refused_by_its_name(kind: str) -> None:
    data = photo(kind, (400, 400))
    with pytest.raises(Invalid, match=r"The photo kartu\.jpg is damaged"):
        clean_photo(data[: len(data) // 2], name="kartu.jpg")


def test_a_photo_above_the_limit_is_refused() -> None:
    with pytest.raises(Invalid, match="larger than 8 MB"):
        clean_photo(photo() + bytes(MAX_IMAGE))


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
