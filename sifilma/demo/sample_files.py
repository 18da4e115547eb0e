"""Make the files that players need: letters, a purchase order and a photo, all of them invented."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache

import typst

PDF = "application/pdf"


def letter(sender: str, number: str, date: str, subject: str, text: str) -> tuple[str, bytes, str]:
    """Return a letter as a PDF, in the form of a multipart file (name, bytes, type)."""
    lines = [f'#set page(paper: "a5")\n#set text(lang: "id")\n= {_escape(sender)}']
    lines += [f"Nomor: {_escape(number)} \\", f"Tanggal: {_escape(date)} \\", f"Perihal: {_escape(subject)}", _escape(text)]
    pdf: bytes = typst.compile("\n\n".join(lines).encode(), font_paths=typst.Fonts(include_system_fonts=False))
    return "surat.pdf", pdf, PDF


def _escape(text: str) -> str:
    return "".join(f"\\{ch}" if ch in "\\#*_`$<>@=[]~/+-" else ch for ch in text)


@lru_cache(maxsize=8)
def photo(width: int = 320, height: int = 200) -> tuple[str, bytes, str]:
    """Return a PNG (8-bit RGB) that looks roughly like a cut card."""
    rows = b"".join(b"\x00" + bytes(_pixel(x, y, width) for x in range(width) for _ in range(3)) for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    png = b"".join(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks)
    return "foto.png", b"\x89PNG\r\n\x1a\n" + png, "image/png"


def _pixel(x: int, y: int, width: int) -> int:
    return 30 if abs(x - width // 2 - y // 8) < 3 else 90 + (x * 7 + y * 3) % 120
