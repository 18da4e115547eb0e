"""Labels with a QR code as a PDF: on sheets of A4 of the usual formats, or one on each page of a label printer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from flask_babel import gettext

from config.settings import Settings
from sifilma.documents import rendering
from sifilma.documents.papers.layout import Unprintable
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid
from sifilma.kernel.text import say

NAME = "label.pdf"
MOST = 500
"""Labels of one PDF: two seconds of CPU."""
SHEET_WIDTH, SHEET_HEIGHT = 210.0, 297.0  # mm: A4


@dataclass(frozen=True)
class Format:
    """A kind of labels. `width`, `height` and `gap` (between columns) are in mm, `points` is the size of their text."""

    columns: int
    rows: int
    width: float
    height: float
    points: float
    gap: float = 0.0

    @property
    def count(self) -> int:
        """Return how many labels a page has."""
        return self.columns * self.rows

    @property
    def measures(self) -> dict[str, Any]:
        """Return what the template needs. The labels lie in the middle of a sheet; a roll's page is one label."""
        page = (SHEET_WIDTH, SHEET_HEIGHT) if self.count > 1 else (self.width, self.height)
        across = self.columns * self.width + (self.columns - 1) * self.gap
        margins = {"left": (page[0] - across) / 2, "top": (page[1] - self.rows * self.height) / 2}
        return asdict(self) | {"page_width": page[0], "page_height": page[1]} | margins


FORMATS = {
    "3x7": Format(3, 7, 63.5, 38.1, 7.5, 2.5),
    "3x8": Format(3, 8, 70.0, 37.0, 7.5),
    "2x7": Format(2, 7, 99.1, 38.1, 9.0, 2.5),
    "5x13": Format(5, 13, 38.1, 21.2, 4.8, 2.5),
    "62x29": Format(1, 1, 62.0, 29.0, 6.5),
}


@dataclass(frozen=True)
class Label:
    """What a label says. `address` is that of a page, for the QR code; `kind` says what it is stuck on, `title` is its number."""

    address: str
    kind: str
    title: str
    lines: tuple[str, ...]


def choices() -> list[tuple[str, str]]:
    """Return the formats for the choices of a form."""
    return [(name, _words(one)) for name, one in FORMATS.items()]


def _words(one: Format) -> str:
    size = f"{one.width:g} × {one.height:g} mm".replace(".", ",")
    if one.count == 1:
        return str(gettext("One label, %(size)s", size=size))
    return str(gettext("A4, %(columns)s × %(rows)s labels of %(size)s", columns=one.columns, rows=one.rows, size=size))


def asked_for(ctx: Context, settings: Settings, asked: Mapping[str, str], labels: Sequence[Label]) -> bytes:
    """Return the PDF that a form asked for: `format` is a key of FORMATS, `start` the place of the first label on its sheet, from 1.

    Raise Invalid for another format or place, without labels, and for more than MOST.
    """
    form = FORMATS.get(asked.get("format", "3x7"))
    if form is None:
        raise Invalid("There is no such format of labels.")
    start = asked.get("start", "").strip() or "1"
    if not (start.isdecimal() and start.isascii() and len(start) < 4 and 1 <= int(start) <= form.count):
        raise Invalid(say("The first label stands at a place from 1 to %(count)s of its sheet.", count=form.count))
    if not labels:
        raise Invalid("Nothing is there to make labels of.")
    if len(labels) > MOST:
        raise Invalid(say("At most %(most)s labels are made at once: narrow the list by its filters, or choose rows.", most=MOST))
    ctx.uow.end_read()  # the PDF takes a while
    return make(ctx, settings, labels, form, int(start))


def make(ctx: Context, settings: Settings, labels: Sequence[Label], form: Format, start: int = 1) -> bytes:
    """Return the PDF. A sign that no font has is printed as a question mark: a label is an aid, and no document."""
    data = {
        "title": "Label SI-FILMA",
        "date": {"year": ctx.now.year, "month": ctx.now.month, "day": ctx.now.day},
        "format": form.measures,
        "skip": start - 1,
        "labels": [asdict(label) | {"qr": rendering.qr_svg(label.address)} for label in labels],
    }
    try:
        return rendering.render("labels", data, banner=settings.banner, folder="labels")
    except Unprintable as unknown:
        signs = str.maketrans(dict.fromkeys(unknown.signs, "?"))
        return rendering.render("labels", _without(data, signs), banner=settings.banner, folder="labels")


def _without(data: dict[str, Any], signs: dict[int, str]) -> dict[str, Any]:
    known = [one | {"lines": [line.translate(signs) for line in one["lines"]]} for one in data["labels"]]
    return data | {"labels": known}
