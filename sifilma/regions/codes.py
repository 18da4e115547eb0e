"""Kode wilayah `PP.KK.CC.VVVV` (Kemendagri): shape, level, parents."""

from __future__ import annotations

import re

from sifilma.kernel.errors import Invalid

_CODE = re.compile(r"\d{2}(\.\d{2}(\.\d{2}(\.[123]\d{3})?)?)?")
_WIDTH = {2: 1, 5: 2, 8: 3, 13: 4}
WIDTHS = tuple(_WIDTH)
VILLAGE = 4


def normalise(code: str) -> str:
    """The dotted code; digits without dots are accepted. Invalid for anything else (a village begins with 1, 2 or 3)."""
    digits = re.sub(r"[.\s]", "", code)
    dotted = ".".join(part for part in (digits[:2], digits[2:4], digits[4:6], digits[6:]) if part)
    if not _CODE.fullmatch(dotted):
        raise Invalid.field("region_code", "A region code looks like 35.20.01.2001.")
    return dotted


def level(code: str) -> int:
    """1 province, 2 regency or city, 3 district, 4 village."""
    return _WIDTH[len(code)]


def parent(code: str) -> str | None:
    """The code one level up, None for a province."""
    return code.rpartition(".")[0] or None


def regency_of(code: str) -> str:
    """The first five characters: what the geofence checks."""
    return code[:5]
