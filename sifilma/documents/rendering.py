"""Make PDFs with typst. Data are passed as JSON through `sys.inputs`, never as template code, so they cannot run as such.

Each version of the templates is a folder of its own below `typst/`. A version that papers were issued with is never edited: what is new
is a new version.
"""

from __future__ import annotations

import base64
import io
import json
import re
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import segno
import typst

from sifilma.kernel.text import visible

TEMPLATES = Path(__file__).parent / "typst"
FIRST, NEWEST = 1, 3
"""Versions of the templates. Papers of the first were not stored when they were issued, and not checked for missing signs."""
FONTS = Path(__file__).resolve().parents[2] / "node_modules" / "@expo-google-fonts"
STANDARD: Final = "a-2u"
"""PDF/A-2u: typst refuses text that no font can display, and each sign of the file can be searched and copied."""
_SUFFIX = {"image/png": "png", "image/jpeg": "jpg"}
_IMAGE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\.(?:png|jpg)")
_NOT_DISPLAYED = re.compile(r'the text `"(.+?)"` could not be displayed')
_ESCAPED = re.compile(r"\\u\{([0-9a-fA-F]+)\}")


class Unprintable(Exception):
    """Some signs of a paper are in none of its fonts."""

    def __init__(self, signs: str) -> None:
        super().__init__(", ".join(map(named, signs)))
        self.signs = signs


def named(sign: str) -> str:
    """Return a sign with its number, such as `日 (U+65E5)`."""
    return f"{sign} (U+{ord(sign):04X})"


@lru_cache(maxsize=2)
def _fonts(version: int) -> typst.Fonts:
    """Return the fonts that come with typst (Libertinus Serif, DejaVu Sans Mono), and those of packages, which the first version had not.

    System fonts would make PDFs differ between machines.
    """
    folders = [] if version == FIRST else [FONTS]
    return typst.Fonts(include_system_fonts=False, font_paths=folders)


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
    Unprintable for signs that no font has, and ValueError for another name of an image. The first version prints data as they are.
    """
    stated = data | {"banner": banner}
    if version != FIRST:
        stated = _seen(stated | {"template": f"{template}/{version}"})
    inputs = {"data": json.dumps(stated, ensure_ascii=False)}
    with TemporaryDirectory(prefix="sifilma-pdf-") as root:  # typst reads images only from files below its root
        for source in (TEMPLATES / (folder or str(version))).glob("*.typ"):
            (Path(root) / source.name).write_bytes(source.read_bytes())
        for name, image in (images or {}).items():
            if not _IMAGE_NAME.fullmatch(name):
                raise ValueError(f"not an image name: {name!r}")
            (Path(root) / name).write_bytes(image)
        try:
            pdf: bytes = typst.compile(
                f"{root}/{template}.typ",
                root=root,
                font_paths=_fonts(version),
                sys_inputs=inputs,
                timestamp=0,
                pdf_standards=[] if version == FIRST else [STANDARD],
            )
        except typst.TypstError as fault:
            raise _understood(fault) from fault
    return pdf


def _seen(value: Any) -> Any:
    """Return data with every text as it is seen: a mark of direction would turn what stands behind it around."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {name: _seen(inner) for name, inner in value.items()}
    return [_seen(inner) for inner in value] if isinstance(value, list) else value


def _understood(fault: typst.TypstError) -> Exception:
    parts = [_ESCAPED.sub(lambda number: chr(int(number[1], 16)), part) for part in _NOT_DISPLAYED.findall(fault.diagnostic)]
    return Unprintable("".join(dict.fromkeys("".join(parts)))) if parts else fault


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
