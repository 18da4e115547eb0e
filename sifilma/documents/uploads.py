"""Inspect an upload no deeper than needed: what it is, how large, and whether a PDF has active content.

No PDF library is used, because parsers of hostile files are a target themselves. Names are searched in the bytes of the file and in
the unpacked object streams. What cannot be followed in this way is refused, with the advice to print the letter to PDF.
"""

from __future__ import annotations

import hashlib
import re
import struct
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from sifilma.kernel.errors import Invalid
from sifilma.kernel.text import say

MAX_PDF = 10 * 1024 * 1024
MAX_IMAGE = 8 * 1024 * 1024
MAX_PIXELS = 25_000_000  # a small file can hold a picture that fills the memory when it is decoded
MAX_INFLATED = 16 * 1024 * 1024
# Entries that make a viewer run, load or send something (ISO 32000-1, 12.6 and 12.7), or that carry other files.
LONG = ("JavaScript", "Launch", "EmbeddedFile", "EmbeddedFiles", "XFA", "RichMedia", "SubmitForm", "ImportData", "GoToE", "Rendition")
SHORT = ("JS", "AA")
ADVICE = say("Print it to PDF and upload that.")


def _name(*names: str, after: str = r"(?=[\x00\t\n\x0c\r ()<>\[\]{}/%]|\Z)") -> re.Pattern[bytes]:
    """Return a pattern for PDF names. Each letter of a name may be written as `#xx` (ISO 32000-1, 7.3.5)."""
    spelled = ("".join(f"(?:{letter}|#(?i:{ord(letter):02x}))" for letter in name) for name in names)
    return re.compile(f"/({'|'.join(spelled)}){after}".encode())


_LONG, _SHORT, _ENCRYPT, _OBJECT_STREAM = _name(*LONG), _name(*SHORT), _name("Encrypt"), _name("ObjStm")
_OPEN_ACTION = _name("OpenAction", after=r"(?!\s*(?:\[|null))")  # an array only chooses the page to show first
_FILTERED = _name("DecodeParms", "DP")
_STREAM = re.compile(rb">>\s*stream(?:\r\n|\n|\r)")
_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")


@dataclass(frozen=True)
class Facts:
    """The properties of a checked upload: SHA-256 (hex), size in bytes and media type."""

    sha256: str
    size: int
    media_type: str


def inspect_pdf(data: bytes, field: str = "letter", limit: int = MAX_PDF) -> Facts:
    """Return the properties of a PDF without active content and without encryption. Raise Invalid, with the field, for any other file."""
    _sized(data, field, limit)
    # Viewers accept bytes after %%EOF, so it is looked for in the last 1024 bytes, as they do.
    if not data.startswith(b"%PDF-") or b"%%EOF" not in data[-1024:]:
        raise Invalid.field(field, "This is not a complete PDF file.")
    if _ENCRYPT.search(data):
        raise Invalid.field(field, "The PDF is encrypted. Save it without a password and upload it again.")
    # Long names are searched in the bodies of streams too: a viewer may read as an object what we take for a body. Names of two letters
    # occur by chance in compressed bytes, so they are searched only where names can stand.
    _refuse_active(data, field, _LONG)
    for part in _parts(data, field):
        _refuse_active(part, field, _LONG, _SHORT, _OPEN_ACTION)
    return Facts(hashlib.sha256(data).hexdigest(), len(data), "application/pdf")


def _refuse_active(part: bytes, field: str, *patterns: re.Pattern[bytes]) -> None:
    for pattern in patterns:
        if found := pattern.search(part):
            name = _ESCAPE.sub(lambda escape: bytes([int(escape[1], 16)]), found[1]).decode()
            raise Invalid.field(field, say("The PDF holds active content (%(name)s). %(advice)s", name=name, advice=ADVICE))


def _parts(data: bytes, field: str) -> Iterator[bytes]:
    """Yield the unpacked content of each object stream, then the file without the bodies of its streams.

    Every name ObjStm in the file must belong to a stream that was unpacked. One that is hidden from this reading (in a comment, or in the
    body of another stream) makes the file unreadable: a viewer might find it.
    """
    outside, position, unpacked, total = [], 0, 0, 0
    while match := _STREAM.search(data, position):
        end = data.find(b"endstream", match.end())
        if end < 0:
            raise Invalid.field(field, "The PDF is cut short.")
        outside.append(data[position : match.end()])
        if _OBJECT_STREAM.search(outside[-1]):
            objects = _unpack(outside[-1], data[match.end() : end], MAX_INFLATED - total, field)
            unpacked, total = unpacked + 1, total + len(objects)
            yield objects
        position = end
    if sum(1 for _ in _OBJECT_STREAM.finditer(data)) != unpacked:
        raise Invalid.field(field, say("The PDF has a part that cannot be read. %(advice)s", advice=ADVICE))
    yield b"".join([*outside, data[position:]])


def _unpack(dictionary: bytes, body: bytes, limit: int, field: str) -> bytes:
    """Return the content of an object stream. Only plain deflate is accepted: common PDF writers use no predictors or chains here."""
    inflater = zlib.decompressobj()
    try:
        if _FILTERED.search(dictionary):
            raise zlib.error("filter parameters")
        objects = inflater.decompress(body, limit + 1)
    except zlib.error as broken:
        raise Invalid.field(field, say("The PDF has a part that cannot be read. %(advice)s", advice=ADVICE)) from broken
    if len(objects) > limit:
        raise Invalid.field(field, "The PDF unpacks to an unreasonable size.")
    return objects


def inspect_image(data: bytes, field: str = "photos", limit: int = MAX_IMAGE) -> Facts:
    """Return the properties of a JPEG or PNG of acceptable size; raise Invalid for others. Only the header is read.

    `rendering.can_show` decodes the rest.
    """
    _sized(data, field, limit)
    found = _png_size(data) or _jpeg_size(data)
    if found is None:
        raise Invalid.field(field, "A photo must be a JPEG or PNG file.")
    media_type, width, height = found
    if not 0 < width * height <= MAX_PIXELS:
        raise Invalid.field(field, say("A photo may have at most %(most)s megapixels.", most=MAX_PIXELS // 1_000_000))
    return Facts(hashlib.sha256(data).hexdigest(), len(data), media_type)


def _sized(data: bytes, field: str, limit: int) -> None:
    if not data:
        raise Invalid.field(field, "The file is empty.")
    if len(data) > limit:
        raise Invalid.field(field, say("The file is larger than %(most)s MB.", most=limit // (1024 * 1024)))


def _png_size(data: bytes) -> tuple[str, int, int] | None:
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or data[12:16] != b"IHDR" or len(data) < 33:
        return None
    width, height = struct.unpack(">II", data[16:24])
    return "image/png", width, height


def _jpeg_size(data: bytes) -> tuple[str, int, int] | None:
    """Return type, width and height of a JPEG: walk its markers up to the frame header (ITU-T T.81, B.2.2)."""
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    position = 2
    while position + 9 < len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        # The frame headers SOF0 … SOF15; C4, C8 and CC are other segments.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[position + 5 : position + 9])
            return "image/jpeg", width, height
        position += 2 + length
    return None


def clean_name(filename: str) -> str:
    """Return the last part of a file's name for display: printable, without direction marks, at most 120 characters.

    Direction marks could make an extension look like another.
    """
    name = unicodedata.normalize("NFC", filename.replace("\\", "/").rpartition("/")[2])
    name = "".join(ch for ch in name if ch.isprintable() and unicodedata.category(ch) != "Cf")
    return re.sub(r'["<>|*?:]', "_", name)[-120:].strip(" .") or "berkas"
