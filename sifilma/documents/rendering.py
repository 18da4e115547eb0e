"""Make PDFs with typst. Data never become template code, so they cannot run as such (`layout.py`).

Each version of the templates is a folder of its own below `typst/`. A version that papers were issued with is never edited: what is new
is a new version.
"""

from __future__ import annotations

import base64
import io
import re
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import segno

from sifilma.documents.papers import long_papers
from sifilma.documents.papers.layout import Layout
from sifilma.kernel.text import visible

TEMPLATES = Path(__file__).parent / "typst"
FIRST, DIVIDED, NEWEST = 1, 4, 4
"""Versions of the templates. Papers of the first were not stored when they were issued, and not checked for missing signs. Since DIVIDED a
long paper is laid out in parts.
"""
WHOLE = 500
"""Rows of the list of a paper (`cards`) up to which it is laid out as a whole, in this process, which that makes 55 MB larger."""
_SUFFIX = {"image/png": "png", "image/jpeg": "jpg"}
_IMAGE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\.(?:png|jpg)")


def render(
    template: str,
    data: dict[str, Any],
    images: dict[str, bytes] | None = None,
    *,
    banner: str = "",
    version: int = NEWEST,
    folder: str = "",
) -> bytes:
    """Return a PDF made from `typst/<version>/<template>.typ`. The template finds `images` (`name.png`, `name.jpg`) under their names.

    `folder` takes the place of the version for what is no paper, and so is never looked at again as it was.

    `banner` stands at the top of every page and across it: the line of an installation for practice (`Settings.banner`).

    The same data give the same bytes: the document's date comes from `data["date"]`. Characters that show nothing are left out. Raise
    Unprintable for signs that no font has, ValueError for another name of an image, and Unavailable if a long paper cannot be laid out now.
    The first version prints data as they are.
    """
    stated = data | {"banner": banner}
    if version != FIRST:
        stated = _seen(stated | {"template": f"{template}/{version}"})
    with TemporaryDirectory(prefix="sifilma-pdf-") as root:  # typst reads images only from files below its root
        layout = Layout(Path(root), template, is_first=version == FIRST)
        for source in (TEMPLATES / (folder or str(version))).glob("*.typ"):
            (layout.root / source.name).write_bytes(source.read_bytes())
        for name, image in (images or {}).items():
            if not _IMAGE_NAME.fullmatch(name):
                raise ValueError(f"not an image name: {name!r}")
            (layout.root / name).write_bytes(image)
        if version >= DIVIDED and not folder and len(stated["cards"]) > WHOLE:
            return long_papers.laid_out(layout, stated)
        return layout.compiled(stated)


def _seen(value: Any) -> Any:
    """Return data with every text as it is seen: a mark of direction would turn what stands behind it around."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {name: _seen(inner) for name, inner in value.items()}
    return [_seen(inner) for inner in value] if isinstance(value, list) else value


def image_name(stem: str, media_type: str) -> str:
    """Return the name under which `render` takes an image of this type. Raise KeyError for other types than PNG and JPEG."""
    return f"{stem}.{_SUFFIX[media_type]}"


def qr_address(text: str) -> str:
    """Return a QR code as a `data:` URL, for an image in a page. No file is made."""
    return "data:image/svg+xml;base64," + base64.b64encode(qr_svg(text).encode()).decode()


@lru_cache(maxsize=1024)  # 4 ms each: the same labels are printed again, and a page is opened again; 3 MB when it is full
def qr_svg(text: str) -> str:
    """Return a QR code (error correction level M) as SVG text."""
    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(out, kind="svg", xmldecl=False, border=0, scale=4)
    return out.getvalue().decode()
