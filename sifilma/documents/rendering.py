"""Make PDFs with typst. Data are passed as JSON through `sys.inputs`, never as template code, so they cannot run as such."""

from __future__ import annotations

import base64
import io
import json
import re
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import segno
import typst

TEMPLATES = Path(__file__).parent / "typst"
_SUFFIX = {"image/png": "png", "image/jpeg": "jpg"}
_IMAGE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\.(?:png|jpg)")


@lru_cache(maxsize=1)
def _fonts() -> typst.Fonts:
    """Return the fonts that come with typst (Libertinus Serif, DejaVu Sans Mono). System fonts would make PDFs differ between machines."""
    return typst.Fonts(include_system_fonts=False)


def render(template: str, data: dict[str, Any], images: dict[str, bytes] | None = None, *, banner: str = "") -> bytes:
    """Return a PDF made from `typst/<template>.typ`. The template finds `images` (`name.png`, `name.jpg`) under their names.

    `banner` stands at the top of every page and across it: the line of an installation for practice (`Settings.banner`).

    The same data give the same bytes: the document's date comes from `data["date"]`. Raise ValueError for another name of an image.
    """
    inputs = {"data": json.dumps(data | {"banner": banner}, ensure_ascii=False)}
    with TemporaryDirectory(prefix="sifilma-pdf-") as folder:  # typst reads images only from files below its root
        for source in TEMPLATES.glob("*.typ"):
            (Path(folder) / source.name).write_bytes(source.read_bytes())
        for name, image in (images or {}).items():
            if not _IMAGE_NAME.fullmatch(name):
                raise ValueError(f"not an image name: {name!r}")
            (Path(folder) / name).write_bytes(image)
        pdf: bytes = typst.compile(f"{folder}/{template}.typ", root=folder, font_paths=_fonts(), sys_inputs=inputs, timestamp=0)
    return pdf


def image_name(stem: str, media_type: str) -> str:
    """Return the name under which `render` takes an image of this type. Raise KeyError for other types than PNG and JPEG."""
    return f"{stem}.{_SUFFIX[media_type]}"


def qr_address(text: str) -> str:
    """Return a QR code as a `data:` URL, for an image in a page. No file is made."""
    return "data:image/svg+xml;base64," + base64.b64encode(qr_svg(text).encode()).decode()


def qr_svg(text: str) -> str:
    """Return a QR code (error correction level M) as SVG text."""
    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(out, kind="svg", xmldecl=False, border=0, scale=4)
    return out.getvalue().decode()
