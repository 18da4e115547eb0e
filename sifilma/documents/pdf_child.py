"""Look through a PDF in the child process, for whatever makes a viewer run, load or send something.

Two readers of one damaged file may see two documents, so three questions are asked:

1. Every object that the cross-reference table names, as qpdf reads it (repairing what it can).
2. Every other object that a viewer might find by searching: each `N G obj` in the bytes, wherever it stands, each trailer, and each object
   of an object stream that the table does not name. They get numbers of their own in a copy of the file, and qpdf reads that.
3. Names in bytes that no viewer should take for objects: in the bodies of streams, and everywhere if qpdf could not make sense of a part.

What cannot be read with certainty is refused. The advice to print the letter to PDF then helps.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache

from pikepdf import DataDecodingError, Dictionary, Integer, Name, Object, ObjectType, PasswordError, Pdf, PdfError, XrefEntry
from pikepdf.settings import set_qpdf_limits

from sifilma.documents.pdf_actions import ActionFinder
from sifilma.documents.reader_refusals import ACTIVE, BROKEN, ENCRYPTED, NO_PAGES, NOT_A_PDF, TOO_MUCH, UNPACKED, NotAccepted

HEADER_WITHIN = 1024
"""Bytes before the header and after the end that viewers accept."""
MAX_INFLATED = 32 * 1024 * 1024
"""Bytes that one stream, or all object streams together, may unpack to. Pages and pictures are not unpacked."""
MAX_PARTS = 20_000
MAX_TRAILER = 64 * 1024
OTHER_KINDS = (b"MZ", b"PK\x03\x04", b"\x7fELF", b"GIF8", b"\x89PNG", b"\xff\xd8\xff", b"#!", b"Rar!", b"7z\xbc\xaf", b"\xd0\xcf\x11\xe0")
MAX_NUMBER = 8_388_607
"""The highest number of an object that viewers accept (ISO 32000-1, annex C)."""
MAX_DIGITS = 12
FIELD = 5  # bytes of a number in the cross-reference table that is made here

_Key = tuple[int, int]
_Table = Mapping[_Key, XrefEntry]

_GAP = rb"(?:[\0\t\n\f\r ]|%[^\r\n]{0,200}[\r\n])"
_OBJECT = re.compile(rb"(?<![0-9])([0-9]++)" + _GAP + rb"++([0-9]++)" + _GAP + rb"*+obj(?![A-Za-z])")
_TRAILER = re.compile(rb"trailer(?=" + _GAP + rb"*+<<)")
_NULL = re.compile(_GAP + rb"*+(?:null|endobj)")
_STREAM = re.compile(rb"stream")
# What qpdf says of a file whose objects it nevertheless reads as any viewer does.
_HARMLESS = re.compile(
    r"file is damaged|can't find startxref|Attempting to reconstruct cross-reference|cross-reference|xref|startxref"
    r"|Resources is missing or invalid|stream length|expected endstream|stream keyword followed by|reported number of objects"
    r"|/Length|EOF after endobj|expected endobj"
)
_TOO_LARGE = re.compile(r"memory limit exceeded")
_WITHOUT_PAGES = re.compile(r"no pages found|unable to find any pages")
_UNREADABLE = re.compile(r"unable to recover stream data")


def _names(*names: str, but: str = "null") -> re.Pattern[bytes]:
    """Return a pattern for PDF names that stand before anything but this. Each letter may be written as `#xx` (ISO 32000-1, 7.3.5)."""
    spelled = ("".join(f"(?:{letter}|#(?i:{ord(letter):02x}))" for letter in name) for name in names)
    return re.compile(rf"/({'|'.join(spelled)})(?=[\x00\t\n\x0c\r ()<>\[\]{{}}/%]|\Z)(?!\s*(?:{but}))".encode())


_LONG = _names(
    "JavaScript", "Launch", "EmbeddedFile", "EmbeddedFiles", "XFA", "RichMedia", "SubmitForm", "ImportData", "GoToE", "Rendition"
)
_GUESSED = _names("GoToR", "OpenAction", but=r"null|\[")
_SHORT = _names("JS", "AA")  # in compressed bytes they occur by chance
_ENCRYPT, _OBJECT_STREAM = _names("Encrypt"), _names("ObjStm")
_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")


def read_pdf(data: bytes) -> bytes:
    """Return nothing for a PDF with pages, without active content and without encryption. Raise NotAccepted for any other file."""
    set_qpdf_limits(
        flate_max_memory=MAX_INFLATED,
        png_max_memory=MAX_INFLATED,
        tiff_max_memory=MAX_INFLATED,
        run_length_max_memory=MAX_INFLATED,
        dct_max_memory=MAX_INFLATED,
        doc_max_warnings=1000,
    )
    document = _from_header(data)
    if _ENCRYPT.search(document):
        raise NotAccepted(ENCRYPTED)
    bodies, outside = _split(document)
    for start, end in bodies:  # a viewer may read as an object what qpdf takes for a body
        if found := _LONG.search(document, start, end):
            raise _active(found)
        if _OBJECT_STREAM.search(document, start, end):
            raise NotAccepted(BROKEN)
    try:
        Inspection(document, outside).run()
    except PasswordError as locked:
        raise NotAccepted(ENCRYPTED) from locked
    except (PdfError, DataDecodingError, ValueError, TypeError, RuntimeError) as broken:
        told = str(broken)
        raise NotAccepted(UNPACKED if _TOO_LARGE.search(told) else NO_PAGES if _WITHOUT_PAGES.search(told) else BROKEN) from broken
    return b""


def _from_header(data: bytes) -> bytes:
    """Return the file from its header on. Scanners, printers and mail programs put bytes before it and zeros behind its end.

    What a browser could take for a page, a system for a program, or a viewer for an object before the header, is no PDF.
    """
    start = data.find(b"%PDF-", 0, HEADER_WITHIN + 5)
    before = data[: max(start, 0)]
    if start < 0 or before.startswith(OTHER_KINDS) or any(word in before for word in (b"<", b"obj", b"trailer")):
        raise NotAccepted(NOT_A_PDF)
    if b"%%EOF" not in data.rstrip(b"\0\t\n\f\r ")[-HEADER_WITHIN:]:
        raise NotAccepted(NOT_A_PDF)
    return data[start:]


def _split(document: bytes) -> tuple[list[tuple[int, int]], bytes]:
    """Return where the bodies of streams begin and end, and the bytes outside of them. Raise NotAccepted for a body without an end."""
    bodies, outside, inside, behind = [], [], -1, 0
    for word in _STREAM.finditer(document):
        if document[word.start() - 3 : word.start()] != b"end":
            if inside < 0:
                inside = word.end()
                outside.append(document[behind:inside])
        elif inside >= 0:
            bodies.append((inside, word.start() - 3))
            inside, behind = -1, word.start() - 3
    if inside >= 0:
        raise NotAccepted(BROKEN)
    outside.append(document[behind:])
    return bodies, b"".join(outside)


def _active(found: re.Match[bytes]) -> NotAccepted:
    return NotAccepted(ACTIVE, name=_ESCAPE.sub(lambda escape: bytes([int(escape[1], 16)]), found[1]).decode())


class Inspection:
    """One file, read in rounds: its own objects, then the parts that its cross-reference table does not name, until none are new."""

    def __init__(self, document: bytes, outside: bytes) -> None:
        self._document, self._outside = document, outside
        self._left = MAX_INFLATED
        self._readable = [document]  # bytes in which names stand as they are
        self._finder = ActionFinder(lambda key: any(_reference(key).search(part) for part in self._readable))

    def run(self) -> None:
        """Raise NotAccepted for active content and for parts that cannot be read, PdfError for a file that qpdf cannot open."""
        pdf = _opened(self._document)
        self._walk(pdf)
        told = _told(pdf)
        if _tells_of_repair(told):  # perhaps in the middle of the walk
            self._walk(pdf)
        len(pdf.pages)  # raises PdfError if there are none
        self._refuse_unreadable(pdf)
        self._refuse_unclear(pdf, [*told, *_told(pdf)])
        table, root = pdf.get_xref_table(), pdf.Root.objgen
        unnamed = list(self._unnamed(table))
        lost = {key: place for key, place, _ in unnamed if key not in table and key[0] < MAX_NUMBER}
        parts = [*(part for _, _, part in unnamed), *self._trailers(), *self._packed(pdf, pdf.objects)]
        for _ in range(2):  # the objects of object streams are no streams, so that the second round finds no more
            if len(parts) > MAX_PARTS:
                raise NotAccepted(TOO_MUCH)
            if parts:
                parts = self._look_through(table, root, parts, lost)

    def _walk(self, pdf: Pdf) -> None:
        for value in (pdf.trailer, *pdf.objects):
            self._refuse_active(value)

    def _refuse_active(self, value: Object | None) -> None:
        if value is not None and (found := self._finder.find(value)):
            raise NotAccepted(ACTIVE, name=found)

    def _unnamed(self, table: _Table) -> Iterator[tuple[_Key, int, bytes]]:
        """Yield number, place and content of each object in the bytes that the cross-reference table does not name."""
        named = {entry.offset for entry in table.values() if entry.type == 1}
        found = list(_OBJECT.finditer(self._document))
        ends = [*(match.start() for match in found[1:]), len(self._document)]
        for match, end in zip(found, ends, strict=True):
            if match.start() not in named:
                key = (int(match[1][-MAX_DIGITS:]), int(match[2][-MAX_DIGITS:]))
                yield key, match.start(), self._document[match.end() : end]

    def _trailers(self) -> list[bytes]:
        """Return all trailers if there are several. A single one is `Pdf.trailer`."""
        starts = [match.end() for match in _TRAILER.finditer(self._document)]
        return [self._document[start : start + MAX_TRAILER].partition(b"startxref")[0] for start in starts] if len(starts) > 1 else []

    def _packed(self, pdf: Pdf, objects: Iterable[Object | None]) -> Iterator[bytes]:
        """Yield the objects in object streams that the cross-reference table does not name."""
        entries = pdf.get_xref_table().values()
        named = {(entry.obj_stream_number, entry.obj_stream_index) for entry in entries if entry.type == 2}
        for stream, count in _object_streams(objects):
            if not all((stream.objgen[0], index) in named for index in range(count)):
                yield from self._unpacked(stream, count)

    def _unpacked(self, stream: Object, count: int) -> Iterator[bytes]:
        content = self._content(stream)
        first = int(stream.First)
        numbers = [int(word) for word in content[:first].split()[: 2 * count]]
        if first < 0 or len(numbers) != 2 * count:
            raise NotAccepted(BROKEN)
        starts = sorted({first + offset for offset in numbers[1::2]})
        yield from (content[start:end] for start, end in zip(starts, [*starts[1:], len(content)], strict=True))

    def _content(self, stream: Object) -> bytes:
        content = stream.read_bytes()
        self._left -= len(content)
        if self._left < 0:
            raise NotAccepted(UNPACKED)
        self._readable.append(content)
        return content

    def _refuse_unreadable(self, pdf: Pdf) -> None:
        """Refuse an object that is in the table but cannot be read: another viewer might."""
        for (number, generation), entry in pdf.get_xref_table().items():
            if entry.type == 1 and entry.offset is not None and pdf.get_object(number, generation) is None:
                header = _OBJECT.match(self._document, entry.offset)
                if not header or not _NULL.match(self._document, header.end()):
                    raise NotAccepted(BROKEN)

    def _refuse_unclear(self, pdf: Pdf, told: Sequence[str]) -> None:
        """Refuse any name of an action where qpdf had to guess: another viewer may guess otherwise."""
        if any(_TOO_LARGE.search(warning) for warning in told):
            raise NotAccepted(UNPACKED)
        if any(_UNREADABLE.search(warning) for warning in told):
            raise NotAccepted(BROKEN)
        if not all(map(_HARMLESS.search, told)):
            packed = [self._content(stream) for stream, _ in _object_streams(pdf.objects)]
            for part in (self._document, *packed):
                if found := _LONG.search(part) or _GUESSED.search(part):
                    raise _active(found)
            for part in (self._outside, *packed):
                if found := _SHORT.search(part):
                    raise _active(found)

    def _look_through(self, table: _Table, root: _Key, parts: Sequence[bytes], lost: Mapping[_Key, int]) -> list[bytes]:
        """Read parts as objects of a copy of the file. Return the objects of the object streams among them.

        `lost` are the places of objects that the table has no number for: a reference that led nowhere may lead to them.
        """
        copy, numbers = _extended(self._document, table, root, parts, lost)
        pdf = _opened(copy)
        objects = [pdf.get_object(number, 0) for number in numbers]
        for value, part in zip(objects, parts, strict=True):
            if value is None and not _NULL.match(part):
                raise NotAccepted(BROKEN)
            self._refuse_active(value)
            if isinstance(value, Dictionary) and value.get("/S") == Name.URI:
                raise NotAccepted(ACTIVE, name="URI")  # whether it runs by itself is not known
        if lost:
            self._walk(pdf)
        packed = list(self._packed(pdf, objects))
        told = _told(pdf)
        if _tells_of_repair(told) or not all(map(_HARMLESS.search, told)):
            raise NotAccepted(BROKEN)
        return packed


def _opened(document: bytes) -> Pdf:
    # From a file, qpdf reads ten times faster than from an object of Python.
    with os.fdopen(os.memfd_create("pdf"), "wb") as file:
        file.write(document)
        file.flush()
        pdf = Pdf.open(f"/proc/self/fd/{file.fileno()}", inherit_page_attributes=False, conversion_mode="explicit")
    if pdf.is_encrypted:
        raise NotAccepted(ENCRYPTED)
    return pdf


def _told(pdf: Pdf) -> list[str]:
    """Return what qpdf has complained about since it was last asked."""
    return [str(warning) for warning in pdf.get_warnings()]


def _tells_of_repair(told: Iterable[str]) -> bool:
    return any("reconstruct" in warning for warning in told)


def _object_streams(objects: Iterable[Object | None]) -> Iterator[tuple[Object, int]]:
    """Yield the streams that can serve as object streams, with the number of their objects. Some viewers ask for no type.

    Raise NotAccepted for one that is incomplete, or that qpdf takes for no stream.
    """
    for value in objects:
        if value is not None and value._type_code in (ObjectType.stream, ObjectType.dictionary):
            count, first = value.get("/N"), value.get("/First")
            if isinstance(count, Integer) and isinstance(first, Integer):
                if value._type_code == ObjectType.dictionary:
                    raise NotAccepted(BROKEN)
                if int(count) > MAX_PARTS:
                    raise NotAccepted(TOO_MUCH)
                yield value, int(count)
            elif value.get("/Type") == Name.ObjStm:
                raise NotAccepted(BROKEN)


@cache
def _reference(key: str) -> re.Pattern[bytes]:
    """Return a pattern for an entry that is a reference; of AA, for one of its events."""
    between = rb"<<[^>]{0,500}?" if key == "/AA" else b""
    return re.compile(re.escape(key).encode() + _GAP + rb"*+" + between + rb"[0-9]++" + _GAP + rb"++[0-9]++" + _GAP + rb"++R")


def _extended(document: bytes, table: _Table, root: _Key, parts: Sequence[bytes], lost: Mapping[_Key, int]) -> tuple[bytes, Sequence[int]]:
    """Return a copy of the file with more objects: the parts under new numbers, which are returned too, and lost objects under their own.

    Its cross-reference table is a stream of its own, as in ISO 32000-2, 7.5.8.
    """
    out = bytearray(document)
    first = max((number for number, _ in (*table, *lost)), default=0) + 1
    numbers = range(first, first + len(parts))
    entries = {key: (1, place, key[1]) for key, place in lost.items()}
    entries |= {key: _entry(key, entry) for key, entry in table.items() if entry.type}
    for number, part in zip(numbers, parts, strict=True):
        out += b"\n"
        entries[number, 0] = (1, len(out), 0)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    by_number = {number: fields for (number, _), fields in sorted(entries.items())}
    rows = b"".join(b"".join(field.to_bytes(FIELD, "big") for field in fields) for fields in by_number.values())
    place = len(out)
    out += b"%d 0 obj\n<< /Type /XRef /Size %d /W [%d %d %d]" % (numbers.stop, numbers.stop + 1, FIELD, FIELD, FIELD)
    out += b" /Index [%s] /Root %d %d R" % (b" ".join(b"%d 1" % number for number in by_number), *root)
    out += b" /Length %d >>\nstream\n%s\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % (len(rows), rows, place)
    return bytes(out), numbers


def _entry(key: _Key, entry: XrefEntry) -> tuple[int, int, int]:
    if entry.type == 2:
        return 2, entry.obj_stream_number or 0, entry.obj_stream_index or 0
    return 1, entry.offset or 0, key[1]
