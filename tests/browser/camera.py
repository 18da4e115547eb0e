"""Pictures of codes, and a video of them for Chromium's fake camera. Independent libraries draw the codes."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import segno
from barcode import get as barcode

WIDTH, HEIGHT, FRAMES = 640, 480, 5  # pixels, pixels, frames a second
Rows = list[bytes]
"""A picture: one grey byte for each pixel, row by row."""


def qr(text: str) -> Rows:
    """Draw a QR code in the middle of the picture."""
    return _framed([bytes(0 if dark else 255 for dark in row) for row in segno.make(text, micro=False).matrix], 8, 8)


def code_128(text: str) -> Rows:
    """Draw a Code 128 bar code in the middle of the picture."""
    (bars,) = barcode("code128", text).build()
    return _framed([bytes(0 if bar == "1" else 255 for bar in bars)], 3, 120)


def blank() -> Rows:
    """Draw an empty white picture."""
    return [b"\xff" * WIDTH] * HEIGHT


def video(path: Path, *scenes: tuple[Rows, int]) -> Path:
    """Write the scenes (picture, number of frames) as YUV4MPEG2; return the path."""
    grey = b"\x80" * (WIDTH * HEIGHT // 2)
    with path.open("wb") as out:
        out.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FRAMES}:1 Ip A1:1 C420\n".encode())
        for rows, frames in scenes:
            out.write((b"FRAME\n" + b"".join(rows) + grey) * frames)
    return path


def png(rows: Rows) -> bytes:
    """Encode the picture as a greyscale PNG."""
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"".join(b"\x00" + row for row in rows))),
        (b"IEND", b""),
    )
    out = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    out.seek(0, io.SEEK_END)
    for kind, data in chunks:
        out.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
    return out.getvalue()


def _framed(modules: list[bytes], across: int, down: int) -> Rows:
    """Scale each module to `across` by `down` pixels and centre the result on white."""
    rows = [b"".join(bytes([module]) * across for module in row) for row in modules for _ in range(down)]
    top, left = (HEIGHT - len(rows)) // 2, (WIDTH - len(rows[0])) // 2
    around = [b"\xff" * left + row + b"\xff" * (WIDTH - left - len(row)) for row in rows]
    return [b"\xff" * WIDTH] * top + around + [b"\xff" * WIDTH] * (HEIGHT - top - len(around))
