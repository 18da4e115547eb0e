"""Decode a photo in the child process and encode it anew: upright, and without EXIF, comments, colour profile or anything behind it."""

from __future__ import annotations

import io

from PIL import Image, ImageOps, UnidentifiedImageError

from sifilma.documents.reader_refusals import DAMAGED, NOT_A_PHOTO, TOO_MANY_PIXELS, TOO_MUCH, NotAccepted

FORMATS = ("JPEG", "PNG")
QUALITIES = (88, 75, 60)
PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"}
COMPRESSION = 3  # of PNG: level 6 takes twice the time for 3 % less
Image.preinit()  # loads the decoders now, before the process gives up its memory


def read_photo(data: bytes, most_pixels: str, most_bytes: str) -> bytes:
    """Return the photo as JPEG or PNG, as it came, of at most `most_bytes`. A PNG that would be larger becomes a JPEG.

    Raise NotAccepted for other files, too many pixels, and pictures that cannot be decoded to their end.
    """
    Image.MAX_IMAGE_PIXELS = None  # the limit below is lower, and says so
    try:
        photo = Image.open(io.BytesIO(data), formats=FORMATS)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as other:
        raise NotAccepted(NOT_A_PHOTO) from other
    if photo.width * photo.height > int(most_pixels):
        raise NotAccepted(TOO_MANY_PIXELS)
    try:
        return _encoded(photo, int(most_bytes))
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError) as broken:
        raise NotAccepted(DAMAGED) from broken


def _encoded(photo: Image.Image, most_bytes: int) -> bytes:
    is_png = photo.format == "PNG"
    ImageOps.exif_transpose(photo, in_place=True)  # a copy would take the memory of a second picture
    photo.load()
    transparency = photo.info.get("transparency")
    photo.info = {} if transparency is None else {"transparency": transparency}  # encoders write what they find here
    if is_png and photo.mode in PNG_MODES:
        found = _saved(photo, "PNG", compress_level=COMPRESSION)
        if len(found) <= most_bytes:
            return found
    if photo.mode not in ("L", "RGB"):
        photo = photo.convert("RGB")
    for quality in QUALITIES:
        found = _saved(photo, "JPEG", quality=quality)
        if len(found) <= most_bytes:
            return found
    raise NotAccepted(TOO_MUCH)


def _saved(image: Image.Image, kind: str, **options: int) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()
