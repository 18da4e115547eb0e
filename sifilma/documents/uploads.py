"""Looking at an upload, no deeper than needed: what it is, how large, and whether a PDF could act by itself."""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from sifilma.kernel.errors import Invalid

MAX_PDF = 10 * 1024 * 1024
MAX_IMAGE = 8 * 1024 * 1024
MAX_PIXELS = 50_000_000
MAX_INFLATED = 64 * 1024 * 1024
ACTIVE = (b"JavaScript", b"JS", b"Launch", b"EmbeddedFile", b"EmbeddedFiles", b"XFA", b"RichMedia", b"AA", b"SubmitForm", b"ImportData",
          b"GoToE", b"Rendition")  # fmt: skip
_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")
_NAME = re.compile(rb"/([^\x00\t\n\x0c\r ()<>\[\]{}/%]+)")
_STREAM = re.compile(rb"(?<!end)stream\r?\n")
_OPEN_ACTION = re.compile(rb"/OpenAction\s*(<<|\d+\s+\d+\s+R)")


@dataclass(frozen=True)
class Facts:
    """What a checked upload is."""

    sha256: str
    size: int
    media_type: str


def inspect_pdf(data: bytes, field: str = "letter", limit: int = MAX_PDF) -> Facts:
    """A PDF without active content and without encryption; Invalid, naming the field, otherwise."""
    _sized(data, field, limit)
    if not data.startswith(b"%PDF-") or b"%%EOF" not in data[-2048:]:
        raise Invalid.field(field, "This is not a complete PDF file.")
    for part in _parts(data, field):
        names = {_ESCAPE.sub(lambda m: bytes([int(m.group(1), 16)]), name) for name in _NAME.findall(part)}
        if b"Encrypt" in names:
            raise Invalid.field(field, "The PDF is encrypted. Save it without a password and upload it again.")
        found = sorted(name.decode() for name in names & set(ACTIVE))
        if found or _OPEN_ACTION.search(part):
            raise Invalid.field(field, f"The PDF holds active content ({', '.join(found) or 'OpenAction'}). Print it to PDF and upload that.")
    return Facts(hashlib.sha256(data).hexdigest(), len(data), "application/pdf")


def _parts(data: bytes, field: str) -> Iterator[bytes]:
    """The file without its streams' bodies, then what its compressed object streams unpack to."""
    total, outside, position = 0, [], 0
    for match in _STREAM.finditer(data):
        if match.start() < position:
            continue
        end = data.find(b"endstream", match.end())
        if end < 0:
            raise Invalid.field(field, "The PDF is cut short.")
        outside.append(data[position : match.end()])
        dictionary = data[max(position, match.start() - 4096) : match.start()]
        if b"ObjStm" in dictionary[dictionary.rfind(b"obj") :]:
            unpacked = _inflate(data[match.end() : end], MAX_INFLATED - total, field)
            total += len(unpacked)
            yield unpacked
        position = end
    yield b"".join([*outside, data[position:]])


def _inflate(body: bytes, limit: int, field: str) -> bytes:
    inflater = zlib.decompressobj()
    try:
        unpacked = inflater.decompress(body, max(1, limit))
    except zlib.error as broken:
        raise Invalid.field(field, "The PDF has a part that cannot be read. Print it to PDF and upload that.") from broken
    if inflater.unconsumed_tail:
        raise Invalid.field(field, "The PDF unpacks to an unreasonable size.")
    return unpacked


def inspect_image(data: bytes, field: str = "photos", limit: int = MAX_IMAGE) -> Facts:
    """A JPEG or PNG of a reasonable size; Invalid otherwise. Only the header is read."""
    _sized(data, field, limit)
    found = _png_size(data) or _jpeg_size(data)
    if found is None:
        raise Invalid.field(field, "A photo must be a JPEG or PNG file.")
    media_type, width, height = found
    if not 0 < width * height <= MAX_PIXELS:
        raise Invalid.field(field, "The photo has an unreasonable number of pixels.")
    return Facts(hashlib.sha256(data).hexdigest(), len(data), media_type)


def _sized(data: bytes, field: str, limit: int) -> None:
    if not data:
        raise Invalid.field(field, "The file is empty.")
    if len(data) > limit:
        raise Invalid.field(field, f"The file is larger than {limit // (1024 * 1024)} MB.")


def _png_size(data: bytes) -> tuple[str, int, int] | None:
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or data[12:16] != b"IHDR" or len(data) < 33:
        return None
    width, height = struct.unpack(">II", data[16:24])
    return "image/png", width, height


def _jpeg_size(data: bytes) -> tuple[str, int, int] | None:
    """Walk the markers to the frame header (ITU-T T.81, B.2.2)."""
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    position = 2
    while position + 9 < len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[position + 5 : position + 9])
            return "image/jpeg", width, height
        position += 2 + length
    return None
