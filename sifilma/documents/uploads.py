"""Inspect uploads: PDFs are stored as they came, photos are encoded anew. What parses them is a child process (`reading`)."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from sifilma.documents import reader_refusals as reasons
from sifilma.documents.reading import read_in_child
from sifilma.kernel.errors import Invalid
from sifilma.kernel.text import Text, say

MAX_PDF = 10 * 1024 * 1024
MAX_IMAGE = 8 * 1024 * 1024
MAX_PIXELS = 25_000_000  # a small file can hold a picture that fills the memory when it is decoded
ADVICE = say("Print it to PDF and upload that.")
MOST_REMEMBERED = 1000
_accepted: OrderedDict[str, None] = OrderedDict()
"""The digests of the newest accepted PDFs: a form that comes again with its letter, or a letter for several requests, is read once."""
PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True)
class Facts:
    """The properties of a checked upload: SHA-256 (hex), size in bytes and media type."""

    sha256: str
    size: int
    media_type: str


def inspect_pdf(data: bytes, field: str = "letter", limit: int = MAX_PDF) -> Facts:
    """Return the properties of a PDF without active content and without encryption. Raise Invalid, with the field, for any other file."""
    _require_size(data, field, limit)
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 not in _accepted:
        _read("pdf", data, field, _pdf_refusal, most=0)
        _accepted[sha256] = None
        if len(_accepted) > MOST_REMEMBERED:
            _accepted.popitem(last=False)
    return Facts(sha256, len(data), "application/pdf")


def clean_photo(data: bytes, field: str = "photos", limit: int = MAX_IMAGE, name: str = "") -> tuple[bytes, Facts]:
    """Return a JPEG or PNG encoded anew, and its properties. Raise Invalid, with the field, for any other file.

    It stands upright and holds nothing but the picture: no EXIF, no position, no comment. `name` is what a refusal calls the photo.
    """
    _require_size(data, field, limit)
    if not data.startswith((PNG, JPEG)):
        raise Invalid.field(field, _photo_refusal(reasons.NOT_A_PHOTO, name))
    clean = _read("photo", data, field, lambda refused: _photo_refusal(refused.reason, name), MAX_PIXELS, limit, most=limit)
    media_type = "image/png" if clean.startswith(PNG) else "image/jpeg"
    return clean, Facts(hashlib.sha256(clean).hexdigest(), len(clean), media_type)


def _read(kind: str, data: bytes, field: str, words: Callable[[reasons.NotAccepted], Text], *arguments: object, most: int) -> bytes:
    try:
        return read_in_child(kind, data, *arguments, most=most)
    except reasons.NotAccepted as refused:
        raise Invalid.field(field, words(refused)) from refused


def _pdf_refusal(refused: reasons.NotAccepted) -> Text:
    unreadable = say("The PDF has a part that cannot be read. %(advice)s", advice=ADVICE)
    return {
        reasons.TOO_LONG: say("The PDF takes too long to read. %(advice)s", advice=ADVICE),
        reasons.TOO_MUCH: say("The PDF holds too much to be read. %(advice)s", advice=ADVICE),
        reasons.UNPACKED: say("The PDF unpacks to an unreasonable size. %(advice)s", advice=ADVICE),
        reasons.NOT_A_PDF: say("This is not a complete PDF file. %(advice)s", advice=ADVICE),
        reasons.NO_PAGES: say("The PDF has no pages. %(advice)s", advice=ADVICE),
        reasons.ENCRYPTED: say("The PDF is encrypted. Save it without a password and upload it again."),
        reasons.ACTIVE: say(
            "The PDF holds active content (%(name)s). %(advice)s", name=str(refused.facts.get("name", ""))[:40], advice=ADVICE
        ),
    }.get(refused.reason, unreadable)


def _photo_refusal(reason: str, name: str) -> Text:
    damaged = say("The photo %(name)s is damaged.", name=name)
    return {
        reasons.TOO_LONG: say("The photo %(name)s takes too long to read.", name=name),
        reasons.TOO_MUCH: say("The photo %(name)s holds too much to be read.", name=name),
        reasons.NOT_A_PHOTO: say("A photo must be a JPEG or PNG file."),
        reasons.TOO_MANY_PIXELS: say("A photo may have at most %(most)s megapixels.", most=MAX_PIXELS // 1_000_000),
    }.get(reason, damaged)


def _require_size(data: bytes, field: str, limit: int) -> None:
    if not data:
        raise Invalid.field(field, "The file is empty.")
    if len(data) > limit:
        raise Invalid.field(field, say("The file is larger than %(most)s MB.", most=limit // (1024 * 1024)))


def clean_name(filename: str) -> str:
    """Return the last part of a file's name for display: printable, without direction marks, at most 120 characters.

    Direction marks could make an extension look like another.
    """
    name = unicodedata.normalize("NFC", filename.replace("\\", "/").rpartition("/")[2])
    name = "".join(ch for ch in name if ch.isprintable() and unicodedata.category(ch) != "Cf")
    return re.sub(r'["<>|*?:]', "_", name)[-120:].strip(" .") or "berkas"
